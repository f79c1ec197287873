"""What the hub refuses although RBAC allows it: each rule of the admission policies, both ways.

Most requests here are dry runs: the policies judge them like any other, and nothing is stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from rig.admission_policies import AS_SHIPPED, confine, policies
from rig.files import ROOT
from rig.hub_namespace import HubNamespace, own_namespace
from rig.patience import eventually
from rig.tcf_processes import TcfProcesses
from support.chart import Helm
from support.confined_place import DRY, Place, people
from support.hub_caller import APPLY, MERGE, Caller, Reply, administrator
from support.installed import Installed

Json = dict[str, Any]

FULL = 20
"""How many entries the history has at most."""


@pytest.fixture(scope="module")
def place(
    control_plane: dict[str, str],
    policies: None,
    helm: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    """One namespace for all tests that store nothing but a status."""
    folder = tmp_path_factory.mktemp("place")
    with own_namespace(control_plane) as hub:
        installed = Installed(Helm(helm, folder), hub, None, folder)
        accounts = {"operator": "operator", "one": "cluster_1", "two": "cluster_2"}
        callers = {who: installed.caller(account) for who, account in accounts.items()}
        hub.apply()
        confine(hub)
        yield Place(hub, callers | people(hub))


# --- the status ----------------------------------------------------------------------------------------


def entry(number: int, **more: Any) -> Json:
    """An entry of history."""
    return {
        "id": f"past-{number}",
        "term": number,
        "from": "cluster_2",
        "to": "cluster_1",
        "trigger": "api",
        "requestedBy": "alice via cluster_1",
        "reason": "",
        "startedAt": "2026-11-23T21:00:00Z",
        "finishedAt": "2026-11-23T21:00:01Z",
        "outcome": "Succeeded",
        "message": "",
        **more,
    }


def request(by: str, to: str = "cluster_2", **more: Any) -> Json:
    return {
        "id": "0123456789abcdef0123456789abcdef",
        "from": "cluster_1",
        "to": to,
        "trigger": "api",
        "requestedBy": by,
        "reason": "maintenance",
        "force": False,
        "requestedAt": "2026-11-23T22:00:00Z",
        **more,
    }


def table(active: str = "cluster_1", past: int = 3, members: int = 2, **more: Any) -> Json:
    """A status as an operator writes it."""
    rows = [
        {
            "id": id_,
            "name": id_,
            "status": "active" if id_ == active else "passive",
            "workers": 1,
            "liveWorkers": 1,
        }
        for id_ in (f"cluster_{n}" for n in range(1, members + 1))
    ]
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Active",
        "message": "",
        "lastTransitionTime": "2026-11-23T21:00:00Z",
        "observedGeneration": 1,
    }
    return {
        "protocol": 1,
        "term": 50,
        "activeCluster": active,
        "observedGeneration": 1,
        "observedActiveCluster": "cluster_1",
        "longestLeaseSeconds": 15,
        "operator": "operator-1",
        "clusters": rows,
        "history": [entry(number) for number in range(past, 0, -1)],
        "conditions": [ready],
        **more,
    }


def roles(status: Json, *wanted: str) -> Json:
    rows = [{**row, "status": role} for row, role in zip(status["clusters"], wanted, strict=True)]
    active = next((row["id"] for row in rows if row["status"] == "active"), "")
    return {**status, "clusters": rows, "activeCluster": active}


def recorded(status: Json, outcome: str = "NoCoordinator", changes: Json | None = None) -> Json:
    """The status with its request moved to the history. `changes`: of the entry."""
    rest = {key: value for key, value in status.items() if key != "switchover"}
    over = status["switchover"]
    ended = entry(
        0,
        **{key: over[key] for key in ("id", "from", "to", "trigger", "requestedBy", "reason")},
        term=status["term"],
        startedAt=over.get("requestedAt", ""),
        finishedAt="2026-11-23T22:00:31Z",
        outcome=outcome,
        message="nobody acted on it",
    )
    return {**rest, "history": [{**ended, **(changes or {})}, *status["history"]][:FULL]}


IDLE = table()
NOBODY = table(active="")
ASKED = {**IDLE, "switchover": request("bob via cluster_1")}
BOOTSTRAP = {
    **NOBODY,
    "switchover": {
        "id": "bootstrap-1",
        "from": "",
        "to": "cluster_1",
        "trigger": "bootstrap",
        "requestedBy": "coordinator",
        "reason": "the first start",
        "requestedAt": "2026-11-23T20:00:00Z",
    },
}
PROMOTING = roles(BOOTSTRAP, "promoting", "passive")


def instead(status: Json, asked: Json, outcome: str = "Superseded") -> Json:
    """The status with a request in the place of its own."""
    return {**recorded(status, outcome), "switchover": {**asked, "from": status["activeCluster"]}}


ALLOWED: dict[str, tuple[str, Json, Json]] = {
    "nothing is changed": ("visitor", IDLE, IDLE),
    "nor is the request of another": ("visitor", ASKED, ASKED),
    "a worker asks for its own member": ("two", IDLE, {**IDLE, "switchover": request("bob via cluster_2")}),
    "for nobody": ("two", IDLE, {**IDLE, "switchover": request("bob via cluster_2", "")}),
    "for the other one of two": ("one", IDLE, {**IDLE, "switchover": request("bob via cluster_1")}),
    "for somebody with a strange name": (
        "two",
        IDLE,
        {**IDLE, "switchover": request("x via cluster_1 via cluster_2")},
    ),
    "a worker asks in the place of a bootstrap": (
        "two",
        BOOTSTRAP,
        instead(BOOTSTRAP, request("bob via cluster_2")),
    ),
    "for nobody in the place of a bootstrap": (
        "two",
        PROMOTING,
        instead(PROMOTING, request("bob via cluster_2", "")),
    ),
    "a worker withdraws": ("one", ASKED, recorded(ASKED)),
    "with a full history": ("one", {**ASKED, "history": table(past=FULL)["history"]}, {}),
    "while the target of the bootstrap is still promoting": (
        "two",
        roles({**NOBODY, "switchover": request("bob via cluster_2", **{"from": ""})}, "promoting", "passive"),
        {},
    ),
    "with no history": ("one", {**ASKED, "history": []}, {}),
    "one account for both members": (
        "both members",
        IDLE,
        {**IDLE, "switchover": request("bob via cluster_2", "cluster_1")},
    ),
    "and for the other": ("both members", ASKED, recorded(ASKED)),
    "without a word about force": (
        "two",
        IDLE,
        {**IDLE, "switchover": {k: v for k, v in request("bob via cluster_2").items() if k != "force"}},
    ),
    "a person asks for any of three": (
        "person",
        table(members=3),
        {**table(members=3), "switchover": request("PERSON")},
    ),
    "a person asks for a member": ("person", IDLE, {**IDLE, "switchover": request("PERSON")}),
    "and does not know all fields": (
        "person",
        IDLE,
        {**{k: v for k, v in IDLE.items() if k != "operator"}, "switchover": request("PERSON")},
    ),
    "for nobody, as a person": ("person", IDLE, {**IDLE, "switchover": request("PERSON", "")}),
    "a person withdraws": ("person", {**IDLE, "switchover": request("PERSON")}, {}),
    "a person with that right forces": (
        "forcer",
        IDLE,
        {**IDLE, "switchover": request("FORCER", force=True)},
    ),
    "an administrator asks in the own name": (
        "administrator",
        IDLE,
        {**IDLE, "switchover": request("admin", force=True)},
    ),
    "the operator moves roles": ("operator", IDLE, roles({**IDLE, "term": 51}, "demoting", "passive")),
    "and ends a request": ("operator", ASKED, recorded(ASKED, "Succeeded")),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_what_is_allowed_in_the_status(place: Place, case: str) -> None:
    who, before, after = ALLOWED[case]
    before = place.named(before)
    place.stands(before)
    answer = place.writes(who, place.named(after) if after else recorded(before))
    assert answer.done, answer.told


ONLY_THE_OPERATOR = "only the operator moves roles"
HISTORY = "only the operator writes the history"
NAME = "requestedBy has to be your own user name"
UNDER_WAY = "only while none is under way"
FORM = "a request needs the trigger api"
TARGET = "a worker asks only for its own member"
WITHDRAWN = "can be withdrawn only before the operator has acted on it"
BY_TWO = {**IDLE, "switchover": request("bob via cluster_2")}
REFUSED: dict[str, tuple[str, Json, Json | None, str]] = {
    "a worker moves a role": ("one", IDLE, roles(IDLE, "demoting", "passive"), ONLY_THE_OPERATOR),
    "raises the term": ("one", IDLE, {**IDLE, "term": 51}, ONLY_THE_OPERATOR),
    "changes a condition": ("one", IDLE, {**IDLE, "conditions": []}, ONLY_THE_OPERATOR),
    "sees the spec": ("one", IDLE, {**IDLE, "observedActiveCluster": "cluster_2"}, ONLY_THE_OPERATOR),
    "removes a field": (
        "one",
        IDLE,
        {key: value for key, value in IDLE.items() if key != "longestLeaseSeconds"},
        ONLY_THE_OPERATOR,
    ),
    "names another operator": ("one", IDLE, {**IDLE, "operator": "operator-2"}, ONLY_THE_OPERATOR),
    "adds one": ("one", IDLE, {**IDLE, "inDoubt": {"since": "x", "seconds": 1}}, ONLY_THE_OPERATOR),
    "removes the status": ("one", IDLE, None, ONLY_THE_OPERATOR),
    "forges history": ("one", IDLE, {**IDLE, "history": [entry(9), *IDLE["history"]]}, HISTORY),
    "drops history": ("one", IDLE, {**IDLE, "history": IDLE["history"][1:]}, HISTORY),
    "removes history": ("one", IDLE, {**IDLE, "history": []}, HISTORY),
    "a worker asks in the name of another member": (
        "one",
        IDLE,
        {**IDLE, "switchover": request("bob via cluster_2")},
        NAME,
    ),
    "of none": ("one", IDLE, {**IDLE, "switchover": request("bob")}, NAME),
    "of its own account": ("one", IDLE, {**IDLE, "switchover": request("ONE")}, NAME),
    "of the operator": ("one", IDLE, {**IDLE, "switchover": request("coordinator")}, NAME),
    "without a name": (
        "one",
        IDLE,
        {**IDLE, "switchover": {k: v for k, v in request("").items() if k != "requestedBy"}},
        NAME,
    ),
    "for a third member": (
        "one",
        table(members=3),
        {**table(members=3), "switchover": request("bob via cluster_1")},
        TARGET,
    ),
    "as an operator": (
        "one",
        IDLE,
        {**IDLE, "switchover": request("bob via cluster_1", trigger="failover")},
        FORM,
    ),
    "from another member": (
        "two",
        IDLE,
        {**IDLE, "switchover": request("bob via cluster_2", **{"from": ""})},
        FORM,
    ),
    "with an old id": ("one", IDLE, {**IDLE, "switchover": request("bob via cluster_1", id="past-2")}, FORM),
    "with a silence": (
        "one",
        IDLE,
        {**IDLE, "switchover": request("bob via cluster_1", silentSince="x")},
        FORM,
    ),
    "by force": (
        "one",
        IDLE,
        {**IDLE, "switchover": request("bob via cluster_1", force=True)},
        "force needs the right",
    ),
    "by force, as a person": (
        "person",
        IDLE,
        {**IDLE, "switchover": request("PERSON", force=True)},
        "force needs the right",
    ),
    "while another request is under way": ("two", ASKED, BY_TWO, UNDER_WAY),
    "in the place of one that it records": (
        "two",
        ASKED,
        instead(ASKED, request("bob via cluster_2", id="other")),
        UNDER_WAY,
    ),
    "and forges history with it": (
        "two",
        IDLE,
        {**IDLE, "switchover": request("bob via cluster_2"), "history": [entry(9), *IDLE["history"]]},
        UNDER_WAY,
    ),
    "and says that a bootstrap was superseded": (
        "two",
        IDLE,
        {
            **IDLE,
            "switchover": request("bob via cluster_2"),
            "history": [entry(9, outcome="Superseded"), *IDLE["history"]],
        },
        UNDER_WAY,
    ),
    "in the place of a bootstrap, with a wrong record": (
        "two",
        BOOTSTRAP,
        {
            **recorded(BOOTSTRAP, "Superseded", {"requestedBy": "alice"}),
            "switchover": {**request("bob via cluster_2"), "from": ""},
        },
        UNDER_WAY,
    ),
    "in the place of a bootstrap, without a record": (
        "two",
        BOOTSTRAP,
        {**BOOTSTRAP, "switchover": {**request("bob via cluster_2"), "from": ""}},
        UNDER_WAY,
    ),
    "with another outcome": (
        "two",
        BOOTSTRAP,
        instead(BOOTSTRAP, request("bob via cluster_2"), "Succeeded"),
        UNDER_WAY,
    ),
    "a worker withdraws the request of another member": ("two", ASKED, recorded(ASKED), NAME),
    "of a person": ("one", {**IDLE, "switchover": request("PERSON")}, {}, NAME),
    "of the operator, a bootstrap": ("one", BOOTSTRAP, recorded(BOOTSTRAP), NAME),
    "a request that has begun": (
        "one",
        roles(ASKED, "demoting", "passive"),
        recorded(roles(ASKED, "demoting", "passive")),
        WITHDRAWN,
    ),
    "a request that is about to end": (
        "one",
        roles({**ASKED, "switchover": request("bob via cluster_1", **{"from": ""})}, "passive", "promoting"),
        {},
        WITHDRAWN,
    ),
    "a request that is said to be of the spec": (
        "person",
        {**IDLE, "switchover": request("PERSON", trigger="spec")},
        {},
        WITHDRAWN,
    ),
    "and calls it a success": ("one", ASKED, recorded(ASKED, "Succeeded"), WITHDRAWN),
    "without a record": ("one", ASKED, IDLE, WITHDRAWN),
    "and drops history": (
        "one",
        ASKED,
        {**recorded(ASKED), "history": recorded(ASKED)["history"][:2]},
        WITHDRAWN,
    ),
    "and changes history": (
        "one",
        ASKED,
        {**recorded(ASKED), "history": [recorded(ASKED)["history"][0], *IDLE["history"][1:], entry(9)]},
        WITHDRAWN,
    ),
    **{
        f"and records another {field}": ("one", ASKED, recorded(ASKED, changes={field: value}), WITHDRAWN)
        for field, value in {
            "id": "other",
            "term": 51,
            "from": "cluster_2",
            "to": "cluster_1",
            "trigger": "spec",
            "requestedBy": "alice via cluster_1",
            "reason": "another",
            "startedAt": "another",
            "silentSince": "another",
        }.items()
    },
    "a person asks in the name of another": ("person", IDLE, {**IDLE, "switchover": request("FORCER")}, NAME),
    "of a worker": ("person", IDLE, {**IDLE, "switchover": request("PERSON via cluster_1")}, NAME),
    "a person withdraws the request of another": (
        "person",
        {**IDLE, "switchover": request("FORCER")},
        {},
        NAME,
    ),
    "a person moves a role": ("person", IDLE, roles(IDLE, "passive", "active"), ONLY_THE_OPERATOR),
    "somebody without the right asks": (
        "visitor",
        IDLE,
        {**IDLE, "switchover": request("VISITOR")},
        "needs the right to create clusterfederations/switchover",
    ),
    "a worker with yesterday's rights asks": (
        "yesterday",
        IDLE,
        {**IDLE, "switchover": request("bob via cluster_1")},
        NAME,
    ),
    **{
        f"the {who} moves a role": (who, IDLE, roles(IDLE, "passive", "active"), ONLY_THE_OPERATOR)
        for who in ("administrator", "wildcard of tcf.dev", "wildcard of resources", "yesterday")
    },
    **{
        f"the {who} asks in the name of a worker": (
            who,
            IDLE,
            {**IDLE, "switchover": request("bob via cluster_1")},
            NAME,
        )
        for who in ("administrator", "wildcard of tcf.dev", "wildcard of resources")
    },
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_in_the_status(place: Place, case: str) -> None:
    who, before, after, told = REFUSED[case]
    before = place.named(before)
    place.stands(before)
    if after is not None:
        after = place.named(after) if after else recorded(before)
    answer = place.writes(who, after)
    assert answer.code == 403
    assert told in answer.told


def test_a_member_that_has_just_joined_is_not_the_other_one_of_two(place: Place) -> None:
    """The status has two members until the operator has seen the third."""
    place.hub.apply("joined", clusters=[{"id": f"cluster_{n}", "name": "a name"} for n in (1, 2, 3)])
    name = f"system:serviceaccount:{place.hub.namespace}:both-members"
    place.hub.kubectl(
        "create",
        "role",
        "joined",
        "--verb=represent",
        "--resource=clusterfederations.tcf.dev/member",
        "--resource-name=joined:cluster_1",
    )
    place.hub.kubectl("create", "rolebinding", "joined", "--role=joined", f"--serviceaccount={name[22:]}")
    found = place.hub.get("joined")
    operator, worker = place.callers["operator"], place.callers["both members"]
    stored = operator.federation("PUT", "joined/status", {**found, "status": IDLE})
    assert stored.done, stored.told
    for to, allowed in (("cluster_2", True), ("cluster_3", False)):
        asked = {**stored.value, "status": {**IDLE, "switchover": request("bob via cluster_1", to)}}
        answer = worker.federation("PUT", "joined/status", asked, query=DRY)
        assert (answer.done, TARGET in answer.told) == (allowed, not allowed)


def test_the_largest_status_can_be_judged(place: Place) -> None:
    """Expressions have a limit for their cost, and it grows with what they compare."""
    long = "x" * 2000
    conditions = [
        {**IDLE["conditions"][0], "type": f"Kind{number}", "message": "x" * 30_000} for number in range(16)
    ]
    past = [entry(number, message=long) for number in range(FULL, 0, -1)]
    full = {**table(members=16), "conditions": conditions, "history": past}
    ids = [{"id": row["id"], "name": row["name"]} for row in full["clusters"]]
    place.hub.apply(name="large", clusters=ids)
    operator, two = place.callers["operator"], place.callers["two"]
    found = place.hub.get("large")
    answer = operator.federation("PUT", "large/status", {**found, "status": full})
    assert answer.done, answer.told
    # The right to ask is for `shop` alone, and everything else is judged before that right.
    asked = {**answer.value, "status": {**full, "switchover": request("bob via cluster_2")}}
    person = place.callers["person"].federation(
        "PUT",
        "large/status",
        place.named({**asked, "status": {**full, "switchover": request("PERSON")}}),
        query=DRY,
    )
    assert person.done, person.told
    moved = {**answer.value, "status": roles(full, "passive", *["passive"] * 14, "active")}
    assert (
        ONLY_THE_OPERATOR in place.callers["person"].federation("PUT", "large/status", moved, query=DRY).told
    )
    assert two.federation("PUT", "large/status", asked, query=DRY).code == 403


# --- spec and annotations ------------------------------------------------------------------------------


def edits(place: Place, who: str, change: Json, kind: str = MERGE) -> Reply:
    """Somebody changes the federation itself, as a dry run."""
    return place.callers[who].federation("PATCH", "shop", change, kind, DRY)


NOTE = {"metadata": {"annotations": {"tcf.dev/last-active": "cluster_2/999"}}}
OTHER_ACTIVE = {"spec": {"activeCluster": "cluster_2"}}


@pytest.mark.parametrize("who", ["person", "administrator", "operator"])
def test_whoever_may_switch_may_change_the_active_cluster(place: Place, who: str) -> None:
    assert edits(place, who, OTHER_ACTIVE).done


def test_whoever_may_not_may_change_everything_else(place: Place) -> None:
    refused = edits(place, "visitor", OTHER_ACTIVE)
    assert refused.code == 403
    assert "changing spec.activeCluster moves the active role" in refused.told
    for change in (
        {"spec": {"activeCluster": "cluster_1", "leaseDuration": "20s"}},
        {"spec": {"activeCluster": None}},
        {"metadata": {"labels": {"a": "b"}, "annotations": {"mine": "yes"}}},
    ):
        assert edits(place, "visitor", change).done
    new = place.with_status(None)
    new["metadata"] = {"name": "bare"}
    del new["spec"]["activeCluster"]
    visitor = place.callers["visitor"]
    assert visitor.federation("POST", "", new).done
    assert visitor.federation("PATCH", "bare", {"metadata": {"annotations": {"mine": "yes"}}}, MERGE).done
    assert visitor.federation("PATCH", "bare", {"metadata": {"annotations": {"mine": "no"}}}, MERGE).done
    assert visitor.federation("PATCH", "bare", {"metadata": {"annotations": None}}, MERGE).done
    first = visitor.federation("PATCH", "bare", OTHER_ACTIVE, MERGE)
    assert "changing spec.activeCluster moves the active role" in first.told


@pytest.mark.parametrize("who", ["visitor", "person", "administrator", "wildcard of tcf.dev"])
def test_only_the_operator_writes_its_annotations(place: Place, who: str) -> None:
    assert place.callers["operator"].federation("PATCH", "shop", NOTE, MERGE).done
    for change in (
        {"tcf.dev/last-active": "cluster_1/5"},
        {"tcf.dev/last-active": None},
        {"tcf.dev/new": "x"},
    ):
        refused = edits(place, who, {"metadata": {"annotations": change}})
        assert refused.code == 403
        assert "only the operator writes the annotations" in refused.told
    replaced = place.with_status(None)
    replaced["metadata"] = {key: replaced["metadata"][key] for key in ("name", "resourceVersion")}
    assert place.callers[who].federation("PUT", "shop", replaced, query=DRY).code == 403
    assert edits(place, who, {"metadata": {"annotations": {"mine": "yes"}}}).done


def test_a_backup_is_restored_by_somebody_who_may_switch(place: Place) -> None:
    """The annotations decide who becomes active first, even against `spec.activeCluster`."""
    new = place.with_status(None)
    new["metadata"] = {"name": "restored", **NOTE["metadata"]}
    refused = place.callers["visitor"].federation("POST", "", new, query=DRY)
    assert "creating a federation with them needs the right" in refused.told
    assert place.callers["person"].federation("POST", "", new, query=DRY).done
    del new["metadata"]["annotations"]
    assert place.callers["visitor"].federation("POST", "", new, query=DRY).done


# --- Leases --------------------------------------------------------------------------------------------


def lease(
    name: str = "new", cluster: str | None = "cluster_1", federation: str | None = "shop", **more: Any
) -> Json:
    labels = {"tcf.dev/federation": federation, "tcf.dev/cluster": cluster}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "labels": {key: value for key, value in labels.items() if value}, **more},
        "spec": {"leaseDurationSeconds": 15, "holderIdentity": name},
    }


@pytest.fixture(scope="module")
def stored(place: Place) -> Place:
    """The place with Leases: `one` and `two` of the two members' workers, `other` of an application."""
    for who, cluster in (("one", "cluster_1"), ("two", "cluster_2")):
        made = place.callers[who].lease("POST", "", lease(who, cluster))
        assert made.done, made.told
    assert place.callers["visitor"].lease("POST", "", lease("other", None, None)).done
    return place


