"""What somebody can do who has stolen the credential of a worker of cluster_1: its rights, and no manners.

The same attempts without the policies are the control: they show that RBAC alone lets all of them pass.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rig.hub_namespace import HubNamespace
from support.chart import Helm
from support.hub_caller import MERGE, Caller, Reply, administrator
from support.installed import Installed

Json = dict[str, Any]
OWN, OTHER = "cluster_1", "cluster_2"
ASKED: Json = {
    "id": "0123456789abcdef",
    "from": OTHER,
    "to": OWN,
    "trigger": "api",
    "requestedBy": f"alice via {OTHER}",
    "force": False,
}
STATUS: Json = {
    "protocol": 1,
    "term": 50,
    "activeCluster": OTHER,
    "longestLeaseSeconds": 15,
    "operator": "operator-1",
    "inDoubt": {"since": "2026-11-27T00:00:00.000000Z", "seconds": 17},
    "clusters": [
        {"id": OWN, "name": OWN, "status": "passive"},
        {"id": OTHER, "name": OTHER, "status": "active"},
    ],
    "history": [
        {
            "id": "past",
            "term": 50,
            "from": "",
            "to": OTHER,
            "trigger": "bootstrap",
            "requestedBy": "coordinator",
            "reason": "",
            "startedAt": "",
            "finishedAt": "2026-11-27T00:00:00Z",
            "outcome": "Succeeded",
        }
    ],
}


def lease(name: str, cluster: str | None = OTHER) -> Json:
    labels = {"tcf.dev/federation": "shop", "tcf.dev/cluster": cluster} if cluster else {}
    spec = {"leaseDurationSeconds": 15, "holderIdentity": name}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}


@dataclass(frozen=True)
class Thief:
    """The script: each attempt is one request."""

    caller: Caller

    def status(self, status: Json | None) -> Reply:
        """Replace the status."""
        found = self.caller.federation("GET", "shop").value
        rest = {key: value for key, value in found.items() if key != "status"}
        return self.caller.federation("PUT", "shop/status", {**rest, "status": status} if status else rest)

    def changed(self, **fields: Any) -> Reply:
        """Replace some fields of the status; None removes one."""
        found = self.caller.federation("GET", "shop").value["status"]
        return self.status({key: value for key, value in {**found, **fields}.items() if value is not None})

    def lease(self, change: Json, name: str = "other") -> Reply:
        return self.caller.lease("PATCH", name, change, MERGE)


def annotation(name: str, value: str) -> Json:
    return {"metadata": {"annotations": {f"tcf.dev/{name}": value}}}


PASSIVE, ACTIVE = ({"name": "x", "status": status} for status in ("passive", "active"))
ATTEMPTS: dict[str, Callable[[Thief], Reply]] = {
    "takes the role": lambda thief: thief.changed(
        activeCluster=OWN, clusters=[{"id": OWN, **ACTIVE}, {"id": OTHER, **PASSIVE}]
    ),
    "takes the role from everybody": lambda thief: thief.changed(
        activeCluster=None, clusters=[{"id": OWN, **PASSIVE}, {"id": OTHER, **PASSIVE}]
    ),
    "raises the term": lambda thief: thief.changed(term=3_000_000_000_000),
    "ends the doubt": lambda thief: thief.changed(inDoubt=None),
    "forgets the longest lease": lambda thief: thief.changed(longestLeaseSeconds=1),
    "says that another operator has written it": lambda thief: thief.changed(operator="nobody"),
    "makes all programs stop": lambda thief: thief.changed(protocol=2),
    "removes the status": lambda thief: thief.status(None),
    "removes the history": lambda thief: thief.changed(history=None),
    "forges history": lambda thief: thief.changed(history=[{**STATUS["history"][0], "to": OWN}]),
    "asks for the operator": lambda thief: thief.changed(
        switchover={**ASKED, "trigger": "failover", "requestedBy": "coordinator"}
    ),
    "asks in another member's name": lambda thief: thief.changed(switchover=ASKED),
    "asks in a person's name": lambda thief: thief.changed(switchover={**ASKED, "requestedBy": "alice"}),
    "asks by force": lambda thief: thief.changed(
        switchover={**ASKED, "requestedBy": f"x via {OWN}", "force": True}
    ),
    "acknowledges for the other": lambda thief: thief.lease(annotation("acknowledged", "uid/50")),
    "notes for the other who was active": lambda thief: thief.lease(annotation("last-active", f"{OWN}/9")),
    "lets the other seem fenceable": lambda thief: thief.lease(annotation("isolation", "Fence")),
    "shortens the other's lease": lambda thief: thief.lease({"spec": {"leaseDurationSeconds": 1}}),
    "hides the other's Lease": lambda thief: thief.lease(
        {"metadata": {"labels": {"tcf.dev/federation": None}}}
    ),
    "takes over the other's Lease": lambda thief: thief.lease(
        {"metadata": {"labels": {"tcf.dev/cluster": OWN}}}
    ),
    "poses as the other's witness": lambda thief: thief.caller.lease("POST", "", lease("fake")),
    "blocks another federation": lambda thief: thief.caller.lease(
        "POST", "", {"metadata": {"name": "fake", "labels": {"tcf.dev/federation": "orders"}}}
    ),
    "hides that no operator is there": lambda thief: thief.lease(
        {"spec": {"renewTime": "2026-11-27T00:00:00.000000Z"}}, "tcf-operator-heartbeat"
    ),
    "disturbs an application": lambda thief: thief.lease({"spec": {"holderIdentity": "me"}}, "application"),
    "deletes an application's Lease": lambda thief: thief.caller.lease("DELETE", "application"),
    "deletes the other's Lease": lambda thief: thief.caller.lease("DELETE", "other"),
}


def scene(hub: HubNamespace, chart: Helm, folder: Path) -> Thief:
    """A federation whose other member is active, with all that is there besides; and the thief."""
    installed = Installed(chart, hub, None, folder)
    hub.apply()
    operator, other = installed.caller("operator"), installed.caller(OTHER)
    for made in (
        operator.federation("PUT", "shop/status", {**hub.get(), "status": STATUS}),
        other.lease("POST", "", lease("other")),
        operator.lease("POST", "", lease("tcf-operator-heartbeat", None)),
        operator.lease("POST", "", lease("application", None)),
    ):
        assert made.done, made.told
    return Thief(installed.caller(OWN))


def everything(hub: HubNamespace) -> list[Json]:
    """Federations and Leases, in their present versions."""
    found: list[Json] = json.loads(hub.kubectl("get", "cfed,leases", "-o", "json").stdout)["items"]
    return found


def test_it_gets_nowhere(confined: HubNamespace, chart: Helm, tmp_path: Path) -> None:
    thief = scene(confined, chart, tmp_path)
    before = everything(confined)
    done = {
        what: answer.value for what, attempt in ATTEMPTS.items() if (answer := attempt(thief)).code != 403
    }
    assert done == {}
    assert everything(confined) == before


def test_rbac_alone_lets_all_of_it_pass(hub: HubNamespace, chart: Helm, tmp_path: Path) -> None:
    thief = scene(hub, chart, tmp_path)
    refused = {}
    for what, attempt in ATTEMPTS.items():
        hub.kubectl("delete", "leases", "other", "fake", "--ignore-not-found")
        assert thief.caller.lease("POST", "", lease("other")).done
        for status in (None, STATUS):  # the term of a status never falls
            assert Thief(administrator(hub)).status(status).done
        answer = attempt(thief)
        if not answer.done:
            refused[what] = answer.told
    assert refused == {}


def test_nor_does_it_withdraw_the_request_of_another(
    confined: HubNamespace, chart: Helm, tmp_path: Path
) -> None:
    """Whoever asked would be told that no operator acted on it."""
    thief = scene(confined, chart, tmp_path)
    other = Thief(Installed(chart, confined, None, tmp_path).caller(OTHER))
    assert other.changed(switchover=ASKED).done
    past = {**STATUS["history"][0], "id": ASKED["id"], "from": OTHER, "to": OWN, "outcome": "NoCoordinator"}
    for history in (None, [past, *STATUS["history"]]):
        assert thief.changed(switchover=None, history=history).code == 403
    assert confined.status()["switchover"] == ASKED


REMAINS: dict[str, Callable[[Thief], Reply]] = {
    "asks in any name, through its own member": lambda thief: thief.changed(
        switchover={**ASKED, "requestedBy": f"the president via {OWN}"}
    ),
    "registers as often as it likes": lambda thief: thief.caller.lease("POST", "", lease("mine", OWN)),
    "says what it likes in its own Leases": lambda thief: thief.lease(
        annotation("isolation", "KeepRole"), "mine"
    ),
    "deletes the Leases of its own member": lambda thief: thief.caller.lease("DELETE", "mine"),
}


def test_what_remains_to_it(confined: HubNamespace, chart: Helm, tmp_path: Path) -> None:
    """docs/security.md lists this."""
    thief = scene(confined, chart, tmp_path)
    for attempt in REMAINS.values():
        answer = attempt(thief)
        assert answer.done, answer.told
