"""When a silent active member is replaced, by whom, and what must not be taken for its death."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tcf.core.annotations import Acknowledgement
from tcf.core.decide import Observation, decide
from tcf.core.failover import Standby, failover, without_active
from tcf.core.model import FailoverMode, Federation, Member, Trigger, WorkerLease
from tcf.core.reasons import Outcome
from tcf.core.sightings import Sightings
from unit.build import (
    BOOT,
    ONE,
    SILENCE,
    STAMP,
    TERM,
    THREE,
    TWO,
    UID,
    D,
    at,
    bootstrap,
    entry,
    federation,
    kept,
    later,
    lease,
    request,
    roles_of,
    spec,
    written,
)
from unit.watcher import STEP, Watcher, about, automatic


def test_a_silent_active_member_is_replaced() -> None:
    watcher = Watcher(about(), ONE, TWO)
    watcher.renew(TWO.uid, during=SILENCE - 0.05)
    assert watcher.replaced_by is None
    watcher.renew(TWO.uid, during=0.1)
    decision = watcher.decide()
    result = written(decision)
    assert (roles_of(result), result.term) == ("demoting passive", TERM + 1)
    asked = result.switchover
    assert asked
    assert (asked.id, asked.from_, asked.to) == (f"failover-{TERM}", "c1", "c2")
    assert (asked.requested_by, asked.silent_since) == ("coordinator", STAMP)
    assert asked.reason == "no worker of c1 has given a sign of life for 11.2 s"
    (event,) = decision.events
    assert event.warning
    assert (event.reason, event.trigger) == ("FailingOver", Trigger.FAILOVER)


def test_it_rests_on_leases_that_were_listed() -> None:
    watcher = Watcher(about(), ONE, TWO)
    watcher.renew(TWO.uid, during=SILENCE + 1)
    leases = tuple(watcher.leases.values())
    assert decide(
        Observation(watcher.about, leases, watcher.sightings, listed=None, reread=False), at(watcher.now)
    ).confirm


def test_they_were_sent_for_when_the_silence_had_lasted() -> None:
    watcher = Watcher(about(), ONE, TWO)
    watcher.renew(TWO.uid, during=SILENCE + 1)
    observation = Observation(
        watcher.about, tuple(watcher.leases.values()), watcher.sightings, listed=None, reread=False
    )
    early = written(decide(replace(observation, listed=BOOT + SILENCE - 0.05), at(watcher.now)))
    assert (early.active_cluster, early.switchover) == ("c1", None)
    assert watcher.replaced_by == "c2"


def test_so_were_those_of_the_witness() -> None:
    watcher = Watcher(about(), ONE, TWO)
    watcher.renew(during=6)  # nobody
    watcher.renew(TWO.uid, during=SILENCE + STEP + 1)
    observation = Observation(
        watcher.about, tuple(watcher.leases.values()), watcher.sightings, listed=None, reread=False
    )
    early = written(decide(replace(observation, listed=watcher.now - 2), at(watcher.now)))
    assert (early.active_cluster, early.switchover) == ("c1", None)
    assert watcher.replaced_by == "c2"


def test_it_wakes_when_the_silence_has_lasted() -> None:
    watcher = Watcher(about(failover=automatic(timeout=25)), ONE, TWO)
    watcher.renew(TWO.uid, during=20)
    watcher.about = replace(watcher.about, status=written(watcher.decide()))
    wake_at = watcher.decide().wake_at
    assert wake_at
    assert wake_at <= BOOT + 25.01


@pytest.mark.parametrize(
    ("timeout", "after"), [(1, SILENCE), (11, SILENCE), (12, 12.0), (100, 100.0)], ids=str
)
def test_how_long(timeout: int, after: float) -> None:
    watcher = Watcher(about(failover=automatic(timeout=timeout)), ONE, TWO)
    watcher.renew(TWO.uid, during=after - 0.01)
    assert watcher.replaced_by is None
    watcher.renew(TWO.uid, during=0.02)
    assert watcher.replaced_by == "c2"


def test_the_duration_is_that_of_the_silent_lease() -> None:
    watcher = Watcher(about(), replace(ONE, duration=30), TWO)
    watcher.renew(TWO.uid, during=33)
    assert watcher.replaced_by is None
    watcher.renew(TWO.uid, during=0.2)
    assert watcher.replaced_by == "c2"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"failover": automatic(mode=FailoverMode.MANUAL)}, id="manual"),
        pytest.param({"paused": True}, id="paused"),
        pytest.param({"history": (entry(),)}, id="cooldown"),
    ],
)
def test_not_by_itself(changes: dict[str, Any]) -> None:
    watcher = Watcher(about(**changes), ONE, TWO)
    watcher.renew(TWO.uid, during=SILENCE + 1)
    assert watcher.replaced_by is None


def test_why_not_is_told() -> None:
    def obstacle(**changes: Any) -> str:
        watcher = Watcher(about(**changes), ONE, TWO)
        watcher.renew(TWO.uid, during=SILENCE + 1)
        watcher.about = replace(watcher.about, status=written(watcher.decide()))
        return watcher.decide().obstacle

    assert "spec.paused" in obstacle(paused=True)
    assert "no failover before 2026-11-23T12:05:00Z" in obstacle(history=(entry(),))
    assert not obstacle(failover=automatic(mode=FailoverMode.MANUAL))


@pytest.mark.parametrize(
    ("past", "again"),
    [
        pytest.param(entry(), 300.0, id="a switchover"),
        pytest.param(entry(trigger=Trigger.FAILOVER), 300.0, id="a failover"),
        pytest.param(entry(trigger=Trigger.BOOTSTRAP), SILENCE, id="a bootstrap"),
        pytest.param(entry(to=""), SILENCE, id="a demotion"),
        pytest.param(entry(outcome=Outcome.ROLLED_BACK), SILENCE, id="one that failed"),
        pytest.param(entry(finished_at="?"), SILENCE, id="nobody knows when"),
    ],
)
def test_after_a_change_of_the_active_member_there_is_rest(past: Any, again: float) -> None:
    watcher = Watcher(about(history=(past,)), ONE, TWO)
    watcher.renew(TWO.uid, during=again - 0.1)
    assert watcher.replaced_by is None
    watcher.renew(TWO.uid, during=0.2)
    assert watcher.replaced_by == "c2"


def test_it_wakes_when_the_rest_is_over() -> None:
    watcher = Watcher(about(history=(entry(),)), ONE, TWO)
    watcher.renew(TWO.uid, during=SILENCE + 1)
    verdict = failover(watcher.about, watcher.status, "c1", watcher.workers, at(watcher.now))
    assert isinstance(verdict, Standby)
    assert verdict.until == pytest.approx(BOOT + 300, abs=0.01)


# --- what is not a dead member ------------------------------------------------------------------------


def test_a_new_coordinator_has_to_watch_a_full_period() -> None:
    watcher = Watcher(about(), ONE, TWO)
    watcher.renew(TWO.uid, during=60)
    watcher.sightings = Sightings().see_federation(watcher.about, watcher.now)
    watcher.sightings = watcher.sightings.see_leases(watcher.leases.values(), watcher.now)
    watcher.renew(TWO.uid, during=SILENCE - 0.05)
    assert watcher.replaced_by is None
    watcher.renew(TWO.uid, during=0.1)
    assert watcher.replaced_by == "c2"


@pytest.mark.parametrize("gap", [D / 2 + 0.1, D, 100.0])
def test_an_outage_of_the_hub_is_nobodys_death(gap: float) -> None:
    """The other member's worker is the first to be back; the active one gets a full period to be, too."""
    watcher = Watcher(about(), ONE, TWO)
    watcher.renew(ONE.uid, TWO.uid, during=20)
    watcher.renew(during=gap)
    watcher.renew(TWO.uid, every=0.1, during=0.1)
    watcher.renew(TWO.uid, during=SILENCE - 0.05)
    assert watcher.replaced_by is None
    watcher.renew(TWO.uid, during=0.2)
    assert watcher.replaced_by == "c2"


