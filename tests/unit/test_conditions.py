"""Each verdict of each condition, and what its message tells a person to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tcf.core.conditions import conditions
from tcf.core.model import (
    Application,
    Condition,
    Failover,
    FailoverMode,
    Federation,
    Follows,
    Stranger,
    Trigger,
    Unfenceable,
)
from unit.build import BOOT, DOUBT, STAMP, at, bootstrap, described, entry, federation, request

AUTOMATIC = Failover(mode=FailoverMode.AUTOMATIC)
START_C1 = "tcf-worker --namespace ns --federation shop --cluster c1"


def condition(type_: str, about: Federation, boot: float = BOOT) -> Condition:
    assert about.status
    return next(c for c in conditions(about, about.status, at(boot)) if c.type == type_)


def with_silent(cluster: str, about: Federation) -> Federation:
    """One worker more of that member, which is silent."""
    assert about.status
    clusters = (replace(m, workers=m.workers + (m.id == cluster)) for m in about.status.clusters)
    return replace(about, status=replace(about.status, clusters=tuple(clusters)))


def with_unfenceable(cluster: str, about: Federation) -> Federation:
    """One worker more of that member, which is silent under KeepRole."""
    more = with_silent(cluster, about)
    assert more.status
    who = (Unfenceable(cluster, f"host-{cluster}"),)
    return replace(more, status=replace(more.status, unfenceable=who))


def silent_since(moment: str | None, about: Federation) -> Federation:
    """All its members have been silent since then."""
    assert about.status
    clusters = tuple(replace(m, silent_since=moment) for m in about.status.clusters)
    return replace(about, status=replace(about.status, clusters=clusters))


def with_stranger(about: Federation, cluster: str = "c1", problem: str = "it is odd") -> Federation:
    """A Lease more that no worker of a member can have written."""
    assert about.status
    return replace(about, status=replace(about.status, strangers=(Stranger("mine", cluster, problem),)))


def reporting(about: Federation, *reports: Application | None) -> Federation:
    """The live workers of its members report this about their applications."""
    assert about.status
    rows = zip(about.status.clusters, reports, strict=True)
    clusters = tuple(replace(row, application=report) for row, report in rows)
    return replace(about, status=replace(about.status, clusters=clusters))


def held(about: Federation) -> Federation:
    """A holder of the first member has not let go."""
    assert about.status
    first, *others = about.status.clusters
    rows = (replace(first, held_by='"pg-0" (holding)'), *others)
    return replace(about, status=replace(about.status, clusters=rows))


def following(roles: str, *reports: Application | None, **more: Any) -> Federation:
    """Its roles follow applications."""
    rules = replace(more.pop("failover", Failover()), follows=Follows.APPLICATIONS)
    return reporting(federation(roles, failover=rules, **more), *reports)


HEALTHY, UNHEALTHY = Application.HEALTHY, Application.UNHEALTHY


def spec_entry(to: str, outcome: str, message: str = "") -> Any:
    return entry(to=to, outcome=outcome, message=message, trigger=Trigger.SPEC)


@pytest.mark.parametrize(
    ("type_", "about", "verdict", "says"),
    [
        ("Ready", federation("active passive"), "True Active", ["c1"]),
        ("Ready", federation("active passive", live=0), "False NoLiveWorker", ["c1", START_C1, "promote"]),
        ("Ready", federation("active passive", live=0), "False NoLiveWorker", ["nothing answers for it"]),
        (
            "Ready",
            with_unfenceable("c1", federation("active passive", live=0)),
            "False NoLiveWorker",
            ["may still answer active under isolation KeepRole"],
        ),
        ("Ready", federation("active passive", live=0), "False NoLiveWorker", [f"since {STAMP}"]),
        (
            "Ready",
            federation("active passive", live=0, failover=AUTOMATIC),
            "False NoLiveWorker",
            ["the operator promotes another member with a worker"],
        ),
        (
            "Ready",
            federation("active passive", live=0, failover=AUTOMATIC, paused=True),
            "False NoLiveWorker",
            ["failover is paused", "spec.paused"],
        ),
        (
            "Ready",
            federation("active passive", live=0, failover=AUTOMATIC, history=(entry(),)),
            "False NoLiveWorker",
            ["no failover begins before 2026-11-23T12:05:00Z (spec.failover.cooldown)"],
        ),
        (
            "Ready",
            with_unfenceable("c2", federation("active passive", live=0, failover=AUTOMATIC)),
            "False NoLiveWorker",
            ["no failover begins while", "host-c2 (c2)"],
        ),
        (
            "Ready",
            federation("active passive", workers=0, live=0),
            "False NoLiveWorker",
            ["nothing answers for it"],
        ),
        (
            "Ready",
            federation("passive passive"),
            "False NoActiveCluster",
            ["/tcf/promote", "spec.activeCluster"],
        ),
        ("Ready", federation("demoting passive", switchover=request()), "False Switching", ["c2"]),
        ("Ready", federation("passive promoting", switchover=request()), "False Switching", ["c2"]),
        (
            "Ready",
            federation("demoting passive", switchover=request(to="")),
            "False Switching",
            ["c1 is about to become passive", "nobody becomes active"],
        ),
        (
            "Ready",
            federation("passive passive", switchover=bootstrap(), live=0),
            "False NoWorkers",
            [START_C1, "promote a member"],
        ),
        (
            "Ready",
            federation("passive passive", switchover=bootstrap(), live=0, failover=AUTOMATIC),
            "False NoWorkers",
            [START_C1, "the operator chooses another member with a worker"],
        ),
        (
            "Ready",
            federation("passive passive", switchover=bootstrap(), live=0, failover=AUTOMATIC, paused=True),
            "False NoWorkers",
            [START_C1, "failover is paused"],
        ),
        ("Ready", federation("passive passive", switchover=bootstrap()), "False Bootstrapping", ["c1"]),
        ("Ready", federation("passive passive", switchover=bootstrap("c9")), "False Bootstrapping", ["c9"]),
        ("Ready", federation("promoting passive", switchover=bootstrap()), "False Bootstrapping", ["c1"]),
        (
            "Ready",
            federation("passive passive", switchover=bootstrap(), in_doubt=DOUBT),
            "False HubRestored",
            ["c1", "no worker can still answer by that status", "12 s after", "2026-11-23T11:59:00"],
        ),
        (
            "Ready",
            federation("promoting passive", switchover=bootstrap(), in_doubt=DOUBT),
            "False Bootstrapping",
            ["c1"],
        ),
        (
            "Ready",
            with_silent("c2", federation("passive passive", switchover=bootstrap())),
            "False WaitingForFence",
            ["c1", "silent workers of c2"],
        ),
        (
            "Ready",
            with_unfenceable("c2", federation("passive passive", switchover=bootstrap())),
            "False CannotFence",
            ["host-c2 (c2)", "KeepRole", "/tcf/promote?force=true to c1"],
        ),
        (
            "Ready",
            with_silent("c1", federation("passive passive", switchover=bootstrap())),
            "False Bootstrapping",
            [],
        ),
        ("Ready", reporting(federation("active passive"), UNHEALTHY, None), "True Active", ["c1"]),
        ("Ready", following("active passive", HEALTHY, None), "True Active", ["c1"]),
        (
            "Ready",
            following("active passive", UNHEALTHY, HEALTHY),
            "False ApplicationUnhealthy",
            ["c1 is active, but the application of c1 is unhealthy; repair it", "or promote another member"],
        ),
        (
            "Ready",
            following("active passive", None, HEALTHY),
            "False ApplicationUnhealthy",
            ["c1 is active, but no holder reports on the application of c1; start it together with a holder"],
        ),
        ("Ready", following("active passive", None, HEALTHY, live=0), "False NoLiveWorker", [START_C1]),
        (
            "Ready",
            following("active passive", UNHEALTHY, HEALTHY, failover=AUTOMATIC),
            "False ApplicationUnhealthy",
            ["another member with a worker that keeps renewing and a healthy application"],
        ),
        (
            "Ready",
            following("active passive", UNHEALTHY, HEALTHY, failover=AUTOMATIC, history=(entry(),)),
            "False ApplicationUnhealthy",
            ["no failover begins before 2026-11-23T12:05:00Z"],
        ),
        (
            "Ready",
            following(
                "active passive",
                UNHEALTHY,
                HEALTHY,
                failover=AUTOMATIC,
                history=(entry(finished_at="2026-11-23T11:00:00Z"),),
            ),
            "False ApplicationUnhealthy",
            ["otherwise the operator promotes another member"],
        ),
        (
            "Ready",
            following("passive passive", UNHEALTHY, HEALTHY, switchover=bootstrap()),
            "False ApplicationUnhealthy",
            ["c1 is to become active first, but the application of c1 is unhealthy", "promote a member"],
        ),
        (
            "Ready",
            following("passive passive", HEALTHY, None, switchover=bootstrap()),
            "False Bootstrapping",
            ["c1"],
        ),
        ("Switching", federation(), "False Idle", []),
        (
            "Switching",
            held(federation("demoting passive", switchover=request())),
            "True RequestedByApi",
            ['from c1 to c2; waiting for "pg-0" (holding) of c1 to let go'],
        ),
        (
            "Switching",
            federation("demoting passive", switchover=request(requested_by="me", reason="maintenance")),
            "True RequestedByApi",
            ["from c1 to c2, requested by me: maintenance"],
        ),
        (
            "Switching",
            federation("demoting passive", switchover=request(to="", trigger=Trigger.SPEC)),
            "True RequestedBySpec",
            ["from c1 to nobody"],
        ),
        (
            "Switching",
            federation("demoting passive", switchover=request(trigger=Trigger.FAILOVER)),
            "True Failover",
            [],
        ),
        (
            "Switching",
            federation("passive passive", switchover=bootstrap()),
            "True Bootstrap",
            ["from nobody to c1"],
        ),
        ("SpecAligned", federation(), "True NotRequested", []),
        ("SpecAligned", federation(wants="c1"), "True Aligned", ["c1"]),
        (
            "SpecAligned",
            federation("demoting passive", wants="c2", switchover=request()),
            "False Switching",
            ["c2"],
        ),
        (
            "SpecAligned",
            federation(wants="c2", history=(spec_entry("c2", "RolledBack", "too slow"),)),
            "False RolledBack",
            ["too slow", "To ask again", "POST /tcf/promote", "set it again"],
        ),
        (
            "SpecAligned",
            federation(
                "demoting passive passive", wants="c3", observed_active_cluster="c1", switchover=request()
            ),
            "False Waiting",
            ["c3", "the switchover to c2"],
        ),
        (
            "SpecAligned",
            federation("passive passive", wants="c2", switchover=bootstrap()),
            "False Diverged",
            ["c2", "c1 is about to become active"],
        ),
        (
            "SpecAligned",
            federation(wants="c2", history=(spec_entry("c2", "Succeeded"),)),
            "False Diverged",
            ["c2", "c1"],
        ),
        (
            "SpecAligned",
            federation(wants="c2", history=(spec_entry("c1", "RolledBack"),)),
            "False Diverged",
            [],
        ),
        ("SpecAligned", federation("passive passive", wants="c2"), "False Diverged", ["nobody"]),
        ("Degraded", federation(), "False AllWorkersAlive", []),
        (
            "Degraded",
            federation(live=0),
            "True NoLiveWorker",
            [f"c1 since {STAMP}, c2 since {STAMP}", START_C1],
        ),
        (
            "Degraded",
            with_unfenceable("c2", federation("active passive")),
            "True CannotFence",
            ["host-c2 (c2)", "reconnect or stop", "force=true"],
        ),
        (
            "Degraded",
            with_silent("c2", federation("active passive")),
            "False SomeWorkersSilent",
            ["silent: 1 of 2 of c2 (kubectl", "get leases -l tcf.dev/federation=shop"],
        ),
        (
            "Degraded",
            with_silent("c2", with_silent("c2", federation("active passive"))),
            "True WorkersSilent",
            ["2 of 3 of c2", "crash again and again", "get leases -l tcf.dev/federation=shop"],
        ),
        ("Degraded", federation(failover=AUTOMATIC), "False AllWorkersAlive", []),
        ("Degraded", reporting(federation(), HEALTHY, None), "False AllWorkersAlive", []),
        (
            "Degraded",
            reporting(federation(), None, UNHEALTHY),
            "True ApplicationUnhealthy",
            ["the application of c2 is unhealthy; repair it"],
        ),
        ("Degraded", following("active passive", HEALTHY, HEALTHY), "False AllWorkersAlive", []),
        (
            "Degraded",
            following("active passive", UNHEALTHY, None),
            "True ApplicationUnhealthy",
            [
                "the application of c1 is unhealthy; repair",
                "Besides, no holder reports on the application of c2",
            ],
        ),
        (
            "Degraded",
            following("active passive", UNHEALTHY, None, live=0),
            "True NoLiveWorker",
            ["no worker is alive for c1"],
        ),
        (
            "Ready",
            with_unfenceable("c1", federation("passive passive", switchover=bootstrap())),
            "False Bootstrapping",
            ["c1 is about to become active"],
        ),
        (
            "Ready",
            federation("passive passive", switchover=request("c1", ""), in_doubt=DOUBT),
            "False Switching",
            ["c1 is about to become passive"],
        ),
        (
            "SpecAligned",
            federation(wants="c2", observed_active_cluster="c1"),
            "False Diverged",
            ["c2", "c1 is active"],
        ),
        (
            "SpecAligned",
            federation(wants="c2", history=(entry(to="c2", outcome="RolledBack"),)),
            "False Diverged",
            ["c1 is active"],
        ),
        (
            "SpecAligned",
            federation(
                wants="c2",
                history=(entry(to="c2", outcome="TimedOut"), spec_entry("c2", "RolledBack", "too slow")),
            ),
            "False RolledBack",
            ["too slow"],
        ),
        (
            "Degraded",
            with_silent("c1", with_silent("c2", with_silent("c2", federation("active passive")))),
            "True WorkersSilent",
            ["most workers of c2 are silent", "1 of 2 of c1, 2 of 3 of c2"],
        ),
        (
            "Degraded",
            with_stranger(federation("active passive")),
            "True StrangeLease",
            ["mine (it is odd)", "label lease NAME tcf.dev/federation-"],
        ),
        (
            "Degraded",
            with_stranger(federation("active passive"), "c-1", ""),
            "True UnknownMember",
            ["c-1 has a worker (Lease mine) but is not a member: did you mean c1? Then correct --cluster"],
        ),
        (
            "Degraded",
            with_stranger(federation("active passive"), "eu", ""),
            "True UnknownMember",
            ["eu has a worker (Lease mine) but is not a member (the members are c1, c2). Add it"],
        ),
        (
            "Degraded",
            with_stranger(federation("active passive"), "c3", ""),
            "True UnknownMember",
            ["c3 has a worker (Lease mine) but is not a member (the members are c1, c2)."],
        ),
        (
            "Degraded",
            with_stranger(federation("active passive", live=0), "C-1", ""),
            "True UnknownMember",
            ["did you mean c1?", "Besides, no worker is alive for c1"],
        ),
        (
            "Degraded",
            with_stranger(federation("active passive", live=0), "c3", ""),
            "True NoLiveWorker",
            ["Besides, c3 has a worker"],
        ),
        (
            "Degraded",
            with_stranger(with_unfenceable("c2", federation("active passive", live=0))),
            "True CannotFence",
            ["host-c2 (c2)", "Besides, no worker is alive for c1", "Besides, these Leases have the label"],
        ),
        *(
            (
                "Ready",
                silent_since(
                    since,
                    federation(
                        "active passive",
                        live=0,
                        failover=AUTOMATIC,
                        history=(entry(finished_at="2026-11-23T11:55:00Z"),),
                    ),
                ),
                "False NoLiveWorker",
                [hint],
            )
            for since, hint in (
                ("2026-11-23T11:59:59Z", "no failover begins before 2026-11-23T12:00:00Z"),
                ("2026-11-23T12:00:00Z", "the operator promotes another member with a worker"),
                ("2026-11-23T12:00:01Z", "the operator promotes another member with a worker"),
                (None, "no failover begins before 2026-11-23T12:00:00Z"),
            )
        ),
    ],
)
def test_verdict(type_: str, about: Federation, verdict: str, says: list[str]) -> None:
    found = condition(type_, about)
    assert f"{found.status} {found.reason}" == verdict
    for words in says:
        assert words in found.message


def test_each_lease_that_no_worker_of_a_member_can_have_written_is_named_once() -> None:
    about = federation("active passive", live=0)
    assert about.status
    found = (Stranger("typo", "C-1", ""), Stranger("away", "eu", ""), Stranger("strange", "c1", "it is odd"))
    message = condition("Degraded", replace(about, status=replace(about.status, strangers=found))).message
    assert [message.count(each.lease) for each in found] == [1, 1, 1]
    assert "strange (it is odd)" in message


def test_only_members_without_a_live_worker_are_named() -> None:
    about = federation("active passive passive")
    assert about.status
    one, two, three = about.status.clusters
    halved = replace(about.status, clusters=(one, replace(two, live_workers=0), three))
    message = condition("Degraded", replace(about, status=halved)).message
    assert "--cluster c2" in message
    assert "c1" not in message
    assert "c3" not in message


def test_all_four_with_the_generation_they_are_about() -> None:
    about = federation(generation=7)
    assert about.status
    found = conditions(about, about.status, at())
    assert [c.type for c in found] == ["Ready", "Switching", "SpecAligned", "Degraded"]
    assert {c.observed_generation for c in found} == {7}
    assert {c.last_transition_time for c in found} == {STAMP}


def test_the_transition_time_changes_with_the_status_only() -> None:
    first = described(federation("demoting passive", switchover=request()))
    assert first.status

    other_reason = replace(first.status, switchover=None)
    again = described(replace(first, status=other_reason), BOOT + 60).status
    assert again
    old, new = first.status.condition("Ready"), again.condition("Ready")
    assert old
    assert new
    assert (old.reason, new.reason) == ("Switching", "NoActiveCluster")
    assert new.last_transition_time == old.last_transition_time == STAMP

    active = described(replace(first, status=federation("active passive").status), BOOT + 60)
    moved = replace(first, status=replace(active.status, conditions=first.status.conditions))  # type: ignore[type-var]
    ready = described(moved, BOOT + 60).status.condition("Ready")  # type: ignore[union-attr]
    assert ready
    assert (ready.status, ready.last_transition_time) == ("True", "2026-11-23T12:01:00Z")


def test_nothing_changes_while_nothing_changes() -> None:
    first = described(federation())
    assert described(first, BOOT + 3600) == first


def failed_at(moment: str, about: Federation) -> Federation:
    assert about.status
    return replace(about, status=replace(about.status, history=(entry(finished_at=moment),)))


def test_a_member_that_was_not_ready_when_the_cooldown_began_is_told_of_it() -> None:
    """The condition has been False since before the failover that failed; now it is later than its end."""
    ill = described(following("active passive", UNHEALTHY, HEALTHY, failover=AUTOMATIC))
    message = condition("Ready", failed_at(STAMP, ill), BOOT + 3600).message
    assert "no failover begins before 2026-11-23T12:05:00Z" in message


def test_a_member_that_was_ready_when_the_cooldown_began_is_not_told_that_it_was_not() -> None:
    """Since when it has not been ready is since now, not since the moment at which it became ready."""
    ready = described(following("active passive", HEALTHY, HEALTHY, failover=AUTOMATIC))
    fell_ill = reporting(failed_at("2026-11-23T12:10:00Z", ready), UNHEALTHY, HEALTHY)
    assert "no failover begins before" not in condition("Ready", fell_ill, BOOT + 3600).message


def test_only_members_with_holders_are_waited_for() -> None:
    about = held(federation("demoting passive", switchover=request()))
    assert condition("Switching", about).message == (
        'from c1 to c2; waiting for "pg-0" (holding) of c1 to let go'
    )


def test_workers_that_crash_are_no_news_where_a_member_has_none_at_all() -> None:
    about = federation("active passive")
    assert about.status
    one, two = about.status.clusters
    clusters = (replace(one, workers=9), replace(two, live_workers=0))
    message = condition("Degraded", replace(about, status=replace(about.status, clusters=clusters))).message
    assert "every member has a live worker" not in message
