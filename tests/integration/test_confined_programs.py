"""Real programs with the chart's exact rights under the admission policies can do all their work."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from rig.asking import Answer, ask
from rig.files import ROOT
from rig.hub_namespace import HubNamespace, ServiceAccount
from rig.patience import RigError, eventually
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.chart import Helm
from support.confined_place import RULES, WRITER, account
from support.installed import Installed

FAILOVER = {"mode": "Automatic", "timeout": "1s", "cooldown": "0s"}


@pytest.fixture
def installed(chart: Helm, confined: HubNamespace, programs: TcfProcesses, tmp_path: Path) -> Installed:
    return Installed(chart, confined, programs, tmp_path)


def pair(installed: Installed) -> tuple[TcfProcess, TcfProcess]:
    """A worker of each member; cluster_1 is active."""
    one, two = installed.worker("cluster_1"), installed.worker("cluster_2")
    one.await_active()
    two.await_status(418)
    return one, two


def post(worker: TcfProcess, path: str, token: str) -> Answer:
    return ask(worker.port, "POST", path, headers={"Authorization": f"Bearer {token}"})


def test_a_federation_lives_its_whole_life(installed: Installed) -> None:
    hub = installed.hub
    spec: dict[str, Any] = {"leaseDuration": "1s", "switchoverTimeout": "3s", "failover": FAILOVER}
    hub.apply(**spec)
    operator = installed.operator()
    one, two = pair(installed)
    token = installed.person()
    assert post(two, "/tcf/toggle?reason=maintenance", token).status == 200
    assert post(two, "/tcf/demote", token).status == 200
    assert post(one, "/tcf/promote", token).status == 200
    hub.apply(**spec, activeCluster="cluster_2")
    two.await_active()

    two.kill()
    one.await_active()  # a failover; the operator has deleted the Lease of the dead worker
    assert [lease["metadata"]["labels"]["tcf.dev/cluster"] for lease in hub.leases()] == ["cluster_1"]
    again = installed.worker("cluster_2")
    again.await_status(418)

    assert operator.stop() == 0
    assert post(again, "/tcf/promote", token).reason == "NoCoordinator"
    for worker in (one, again):
        assert worker.stop() == 0
    assert hub.leases() == []
    status = hub.status()
    assert [(past["trigger"], past["outcome"]) for past in status["history"]] == [
        ("api", "NoCoordinator"),
        ("failover", "Succeeded"),
        ("spec", "Succeeded"),
        *[("api", "Succeeded")] * 3,
        ("bootstrap", "Succeeded"),
    ]
    assert "switchover" not in status
    for program in (operator, one, two, again):
        assert "denied request" not in program.log


def test_a_request_takes_the_place_of_the_bootstrap(installed: Installed) -> None:
    installed.hub.apply()
    installed.operator()
    two = installed.worker("cluster_2")
    two.await_status(418)
    assert post(two, "/tcf/promote", installed.person()).status == 200
    outcomes = [past["outcome"] for past in installed.hub.status()["history"]]
    assert outcomes == ["Succeeded", "Superseded"]


# --- what a worker says to its client -------------------------------------------------------------------


def test_force_is_refused_for_certain_and_in_words(installed: Installed) -> None:
    installed.hub.apply()
    installed.operator()
    one, two = pair(installed)
    refused = post(two, "/tcf/promote?force=true", installed.person("admin"))
    assert (refused.status, refused.reason) == (500, "HubForbidden")
    assert refused.error.startswith(
        "nothing was changed: the hub does not allow this worker to do that: force needs"
    )
    assert "workers.mayForce" in refused.error
    assert installed.hub.namespace not in refused.error
    assert one.is_active().status == 200
    assert "switchover" not in installed.hub.status()


def test_the_chart_may_allow_it(
    chart: Helm, confined: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    installed = Installed(chart, confined, programs, tmp_path, may_force=True)
    confined.apply()
    installed.operator()
    _, two = pair(installed)
    assert post(two, "/tcf/promote?force=true", installed.person("admin")).status == 200


def test_a_worker_that_represents_nobody_says_so(installed: Installed) -> None:
    installed.without(("cluster_1", "clusterfederations/member", "represent"))
    installed.hub.apply()
    installed.operator()
    one = installed.worker("cluster_1")
    answer = one.await_reason("HubForbidden")
    assert "the right to represent clusterfederations/member FEDERATION:CLUSTER" in answer.error
    assert installed.hub.leases() == []


# --- people --------------------------------------------------------------------------------------------


def command(page: str, marker: str) -> str:
    """The block of a page of the docs that has this text in it."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    (found,) = [block for block in blocks if marker in block]
    return str(found)