def test_while_nobody_renews_nobody_is_replaced() -> None:
    watcher = Watcher(about(), ONE, TWO)
    watcher.renew(ONE.uid, TWO.uid, during=20)
    watcher.renew(during=3600)
    assert watcher.replaced_by is None


@pytest.mark.parametrize("beside", [(), (lease("c1", name="crashed"),)], ids=["nothing", "an old one"])
def test_a_rolling_restart_is_no_failover(beside: tuple[WorkerLease, ...]) -> None:
    """The old worker takes its Lease along; beside it there may lie one that a crash has left long ago."""
    watcher = Watcher(about(), ONE, TWO, *beside)
    watcher.renew(ONE.uid, TWO.uid, during=60)
    watcher.gone(ONE.uid)
    watcher.renew(TWO.uid, during=SILENCE - 0.05)
    assert watcher.replaced_by is None
    watcher.renew(TWO.uid, during=0.1)
    assert watcher.replaced_by == "c2"


def test_a_member_is_not_replaced_for_its_silence_before_it_became_active() -> None:
    """Its first worker has only just come, and has taken over; nothing is known of others for long."""
    watcher = Watcher(federation("promoting passive", failover=automatic(), switchover=bootstrap()), TWO)
    watcher.renew(TWO.uid, during=60)
    watcher.about = about(term=TERM + 1)
    watcher.sightings = watcher.sightings.see_federation(watcher.about, watcher.now)
    for come in (lease("c1", ack=TERM + 1), later(TWO, acknowledged=Acknowledgement(UID, TERM + 1))):
        watcher.leases[come.uid] = come
    watcher.renew(TWO.uid, during=SILENCE - 0.05)
    assert watcher.replaced_by is None
    watcher.renew(TWO.uid, during=0.1)
    assert watcher.replaced_by == "c2"


