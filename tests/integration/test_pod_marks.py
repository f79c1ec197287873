"""A worker marks the Pod it runs in: the condition for readiness gates, the label for selectors."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from rig.gate import Gate
from rig.hub_namespace import HubNamespace
from rig.patience import eventually
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.bare_pods import GAVE_UP, MARKED, BarePod


def test_a_pod_follows_its_worker(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply()
    programs.operator()
    pods = [BarePod(hub, f"shop-{n}") for n in (1, 2)]
    one, two = (programs.worker(f"cluster_{n}", *pod.options()) for n, pod in enumerate(pods, 1))
    one.await_active()
    pods[0].await_says("True", "Active", "active")
    pods[1].await_says("False", "Passive", "passive")
    since = pods[1].condition["lastTransitionTime"]

    assert two.post("/tcf/toggle").status == 200

    # Before cluster_2 could become active, cluster_1 had to acknowledge, and its pod to say so first.
    pods[0].assert_lowered(one)
    pods[0].await_says("False", "Passive", "passive")
    pods[1].await_says("True", "Active", "active")
    assert pods[1].condition["lastTransitionTime"] >= since
    assert two.stop() == 0
    assert pods[1].says == ("False", "Stopping", "unknown")
    assert "cannot be marked" not in one.log + two.log


def test_a_condition_that_an_earlier_process_has_left_is_taken_back(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    hub.apply()
    programs.operator()
    pod = BarePod(hub, "shop-1")
    one = programs.worker("cluster_1", *pod.options())
    two = programs.worker("cluster_2")
    one.await_active()
    pod.await_says("True", "Active", "active")
    one.kill()
    assert two.post("/tcf/promote").status == 200
    assert pod.says == ("True", "Active", "active")  # nobody is there to change it

    again = programs.worker("cluster_1", *pod.options())

    again.await_status(418)  # it has acknowledged the table by now
    pod.assert_lowered(again)
    pod.await_says("False", "Passive", "passive")


def test_another_pod_of_the_same_name_is_left_alone(hub: HubNamespace, programs: TcfProcesses) -> None:
    """Such as the next one of a StatefulSet, while the node of the first is cut off."""
    hub.apply()
    programs.operator()
    first = BarePod(hub, "shop-1")
    one = programs.worker("cluster_1", *first.options())
    first.await_says("True", "Active", "active")
    hub.kubectl("delete", "pod", "shop-1", "--grace-period=0", "--force")
    second = BarePod(hub, "shop-1")

    assert one.post("/tcf/demote").status == 200

    eventually(lambda: "is not this pod" in one.log, what="a word about the other pod")
    assert second.says == (None, None, None)

    uid = second.read()["metadata"]["uid"]
    programs.worker("cluster_2", *second.options(), "--pod-uid", "long-gone").await_status(418)
    two = programs.worker("cluster_2", *second.options(), "--pod-uid", uid)
    assert two.post("/tcf/promote").status == 200
    second.await_says("True", "Active", "active")


def test_an_answer_that_expires_lowers_the_pod(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    hub.apply(leaseDuration="1s")
    programs.operator()
    pod = BarePod(hub, "shop-1")
    with Gate(hub.server) as gate:
        gate.open()
        kubeconfig = gate.kubeconfig(hub, tmp_path / "kubeconfig")
        one = programs.worker("cluster_1", *pod.options(), kubeconfig=kubeconfig)
        one.await_active()
        pod.await_says("True", "Active", "active")

        gate.silence()

        one.await_status(500, "HubUnreachable")
        pod.await_says("False", "HubUnreachable", "unknown")
        gate.open()
        pod.await_says("True", "Active", "active")


def test_a_pod_whose_cluster_is_away_holds_a_demotion_up_for_a_moment_only(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    hub.apply(leaseDuration="15s")
    programs.operator()
    pod = BarePod(hub, "shop-1")
    with Gate(hub.server) as gate:
        gate.open()
        own = gate.kubeconfig(hub, tmp_path / "own")
        one = programs.worker("cluster_1", *pod.options(own))
        programs.worker("cluster_2").await_status(418)
        one.await_active()
        pod.await_says("True", "Active", "active")
        gate.silence()

        began = time.monotonic()
        assert one.post("/tcf/demote").status == 200
        assert time.monotonic() - began >= 2  # it has waited for the pod

        assert GAVE_UP in one.log
        assert pod.says == ("True", "Active", "active")
        gate.open()
        pod.await_says("False", "Passive", "passive")
        assert one.post("/tcf/promote").status == 200
        pod.await_says("True", "Active", "active")


def test_a_worker_without_rights_or_pod_says_what_it_lacks_and_answers_all_the_same(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    hub.apply()
    programs.operator()
    account = hub.service_account("app")
    own = account.kubeconfig(tmp_path / "own")
    pod = BarePod(hub, "shop-1")
    one = programs.worker("cluster_1", *pod.options(own))
    one.await_active()

    def told(program: TcfProcess, words: str) -> None:
        eventually(lambda: words in program.log, what=words)

    told(one, 'cannot get resource "pods"')
    told(one, "the pod's cluster refuses (403)")
    health = one.get("/readyz")
    assert (health.status, "cannot be marked with its role" in health.error) == (503, True)
    account.grant("see", "get", "pods")
    account.grant("condition", "patch", "pods/status")
    eventually(lambda: pod.condition.get("status") == "True", what="the condition")
    account.grant("label", "patch", "pods")
    pod.await_says("True", "Active", "active")
    told(one, "this pod is marked with its role again")
    assert one.get("/readyz").status == 200

    two = programs.worker("cluster_2", *MARKED, "--pod-name", "nobody", "--pod-kubeconfig", str(own))
    two.await_status(418)
    told(two, "this pod cannot be marked with its role")
    two.signal(signal.SIGTERM)
    assert two.process.wait() == 0
