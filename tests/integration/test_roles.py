"""A federation as its users see it: bootstrap, switchovers, and what a request comes to."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

from rig.hub_namespace import HubNamespace
from rig.patience import eventually
from rig.prober import Prober
from rig.promise import broken_promises
from rig.tcf_processes import TcfProcesses

ONE_ACTIVE = (
    b'[{"status":"active","name":"cluster1","id":"cluster_1"},'
    b'{"status":"passive","name":"cluster2","id":"cluster_2"}]'
)
TWO_ACTIVE = (
    b'[{"status":"passive","name":"cluster1","id":"cluster_1"},'
    b'{"status":"active","name":"cluster2","id":"cluster_2"}]'
)
NONE_ACTIVE = ONE_ACTIVE.replace(b'"active"', b'"passive"')


def settled(hub: HubNamespace) -> bool:
    """Is nothing under way?"""
    return "switchover" not in hub.status()


def test_toggle_demote_and_promote_answer_when_the_roles_have_changed(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    hub.apply()
    programs.operator()
    one, two = programs.pair()
    one.await_active()

    answer = two.post("/tcf/toggle?reason=maintenance")
    assert (answer.status, answer.body) == (200, TWO_ACTIVE)
    assert two.is_active().status == 200
    assert one.is_active().status == 418
    assert answer.headers["X-TCF-Term"] == two.is_active().headers["X-TCF-Term"]

    answer = two.post("/tcf/demote")
    assert (answer.status, answer.body) == (200, NONE_ACTIVE)
    refused = one.post("/tcf/toggle")
    assert (refused.status, refused.reason) == (500, "NoActiveCluster")
    assert "promote" in refused.error

    answer = one.post("/tcf/promote")
    assert (answer.status, answer.body) == (200, ONE_ACTIVE)
    term = answer.headers["X-TCF-Term"]
    for unchanged in (one.post("/tcf/promote"), two.post("/tcf/demote")):
        assert (unchanged.status, unchanged.body, unchanged.headers["X-TCF-Term"]) == (200, ONE_ACTIVE, term)

    history = hub.status()["history"]
    assert [(h["from"], h["to"], h["trigger"], h["outcome"]) for h in history] == [
        ("", "cluster_1", "api", "Succeeded"),
        ("cluster_2", "", "api", "Succeeded"),
        ("cluster_1", "cluster_2", "api", "Succeeded"),
        ("", "cluster_1", "bootstrap", "Succeeded"),
    ]
    assert history[2]["reason"] == "maintenance"
    events = eventually(
        lambda: out if "by 127.0.0.1 via cluster_1" in (out := hub.kubectl("get", "events").stdout) else None,
        what="the Events of the last switchover",
    )
    for reason in ("Promoting", "Active", "Demoting", "Demoted"):
        assert reason in events


def test_a_change_of_the_spec_is_one_request(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply()
    programs.operator()
    one, two = programs.pair()
    one.await_active()
    two.await_status(418)

    hub.apply(activeCluster="cluster_2")
    two.await_active()
    assert one.is_active().status == 418

    assert one.post("/tcf/promote").status == 200
    aligned = next(c for c in hub.status()["conditions"] if c["type"] == "SpecAligned")
    assert (aligned["status"], aligned["reason"]) == ("False", "Diverged")
    assert hub.get()["spec"]["activeCluster"] == "cluster_2"  # GitOps tools own it

    hub.apply(activeCluster=None)  # an absent field asks for nothing
    eventually(lambda: hub.status()["observedActiveCluster"] == "", what="the spec is observed")
    assert one.is_active().status == 200


def test_nobody_gives_up_the_role_for_a_member_without_a_worker(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    hub.apply(leaseDuration="1s")
    programs.operator()
    one = programs.worker("cluster_1")
    one.await_active()

    refused = one.post("/tcf/toggle")
    assert (refused.status, refused.reason) == (500, "NoLiveWorker")
    assert "tcf-worker" in refused.error
    assert settled(hub)

    hub.apply(leaseDuration="1s", activeCluster="cluster_2")
    eventually(lambda: hub.status()["observedActiveCluster"] == "cluster_2", what="the spec is observed")
    aligned = next(c for c in hub.status()["conditions"] if c["type"] == "SpecAligned")
    assert (aligned["status"], aligned["reason"]) == ("False", "NoLiveWorker")
    assert one.is_active().status == 200


def test_a_dead_worker_is_fenced_before_another_is_promoted(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    hub.apply(leaseDuration="2s")
    programs.operator()
    one, two = programs.pair()
    one.await_active()
    two.await_status(418)
    one.kill()

    answer = two.post("/tcf/promote")

    assert (answer.status, answer.body) == (200, TWO_ACTIVE)
    holders = [lease["metadata"]["labels"]["tcf.dev/cluster"] for lease in hub.leases()]
    assert holders == ["cluster_2"]


def test_a_frozen_worker_of_the_old_member_is_fenced_and_does_not_come_back(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    hub.apply(leaseDuration="2s")
    programs.operator()
    one, two = programs.pair()
    one.await_active()
    two.await_status(418)
    with Prober({one.port: "cluster_1", two.port: "cluster_2"}, per_second=50) as prober:
        one.signal(signal.SIGSTOP)
        assert two.post("/tcf/promote").status == 200
        one.signal(signal.SIGCONT)
        one.await_status(418)
    assert broken_promises(prober.probes) == []


def test_a_target_that_does_not_take_over_loses_the_role_again(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    hub.apply(leaseDuration="2s", switchoverTimeout="4s")
    programs.operator()
    one, two = programs.pair()
    one.await_active()
    two.await_status(418)
    two.signal(signal.SIGSTOP)

    answer = one.post("/tcf/toggle")

    assert (answer.status, answer.reason) == (500, "RolledBack")
    assert "cluster_1 is active again" in answer.error
    assert one.is_active().status == 200
    assert settled(hub)


def test_a_member_that_cannot_be_fenced_keeps_the_role(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply(leaseDuration="6s", switchoverTimeout="8s", isolation="KeepRole")
    programs.operator()
    one, two = programs.pair()
    one.await_active()
    two.await_status(418)
    one.signal(signal.SIGSTOP)

    first = two.post("/tcf/promote")  # not known to be silent yet: it is tried
    assert (first.status, first.reason) == (500, "RolledBack")
    second = two.post("/tcf/promote")
    assert (second.status, second.reason) == (500, "CannotFence")
    assert hub.roles() == {"cluster_1": "active", "cluster_2": "passive"}

    one.signal(signal.SIGCONT)
    eventually(
        lambda: two.post("/tcf/promote").status == 200, what="the worker has renewed, and can be fenced"
    )
    one.await_status(418)


def test_probes_never_see_the_old_member_after_the_new_one(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply()
    programs.operator()
    one, two = programs.pair()
    one.await_active()
    with Prober({one.port: "cluster_1", two.port: "cluster_2"}, per_second=200) as prober:
        for program in (two, one, two, one):
            assert program.post("/tcf/toggle").status == 200
    assert broken_promises(prober.probes) == []
    assert {p.member for p in prober.probes if p.status == 200} == {"cluster_1", "cluster_2"}


def test_fifty_toggles_at_once_are_each_done_or_refused(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply()
    programs.operator()
    one, two = programs.pair()
    one.await_active()
    two.await_status(418)
    term = int(one.is_active().headers["X-TCF-Term"])

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda n: (one, two)[n % 2].post("/tcf/toggle"), range(50)))

    done = [a for a in answers if a.status == 200]
    refused = [a.reason for a in answers if a.status == 500]
    assert done
    assert len(done) + len(refused) == 50
    assert set(refused) <= {"SwitchoverInProgress"}
    status = hub.status()
    assert status["term"] == term + 3 * len(done)
    toggles = [h for h in status["history"] if h["trigger"] == "api"]
    assert len(toggles) == min(len(done), 20)
    assert {h["outcome"] for h in toggles} == {"Succeeded"}
    assert status["activeCluster"] == ("cluster_2" if len(done) % 2 else "cluster_1")


def test_promotes_of_the_same_member_join(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply()
    programs.operator()
    one, two = programs.pair()
    one.await_active()
    two.await_status(418)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: two.post("/tcf/promote"), range(20)))

    assert {(a.status, a.body) for a in answers} == {(200, TWO_ACTIVE)}
    assert [h["trigger"] for h in hub.status()["history"]] == ["api", "bootstrap"]


def test_promotes_of_both_members_end_with_one_active(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply()
    programs.operator()
    one, two = programs.pair()
    one.await_active()
    two.await_status(418)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: (one, two)[n % 2].post("/tcf/promote"), range(20)))

    assert {a.reason for a in answers if a.status != 200} <= {"SwitchoverInProgress"}
    assert {a.status for a in answers} <= {200, 500}
    assert sorted(hub.roles().values()) == ["active", "passive"]
    assert settled(hub)


def test_a_third_member_can_join_and_leave(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply()
    programs.operator()
    one, two = programs.pair()
    one.await_active()
    clusters = [{"id": f"cluster_{n}", "name": f"cluster{n}"} for n in (1, 2, 3)]

    hub.apply(clusters=clusters)
    three = programs.worker("cluster_3")
    three.await_status(418)
    refused = one.post("/tcf/toggle")
    assert (refused.status, refused.reason) == (500, "NotTwoClusters")
    assert three.post("/tcf/promote").status == 200

    gone = hub.kubectl(
        "patch",
        "cfed",
        "shop",
        "--type=json",
        "-p",
        '[{"op":"remove","path":"/spec/clusters/2"}]',
        check=False,
    )
    assert gone.returncode
    assert two.post("/tcf/promote").status == 200
    hub.apply(clusters=clusters[:2])
    three.await_reason("UnknownCluster")