def test_a_worker_that_comes_back_does_not_bring_the_failover_forward() -> None:
    """A Lease that has just been created has a short duration; nothing was granted under it."""
    watcher = Watcher(about(), ONE, TWO)
    watcher.renew(ONE.uid, TWO.uid, during=60)
    watcher.gone(ONE.uid)
    watcher.renew(TWO.uid, during=SILENCE - 2)
    back = lease("c1", name="back", ack=None, duration=1)
    watcher.join(back)
    assert watcher.replaced_by is None
    watcher.renew(TWO.uid, during=1.9)
    assert watcher.replaced_by is None
    watcher.renew(TWO.uid, during=0.2)
    assert watcher.replaced_by == "c2"


def test_a_member_that_never_had_a_worker_is_replaced_after_a_full_period() -> None:
    watcher = Watcher(about(), TWO)
    watcher.renew(TWO.uid, during=SILENCE - 0.05)
    assert watcher.replaced_by is None
    watcher.renew(TWO.uid, during=0.1)
    assert watcher.replaced_by == "c2"


def test_one_living_worker_is_enough() -> None:
    watcher = Watcher(about(), ONE, lease("c1", name="second"), TWO)
    watcher.renew(ONE.uid, TWO.uid, during=3600)
    assert watcher.replaced_by is None


def test_the_first_renewal_that_a_coordinator_sees_is_a_sign_of_life() -> None:
    """It has just begun itself; the Lease has been there for long, as its acknowledgement tells."""
    watcher = Watcher(about(), ONE, TWO)
    watcher.renew(ONE.uid, TWO.uid, every=0.2 * D, during=0.2 * D)
    watcher.renew(TWO.uid, during=SILENCE - 0.05)
    assert watcher.replaced_by is None
    watcher.renew(TWO.uid, during=0.1)
    assert watcher.replaced_by == "c2"


def test_a_worker_that_crashes_again_and_again_does_not_hold_a_failover_up() -> None:
    watcher = Watcher(about(), ONE, TWO)
    watcher.renew(ONE.uid, TWO.uid, during=20)
    for n in range(8):
        crashed = lease("c1", name=f"try-{n}", ack=None, duration=1)
        watcher.sightings = watcher.sightings.see_lease(crashed, watcher.now)
        crashed = later(crashed, duration=D)
        watcher.join(crashed)
        watcher.renew(TWO.uid, during=4)
    assert watcher.replaced_by == "c2"


