"""kubectl tcf against a real hub, with real operators and workers, by programs and by people."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rig.admission_policies import confine
from rig.asking import ask
from rig.gate import Gate
from rig.hub_namespace import HubNamespace, ServiceAccount
from rig.patience import PATIENCE, eventually
from rig.tcf_processes import TcfProcess, TcfProcesses, environment
from support.tcf_ctl import TcfCtl

from tcf.core.heartbeat import HEARTBEAT


@pytest.fixture
def ctl(hub: HubNamespace) -> TcfCtl:
    return TcfCtl(hub)


Running = tuple[TcfProcess, TcfProcess, TcfProcess]


@pytest.fixture
def running(hub: HubNamespace, programs: TcfProcesses) -> Callable[..., Running]:
    """Starts a federation: an operator, and a worker for each member."""

    def start(**spec: Any) -> Running:
        hub.apply(**{"leaseDuration": "3s", **spec})
        operator, (one, two) = programs.operator(), programs.pair()
        one.await_active()
        two.await_status(418)
        eventually(lambda: live(hub) == [1, 1], what="both members have a live worker")
        return operator, one, two

    return start


def live(hub: HubNamespace) -> list[int]:
    """The number of live workers of each member."""
    return [row["liveWorkers"] for row in hub.status()["clusters"]]


def requests(hub: HubNamespace) -> list[tuple[str, str, str]]:
    """Trigger, target and outcome of every request that has ended, the latest first."""
    return [(past["trigger"], past["to"], past["outcome"]) for past in hub.status()["history"]]


def test_looking(hub: HubNamespace, ctl: TcfCtl, running: Callable[..., Running]) -> None:
    running()
    (item,) = ctl("list", "-o", "json").json["federations"]
    term = hub.status()["term"]
    assert (item["name"], item["active"], item["term"], item["ready"]) == ("shop", "cluster_1", term, True)
    assert f"shop  cluster_1  {term}" in ctl("list").out

    view = yaml.safe_load(ctl("status", "shop", "-o", "yaml").out)
    assert view["operator"]["alive"] is True
    assert [row["id"] + " " + row["role"] for row in view["members"]] == [
        "cluster_1 active",
        "cluster_2 passive",
    ]
    assert all(worker["upToDate"] for row in view["members"] for worker in row["workerDetails"])
    assert "There is nothing to do." in ctl("status", "shop").out

    assert ctl("check", "shop").status == 0
    (past,) = ctl("history", "shop", "-o", "json").json["history"]
    assert (past["trigger"], past["outcome"]) == ("bootstrap", "Succeeded")


def test_a_role_is_moved_by_a_person(hub: HubNamespace, ctl: TcfCtl, running: Callable[..., Running]) -> None:
    _, one, two = running()
    moved = ctl("toggle", "shop", "--yes", "--reason", "patch day", "-o", "json")
    assert moved.status == 0, moved.err
    two.await_active()
    one.await_status(418)
    assert (moved.json["outcome"], moved.json["active"]) == ("Succeeded", "cluster_2")
    assert moved.json["withoutActiveSeconds"] >= 0
    assert "cluster_2 takes over" in moved.err
    past = hub.status()["history"][0]
    me = hub.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}").stdout
    assert (past["id"], past["requestedBy"], past["reason"]) == (moved.json["request"], me, "patch day")

    assert ctl("promote", "shop", "cluster_2", "--yes").err == "nothing to do: cluster_2 is active\n"
    assert ctl("promote", "shop", "cluster_1", "--dry-run").status == 0
    assert ctl("toggle", "shop", "--yes", "--expected-term", "1").status == 1
    assert ctl("demote", "shop", "--yes").status == 0
    two.await_status(418)
    refused = ctl("toggle", "shop", "--yes")
    assert (refused.status, refused.out) == (1, "")
    assert "NoActiveCluster" in refused.err
    assert "promote shop cluster_1|cluster_2" in refused.err
    assert len(requests(hub)) == 3


def test_a_member_without_a_worker_cannot_take_over(
    hub: HubNamespace, ctl: TcfCtl, running: Callable[..., Running]
) -> None:
    _, _, two = running()
    assert two.stop() == 0
    eventually(lambda: live(hub) == [1, 0], what="nobody is live there")
    checked = ctl("check", "shop", "-o", "json")
    assert (checked.status, checked.json["able"]) == (1, False)
    assert [one["reason"] for one in checked.json["members"][1]["obstacles"]] == ["NoLiveWorker"]
    dry = ctl("promote", "shop", "cluster_2", "--dry-run", "-o", "json")
    assert (dry.status, dry.json["outcome"], dry.json["dryRun"]) == (1, "NoLiveWorker", True)
    refused = ctl("promote", "shop", "cluster_2", "--yes")
    assert refused.status == 1
    assert "error: NoLiveWorker: no worker of cluster_2 is alive" in refused.err
    assert hub.roles() == {"cluster_1": "active", "cluster_2": "passive"}
    assert "Degraded" in ctl("status", "shop").out


def test_no_worker_has_to_be_reached(hub: HubNamespace, ctl: TcfCtl, running: Callable[..., Running]) -> None:
    """The worker that could be asked is stopped, and the one that takes over serves nobody but itself."""
    _, one, two = running()
    one.kill()
    moved = ctl("promote", "shop", "cluster_2", "--yes")
    assert moved.status == 0, moved.err
    assert "cluster_2 is active" in moved.out
    assert "nobody was active for" in moved.out
    two.await_active()


def test_without_an_operator_the_request_is_withdrawn(
    hub: HubNamespace, ctl: TcfCtl, running: Callable[..., Running]
) -> None:
    operator, _, _ = running(switchoverTimeout="5s")
    operator.stop()
    hub.kubectl("delete", "lease", HEARTBEAT, "--ignore-not-found")
    status = hub.status()
    status["history"][0]["finishedAt"] = "2026-01-01T00:00:00Z"  # else it would be a sign of life
    hub.set_status(status)
    assert ctl("check", "shop").status == 1
    withdrawn = ctl("toggle", "shop", "--yes")
    assert withdrawn.status == 1
    assert "NoCoordinator" in withdrawn.err
    assert f"kubectl tcf -n {hub.namespace} doctor" in withdrawn.err
    assert requests(hub)[0] == ("api", "cluster_2", "NoCoordinator")
    assert "switchover" not in hub.status()

    late = ctl("toggle", "shop", "--yes", "--timeout", "1s")
    assert late.status == 3
    warning = f"nothing happens until an operator runs: no operator looks after namespace {hub.namespace}"
    assert warning in late.err
    assert f"find out: kubectl tcf -n {hub.namespace} history shop" in late.err


def test_a_person_is_asked(hub: HubNamespace, ctl: TcfCtl, running: Callable[..., Running]) -> None:
    _, _, two = running()
    with ctl.at_terminal("toggle", "shop") as terminal:
        terminal.await_text("Toggle shop? [y/N]")
        terminal.type("\n")
        assert terminal.status() == 1
    assert "nothing was changed" in terminal.seen
    with ctl.at_terminal("toggle", "shop") as terminal:
        terminal.await_text("[y/N]")
        terminal.interrupt()
        assert terminal.status() == 130

    with ctl.at_terminal("toggle", "shop") as terminal:
        terminal.await_text("[y/N]")
        assert two.post("/tcf/promote").status == 200  # somebody else was faster
        terminal.type("y\n")
        assert terminal.status() == 1
    assert "TermMismatch" in terminal.seen
    assert hub.roles()["cluster_2"] == "active"

    with ctl.at_terminal("promote", "shop", "cluster_1", "--force") as terminal:
        terminal.await_text("Type the name of the member (cluster_1)")
        terminal.type("cluster_2\n")
        assert terminal.status() == 1
    with ctl.at_terminal("promote", "shop", "cluster_1") as terminal:
        terminal.await_text("[y/N]")
        terminal.type("y\n")
        assert terminal.status() == 0
    assert "cluster_1 is active (term" in terminal.seen
    assert len(requests(hub)) == 3


def test_an_interrupted_request_goes_on(
    hub: HubNamespace, ctl: TcfCtl, running: Callable[..., Running]
) -> None:
    _, one, two = running(leaseDuration="30s", switchoverTimeout="120s")
    one.signal(signal.SIGSTOP)
    with ctl.at_terminal("promote", "shop", "cluster_2", "--yes") as terminal:
        terminal.await_text("cluster_1 gives up its role")
        terminal.await_text("waiting for")
        terminal.interrupt()
        assert terminal.status() == 3
    assert "is on the hub and goes on without this command" in terminal.seen
    one.signal(signal.SIGCONT)
    two.await_active()
    assert requests(hub)[0] == ("api", "cluster_2", "Succeeded")


def test_when_the_hub_is_lost_nobody_knows(
    hub: HubNamespace, running: Callable[..., Running], tmp_path: Path
) -> None:
    _, one, two = running(switchoverTimeout="5s")
    one.signal(signal.SIGSTOP)  # so that it takes until the Lease is fenced
    with Gate(hub.server) as gate:
        ctl = TcfCtl(hub, gate.kubeconfig(hub, tmp_path / "through-gate"))
        gate.open()
        with ctl.started("toggle", "shop", "--yes") as process:
            assert process.stderr
            while "gives up its role" not in (line := process.stderr.readline()):
                assert line, "it has ended"
            gate.close()
            assert process.wait(2 * PATIENCE) == 3
            said = process.stderr.read()
    assert "cannot reach the hub" in said
    assert (
        "the hub stopped answering" in said
    )  # while it was written, or after: the gate may close before the answer
    assert f"find out: kubectl tcf -n {hub.namespace} history shop" in said
    one.signal(signal.SIGCONT)
    two.await_active()


def test_a_switchover_names_the_holders_that_it_waits_for(
    hub: HubNamespace, ctl: TcfCtl, running: Callable[..., Running]
) -> None:
    _, one, two = running(leaseDuration="15s", switchoverTimeout="60s")
    assert ask(one.port, "PUT", "/tcf/holds/billing?for=60s").status == 200
    with ctl.at_terminal("promote", "shop", "cluster_2", "--yes") as terminal:
        terminal.await_text('its holders have to let go: "billing" (holding)')
        assert ask(one.port, "DELETE", "/tcf/holds/billing").status == 204
        assert terminal.status() == 0
    two.await_active()


def test_changes_are_followed(hub: HubNamespace, ctl: TcfCtl, running: Callable[..., Running]) -> None:
    _, _, two = running()
    with ctl.started("status", "shop", "-w") as follower, ctl.started("list", "-w", "-o", "json") as lister:
        assert follower.stdout
        assert lister.stdout
        assert "cluster_1 is active" in follower.stdout.readline()
        assert json.loads(lister.stdout.readline())["active"] == "cluster_1"
        with ctl.at_terminal("status", "shop", "-w") as terminal:
            terminal.await_text("shop: cluster_1 is active")
            assert two.post("/tcf/toggle").status == 200
            terminal.await_text("shop: cluster_2 is active")
            assert "\x1b[H\x1b[2J" in terminal.raw
            terminal.interrupt()
            assert terminal.status() == 130
        said = ""
        while "ended: Succeeded" not in said:
            said += follower.stdout.readline()
        assert "cluster_1 gives up its role" in said
        while (item := json.loads(lister.stdout.readline()))["active"] != "cluster_2" or item["switching"]:
            pass
        for process in (follower, lister):
            process.send_signal(signal.SIGINT)
            assert process.wait(2 * PATIENCE) == 130


def test_pausing(hub: HubNamespace, ctl: TcfCtl) -> None:
    hub.apply()
    assert ctl("pause", "shop").status == 0
    assert hub.get()["spec"]["paused"] is True
    assert ctl("pause", "shop", "-o", "json").json["changed"] is False
    assert ctl("resume", "shop", "-o", "json").json["changed"] is True
    assert not hub.get()["spec"]["paused"]


def test_names_are_completed(hub: HubNamespace, ctl: TcfCtl) -> None:
    hub.apply()
    hub.apply("other")

    def completed(*words: str) -> list[str]:
        """It gives up after two seconds, so that nobody has to wait. A machine may be too busy for that."""

        def found() -> list[str]:
            return [line.split("\t")[0] for line in ctl.completion(*words).splitlines()[:-1]]

        return eventually(found, what=f"completion of {words}")

    assert completed("status", "") == ["other", "shop"]
    assert completed("promote", "shop", "cluster_") == ["cluster_1", "cluster_2"]
    assert completed("promote", "--all", "--to", "cluster_") == ["cluster_1", "cluster_2"]
    assert hub.namespace in completed("-n", "")
    assert ctl.completion("promote", "none", "") == ":4\n"


def test_kubectl_finds_it(hub: HubNamespace, control_plane: dict[str, str]) -> None:
    """Under its two names, on the PATH: the command, and its completion."""
    hub.apply()
    place = environment() | {"PATH": str(Path(sys.executable).parent), "KUBECONFIG": str(hub.kubeconfig)}

    def kubectl(*words: str) -> str:
        run = [control_plane["kubectl"], *words]
        return subprocess.run(run, env=place, capture_output=True, text=True, check=True).stdout

    assert json.loads(kubectl("tcf", "list", "-n", hub.namespace, "-o", "json"))["federations"]
    completing = ("__complete", "tcf", "-n", hub.namespace, "status", "")
    eventually(lambda: "shop" in kubectl(*completing), what="kubectl completes the name")


# --- rights --------------------------------------------------------------------------------------------


def account(hub: HubNamespace, name: str, tmp_path: Path) -> tuple[ServiceAccount, TcfCtl]:
    """Somebody who may look."""
    found = hub.service_account(name)
    found.grant(f"{name}-look", "get,list,watch", "clusterfederations.tcf.dev")
    found.grant(f"{name}-leases", "get,list,watch", "leases.coordination.k8s.io")
    return found, TcfCtl(hub, found.kubeconfig(tmp_path / f"{name}.kubeconfig"))


def test_whoever_may_look_can_use_what_only_looks(
    hub: HubNamespace, running: Callable[..., Running], tmp_path: Path
) -> None:
    running()
    viewer, ctl = account(hub, "viewer", tmp_path)
    for command in ("list", "status shop", "check shop", "history shop", "toggle shop --dry-run"):
        done = ctl(*command.split())
        assert done.status == 0, (command, done.err)
    refused = ctl("toggle", "shop", "--yes")
    assert (refused.status, refused.out) == (1, "")
    assert 'cannot update resource "clusterfederations/status"' in refused.err
    assert "kubectl tcf doctor shows which you have" in refused.err
    assert ctl("pause", "shop").status == 1
    found = {each["message"]: each["level"] for each in ctl("doctor", "-o", "json").json["findings"]}
    assert found[f"for every federation here, {viewer.user} may not move the role"] == "note"
    assert "bad" not in {level for message, level in found.items() if "may not" in message}


def test_whoever_may_not_watch_is_told_all_the_same(
    hub: HubNamespace, running: Callable[..., Running], tmp_path: Path
) -> None:
    _, _, two = running()
    person = hub.service_account("reader")
    person.grant("reader", "get", "clusterfederations.tcf.dev")
    person.grant("reader-status", "update", "clusterfederations.tcf.dev/status")
    moved = TcfCtl(hub, person.kubeconfig(tmp_path / "reader"))("toggle", "shop", "--yes")
    assert moved.status == 0, moved.err
    assert "done in" in moved.out
    two.await_active()


def test_whoever_may_not_list_leases_sees_the_rest(hub: HubNamespace, tmp_path: Path) -> None:
    hub.apply()
    only = hub.service_account("half")
    only.grant("half", "get", "clusterfederations.tcf.dev")
    done = TcfCtl(hub, only.kubeconfig(tmp_path / "half"))("status", "shop")
    assert done.status == 0
    assert "The workers are not shown: you may not list Leases" in done.out
    assert "operator  not known" in done.out


def test_the_policies_of_the_hub_are_kept_and_told(
    hub: HubNamespace, running: Callable[..., Running], tmp_path: Path, policies: None
) -> None:
    """The programs are administrators here, whom the policies refuse. So the namespace is confined last."""

    running()
    person, ctl = account(hub, "anna", tmp_path)
    person.grant("anna-status", "update", "clusterfederations.tcf.dev/status")
    confine(hub)
    refused = ctl("toggle", "shop", "--yes")
    assert (refused.status, refused.out) == (1, "")
    assert (
        "an admission policy of the hub refuses this: placing a request needs the right to create"
        " clusterfederations/switchover for this federation"
    ) in refused.err
    person.grant("anna-switch", "create", "clusterfederations.tcf.dev/switchover", "--resource-name=shop")
    rights = ctl("doctor", "shop", "-o", "json").json["findings"]
    assert any("move the role" in each["message"] for each in rights if each["level"] == "good")
    with ctl.started("toggle", "shop", "--yes") as process:  # nobody carries it out here
        placed = eventually(lambda: hub.status().get("switchover"), what="the request is placed")
        assert placed["requestedBy"] == person.user
        process.send_signal(signal.SIGINT)
        assert process.wait(2 * PATIENCE) == 3


def test_the_doctor(hub: HubNamespace, ctl: TcfCtl, running: Callable[..., Running], policies: None) -> None:
    _, one, _ = running()
    healthy = ctl("doctor", "-o", "json")
    assert healthy.status == 0, healthy.out
    about = {each["about"] for each in healthy.json["findings"]}
    shop, operator = f"{hub.namespace}/shop", f"operator of {hub.namespace}"
    assert about == {"hub", "clocks", "CRD", "admission policies", "rights", operator, shop}
    assert all(each["level"] == "good" for each in healthy.json["findings"])

    one.kill()
    eventually(lambda: live(hub) == [0, 1], what="it counts as silent")
    hub.kubectl("delete", "lease", HEARTBEAT, "--ignore-not-found")
    ill = ctl("doctor", "shop")
    assert ill.status == 1

    assert "has not renewed for" in ill.out
    assert "Ready is False: NoLiveWorker" in ill.out


def test_a_server_that_is_no_hub(hub: HubNamespace, ctl: TcfCtl) -> None:
    missing = ctl("status", "nothing")
    assert missing.status == 1
    assert f"there is no federation nothing in namespace {hub.namespace}" in missing.err
    assert "There are no federations in namespace" in ctl("list").err
    assert ctl("list", "-o", "json").json == {"federations": []}
