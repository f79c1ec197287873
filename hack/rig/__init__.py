"""What the demo, the tests, `make chaos` and `make bench` share: a hub, programs, and faults between them.

- `files`, `patience`: the repository's folder; waiting for something with a limit.
- `kubectl`, `hub_namespace`: the hub as a platform engineer sees it.
- `asking`: HTTP requests to a worker, as a load balancer or a person sends them.
- `tcf_processes`: real `tcf-operator` and `tcf-worker` processes.
- `prober`, `promise`: probes all the time, and the check that no two members were active at once.
- `gate`, `liar`, `backups`: a slow, silent or lost hub; one that lies; one restored from a backup.

The control plane that serves as the hub is the package `controlplane`, beside this one. Nothing here may
import the tests, the bench or the demo: `make lint` checks it.
"""