def test_a_lease_that_is_collected_does_not_begin_the_silence_anew() -> None:
    watcher = Watcher(about(failover=automatic(timeout=100)), ONE, TWO)
    watcher.renew(ONE.uid, TWO.uid, during=20)
    watcher.renew(TWO.uid, during=60)
    watcher.gone(ONE.uid)
    watcher.renew(TWO.uid, during=41)
    assert watcher.replaced_by == "c2"


def test_a_lease_of_a_longer_duration_proves_nothing_about_a_short_silence() -> None:
    """Such as that of a worker that has just registered: this process may have been stopped meanwhile."""
    watcher = Watcher(about(), ONE, lease("c2", duration=6 * D))
    watcher.renew(ONE.uid, TWO.uid, every=1, during=1)
    watcher.renew(during=SILENCE + 0.1)
    assert watcher.replaced_by is None
    watcher.leases[TWO.uid] = later(watcher.leases[TWO.uid], duration=D)
    watcher.renew(TWO.uid, during=SILENCE + 2 * STEP)
    assert watcher.replaced_by == "c2"


def test_an_outage_of_the_hub_does_not_count_towards_the_timeout() -> None:
    """Nobody was seen during it; the active member gets the whole timeout when it is over."""
    watcher = Watcher(about(failover=automatic(timeout=100)), ONE, TWO)
    watcher.renew(ONE.uid, TWO.uid, during=20)
    watcher.renew(during=100)
    watcher.renew(TWO.uid, during=30 * STEP)
    assert watcher.replaced_by is None
    watcher.renew(TWO.uid, during=2 * STEP)
    assert watcher.replaced_by == "c2"


def test_a_long_duration_of_a_lease_that_is_silent_already_holds_nothing_up() -> None:
    crashed = lease("c1", name="old", duration=300)
    watcher = Watcher(about(), ONE, TWO, crashed)
    watcher.renew(ONE.uid, TWO.uid, during=400)
    watcher.renew(TWO.uid, during=SILENCE + 0.2)
    assert watcher.replaced_by == "c2"


def test_a_change_that_was_recorded_as_one_of_the_future_brings_no_rest() -> None:
    """The replica that made it had a wrong clock; that must not stop failovers for as long."""
    watcher = Watcher(about(history=(entry(finished_at="2026-11-24T12:00:00Z"),)), ONE, TWO)
    watcher.renew(TWO.uid, during=SILENCE + 0.1)
    assert watcher.replaced_by == "c2"


@pytest.mark.parametrize(
    ("renewed", "noticed", "since"),
    [
        ("", None, STAMP),
        ("2026-11-23T11:30:00Z", None, "2026-11-23T11:30:00Z"),
        ("2026-11-23T11:30:00Z", "2026-11-23T11:40:00Z", "2026-11-23T11:30:00Z"),
        ("", "2026-11-23T11:40:00Z", "2026-11-23T11:40:00Z"),
        ("2026-11-23T13:00:00Z", None, STAMP),  # a clock that is ahead
    ],
)
def test_the_silence_is_told_from_its_earliest_sign(renewed: str, noticed: str | None, since: str) -> None:
    """A replica that has just started has seen the least of it."""
    watcher = Watcher(about(), replace(ONE, renewed_at=renewed), TWO)
    rows = (replace(watcher.status.clusters[0], silent_since=noticed), *watcher.status.clusters[1:])
    watcher.about = replace(watcher.about, status=replace(watcher.status, clusters=rows))
    watcher.renew(TWO.uid, during=SILENCE + 0.1)
    asked = written(watcher.decide()).switchover
    assert asked
    assert asked.silent_since == since


# --- a beginning --------------------------------------------------------------------------------------


def begins(roles: str = "passive passive", **more: Any) -> Federation:
    return federation(roles, **{"failover": automatic(), "switchover": bootstrap(), **more})


def wanted(watcher: Watcher) -> Any:
    """The request with which things stand now."""
    return (watcher.decide().status or watcher.status).switchover


