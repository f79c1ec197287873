"""Plays many seeded schedules of faults against the real programs, in a simulated world.

The core, `tcf.worker` and `tcf.coordinator` are real, every line of them. The hub, the network, the clocks
and the scheduler that runs each process's callbacks are simulated. The same seed gives the same run again.
`make soak` plays as many schedules as you like; `python -m simulation --help` says how to play one of them.

**World** (`world.py`): simulated time, one queue of what happens next, and the one source of chance.
A `Machine` is a clock that may run fast, run slow or show the wrong time of day.
A `Process` is an event loop that may be stopped before any of its callbacks, or killed.
Change this if the operating system should do something new to a process.

**Process** (`actors.py`): `WorkerProgram` and `OperatorProgram` run the product's code in such a process.
An `Ask` is what a client wants of a worker, and what it is answered.
An `Effect` is what a worker's "active" has caused: it takes time to end.
`stand_ins.py` offers the product's view of the hub (`tcf.hub.interfaces`) over a simulated link.

**Network** (`network.py`): a `Link` is one process's way to the hub. It loses, delays, repeats and refuses
requests; a `Watch` does the same to events. `Rates` says how often.
If something new can happen to any single request, add it there.

**Hub** (`sim_hub.py`): what the API server keeps, with its versions, its conflicts and the rules of the CRD.
`tests/integration` holds the real API server to the same answers.

**Schedules** (`schedule.py`, `profiles.py`, `draw.py`): a profile says which kinds of faults there are, and
how many of each; `draw` makes a schedule of it. To add a fault:

1. write the function that does it, and name it in the table of its file: `program_faults.py` (processes and
   links), `hub_faults.py` (edits by the owner, losses) or `third_party_faults.py` (edits by hand);
2. draw it in `random_faults.py` (alone) or in `directed_faults.py` (several in a certain order);
3. give it a place in the profile `general`, and in one of its own if a mutant needs it.

`testbed.py` builds all the parts of a run. `injector.py` does the faults when they are due.

**Checks** (`invariants.py`): the promise to clients, the role tables, the history, the answers to requests.
`failovers.py` checks when a member may be replaced; `conclusions.py`, what a worker acknowledges before all
that its role has caused is over; `settling.py`, that the federation comes to rest.
Add a check to one of these.
`schedule_player.py` runs one schedule from beginning to end. `search.py` finds one that fails, and makes it
small.

**Mutants** (`mutants.py`): breaks of the protocol, by topic in `mutants_*.py`. Each replaces public names of
the product, and has a profile that must show it. Add one with every rule that you add to the protocol.
"""
