"""When an active member without a healthy application is replaced, and by whom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tcf.core.annotations import Acknowledgement
from tcf.core.model import Application, FailoverMode, Federation, Follows, Trigger, WorkerLease
from tcf.core.reasons import Outcome
from tcf.core.sightings import Sightings
from unit.build import (
    ONE,
    SILENCE,
    STAMP,
    TERM,
    THREE,
    TWO,
    UID,
    D,
    bootstrap,
    entry,
    federation,
    later,
    lease,
    roles_of,
    written,
)
from unit.watcher import Watcher, about, automatic

HEALTHY, UNHEALTHY = Application.HEALTHY, Application.UNHEALTHY
TIMEOUT = 20
HEALTHY_1, HEALTHY_2, HEALTHY_3 = (replace(each, application=HEALTHY) for each in (ONE, TWO, THREE))


def following(members: int = 2, **more: Any) -> Federation:
    rules = automatic(follows=Follows.APPLICATIONS, timeout=TIMEOUT, **more.pop("failover", {}))
    return about(members, failover=rules, **more)


def watcher_of(*leases: WorkerLease, **more: Any) -> Watcher:
    """Everybody has been renewing for a minute."""
    watcher = Watcher(following(**more), *leases)
    watcher.renew(*watcher.leases, during=60)
    return watcher


@pytest.mark.parametrize(
    ("report", "why"),
    [
        (UNHEALTHY, "the application of c1 is unhealthy; it has not been healthy for 20.1 s"),
        (None, "no holder reports on the application of c1; it has not been healthy for 20.1 s"),
    ],
)
def test_a_member_without_a_healthy_application_is_replaced(report: Application | None, why: str) -> None:
    watcher = watcher_of(HEALTHY_1, HEALTHY_2)
    watcher.change(ONE.uid, application=report)
    watcher.renew(ONE.uid, TWO.uid, every=1, during=TIMEOUT)
    assert watcher.replaced_by is None
    watcher.renew(ONE.uid, TWO.uid, every=0.1, during=0.1)
    decision = watcher.decide()
    result = written(decision)
    assert (roles_of(result), result.term) == ("demoting passive", TERM + 1)
    asked = result.switchover
    assert asked
    assert (asked.to, asked.trigger, asked.reason) == ("c2", Trigger.FAILOVER, why)
    assert asked.silent_since is None, "it has answered active until now"
    (event,) = decision.events
    assert (event.reason, event.warning) == ("FailingOver", True)
    assert why in event.message


def test_it_is_not_while_roles_follow_workers() -> None:
    watcher = watcher_of(HEALTHY_1, HEALTHY_2)
    rules = replace(watcher.about.spec.failover, follows=Follows.WORKERS)
    watcher.about = replace(watcher.about, spec=replace(watcher.about.spec, failover=rules))
    watcher.sightings = watcher.sightings.see_federation(watcher.about, watcher.now)
    watcher.change(ONE.uid, application=UNHEALTHY)
    watcher.renew(ONE.uid, TWO.uid, during=3600)
    assert watcher.replaced_by is None


def test_silence_counts_as_before() -> None:
    """And the failover says so: nobody answers active then."""
    watcher = watcher_of(HEALTHY_1, HEALTHY_2)
    watcher.renew(TWO.uid, during=TIMEOUT - 0.1)
    assert watcher.replaced_by is None
    watcher.renew(TWO.uid, during=0.2)
    asked = written(watcher.decide()).switchover
    assert asked
    assert "no worker of c1 has given a sign of life" in asked.reason
    assert asked.silent_since


def test_a_timeout_shorter_than_a_silence_changes_nothing() -> None:
    """The latest report that this coordinator has may be that old, and a reading rests on it."""
    watcher = Watcher(following(failover={}, lease_duration=D), HEALTHY_1, HEALTHY_2)
    rules = replace(watcher.about.spec.failover, timeout=1)
    watcher.about = replace(watcher.about, spec=replace(watcher.about.spec, failover=rules))
    watcher.renew(*watcher.leases, during=60)
    watcher.change(ONE.uid, application=UNHEALTHY)
    watcher.renew(ONE.uid, TWO.uid, every=1, during=SILENCE - 0.1)
    assert watcher.replaced_by is None
    watcher.renew(ONE.uid, TWO.uid, every=0.2, during=0.2)
    assert watcher.replaced_by == "c2"


def test_a_short_healthy_moment_begins_the_time_again() -> None:
    watcher = watcher_of(HEALTHY_1, HEALTHY_2)
    for _ in range(5):
        watcher.change(ONE.uid, application=UNHEALTHY)
        watcher.renew(ONE.uid, TWO.uid, every=1, during=TIMEOUT - 1)
        watcher.change(ONE.uid, application=HEALTHY)
        assert watcher.replaced_by is None
    watcher.change(ONE.uid, application=UNHEALTHY)
    watcher.renew(ONE.uid, TWO.uid, every=1, during=TIMEOUT + 1)
    assert watcher.replaced_by == "c2"


def test_one_healthy_worker_is_enough() -> None:
    watcher = watcher_of(HEALTHY_1, lease("c1", name="sick", application=UNHEALTHY), HEALTHY_2)
    watcher.renew(*watcher.leases, during=3600)
    assert watcher.replaced_by is None


def test_a_new_coordinator_has_to_watch_for_the_full_time() -> None:
    watcher = watcher_of(replace(ONE, application=UNHEALTHY), replace(TWO, application=UNHEALTHY))
    watcher.change(TWO.uid, application=HEALTHY)
    watcher.sightings = Sightings().see_federation(watcher.about, watcher.now)
    watcher.sightings = watcher.sightings.see_leases(watcher.leases.values(), watcher.now)
    watcher.renew(ONE.uid, TWO.uid, every=1, during=TIMEOUT)
    assert watcher.replaced_by is None
    watcher.renew(ONE.uid, TWO.uid, every=0.1, during=0.1)
    assert watcher.replaced_by == "c2"


def test_the_time_counts_from_when_roles_follow_applications() -> None:
    watcher = Watcher(about(), replace(ONE, application=UNHEALTHY), HEALTHY_2)
    watcher.renew(*watcher.leases, during=3600)
    watcher.about = following()
    watcher.sightings = watcher.sightings.see_federation(watcher.about, watcher.now)
    watcher.renew(ONE.uid, TWO.uid, every=1, during=TIMEOUT)
    assert watcher.replaced_by is None
    watcher.renew(ONE.uid, TWO.uid, every=0.1, during=0.1)
    assert watcher.replaced_by == "c2"


def test_a_member_that_has_just_become_active_has_the_full_time_to_become_healthy() -> None:
    watcher = Watcher(
        federation("promoting passive", failover=following().spec.failover, switchover=bootstrap()),
        replace(ONE, application=UNHEALTHY),
        HEALTHY_2,
    )
    watcher.renew(*watcher.leases, during=60)
    watcher.about = following(term=TERM + 1)
    watcher.sightings = watcher.sightings.see_federation(watcher.about, watcher.now)
    for uid in (ONE.uid, TWO.uid):
        watcher.change(uid, acknowledged=Acknowledgement(UID, TERM + 1))
    watcher.renew(ONE.uid, TWO.uid, every=1, during=TIMEOUT)
    assert watcher.replaced_by is None
    watcher.renew(ONE.uid, TWO.uid, every=0.1, during=0.1)
    assert watcher.replaced_by == "c2"


@pytest.mark.parametrize("gap", [D / 2 + 0.1, D, 100.0])
def test_an_outage_of_the_hub_is_no_illness(gap: float) -> None:
    """The last report before it said that the active one is unhealthy; nobody knows about the time since."""
    watcher = watcher_of(HEALTHY_1, HEALTHY_2)
    watcher.change(ONE.uid, application=UNHEALTHY)
    watcher.renew(during=gap)
    watcher.renew(ONE.uid, TWO.uid, every=0.1, during=0.1)
    watcher.renew(ONE.uid, TWO.uid, during=TIMEOUT - 0.1)
    assert watcher.replaced_by is None
    watcher.change(ONE.uid, application=HEALTHY)
    watcher.renew(ONE.uid, TWO.uid, during=3600)
    assert watcher.replaced_by is None


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"failover": {"mode": FailoverMode.MANUAL}}, id="manual"),
        pytest.param({"paused": True}, id="paused"),
        pytest.param({"history": (entry(finished_at="2026-11-23T12:01:00Z"),)}, id="cooldown"),
    ],
)
def test_not_by_itself(changes: dict[str, Any]) -> None:
    watcher = watcher_of(HEALTHY_1, HEALTHY_2, **changes)
    watcher.change(ONE.uid, application=UNHEALTHY)
    watcher.renew(ONE.uid, TWO.uid, every=1, during=TIMEOUT + 1)
    assert watcher.replaced_by is None


# --- by whom ------------------------------------------------------------------------------------------


def obstacle_of(watcher: Watcher) -> str:
    status = watcher.decide().status
    if status:
        assert status.switchover == watcher.status.switchover
        watcher.about = replace(watcher.about, status=status)
    return watcher.decide().obstacle


@pytest.mark.parametrize(
    ("report", "obstacle"),
    [
        (UNHEALTHY, "the application of c2 is unhealthy: repair it"),
        (None, "no holder reports on the application of c2: start it together with a holder"),
    ],
)
def test_nobody_is_replaced_by_a_member_without_a_healthy_application(
    report: Application | None, obstacle: str
) -> None:
    watcher = watcher_of(HEALTHY_1, replace(TWO, application=report))
    watcher.change(ONE.uid, application=UNHEALTHY)
    watcher.renew(ONE.uid, TWO.uid, every=1, during=TIMEOUT + 1)
    assert watcher.replaced_by is None
    assert obstacle in obstacle_of(watcher)
    watcher.change(TWO.uid, application=HEALTHY)
    assert watcher.replaced_by == "c2"


def test_not_by_one_that_is_silent_but_was_healthy() -> None:
    watcher = watcher_of(HEALTHY_1, HEALTHY_2, lease("c2", name="sick", application=UNHEALTHY))
    watcher.change(ONE.uid, application=UNHEALTHY)
    sick = "uid-sick"
    watcher.renew(ONE.uid, sick, every=1, during=TIMEOUT + 1)
    assert watcher.replaced_by is None
    assert "the application of c2 is unhealthy" in obstacle_of(watcher)


def test_by_the_next_one_if_the_best_is_unhealthy() -> None:
    watcher = watcher_of(HEALTHY_1, TWO, HEALTHY_3, members=3)
    watcher.change(ONE.uid, application=UNHEALTHY)
    watcher.renew(*watcher.leases, every=1, during=TIMEOUT + 1)
    assert watcher.replaced_by == "c3"


def test_without_a_witness_the_message_says_what_is_missing() -> None:
    watcher = watcher_of(HEALTHY_1)
    watcher.change(ONE.uid, application=UNHEALTHY)
    watcher.renew(ONE.uid, every=1, during=TIMEOUT + 1)
    assert obstacle_of(watcher).startswith("the application of c1 is unhealthy, but no other member has a")


# --- after one that was rolled back -------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [Outcome.ROLLED_BACK, Outcome.TIMED_OUT])
@pytest.mark.parametrize(
    ("trigger", "rests"), [(Trigger.FAILOVER, True), (Trigger.API, False), (Trigger.SPEC, False)]
)
def test_a_failover_that_failed_is_not_tried_again_at_once(
    outcome: Outcome, trigger: Trigger, *, rests: bool
) -> None:
    """It has taken the role from its member for a while, and would do so again and again."""
    failed = entry(trigger=trigger, outcome=outcome, finished_at="2026-11-23T12:01:00Z")
    older = entry("older", finished_at="2026-11-23T11:00:00Z")
    watcher = watcher_of(HEALTHY_1, HEALTHY_2, history=(failed, older))
    watcher.change(ONE.uid, application=UNHEALTHY)
    watcher.renew(ONE.uid, TWO.uid, every=1, during=TIMEOUT + 1)
    assert (watcher.replaced_by is None) is rests
    if rests:
        assert "no failover before 2026-11-23T12:06:00Z" in obstacle_of(watcher)
    watcher.renew(ONE.uid, TWO.uid, every=1, during=300)
    assert watcher.replaced_by == "c2"


# --- a beginning --------------------------------------------------------------------------------------


def begins(mode: FailoverMode) -> Federation:
    rules = replace(following().spec.failover, mode=mode)
    return federation("passive passive", failover=rules, switchover=bootstrap())


def wanted(watcher: Watcher) -> Any:
    return (watcher.decide().status or watcher.status).switchover


def test_the_member_that_is_to_become_active_first_has_to_be_healthy() -> None:
    watcher = Watcher(begins(FailoverMode.MANUAL), ONE, HEALTHY_2)
    watcher.renew(ONE.uid, TWO.uid, during=3600)
    assert (wanted(watcher), roles_of(watcher.status)) == (bootstrap(), "passive passive")
    assert "no holder reports on the application of c1" in obstacle_of(watcher)
    watcher.change(ONE.uid, application=HEALTHY)
    assert roles_of(written(watcher.decide())) == "promoting passive"


def test_another_member_becomes_first_if_the_chosen_one_is_unhealthy_for_long() -> None:
    watcher = Watcher(begins(FailoverMode.AUTOMATIC), replace(ONE, application=UNHEALTHY), HEALTHY_2)
    watcher.renew(ONE.uid, TWO.uid, every=1, during=TIMEOUT)
    assert wanted(watcher) == bootstrap()
    watcher.renew(ONE.uid, TWO.uid, every=0.1, during=0.1)
    result = written(watcher.decide())
    assert result.switchover
    assert (result.switchover.to, result.history[0].outcome) == ("c2", Outcome.SUPERSEDED)
    assert (
        "the application of c1 is unhealthy; it has not been healthy for 20.1 s" in result.history[0].message
    )


def test_the_record_of_such_a_failover_counts_from_its_beginning() -> None:
    """Until then the member was active; only its application was not well."""
    watcher = watcher_of(HEALTHY_1, HEALTHY_2)
    watcher.change(ONE.uid, application=UNHEALTHY)
    watcher.renew(ONE.uid, TWO.uid, every=1, during=TIMEOUT + 1)
    status = written(watcher.decide())
    for term, roles in ((TERM + 1, "passive promoting"), (TERM + 2, "passive active")):
        watcher.about = replace(watcher.about, status=status)
        watcher.sightings = watcher.sightings.see_federation(watcher.about, watcher.now)
        for uid in (ONE.uid, TWO.uid):
            watcher.leases[uid] = later(watcher.leases[uid], acknowledged=Acknowledgement(UID, term))
            watcher.sightings = watcher.sightings.see_lease(watcher.leases[uid], watcher.now)
        status = written(watcher.decide())
        assert roles_of(status) == roles
    assert status.history[0].message == "c2 is active; nobody was active for 1 s, as far as is known"
    assert (status.history[0].started_at, status.history[0].silent_since) != (STAMP, STAMP)