def run(script: str, hub: HubNamespace, program: str, kubeconfig: Path) -> subprocess.CompletedProcess[str]:
    """Run commands of the docs in the test's namespace, with the names that the test has."""
    script = script.replace("--namespace tcf ", f"--namespace {hub.namespace} ")
    script = script.replace("serviceaccount:tcf:tcf-operator", f"serviceaccount:{hub.namespace}:tcf")
    environment = {
        "KUBECONFIG": str(kubeconfig),
        "KUBECACHEDIR": os.environ["KUBECACHEDIR"],  # otherwise kubectl caches what it discovers right here
        "PATH": f"{Path(program).parent}:/usr/bin:/bin",
    }
    return subprocess.run(
        ["/bin/sh", "-ec", script], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("who", ["forcer", "visitor"])
def test_a_person_asks_with_kubectl(
    installed: Installed, control_plane: dict[str, str], tmp_path: Path, who: str
) -> None:
    """The command of the docs, by somebody who may do so and by somebody who may not."""
    hub = installed.hub
    hub.apply()
    installed.operator()
    pair(installed)
    rules = WRITER + [{"apiGroups": ["tcf.dev"], **rule} for rule in RULES[who]]
    hub.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(account(who, rules)))
    person = ServiceAccount(hub, who, hub.kubectl("create", "token", who).stdout.strip())
    script = command("security.md", "by-hand-")
    done = run(script, hub, control_plane["kubectl"], person.kubeconfig(tmp_path / who))
    if who == "visitor":
        assert "needs the right to create clusterfederations/switchover" in done.stderr
        assert hub.roles() == {"cluster_1": "active", "cluster_2": "passive"}
        return
    assert done.returncode == 0, done.stderr
    eventually(lambda: hub.roles()["cluster_2"] == "active", what="cluster_2 is active")
    past = eventually(lambda: found if len(found := hub.status()["history"]) > 1 else None, what="history")[0]
    assert (past["requestedBy"], past["outcome"]) == (person.user, "Succeeded")


def test_an_administrator_acts_as_the_operator(installed: Installed, control_plane: dict[str, str]) -> None:
    hub = installed.hub
    hub.apply()
    installed.operator()
    one, _ = pair(installed)
    term = hub.status()["term"]
    with pytest.raises(RigError, match="only the operator moves roles"):
        hub.set_status(None)
    done = run(
        command("security.md", "replace --subresource=status"), hub, control_plane["kubectl"], hub.kubeconfig
    )
    assert done.returncode == 0, done.stderr
    eventually(lambda: hub.status().get("term", 0) > term, what="the operator begins again")
    one.await_active()


def test_a_request_for_the_active_member_ends(installed: Installed, control_plane: dict[str, str]) -> None:
    """A worker would say that nothing is to be done; the hub lets it pass."""
    hub = installed.hub
    hub.apply()
    installed.operator()
    one, _ = pair(installed)
    script = command("security.md", "by-hand-").replace('"to": "cluster_2"', '"to": "cluster_1"')
    done = run(script, hub, control_plane["kubectl"], hub.kubeconfig)
    assert done.returncode == 0, done.stderr
    eventually(lambda: "switchover" not in hub.status(), what="the request ends")
    assert one.is_active().status == 200
