"""kubectl tcf promote --all against a real hub: many federations move with one command."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from rig.gate import Gate
from rig.hub_namespace import HubNamespace
from rig.patience import PATIENCE, eventually
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.tcf_ctl import Ended, TcfCtl

MEMBERS = [{"id": "cluster_1", "name": "cluster1"}, {"id": "cluster_2", "name": "cluster2"}]
OTHERS = [MEMBERS[0], {"id": "cluster_3", "name": "cluster3"}]
ALL = ("promote", "--all", "--to", "cluster_2")


@pytest.fixture
def ctl(hub: HubNamespace) -> TcfCtl:
    return TcfCtl(hub)


def create(hub: HubNamespace, federations: dict[str, dict[str, Any]], **labels: str) -> None:
    """Create all of them at once, each with its spec."""
    items = [
        {
            "apiVersion": "tcf.dev/v1alpha1",
            "kind": "ClusterFederation",
            "metadata": {"name": name, "labels": labels},
            "spec": {"clusters": MEMBERS, "activeCluster": "cluster_1", **spec},
        }
        for name, spec in federations.items()
    ]
    hub.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def there(hub: HubNamespace) -> dict[str, dict[str, Any]]:
    """All federations by their names."""
    found = json.loads(hub.kubectl("get", "cfed", "-o", "json").stdout)
    return {item["metadata"]["name"]: item for item in found["items"]}


def active(hub: HubNamespace) -> dict[str, str]:
    """Who is active in each federation."""
    return {name: item.get("status", {}).get("activeCluster", "") for name, item in there(hub).items()}


def requests(hub: HubNamespace) -> dict[str, list[str]]:
    """The requests of each federation. (An operator may write other parts of a status at any time.)"""
    found = {name: item["status"] for name, item in there(hub).items()}
    return {
        name: [past["id"] for past in status["history"]] + [status.get("switchover", {}).get("id", "")]
        for name, status in found.items()
    }


def serve(
    hub: HubNamespace, programs: TcfProcesses, federations: Iterable[str], *, without: Iterable[str] = ()
) -> TcfProcess:
    """Start an operator that does the work of all workers, too, except `without`, such as shop/cluster_2.

    It is ready when every worker is live.
    """
    names = list(federations)
    members = [(name, row["id"]) for name in names for row in there(hub)[name]["spec"]["clusters"]]
    served = [f"{name}/{member}" for name, member in members if f"{name}/{member}" not in set(without)]
    where = [word for one in served for word in ("--serve", f"{hub.namespace}/{one}=127.0.0.1:0")]
    operator = programs.operator(*where)

    def ready() -> bool:
        rows = [
            (name, row)
            for name, item in there(hub).items()
            for row in item.get("status", {}).get("clusters", [])
        ]
        live = {f"{name}/{row['id']}" for name, row in rows if row.get("liveWorkers")}
        begun = [name for name, member in active(hub).items() if member == "cluster_1"]
        return live >= set(served) and set(begun) >= set(names)

    eventually(ready, what="all workers are live, and cluster_1 is active")
    return operator


def names(done: Ended, key: str) -> list[str]:
    return [each["federation"] for each in done.json[key]]


def test_all_move(hub: HubNamespace, programs: TcfProcesses, tmp_path: Path) -> None:
    """With no other rights than those that a single promote needs."""
    shops = [f"shop-{n}" for n in range(6)]
    create(hub, {name: {} for name in shops})
    serve(hub, programs, shops)
    person = hub.service_account("anna")
    person.grant("anna-look", "get,list,watch", "clusterfederations.tcf.dev")
    person.grant("anna-place", "update", "clusterfederations.tcf.dev/status")
    ctl = TcfCtl(hub, person.kubeconfig(tmp_path / "anna"))

    moved = ctl(*ALL, "--yes", "--reason", "patch day", "-o", "json")
    assert moved.status == 0, moved.err
    assert names(moved, "moved") == shops
    assert [moved.json[key] for key in ("unchanged", "notMember", "failed", "unknown", "notAsked")] == [
        []
    ] * 5
    assert set(active(hub).values()) == {"cluster_2"}
    for each in moved.json["moved"]:
        past = hub.status(each["federation"])["history"][0]
        assert (past["id"], past["requestedBy"]) == (each["request"], person.user)
        assert (past["reason"], past["outcome"]) == ("patch day", "Succeeded")
        assert (each["from"], each["active"], each["outcome"]) == ("cluster_1", "cluster_2", "Succeeded")
    assert moved.json["withoutActiveSeconds"]["longest"] >= 0
    assert "then cluster_2 becomes active in 6 federations" in moved.err

    before = requests(hub)
    again = ctl(*ALL, "--yes")
    assert (again.status, again.err) == (0, "cluster_2 is active already in 6 federations\n")
    assert "it was active already in 6 federations" in again.out
    assert requests(hub) == before


def test_what_cannot_move_stays(hub: HubNamespace, programs: TcfProcesses, ctl: TcfCtl) -> None:
    """A paused federation moves all the same. One without a live worker there does not, and says why."""
    specs: dict[str, dict[str, Any]] = {
        "fine": {},
        "dead": {},
        "other": {"clusters": OTHERS},
        "paused": {"paused": True},
    }
    create(hub, specs)
    serve(hub, programs, specs, without=["dead/cluster_2"])
    before = requests(hub)
    dry = ctl(*ALL, "--dry-run", "-o", "json")
    assert (dry.status, dry.json["dryRun"]) == (1, True)
    assert names(dry, "moved") == ["fine", "paused"]
    assert requests(hub) == before
    told = ctl(*ALL, "--dry-run")
    assert "refused in 1 federation: NoLiveWorker: no worker of cluster_2 is alive" in told.err
    assert "cluster_2 is not a member of 1 federation, which stay as they are\n    other\n" in told.err
    assert told.out == "dry run: nothing was changed\n"

    done = ctl(*ALL, "--yes")
    assert done.status == 1
    assert "cluster_2 became active in 2 federations" in done.out
    assert f"dead        NoLiveWorker  kubectl tcf -n {hub.namespace} check dead" in done.out
    assert "error: cluster_2 did not become active in 1 federation\n" in done.err
    assert active(hub) == {
        "fine": "cluster_2",
        "paused": "cluster_2",
        "dead": "cluster_1",
        "other": "cluster_1",
    }
    as_json = ctl(*ALL, "--yes", "-o", "json")
    assert as_json.status == 1
    assert (names(as_json, "unchanged"), names(as_json, "notMember")) == (["fine", "paused"], ["other"])
    (failed,) = as_json.json["failed"]
    assert (failed["namespace"], failed["federation"]) == (hub.namespace, "dead")
    assert failed["reason"] == "NoLiveWorker"
    assert "no worker of cluster_2 is alive" in failed["message"]


def test_only_federations_with_a_label_in_all_namespaces(
    hub: HubNamespace, programs: TcfProcesses, ctl: TcfCtl
) -> None:
    """Other tests have federations on this hub, too. Without the label, theirs would move."""
    create(hub, {"mine": {}}, test=hub.namespace)
    create(hub, {"yours": {}})
    serve(hub, programs, ["mine", "yours"])
    only = ("-A", "-l", f"test={hub.namespace}")
    assert ctl(*ALL, *only, "--dry-run").status == 0
    moved = ctl(*ALL, *only, "--yes")
    assert moved.status == 0, moved.err
    assert f"at most ({hub.namespace}/mine)" in moved.out
    assert active(hub) == {"mine": "cluster_2", "yours": "cluster_1"}

    nowhere = ctl("promote", "--all", "--to", "cluster_9", "--yes")
    assert (nowhere.status, nowhere.out) == (1, "")
    assert f"no federation in namespace {hub.namespace} has the member cluster_9" in nowhere.err
    assert "the members there: cluster_1, cluster_2" in nowhere.err
    nobody = ctl(*ALL, "-l", "test=none", "--yes")
    assert (nobody.status, "with the labels test=none" in nobody.err) == (1, True)


def test_only_what_is_active_in_one_site(hub: HubNamespace, programs: TcfProcesses, ctl: TcfCtl) -> None:
    three = {"clusters": [*MEMBERS, OTHERS[1]]}
    create(hub, {"first": three, "third": three})
    serve(hub, programs, ["first", "third"])
    assert ctl("promote", "third", "cluster_3", "--yes").status == 0
    moved = ctl(*ALL, "--from", "cluster_1", "--yes", "-o", "json")
    assert moved.status == 0, moved.err
    assert (names(moved, "moved"), names(moved, "elsewhere")) == (["first"], ["third"])
    assert active(hub) == {"first": "cluster_2", "third": "cluster_3"}

    nowhere = ctl(*ALL, "--from", "cluster_7", "--yes")
    assert (nowhere.status, nowhere.out) == (1, "")
    assert f"no federation in namespace {hub.namespace} has the member cluster_7" in nowhere.err


def test_a_person_is_asked(hub: HubNamespace, programs: TcfProcesses, ctl: TcfCtl) -> None:
    create(hub, {"one": {}, "two": {}})
    serve(hub, programs, ["one", "two"])
    assert ctl(*ALL).status == 2
    with ctl.at_terminal(*ALL) as terminal:
        terminal.await_text("Promote cluster_2 in 2 federations? [y/N]")
        terminal.type("n\n")
        assert terminal.status() == 1
    assert "nothing was changed" in terminal.seen
    with ctl.at_terminal(*ALL) as terminal:
        terminal.await_text("[y/N]")
        terminal.interrupt()
        assert terminal.status() == 130
    assert set(active(hub).values()) == {"cluster_1"}

    with ctl.at_terminal(*ALL) as terminal:
        terminal.await_text("[y/N]")
        assert ctl("promote", "one", "cluster_2", "--yes").status == 0  # somebody else is faster
        terminal.type("y\n")
        assert terminal.status() == 0
    assert "became active in 1 federation in" in terminal.seen
    assert "it was active already in 1 federation" in terminal.seen
    assert "\r\x1b[K[" in terminal.raw  # the progress
    assert set(active(hub).values()) == {"cluster_2"}

    with ctl.at_terminal("promote", "--all", "--to", "cluster_1") as terminal:
        terminal.await_text("[y/N]")
        for member in ("cluster_1", "cluster_2"):  # the term is another one, and the roles are the same
            assert ctl("promote", "two", member, "--yes").status == 0
        terminal.type("y\n")
        assert terminal.status() == 1
    assert "TermMismatch" in terminal.seen
    assert active(hub) == {"one": "cluster_1", "two": "cluster_2"}


def test_those_with_a_higher_priority_move_first(hub: HubNamespace, ctl: TcfCtl) -> None:
    """Nobody else writes here, so the versions of the hub show the order in which requests were placed.

    Sixteen requests are on their way at a time. So when one begins, at most fifteen before it are not placed.
    """
    priorities = {f"shop-{n:02}": n for n in range(40)}
    patient = {"switchoverTimeout": "300s"}  # so that nothing is withdrawn meanwhile
    specs = {name: {"failover": {"priority": number}, **patient} for name, number in priorities.items()}
    create(hub, specs)
    rows = [
        {"id": f"cluster_{n}", "name": f"cluster{n}", "status": role, "workers": 1, "liveWorkers": 1}
        for n, role in ((1, "active"), (2, "passive"))
    ]
    status = {"protocol": 1, "term": 1795792489785, "activeCluster": "cluster_1", "clusters": rows}
    items = [{**item, "status": status} for item in there(hub).values()]
    as_list = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    hub.kubectl("replace", "--subresource=status", "-f", "-", stdin=as_list)

    with ctl.started(*ALL, "--yes", "-o", "json") as process:
        eventually(
            lambda: all("switchover" in item["status"] for item in there(hub).values()), what="all are placed"
        )
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=2 * PATIENCE)
    assert process.returncode == 3, err
    assert "nothing happens until an operator runs" in err
    assert "interrupted: " in err
    assert [each["federation"] for each in json.loads(out)["unknown"]] == sorted(priorities, reverse=True)
    placed = sorted(there(hub).values(), key=lambda item: int(item["metadata"]["resourceVersion"]))
    order = [item["spec"]["failover"]["priority"] for item in placed]
    assert sorted(order) == list(range(40))
    for place, priority in enumerate(order):
        assert place >= (39 - priority) - 15


@pytest.fixture
def slow(hub: HubNamespace, programs: TcfProcesses) -> TcfProcess:
    """A worker of cluster_1 that has stopped answering, so that its federation moves when it goes on.

    Two other federations, "one" and "two", move at once.
    """
    create(hub, {"one": {}, "two": {}, "slow": {"leaseDuration": "60s", "switchoverTimeout": "120s"}})
    worker = programs.worker("cluster_1", federation="slow")
    serve(hub, programs, ["one", "two", "slow"], without=["slow/cluster_1"])
    worker.signal(signal.SIGSTOP)
    return worker


def test_what_is_under_way_goes_on_without_the_command(
    hub: HubNamespace, ctl: TcfCtl, slow: TcfProcess
) -> None:
    with ctl.at_terminal(*ALL, "--yes") as terminal:
        terminal.await_text("2 moved, 0 failed, 1 waiting")
        terminal.interrupt()
        assert terminal.status() == 3
    assert "became active in 2 federations" in terminal.seen
    assert "interrupted: 1 request is on the hub and goes on without this command" in terminal.seen
    assert f"find out how they end: kubectl tcf -n {hub.namespace} list" in terminal.seen
    assert active(hub) == {"one": "cluster_2", "two": "cluster_2", "slow": ""}
    slow.signal(signal.SIGCONT)
    eventually(lambda: active(hub)["slow"] == "cluster_2", what="the request goes on")


def test_a_hub_that_is_out_of_reach_for_a_while(hub: HubNamespace, slow: TcfProcess, tmp_path: Path) -> None:
    """Before the requests are placed, and while they are under way."""
    with Gate(hub.server) as gate:
        ctl = TcfCtl(hub, gate.kubeconfig(hub, tmp_path / "through-gate"))
        gate.open()
        with ctl.at_terminal(*ALL) as terminal:
            terminal.await_text("Promote cluster_2 in 3 federations? [y/N]")
            gate.close()
            terminal.type("y\n")
            terminal.await_text("trying again: cannot reach the hub")
            gate.open()
            terminal.await_text("2 moved, 0 failed, 1 waiting")
            gate.close()
            slow.signal(signal.SIGCONT)
            eventually(lambda: active(hub)["slow"] == "cluster_2", what="it moves meanwhile")
            gate.open()
            assert terminal.status() == 0
    assert "became active in 3 federations" in terminal.seen
