"""A worker and its Lease: what it does when the Lease is not as it left it."""

from __future__ import annotations

import signal
from typing import Any

from rig.hub_namespace import HubNamespace
from rig.tcf_processes import TcfProcesses


def table(term: int, **roles: str) -> dict[str, Any]:
    """A status made by hand."""
    rows = [{"id": m, "name": m.replace("_", ""), "status": role} for m, role in roles.items()]
    active = next((m for m, role in roles.items() if role == "active"), "")
    return {"protocol": 1, "term": term, "clusters": rows, "activeCluster": active}


def test_a_lowering_that_meets_a_lost_lease_registers_anew(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply()
    hub.set_status(table(1, cluster_1="active", cluster_2="passive"))
    one = programs.worker("cluster_1")
    one.await_active()
    (lease,) = hub.leases()

    one.signal(signal.SIGSTOP)
    hub.kubectl("delete", "lease", lease["metadata"]["name"])
    hub.set_status(table(2, cluster_1="demoting", cluster_2="passive"))
    one.signal(signal.SIGCONT)

    assert one.await_status(418).body == b"demoting"
    (anew,) = hub.leases()
    assert anew["metadata"]["uid"] != lease["metadata"]["uid"]