@pytest.mark.parametrize("roles", ["passive passive", "promoting passive"])
def test_another_member_becomes_first_if_the_chosen_one_is_silent(roles: str) -> None:
    """Also if it dies while it is being promoted. A cooldown does not count: nobody is active."""
    dead = (replace(ONE, acknowledged=Acknowledgement(UID, TERM - 1)),) if roles != "passive passive" else ()
    watcher = Watcher(begins(roles, history=(entry(),)), *dead, TWO)
    watcher.renew(TWO.uid, during=SILENCE - 0.05)
    assert wanted(watcher) == bootstrap()
    watcher.renew(TWO.uid, during=0.1)
    decision = watcher.decide()
    result = written(decision)
    assert roles_of(result) == roles
    assert result.switchover
    assert (result.switchover.to, result.switchover.trigger) == ("c2", Trigger.BOOTSTRAP)
    over = result.history[0]
    assert (over.id, over.outcome, over.to) == ("bootstrap-99", Outcome.SUPERSEDED, "c1")
    assert "no worker of c1 has given a sign of life for 11.2 s" in over.message
    (event,) = decision.events
    assert (event.reason, event.warning) == ("ChosenInstead", True)
    watcher.about = replace(watcher.about, status=result, resource_version="2")
    watcher.sightings = watcher.sightings.see_federation(watcher.about, watcher.now)
    moved = written(watcher.decide())
    assert roles_of(moved) == ("passive promoting" if roles == "passive passive" else "passive passive")


def test_it_rests_on_leases_that_were_listed_there_as_well() -> None:
    watcher = Watcher(begins(), TWO)
    watcher.renew(TWO.uid, during=SILENCE + 1)
    leases = tuple(watcher.leases.values())
    unlisted = Observation(watcher.about, leases, watcher.sightings, listed=None, reread=False)
    assert decide(unlisted, at(watcher.now)).confirm


@pytest.mark.parametrize(
    "changes",
    [
        {"failover": automatic(mode=FailoverMode.MANUAL)},
        {"failover": automatic(timeout=99)},
        {"paused": True},
    ],
    ids=["manual", "too soon", "paused"],
)
def test_nobody_else_becomes_first(changes: dict[str, Any]) -> None:
    watcher = Watcher(begins(**changes), TWO)
    watcher.renew(TWO.uid, during=SILENCE + 1)
    assert wanted(watcher) == bootstrap()


def test_nobody_else_becomes_first_without_a_witness() -> None:
    """An outage of the hub silences the chosen member as well as the others."""
    watcher = Watcher(begins(), ONE, TWO)
    watcher.renew(during=SILENCE + 1)
    watcher.renew(TWO.uid, during=SILENCE - 1)
    assert wanted(watcher) == bootstrap()
    watcher.about = replace(watcher.about, status=written(watcher.decide()))
    assert "no other member has a worker that has been renewing" in watcher.decide().obstacle


def test_it_wakes_when_the_chosen_member_has_been_silent_for_long_enough() -> None:
    watcher = Watcher(begins(), TWO)
    watcher.renew(TWO.uid, during=STEP)
    watcher.about = replace(watcher.about, status=written(watcher.decide()))
    wake_at = watcher.decide().wake_at
    assert wake_at
    assert BOOT + SILENCE < wake_at < BOOT + SILENCE + STEP


def verdict_of(watcher: Watcher, *, listed: float | None = None) -> Any:
    workers = replace(watcher.workers, listed=watcher.now if listed is None else listed)
    return failover(watcher.about, watcher.status, "c1", workers, at(watcher.now))


def test_it_is_silent_for_longer_than_that_not_just_as_long() -> None:
    watcher = Watcher(about(failover=automatic(timeout=64)), TWO)
    watcher.now += 1
    watcher.join(ONE)
    watcher.renew(TWO.uid, every=2.0, during=80)
    assert isinstance(verdict_of(watcher, listed=BOOT + 65), Standby)
    assert not isinstance(verdict_of(watcher, listed=BOOT + 65.001), Standby)