ACKNOWLEDGED = {"metadata": {"annotations": {"tcf.dev/acknowledged": "uid/5"}}}
HELD = {
    "metadata": {"annotations": {"tcf.dev/held-by": '"pg-0" (draining)', "tcf.dev/application": "Healthy"}}
}
LET_GO = {"metadata": {"annotations": {"tcf.dev/held-by": None, "tcf.dev/application": None}}}
FOREIGN = "it may write no Leases but those of its own members"
NOT_OWN = "the label tcf.dev/federation makes this the Lease of a worker"
UNKNOWN = "this ServiceAccount writes the Lease of a worker without the rights"
Act = tuple[str, str, Json | None, str]
"""Method, name of the Lease ("" for all), body, content type of a patch."""
CREATE: Act = ("POST", "", lease(), MERGE)
LEASES_ALLOWED: dict[str, tuple[str, Act]] = {
    "a worker registers": ("one", CREATE),
    "renews": ("one", ("PATCH", "one", ACKNOWLEDGED, MERGE)),
    "says who holds the role": ("one", ("PATCH", "one", HELD, MERGE)),
    "and that nobody does": ("one", ("PATCH", "one", LET_GO, MERGE)),
    "deletes its Lease": ("one", ("DELETE", "one", None, MERGE)),
    "one account for both members": ("both members", ("PATCH", "one", ACKNOWLEDGED, MERGE)),
    "and for the other": ("both members", ("POST", "", lease(cluster="cluster_2"), MERGE)),
    "the operator deletes a Lease": ("operator", ("DELETE", "two", None, MERGE)),
    "and keeps the heartbeat": ("operator", ("POST", "", lease("tcf-operator-heartbeat", None, None), MERGE)),
    **{
        f"the {who} writes Leases of others": (who, act)
        for who in ("visitor", "administrator", "wildcard of tcf.dev", "yesterday")
        for act in (("PATCH", "other", ACKNOWLEDGED, MERGE),)
    },
    "an application creates its Lease": (
        "visitor",
        ("POST", "", lease(cluster=None, federation=None), MERGE),
    ),
    "a label of the member alone is nobody's": ("visitor", ("POST", "", lease(federation=None), MERGE)),
}
LEASES_REFUSED: dict[str, tuple[str, Act, str]] = {
    "a worker registers for another member": (
        "one",
        ("POST", "", lease(cluster="cluster_2"), MERGE),
        NOT_OWN,
    ),
    "for another federation": ("one", ("POST", "", lease(federation="orders"), MERGE), NOT_OWN),
    "for no member": ("one", ("POST", "", lease(cluster=None), MERGE), NOT_OWN),
    "for no federation": ("one", ("POST", "", lease(federation=None), MERGE), FOREIGN),
    "under a name of the API server's choice": (
        "one",
        ("POST", "", lease("", cluster="cluster_2", generateName="shop-"), MERGE),
        NOT_OWN,
    ),
    "a worker renews for another member": ("one", ("PATCH", "two", ACKNOWLEDGED, MERGE), NOT_OWN),
    "says who holds the role of another": ("one", ("PATCH", "two", HELD, MERGE), NOT_OWN),
    "and that nobody does": ("one", ("PATCH", "two", LET_GO, MERGE), NOT_OWN),
    "says so in the Lease of an application": ("one", ("PATCH", "other", HELD, MERGE), FOREIGN),
    "renews by server-side apply": (
        "one",
        ("PATCH", "two?fieldManager=x&force=true", lease("two", "cluster_2"), APPLY),
        NOT_OWN,
    ),
    "deletes the Lease of another": ("one", ("DELETE", "two", None, MERGE), NOT_OWN),
    "relabels its Lease": (
        "one",
        ("PATCH", "one", {"metadata": {"labels": {"tcf.dev/cluster": "cluster_2"}}}, MERGE),
        NOT_OWN,
    ),
    "takes the label off": (
        "one",
        ("PATCH", "one", {"metadata": {"labels": {"tcf.dev/federation": None}}}, MERGE),
        NOT_OWN,
    ),
    "takes over the Lease of another": (
        "one",
        ("PATCH", "two", {"metadata": {"labels": {"tcf.dev/cluster": "cluster_1"}}}, MERGE),
        NOT_OWN,
    ),
    "takes over that of an application": (
        "one",
        ("PATCH", "other", {"metadata": lease()["metadata"] | {"name": "other"}}, MERGE),
        NOT_OWN,
    ),
    "relabels between its members": (
        "both members",
        ("PATCH", "one", {"metadata": {"labels": {"tcf.dev/cluster": "cluster_2"}}}, MERGE),
        NOT_OWN,
    ),
    "a worker writes the Lease of an application": ("one", ("PATCH", "other", ACKNOWLEDGED, MERGE), FOREIGN),
    "deletes it": ("one", ("DELETE", "other", None, MERGE), FOREIGN),
    "creates the heartbeat": (
        "one",
        ("POST", "", lease("tcf-operator-heartbeat", None, None), MERGE),
        FOREIGN,
    ),
    "keeps its Lease from being deleted": (
        "one",
        ("PATCH", "one", {"metadata": {"finalizers": ["example.test/x"]}}, MERGE),
        "neither owners nor finalizers",
    ),
    "gives it an owner": (
        "one",
        (
            "POST",
            "",
            lease(ownerReferences=[{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "y"}]),
            MERGE,
        ),
        "neither owners nor finalizers",
    ),
    **{
        f"the {who} {what}": (who, act, UNKNOWN if who in {"visitor", "yesterday"} else NOT_OWN)
        for who in ("visitor", "administrator", "wildcard of tcf.dev", "wildcard of resources", "yesterday")
        for what, act in {
            "registers": CREATE,
            "acknowledges": ("PATCH", "two", ACKNOWLEDGED, MERGE),
            "says who holds": ("PATCH", "two", HELD, MERGE),
            "deletes": ("DELETE", "two", None, MERGE),
            "labels": ("PATCH", "other", {"metadata": {"labels": {"tcf.dev/federation": "shop"}}}, MERGE),
        }.items()
    },
    **{
        f"the {who} deletes all": (who, ("DELETE", "", None, MERGE), told)
        for who, told in (("visitor", UNKNOWN), ("administrator", NOT_OWN))
    },
}


