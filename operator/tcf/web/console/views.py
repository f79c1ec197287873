"""What the page is shown of one federation."""

from __future__ import annotations

from collections.abc import Iterable

from tcf.core.fencing import silence_needed
from tcf.core.model import Federation, Now, WorkerLease
from tcf.core.role_changes import awaited
from tcf.core.takeover import failover_state, verdicts
from tcf.hub.answers import Json
from tcf.hub.federation_json import body, members, refusal_json, worker


def view(federation: Federation, workers: Iterable[tuple[WorkerLease, float]], now: Now) -> Json:
    """`workers`: Leases, each with the seconds since it was renewed, as this operator has seen it."""
    known = sorted(workers, key=lambda each: (each[0].cluster, each[0].holder, each[0].name))
    obstacles = {each.member: each.obstacles for each in verdicts(federation, now)}
    state, message = failover_state(federation, now)
    return {
        **body(federation, now),
        "members": [
            {
                **row,
                "obstacles": [refusal_json(each) for each in obstacles.get(row["id"], ())],
                "workerDetails": [
                    # In boot seconds, it stays the same until the next renewal: an event is sent only if
                    # something has changed.
                    {
                        **worker(lease, federation),
                        "silentAt": round(now.boot - age + silence_needed(lease.duration), 1),
                    }
                    for lease, age in known
                    if lease.cluster == row["id"]
                ],
            }
            for row in members(federation)
        ],
        "failoverState": {"state": state, "message": message},
        "waitsFor": awaited(federation, [lease for lease, _ in known]),
    }
