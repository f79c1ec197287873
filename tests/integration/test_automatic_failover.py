"""Automatic failover, and what is not one: with real processes that are killed, stopped and cut off."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rig.gate import Gate
from rig.hub_namespace import HubNamespace
from rig.patience import eventually
from rig.prober import Prober
from rig.promise import broken_promises
from rig.tcf_processes import TcfProcess, TcfProcesses

D = 2
ROLES = {"cluster_1": "passive", "cluster_2": "active"}


def apply(hub: HubNamespace, **more: Any) -> None:
    failover = {"mode": "Automatic", "timeout": "1s", "cooldown": "0s", **more.pop("failover", {})}
    hub.apply(**{"leaseDuration": f"{D}s", "switchoverTimeout": "10s", "failover": failover, **more})


@pytest.fixture
def gates(hub: HubNamespace) -> Iterator[dict[str, Gate]]:
    """A gate before the hub for each side."""
    with contextlib.ExitStack() as stack:
        opened = {side: stack.enter_context(Gate(hub.server)) for side in ("one", "two", "operator")}
        for gate in opened.values():
            gate.open()
        yield opened


def ready_pair(hub: HubNamespace, programs: TcfProcesses) -> tuple[TcfProcess, TcfProcess]:
    one, two = programs.pair()
    one.await_active()
    two.await_status(418)
    return one, two


def condition(hub: HubNamespace, type_: str) -> dict[str, str]:
    return next(c for c in hub.status()["conditions"] if c["type"] == type_)


def await_condition(hub: HubNamespace, type_: str, reason: str) -> dict[str, str]:
    return eventually(
        lambda: found if (found := condition(hub, type_))["reason"] == reason else None,
        what=f"{type_} {reason}",
    )


def test_a_killed_member_is_replaced_and_does_not_come_back_active(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    apply(hub)
    programs.operator()
    one, two = ready_pair(hub, programs)
    with Prober({one.port: "cluster_1", two.port: "cluster_2"}, per_second=100) as prober:
        one.kill()
        two.await_active()
    assert broken_promises(prober.probes) == []

    past = hub.status()["history"][0]
    assert (past["from"], past["to"], past["trigger"]) == ("cluster_1", "cluster_2", "failover")
    assert past["outcome"] == "Succeeded"
    assert past["requestedBy"] == "coordinator"
    assert "no worker of cluster_1 has given a sign of life for" in past["reason"]
    assert "cluster_2 is active; nobody was active for" in past["message"]
    assert past["silentSince"] <= past["finishedAt"]
    told = eventually(
        lambda: out if "FailingOver" in (out := hub.kubectl("get", "events").stdout) else None,
        what="the Event of the failover",
    )
    assert "Warning" in told
    degraded = await_condition(hub, "Degraded", "NoLiveWorker")
    assert "cluster_1 since " in degraded["message"]

    again = programs.worker("cluster_1")
    again.await_status(418)
    await_condition(hub, "Degraded", "AllWorkersAlive")
    time.sleep(2 * D)
    assert hub.roles() == ROLES
    assert len(hub.status()["history"]) == 2


def test_a_member_that_is_cut_off_is_replaced(
    hub: HubNamespace, programs: TcfProcesses, gates: dict[str, Gate], tmp_path: Path
) -> None:
    apply(hub)
    programs.operator()
    one = programs.worker("cluster_1", kubeconfig=gates["one"].kubeconfig(hub, tmp_path / "one"))
    one.await_active()
    two = programs.worker("cluster_2")
    two.await_status(418)
    for cut in (gates["one"].silence, gates["one"].close):
        with Prober({one.port: "cluster_1", two.port: "cluster_2"}, per_second=100) as prober:
            cut()
            one.await_reason("HubUnreachable")
            two.await_active()
            gates["one"].open()
            one.await_status(418)
            time.sleep(D)
        assert broken_promises(prober.probes) == []
        assert hub.roles() == ROLES
        assert one.post("/tcf/promote").status == 200
        two.await_status(418)


def test_an_outage_of_the_hub_moves_no_role(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    """Everybody loses it at once, and the passive member's worker is the first to be back."""
    apply(hub)
    with Gate(hub.server) as gate, Gate(hub.server) as late:
        gate.open()
        late.open()
        programs.operator(kubeconfig=gate.kubeconfig(hub, tmp_path / "operator"))
        one = programs.worker("cluster_1", kubeconfig=late.kubeconfig(hub, tmp_path / "one"))
        one.await_active()
        two = programs.worker("cluster_2", kubeconfig=gate.kubeconfig(hub, tmp_path / "two"))
        two.await_status(418)
        term = hub.status()["term"]
        for fail in (Gate.silence, Gate.close):
            fail(gate)
            fail(late)
            time.sleep(3 * D)
            assert (one.is_active().status, two.is_active().status) == (500, 500)
            gate.open()
            two.await_status(418)
            late.open()
            one.await_active()
        time.sleep(D)
    assert hub.status()["term"] == term


