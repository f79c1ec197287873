"""What comes back: stopped workers, lost tables, policies that change while somebody is cut off."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rig.asking import ask
from rig.gate import Gate
from rig.hub_namespace import HubNamespace
from rig.patience import eventually
from rig.prober import Prober
from rig.promise import broken_promises
from rig.tcf_processes import TcfProcess, TcfProcesses

Cut = tuple[Gate, TcfProcess, TcfProcess]
D = 2


def apply(hub: HubNamespace, **more: Any) -> None:
    hub.apply(**{"leaseDuration": f"{D}s", "switchoverTimeout": "5s", **more})


def condition(hub: HubNamespace, type_: str) -> dict[str, str]:
    return next(c for c in hub.status()["conditions"] if c["type"] == type_)


# --- a worker that was stopped --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["Manual", "Automatic"])
def test_the_first_answer_of_a_worker_that_was_stopped_is_no_yes(
    hub: HubNamespace, programs: TcfProcesses, mode: str
) -> None:
    """Probes that came while it was stopped are waiting for it; it answers them before anything else."""
    apply(hub, failover={"mode": mode, "timeout": "1s"})
    programs.operator()
    one, two = programs.pair()
    one.await_active()
    two.await_status(418)
    one.signal(signal.SIGSTOP)
    time.sleep(3 * D - 1)
    waiting = [socket.create_connection(("127.0.0.1", one.port)) for _ in range(5)]
    for probe in waiting:
        probe.sendall(b"GET /tcf/is_active HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    time.sleep(1)
    one.signal(signal.SIGCONT)
    for probe in waiting:
        assert probe.makefile("rb").readline().split()[1] in {b"500", b"418"}
        probe.close()
    if mode == "Automatic":
        two.await_active()
        one.await_status(418)
    else:
        one.await_active()  # nobody has asked for another


# --- a term that was edited ------------------------------------------------------------------------------

CENTURY = 100 * 365 * 86_400_000


def test_a_term_that_nobody_can_have_written_is_told_and_can_be_removed(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    """The schema refuses the leap at once, but not three of a century each. Nobody has to be restarted."""
    apply(hub)
    operator = programs.operator()
    one, two = programs.pair()
    one.await_active()
    two.await_status(418)
    before = hub.status()["term"]
    patch = '{"status": {"term": 9223372036854775807}}'
    refused = hub.kubectl(
        "patch", "cfed", "shop", "--subresource=status", "--type=merge", "-p", patch, check=False
    )
    assert refused.returncode
    assert "9007199254740991" in refused.stderr
    for n in (1, 2, 3):
        raised = f'{{"status": {{"term": {before + n * CENTURY}}}}}'
        hub.kubectl("patch", "cfed", "shop", "--subresource=status", "--type=merge", "-p", raised)
    eventually(
        lambda: condition(hub, "Degraded")["reason"] == "ImplausibleTerm", what="the condition that names it"
    )
    for worker in (one, two):
        worker.await_reason("ImplausibleTerm")
        assert "--subresource=status" in worker.log
    assert one.post("/tcf/promote").reason == "ImplausibleTerm"
    hub.set_status(None)
    one.await_active()
    two.await_status(418)
    assert two.post("/tcf/promote").status == 200
    # Of the three leaps, a worker may have acknowledged the first, which is believed of a Lease.
    assert before < hub.status()["term"] < before + 2 * CENTURY
    assert operator.process.poll() is None


# --- isolation ------------------------------------------------------------------------------------------


def test_under_keep_role_an_outage_changes_no_answer_and_no_role(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    apply(hub, isolation="KeepRole")
    with Gate(hub.server) as gate:
        gate.open()
        path = gate.kubeconfig(hub, tmp_path / "kubeconfig")
        programs.operator(kubeconfig=path)
        one = programs.worker("cluster_1", kubeconfig=path)
        one.await_active()
        two = programs.worker("cluster_2", kubeconfig=path)
        two.await_status(418)
        term = hub.status()["term"]
        ports = {one.port: "cluster_1", two.port: "cluster_2"}
        with Prober(ports, per_second=50) as prober:
            for cut in (gate.close, gate.silence):
                cut()
                time.sleep(2 * D)
                assert one.is_active().headers["X-TCF-Valid-For"] == "0.000"
                gate.open()
                eventually(
                    lambda: one.is_active().headers["X-TCF-Valid-For"] != "0.000", what="it renews again"
                )
        answers = {(probe.member, probe.status) for probe in prober.probes}
        assert answers == {("cluster_1", 200), ("cluster_2", 418)}
        time.sleep(1)
    assert hub.status()["term"] == term


@contextmanager
def one_cut_off(
    hub: HubNamespace, programs: TcfProcesses, folder: Path, *, became: str, **spec: Any
) -> Iterator[Cut]:
    """The active member's worker is cut off, and only then isolation changes."""
    apply(hub, **spec)
    programs.operator()
    with Gate(hub.server) as gate:
        gate.open()
        one = programs.worker("cluster_1", kubeconfig=gate.kubeconfig(hub, folder / "kubeconfig"))
        one.await_active()
        two = programs.worker("cluster_2")
        two.await_status(418)
        gate.silence()
        apply(hub, isolation=became)
        yield gate, one, two


