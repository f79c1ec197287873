"""Many seeded schedules of faults, played against the real programs over a simulated world.

What is real: the core, `tcf.worker` and `tcf.coordinator`, every line of them. What is simulated: the
hub, the network to it, the clocks, and the scheduler that runs each process's callbacks. A seed gives the
same run again; `python -m simulation --help` has more.
"""