def acts(place: Place, who: str, act: Act) -> Reply:
    """Somebody writes a Lease, as a dry run."""
    method, name, body, kind = act
    name, _, options = name.partition("?")
    kind = "application/json" if method == "POST" else kind
    return place.callers[who].lease(method, name, body, kind, f"{DRY}&{options}")


@pytest.mark.parametrize("case", LEASES_ALLOWED)
def test_what_is_allowed_with_leases(stored: Place, case: str) -> None:
    who, act = LEASES_ALLOWED[case]
    answer = acts(stored, who, act)
    assert answer.done, answer.told


@pytest.mark.parametrize("case", LEASES_REFUSED)
def test_what_is_refused_with_leases(stored: Place, case: str) -> None:
    who, act, told = LEASES_REFUSED[case]
    answer = acts(stored, who, act)
    assert answer.code == 403
    assert told in answer.told


def test_what_is_no_workers_lease_is_not_looked_at(stored: Place) -> None:
    """An expression that fails would refuse every Lease of the cluster: no shape may make it fail."""
    admin = stored.callers["administrator"]
    for metadata in ({"name": "bare"}, {"name": "no-labels", "labels": {}}, {"generateName": "some-"}):
        made = admin.lease("POST", "", {**lease(), "metadata": metadata})
        assert made.done, made.told
        name = made.value["metadata"]["name"]
        for answer in (
            admin.lease("PATCH", name, {"spec": None}, MERGE),
            admin.lease(
                "PATCH", name, {"metadata": {"labels": {"a": "b"}, "annotations": {"a": "b"}}}, MERGE
            ),
            admin.lease("PATCH", name, {"metadata": {"labels": None, "finalizers": ["a/b"]}}, MERGE),
            admin.lease("PATCH", name, {"metadata": {"finalizers": None}}, MERGE),
            admin.lease(
                "PATCH", f"{name}?fieldManager=x&force=true", {**lease(), "metadata": {"name": name}}, APPLY
            ),
            admin.lease("DELETE", name),
        ):
            assert answer.done, answer.told


