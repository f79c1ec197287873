"""All that `kubectl tcf status` shows of a federation, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tcf.core.model import Federation, Now, WorkerLease
from tcf.ctl.operator_sign import OperatorSign, late
from tcf.hub.answers import Json
from tcf.hub.federation_json import body, members, worker


def details(
    federation: Federation,
    leases: Sequence[WorkerLease] | None,
    nodes: Mapping[str, str],
    operator: OperatorSign,
    now: Now,
) -> Json:
    """All that a person may want to know of a federation.

    Args:
        leases: of its workers; None if they cannot be read.
        nodes: where the Pods of workers run, by holder, as far as that is known.
    """

    def workers(cluster: str) -> list[Json] | None:
        if leases is None:
            return None
        own = (each for each in leases if each.cluster == cluster)
        return [
            {
                **worker(each, federation),
                "node": nodes.get(each.holder),
                "late": late(each, now.wall),
            }
            for each in own
        ]

    rows = members(federation)
    known = {row["id"] for row in rows}
    return {
        **body(federation, now),
        "operator": {
            "alive": operator.alive(now.wall),
            "heartbeat": operator.renewed_at or None,
            "message": operator.told(now.wall),
        },
        "members": [{**row, "workerDetails": workers(row["id"])} for row in rows],
        "otherLeases": [each.name for each in leases or () if each.cluster not in known],
    }