def test_so_has_the_witness_been_there() -> None:
    watcher = Watcher(about(failover=automatic(timeout=64)), ONE)
    watcher.now += 1
    watcher.join(TWO)
    watcher.renew(TWO.uid, every=2.0, during=80)
    assert isinstance(verdict_of(watcher, listed=BOOT + 65), Standby)
    assert not isinstance(verdict_of(watcher, listed=BOOT + 65.001), Standby)


def test_a_newcomer_beside_the_witness_takes_nothing_away() -> None:
    newcomer = lease("c2", name="newcomer")
    watcher = Watcher(about(), ONE, TWO)
    watcher.renew(TWO.uid, during=SILENCE - 1)
    watcher.join(newcomer)
    watcher.renew(TWO.uid, newcomer.uid, every=0.5, during=2)
    assert watcher.replaced_by == "c2"


def test_it_wakes_when_the_first_of_the_candidates_will_have_been_there_for_long_enough() -> None:
    """By the longest known of its workers; and just after that moment, not just before it."""
    watcher = Watcher(about(3), ONE)
    watcher.renew(during=60)
    joined: dict[str, float] = {}
    for n, one in enumerate((lease("c2", name="later"), TWO, THREE)):
        watcher.renew(*joined, every=1.0, during=1.0)
        joined[one.uid] = watcher.now
        watcher.join(one)
        assert n < 3
    watcher.renew(*joined, every=1.0, during=2.0)
    verdict = verdict_of(watcher)
    assert isinstance(verdict, Standby)
    assert verdict.until
    first = min(joined.values()) + SILENCE
    assert first < verdict.until < first + 0.01
    assert "no other member has a worker that has been renewing for 11.1 s" in verdict.obstacle


def test_with_somebody_who_cannot_be_fenced_it_wakes_for_the_next_candidate() -> None:
    """The message names the best candidate's obstacle; another candidate may be free of it in a moment."""
    keepers = (kept("c1"), kept("c2", name="keeper"))
    watcher = Watcher(about(4), *keepers, TWO)
    watcher.renew(TWO.uid, during=60)
    joined = watcher.now
    for one in (THREE, lease("c4")):
        watcher.join(one)
        watcher.renew(*watcher.leases.keys() - {each.uid for each in keepers}, every=1.0, during=2.0)
    verdict = verdict_of(watcher)
    assert isinstance(verdict, Standby)
    assert "host-c1 (c1);" in verdict.obstacle
    assert verdict.until
    assert joined + SILENCE < verdict.until < joined + SILENCE + 0.01
    watcher.renew(TWO.uid, THREE.uid, every=1.0, during=20.0)
    verdict = verdict_of(watcher)
    assert isinstance(verdict, Standby)
    assert "host-c1 (c1);" in verdict.obstacle, "of the best candidate, although the other is refused as well"


def test_it_wakes_just_after_the_rest_not_just_before_its_end() -> None:
    watcher = Watcher(about(history=(entry(),)), ONE, TWO)
    watcher.renew(TWO.uid, during=SILENCE + 1)
    assert verdict_of(watcher).until > BOOT + 300


@pytest.mark.parametrize(("seconds", "rests"), [(59, True), (61, False)])
def test_clocks_are_a_minute_apart_at_most(seconds: int, rests: bool) -> None:  # noqa: FBT001
    """A change that is recorded as later than that says nothing of when it was."""
    changed = at(BOOT + 12 + seconds).stamp()
    watcher = Watcher(about(history=(entry(finished_at=changed),)), ONE, TWO)
    watcher.renew(TWO.uid, during=12)
    assert isinstance(verdict_of(watcher), Standby) is rests


def test_the_silence_is_told_from_the_latest_renewal() -> None:
    early, late = "2026-11-23T11:59:00Z", "2026-11-23T11:59:30Z"
    older = lease("c1", name="older", renewed_at=early)
    watcher = Watcher(about(), replace(ONE, renewed_at=late), older, TWO)
    watcher.renew(TWO.uid, during=SILENCE + 1)
    asked = verdict_of(watcher)
    assert asked.silent_since == late