def test_a_worker_with_the_rights_of_yesterday_is_warned_and_goes_on(
    hub: HubNamespace, policies: None, programs: TcfProcesses, tmp_path: Path
) -> None:
    """An upgrade must not end the renewals of a worker whose Role somebody has written by hand."""
    confine(hub, AS_SHIPPED)
    hub.apply()
    account = hub.service_account("by-hand")
    account.grant("by-hand", "get,watch", "clusterfederations.tcf.dev")
    account.grant("by-hand-status", "update", "clusterfederations.tcf.dev/status")
    account.grant("by-hand-leases", "create,get,patch,delete", "leases")
    worker = programs.worker("cluster_1", kubeconfig=account.kubeconfig(tmp_path / "kubeconfig"))
    eventually(hub.leases, what="it has registered")
    eventually(lambda: "the hub warns: " in worker.log, what="its log says what it lacks")
    assert UNKNOWN in worker.log
    assert worker.stop() == 0
    assert worker.log.count(UNKNOWN) == 1
    assert hub.leases() == []


def test_one_account_may_be_operator_and_worker(place: Place) -> None:
    """An operator with --serve answers for members as well."""
    account = f"system:serviceaccount:{place.hub.namespace}:tcf"
    place.hub.kubectl(
        "create", "rolebinding", "serve", "--role=tcf-shop-cluster-1", f"--serviceaccount={account[22:]}"
    )
    place.stands(IDLE)
    assert acts(place, "operator", CREATE).done
    assert acts(place, "operator", ("POST", "", lease("tcf-operator-heartbeat", None, None), MERGE)).done
    assert place.writes("operator", roles(IDLE, "demoting", "passive")).done
    assert place.writes("operator", {**IDLE, "switchover": request("bob via cluster_1")}).done