def test_a_stalled_operator_takes_nobody_for_dead(hub: HubNamespace, programs: TcfProcesses) -> None:
    apply(hub)
    operator = programs.operator()
    one, _ = ready_pair(hub, programs)
    term = hub.status()["term"]
    for _ in range(3):
        operator.signal(signal.SIGSTOP)
        time.sleep(2 * D)
        operator.signal(signal.SIGCONT)
        time.sleep(D / 2)
    one.await_active()
    assert hub.status()["term"] == term


def test_a_new_operator_takes_nobody_for_dead_at_once(hub: HubNamespace, programs: TcfProcesses) -> None:
    """The active member's worker died while no operator was there; a full period is watched before."""
    apply(hub)
    operator = programs.operator()
    one, two = ready_pair(hub, programs)
    operator.kill()
    one.kill()
    time.sleep(2 * D)
    began = time.monotonic()
    programs.operator()
    two.await_active()
    assert time.monotonic() - began > 1.1 * D


def test_paused_and_why_it_waits(hub: HubNamespace, programs: TcfProcesses) -> None:
    apply(hub, paused=True)
    programs.operator()
    one, two = ready_pair(hub, programs)
    one.kill()
    ready = await_condition(hub, "Ready", "NoLiveWorker")
    assert "failover is paused: set spec.paused to false" in ready["message"]
    time.sleep(2 * D)
    assert hub.roles() == {"cluster_1": "active", "cluster_2": "passive"}
    apply(hub, paused=False)
    two.await_active()


def test_a_cooldown_and_the_highest_priority(hub: HubNamespace, programs: TcfProcesses) -> None:
    clusters = [
        {"id": "cluster_1", "name": "cluster1"},
        {"id": "cluster_2", "name": "cluster2"},
        {"id": "cluster_3", "name": "cluster3", "priority": 10},
    ]
    apply(hub, clusters=clusters, failover={"cooldown": "1h"})
    programs.operator()
    one, two = ready_pair(hub, programs)
    three = programs.worker("cluster_3")
    three.await_status(418)
    time.sleep(1.5 * D)  # a candidate has been watched for a full period
    one.kill()
    three.await_active()  # a bootstrap needs no rest
    three.kill()
    ready = await_condition(hub, "Ready", "NoLiveWorker")
    assert "no failover begins before" in ready["message"]
    time.sleep(2 * D)
    assert hub.roles()["cluster_3"] == "active"
    apply(hub, clusters=clusters, failover={"cooldown": "0s"})
    two.await_active()


def test_a_restart_of_the_only_worker_is_no_failover(hub: HubNamespace, programs: TcfProcesses) -> None:
    # On a very busy machine, a worker takes ten seconds to start.
    apply(hub, failover={"timeout": "60s"})
    programs.operator()
    one, _ = ready_pair(hub, programs)
    term = hub.status()["term"]
    for _ in range(2):
        assert one.stop() == 0
        time.sleep(1)
        one = programs.worker("cluster_1")
        one.await_active()
    assert hub.status()["term"] == term


def test_a_member_without_a_worker_does_not_keep_another_from_becoming_first(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    apply(hub)
    programs.operator()
    two = programs.worker("cluster_2")
    two.await_active()
    first, over, *_ = hub.status()["history"]
    assert (first["trigger"], first["to"], first["outcome"]) == ("bootstrap", "cluster_2", "Succeeded")
    assert (over["trigger"], over["to"], over["outcome"]) == ("bootstrap", "cluster_1", "Superseded")
    told = eventually(
        lambda: out if "ChosenInstead" in (out := hub.kubectl("get", "events").stdout) else None,
        what="the Event of the choice",
    )
    assert "Warning" in told
    programs.worker("cluster_1").await_status(418)