def test_a_worker_cut_off_under_keep_role_is_not_fenced_by_a_change_to_fence(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    """It has not heard of the change and goes on saying yes; who asks is told, and decides by force."""
    with one_cut_off(hub, programs, tmp_path, isolation="KeepRole", became="Fence") as (gate, one, two):
        eventually(
            lambda: condition(hub, "Degraded")["reason"] == "CannotFence", what="the condition tells of it"
        )
        told = condition(hub, "Degraded")["message"]
        assert "(cluster_1)" in told
        assert "force=true" in told
        (who,) = hub.status()["unfenceable"]
        assert who["cluster"] == "cluster_1"
        refused = two.post("/tcf/promote")
        assert (refused.status, refused.reason) == (500, "CannotFence")
        foreseen = two.post("/tcf/promote?dry_run=true")
        assert (foreseen.status, foreseen.reason) == (500, "CannotFence")
        assert one.is_active().status == 200

        forced = two.post("/tcf/promote?force=true")
        assert forced.status == 200
        assert one.is_active().status == 200  # the risk that was taken
        gate.open()
        one.await_status(418)
    past = hub.status()["history"][0]
    assert "by force" in past["message"] or "force=true" in past["message"]
    assert "unfenceable" not in hub.status()


def test_a_worker_cut_off_under_fence_is_fenced_after_a_change_to_keep_role(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    """It does not know of the change either: its answers end with its reading."""
    with one_cut_off(hub, programs, tmp_path, became="KeepRole") as (gate, one, two):
        one.await_reason("HubUnreachable")
        assert two.post("/tcf/promote").status == 200
        gate.open()
        one.await_status(418)
        eventually(lambda: one.get("/tcf/status").body == b"passive", what="it follows")


# --- a hub that has lost something ------------------------------------------------------------------------


def test_an_older_table_is_begun_anew_above_what_workers_know(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    apply(hub)
    operator = programs.operator()
    one, two = programs.pair()
    one.await_active()
    older = hub.status()
    assert two.post("/tcf/promote").status == 200
    known = int(two.await_active().headers["X-TCF-Term"])
    operator.kill()
    hub.set_status(None)  # the schema lets no term fall, but a status may be removed
    hub.set_status(older)
    for worker in (one, two):
        assert str(known) in worker.await_reason("HubRestored").error
    with Prober({one.port: "cluster_1", two.port: "cluster_2"}, per_second=50) as prober:
        programs.operator()
        answer = eventually(
            lambda: next((a for w in (one, two) if (a := w.is_active()).status == 200), None),
            what="somebody is active again",
        )
    assert int(answer.headers["X-TCF-Term"]) > known
    assert broken_promises(prober.probes) == []
    told = hub.kubectl("get", "events").stdout
    assert "HubRestored" in told
    assert sorted(hub.roles().values()) == ["active", "passive"]


def test_without_status_and_annotation_the_leases_still_tell_the_term_and_who_was_active(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    """Applied again from a file while the workers of the old object live; its clock says nothing of it."""
    apply(hub)
    programs.operator()
    one, two = programs.pair()
    one.await_active()
    term = hub.status()["term"]
    ahead = {**hub.status(), "term": term + 10**6}  # more role changes than seconds have passed
    hub.set_status(ahead)
    eventually(
        lambda: int(one.is_active().headers.get("X-TCF-Term", 0)) == term + 10**6, what="the worker knows"
    )
    with Prober({one.port: "cluster_1", two.port: "cluster_2"}, per_second=100) as prober:
        hub.kubectl("delete", "cfed", "shop")
        apply(hub, activeCluster="cluster_2")
        eventually(lambda: hub.status().get("activeCluster"), what="somebody is active again")
        one.await_active()
    assert broken_promises(prober.probes) == []
    status = hub.status()
    assert (status["activeCluster"], status["term"] > term + 10**6) == ("cluster_1", True)
    assert "earlier object" in status["history"][0]["reason"]
    assert "RoleKept" in hub.kubectl("get", "events").stdout
    aligned = next(c for c in status["conditions"] if c["type"] == "SpecAligned")
    assert (aligned["status"], aligned["reason"]) == ("False", "Diverged")
    assert two.post("/tcf/promote").status == 200


def test_a_federation_created_again_begins_above_every_term_it_ever_had(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    """Role changes may follow each other faster than seconds do, and then nothing of them may be left."""
    apply(hub)
    programs.operator()
    one, two = programs.pair()
    one.await_active()
    two.await_status(418)
    began = time.time()
    for worker in (two, one) * 15:
        assert worker.post("/tcf/promote").status == 200
    term = hub.status()["term"]
    changed = time.time() - began
    for worker in (one, two):
        worker.stop()
    hub.kubectl("delete", "cfed", "shop")
    assert hub.leases() == []
    apply(hub)
    programs.worker("cluster_1").await_active()
    assert hub.status()["term"] > term, f"{3 * 30} terms in {changed:.1f} s"


def test_the_doubt_outlasts_a_shorter_duration_and_a_full_history(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    """A worker is cut off under a long Lease, which is lost with the status; then the duration is cut."""
    long = 12
    hub.apply(leaseDuration=f"{long}s", switchoverTimeout="30s")
    operator = programs.operator()
    with Gate(hub.server) as gate:
        gate.open()
        one = programs.worker("cluster_1", kubeconfig=gate.kubeconfig(hub, tmp_path / "kubeconfig"))
        one.await_active()
        two = programs.worker("cluster_2")
        two.await_status(418)
        older = hub.status()
        assert two.post("/tcf/promote").status == 200
        assert one.post("/tcf/promote").status == 200
        one.await_active()
        (mine,) = [x for x in hub.leases() if x["metadata"]["labels"]["tcf.dev/cluster"] == "cluster_1"]
        with Prober({one.port: "cluster_1", two.port: "cluster_2"}, per_second=50) as prober:
            gate.silence()
            operator.kill()
            lost = time.monotonic()
            hub.set_status(None)
            hub.set_status(older)
            hub.kubectl("delete", "lease", mine["metadata"]["name"])
            hub.apply(leaseDuration="1s", switchoverTimeout="30s")
            programs.operator()
            doubtful = eventually(
                lambda: s if (s := hub.status()).get("inDoubt") else None, what="it is noticed"
            )
            assert doubtful["inDoubt"]["seconds"] == 14
            (loss, *_) = doubtful["history"]
            assert loss["outcome"] == "HubRestored"
            others = [{**loss, "id": f"r{n}", "outcome": "NoCoordinator"} for n in range(20)]
            hub.set_status({**doubtful, "history": others})
            assert two.post("/tcf/promote").status == 200
            assert time.monotonic() - lost > long
    assert broken_promises(prober.probes) == []
    assert "inDoubt" not in hub.status()


# --- edits while everything runs ------------------------------------------------------------------------


def test_the_duration_changes_under_way(hub: HubNamespace, programs: TcfProcesses) -> None:
    programs.operator()
    apply(hub)
    one, two = programs.pair()
    one.await_active()
    two.await_status(418)
    with Prober({one.port: "cluster_1", two.port: "cluster_2"}, per_second=50) as prober:
        for seconds in (20, 2, 5, 3, 2):
            apply(hub, leaseDuration=f"{seconds}s", switchoverTimeout="30s")
            eventually(partial(_granted, hub, seconds), what="every Lease says so")
            assert float(one.is_active().headers["X-TCF-Valid-For"]) <= seconds
    assert {probe.status for probe in prober.probes if probe.member == "cluster_1"} == {200}
    one.kill()
    answer = two.post("/tcf/promote")
    assert answer.status == 200


def _granted(hub: HubNamespace, seconds: int) -> bool:
    return all(lease["spec"]["leaseDurationSeconds"] == seconds for lease in hub.leases())


def test_members_change_while_a_switchover_is_under_way(hub: HubNamespace, programs: TcfProcesses) -> None:
    clusters = [{"id": f"cluster_{n}", "name": f"cluster{n}"} for n in (1, 2, 3)]
    change = partial(hub.apply, leaseDuration="15s", switchoverTimeout="30s")
    change(clusters=clusters)
    programs.operator()
    one, two = programs.pair()
    three = programs.worker("cluster_3")
    one.await_active()
    two.await_status(418)
    three.await_status(418)
    one.signal(signal.SIGSTOP)
    try:
        change(clusters=clusters, activeCluster="cluster_2")
        eventually(lambda: hub.roles()["cluster_1"] == "demoting", what="the switchover has begun")
        renamed = [clusters[2], {"id": "cluster_2", "name": "two", "priority": 7}, clusters[0]]
        change(clusters=renamed[1:], activeCluster="cluster_2")
        two.await_active()
        names = [row["name"] for row in hub.status()["clusters"]]
        assert names == ["two", "cluster1"]
        three.await_reason("UnknownCluster")
        change(clusters=renamed, activeCluster="cluster_2")
        three.await_status(418)
    finally:
        one.signal(signal.SIGCONT)
    one.await_status(418)
    body = ask(two.port, "GET", "/tcf/clusters").body
    assert body.index(b"cluster_3") < body.index(b"cluster_2") < body.index(b"cluster_1")