# --- the cluster's own controllers ---------------------------------------------------------------------

NAMESPACES, GARBAGE = (
    f"system:serviceaccount:kube-system:{name}"
    for name in ("namespace-controller", "generic-garbage-collector")
)


def test_a_lease_that_is_deleted_in_the_foreground_goes(
    confined: HubNamespace, chart: Helm, tmp_path: Path
) -> None:
    """The garbage collector takes the finalizer off. It may change nothing else."""
    one = Installed(chart, confined, None, tmp_path).caller("cluster_1")
    assert one.lease("POST", "", lease("one")).done
    collector = administrator(confined, GARBAGE)
    off: Json = {"metadata": {"finalizers": None}}
    assert collector.lease("PATCH", "one", off, MERGE).code == 403
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground"}
    assert one.lease("DELETE", "one", options).done
    (left,) = confined.leases()
    assert left["metadata"]["finalizers"] == ["foregroundDeletion"]
    for change in (ACKNOWLEDGED, {"spec": {"leaseDurationSeconds": 1}}, {"metadata": {"labels": None}}):
        assert (
            collector.lease("PATCH", "one", {**change, **off} if "spec" in change else change, MERGE).code
            == 403
        )
    assert collector.lease("PATCH", "one", off, MERGE).done
    assert confined.leases() == []