# --- by whom ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("priorities", "chosen"),
    [((0, 0, 0), "c2"), ((9, 1, 2), "c3"), ((0, 2, 1), "c2"), ((0, -1, 0), "c3")],
    ids=str,
)
def test_the_highest_priority_then_the_order_of_the_spec(priorities: tuple[int, ...], chosen: str) -> None:
    ruled = spec(3, failover=automatic())
    members = tuple(Member(m.id, m.name, p) for m, p in zip(ruled.clusters, priorities, strict=True))
    watcher = Watcher(about(3, spec=replace(ruled, clusters=members)), ONE, TWO, THREE)
    watcher.renew(TWO.uid, THREE.uid, during=SILENCE + 1)
    assert watcher.replaced_by == chosen


def test_the_dead_are_no_candidates() -> None:
    watcher = Watcher(about(3), ONE, TWO, THREE)
    watcher.renew(THREE.uid, during=SILENCE + 1)
    assert watcher.replaced_by == "c3"


def test_a_candidate_has_acknowledged_the_present_table() -> None:
    behind = lease("c2", ack=TERM - 1)
    watcher = Watcher(about(), ONE, behind)
    watcher.renew(behind.uid, during=SILENCE + 1)
    assert watcher.replaced_by is None
    watcher.about = replace(watcher.about, status=written(watcher.decide()))
    assert "c1 is silent, but no other member has a worker" in watcher.decide().obstacle


def test_a_candidate_has_been_renewing_all_the_time() -> None:
    watcher = Watcher(about(), ONE)
    watcher.renew(during=60)
    watcher.join(TWO)
    watcher.renew(TWO.uid, during=SILENCE - 0.05)
    assert watcher.replaced_by is None
    watcher.renew(TWO.uid, during=0.1)
    assert watcher.replaced_by == "c2"


def test_nobody_is_chosen_past_a_worker_that_cannot_be_fenced() -> None:
    """A Lease from before isolation became Fence: its worker was cut off then, and may still say yes."""
    keeper = kept("c1")
    watcher = Watcher(about(3), keeper, TWO, THREE)
    watcher.renew(TWO.uid, THREE.uid, during=SILENCE + 1)
    assert watcher.replaced_by is None
    watcher.about = replace(watcher.about, status=written(watcher.decide()))
    decision = watcher.decide()
    assert decision.status is None
    assert "host-c1 (c1)" in decision.obstacle


def test_who_cannot_be_fenced_may_be_of_the_candidate_itself() -> None:
    keeper = kept("c3", name="keeper")
    watcher = Watcher(about(3), ONE, TWO, THREE, keeper)
    watcher.renew(TWO.uid, THREE.uid, during=SILENCE + 1)
    assert watcher.replaced_by == "c3"


# --- how it ends --------------------------------------------------------------------------------------


def test_what_is_recorded_as_of_the_future_counts_for_nothing() -> None:
    asked = request(trigger=Trigger.FAILOVER, silent_since="2026-11-23T12:00:09Z")
    assert without_active(asked, at()) == 0


def test_the_record_says_how_long_nobody_was_active() -> None:
    asked = request(trigger=Trigger.FAILOVER, silent_since="2026-11-23T11:59:48Z")
    busy = federation("passive promoting", switchover=asked, failover=automatic())
    watcher = Watcher(busy, TWO)
    (past, *_) = written(watcher.decide()).history
    assert past.succeeded
    assert past.message == "c2 is active; nobody was active for 13 s, as far as is known"
    assert past.silent_since == "2026-11-23T11:59:48Z"


@pytest.mark.parametrize(("since", "seconds"), [("2026-11-23T11:59:00Z", 61), ("?", 1), (None, 1)])
def test_without_active(since: str | None, seconds: int) -> None:
    asked = request(trigger=Trigger.FAILOVER, silent_since=since)
    assert without_active(asked, at()) == seconds


def test_nothing_fails_back() -> None:
    moved = federation(
        "passive active", failover=automatic(cooldown=0), history=(entry(trigger=Trigger.FAILOVER),)
    )
    watcher = Watcher(moved, ONE, TWO)
    watcher.renew(ONE.uid, TWO.uid, during=3600)
    status = watcher.decide().status
    assert status is None or (roles_of(status), status.switchover) == ("passive active", None)