def test_a_namespace_that_is_deleted_becomes_empty(
    confined: HubNamespace, chart: Helm, tmp_path: Path
) -> None:
    one = Installed(chart, confined, None, tmp_path).caller("cluster_1")
    confined.apply()
    assert one.lease("POST", "", lease("one")).done
    controller = administrator(confined, NAMESPACES)
    assert controller.lease("DELETE", "").code == 403
    confined.kubectl("delete", "namespace", confined.namespace, "--wait=false")
    eventually(lambda: controller.lease("DELETE", "").done, what="the Leases go")
    assert controller.federation("DELETE", "").done
    assert confined.leases() == []
    assert confined.kubectl("get", "cfed", "-o", "name").stdout == ""


# --- files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("traffic-*/shop.yaml")), ids=lambda p: p.parent.name
)
def test_the_examples_grant_what_a_worker_needs(confined: HubNamespace, path: Path) -> None:
    kinds = {"ServiceAccount", "Role", "RoleBinding"}
    documents = [document for document in yaml.safe_load_all(path.read_text()) if document["kind"] in kinds]
    confined.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))
    account = Caller(confined, confined.kubectl("create", "token", "shop").stdout.strip())
    found = Place(confined, {"operator": administrator(confined), "shop": account})
    confined.apply()
    for cluster in ("cluster_1", "cluster_2"):
        assert acts(found, "shop", ("POST", "", lease(cluster=cluster), MERGE)).done
    assert acts(found, "shop", ("POST", "", lease(cluster="cluster_3"), MERGE)).code == 403


def test_messages_fit_into_what_a_worker_shows() -> None:
    messages = [
        validation["message"]
        for document in policies()
        for validation in document["spec"].get("validations", ())
    ]
    assert len(messages) == 16
    for message in messages:
        assert len(message) <= 300
        assert "\n" not in message
        assert not message.endswith(".")
