"""Counts of workers, and why two replicas that differ a little do not overwrite each other for ever."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from tcf.core.application_health import Report, within
from tcf.core.fencing import silence_needed
from tcf.core.liveness import LONGEST_HELD_BY, Workers, in_the_way, named
from tcf.core.model import Application, MemberStatus, Unfenceable, WorkerLease
from tcf.core.sightings import Sightings
from unit.build import BOOT, ONE, SILENCE, STAMP, TWO, D, at, kept, later, lease, status

NONE_LIVE = status("active passive", workers=0, live=0).clusters[0]


def seen_at(moment: float, *, renewed: bool) -> Sightings:
    """One replica's sightings of `ONE`, the present version received at `moment`."""
    sightings = Sightings()
    if renewed:
        sightings = sightings.see_lease(replace(ONE, resource_version="0"), moment - 3)
    return sightings.see_lease(ONE, moment)


def count(
    sightings: Sightings, now: float, was: int, leases: tuple[WorkerLease, ...] = (ONE,)
) -> MemberStatus:
    return Workers(leases, sightings, now).counted(replace(NONE_LIVE, live_workers=was), at(now))


@pytest.mark.parametrize("was", [0, 1])
@pytest.mark.parametrize(
    ("age", "renewed", "expected"),
    [
        (0.0, True, (1, 1)),
        (D / 2, True, (1, 1)),
        (D / 2 + 0.1, True, (0, 1)),  # as it was
        (SILENCE - 0.1, True, (0, 1)),
        (SILENCE + 0.1, True, (0, 0)),
        (0.0, False, (0, 1)),  # found there, nobody knows for how long
        (SILENCE - 0.1, False, (0, 1)),
        (SILENCE + 0.1, False, (0, 0)),
    ],
)
def test_counted(was: int, age: float, renewed: bool, expected: tuple[int, int]) -> None:  # noqa: FBT001
    counted = count(seen_at(100, renewed=renewed), 100 + age, was)
    assert (counted.workers, counted.live_workers) == (1, expected[was])


def test_a_worker_counts_as_silent_only_when_its_silence_is_over() -> None:
    sightings, needed = Sightings().see_lease(ONE, 0.0), silence_needed(D)
    for now, silent in ((needed, False), (needed + 0.001, True)):
        assert Workers((ONE,), sightings, now).silent(ONE) is silent


def test_more_were_counted_than_there_are() -> None:
    assert count(seen_at(100, renewed=True), 101, was=5).live_workers == 1
    assert count(Sightings(), 101, was=5, leases=()).live_workers == 0


def test_only_the_members_own_are_counted() -> None:
    leases = (ONE, lease("c2"), lease("", name="stray"))
    assert count(seen_at(100, renewed=True), 101, was=0, leases=leases).workers == 1


def test_holders_are_named_as_long_as_a_lease_names_them() -> None:
    first, second = replace(ONE, held_by='"a" (holding)'), lease("c1", name="w2", held_by='"b" (draining)')
    counted = count(Sightings(), 101, was=0, leases=(first, lease("c1", name="w3"), second))
    assert counted.held_by == '"a" (holding), "b" (draining)'
    many = tuple(lease("c1", name=str(n), held_by="n" * 200) for n in range(4))
    assert len(count(Sightings(), 101, was=0, leases=many).held_by or "") == LONGEST_HELD_BY
    assert count(Sightings(), 101, was=0).held_by is None


def settle(replicas: list[Sightings], now: float, was: int) -> int | None:
    """Let replicas write in turns until none has anything to write; None if that never comes."""
    table = replace(NONE_LIVE, workers=1, live_workers=was)
    for _ in range(5):
        before = table
        for sightings in replicas:
            table = Workers((ONE,), sightings, now).counted(table, at(now))
        if table == before:
            return table.live_workers
    return None


@pytest.mark.parametrize("was", [0, 1])
@pytest.mark.parametrize("lag", [0.0, 0.01, 0.5, D / 2])
def test_replicas_that_lag_a_little_agree_at_every_moment(lag: float, was: int) -> None:
    """Each may have seen the renewal or only found it, and each may be the one to write first."""
    moments = [n / 10 for n in range(int(10 * lag), 200)]
    for now, first, second in itertools.product(moments, [True, False], [True, False]):
        replicas = [seen_at(0, renewed=first), seen_at(lag, renewed=second)]
        assert settle(replicas, now, was) is not None
        assert settle(replicas[::-1], now, was) is not None


def test_a_replica_that_was_stopped_for_a_while_agrees_with_one_that_was_not() -> None:
    """What is news to the one is silence to the other."""
    before = Sightings().see_lease(replace(ONE, resource_version="0"), 0)
    awake, stopped = before.see_lease(ONE, 3), before.see_lease(ONE, 3 + SILENCE + 0.5)
    assert settle([awake, stopped], 3 + SILENCE + 1, was=1) == 0


def test_a_replica_that_has_just_started_leaves_the_counts_alone() -> None:
    for was in (0, 1):
        assert settle([Sightings().see_lease(ONE, 100)], 100, was) == was


def test_who_is_whose() -> None:
    stray, lost, other = lease("", name="stray"), lease("c9"), lease("c2")
    workers = Workers((ONE, stray, lost, other), Sightings(), 0)
    assert workers.of("c1") == [ONE]
    assert workers.others("c1") == [stray, lost, other]
    assert workers.others("") == [ONE, lost, other]


def test_alive_is_whoever_is_not_known_to_be_silent() -> None:
    old, new = lease(name="old"), lease(name="new")
    workers = Workers((old, new), Sightings().see_lease(old, 0), SILENCE + 0.1)
    assert workers.silent(old)
    assert not workers.silent(new)
    assert workers.alive([old, new]) == 1


def test_at_the_next_silence_somebody_is_silent() -> None:
    quick, slow = lease(name="quick", duration=1), lease(name="slow")
    sightings = Sightings().see_leases([quick, slow], 10)
    first = Workers((quick, slow), sightings, 10).next_silence()
    assert first == pytest.approx(11.2, abs=0.01)
    assert first
    then = Workers((quick, slow), sightings, first)
    assert then.silent(quick)
    assert then.next_silence() == pytest.approx(10 + SILENCE, abs=0.01)
    assert Workers((), sightings, 10).next_silence() is None
    assert Workers((later(slow),), sightings, 99).next_silence() == pytest.approx(99 + SILENCE, abs=0.01)


def test_since_when_nobody_is_alive() -> None:
    """Since the last sign of life, and as the first replica that noticed it has written."""
    sightings = seen_at(BOOT, renewed=True)
    workers = Workers((ONE,), sightings, BOOT + SILENCE + 1)
    counted = workers.counted(replace(NONE_LIVE, live_workers=1), at(BOOT + SILENCE + 1))
    assert (counted.live_workers, counted.silent_since) == (0, STAMP)
    another = Workers((ONE,), seen_at(BOOT + 3, renewed=False), BOOT + SILENCE + 5)
    assert another.counted(counted, at(BOOT + SILENCE + 5)) == counted
    alive = Workers((ONE,), seen_at(BOOT + 60, renewed=True), BOOT + 60)
    assert alive.counted(counted, at(BOOT + 60)).silent_since is None


def test_who_cannot_be_fenced() -> None:
    keeper, fenced = kept("c9", name="keeper", holder="k"), lease(name="fenced", holder="f")
    leases, who = (keeper, fenced), (Unfenceable("c9", "k"),)
    sightings = Sightings().see_leases(leases, 100)
    assert Workers(leases, sightings, 100 + SILENCE + 1).noted(()) == who
    # A replica that has only just found the Lease leaves the name; one that sees it renewed removes it.
    late = Workers(leases, Sightings().see_leases(leases, 111), 112)
    assert late.noted(who) == who
    assert late.noted(()) == ()
    renewed = later(keeper)
    back = Workers((renewed, fenced), Sightings().see_leases(leases, 111).see_lease(renewed, 112), 112)
    assert back.noted(who) == ()
    assert Workers((fenced,), sightings, 112).noted(who) == ()


def test_names_fit_the_schema() -> None:
    leases = tuple(kept(name=f"k{n}", holder=f"{n:02}" + "x" * 300) for n in range(20))
    sightings = Sightings().see_leases(leases, 100)
    who = Workers(leases, sightings, 200).noted(())
    assert len(who) == 16
    assert {len(one.holder) for one in who} == {253}


def test_since_when_a_member_is_silent_counts_from_its_last_sign_of_life() -> None:
    sightings = Sightings().see_lease(ONE, BOOT - 60)
    silent = Workers((ONE,), sightings, BOOT)
    gone = silent.counted(replace(NONE_LIVE, live_workers=1, silent_since=None), at())
    assert gone.silent_since == "2026-11-23T11:59:00Z"
    assert silent.counted(replace(NONE_LIVE, silent_since=STAMP), at()).silent_since == STAMP


def test_only_silent_workers_under_keep_role_are_noted() -> None:
    """One that was noted and can't be judged by this replica stays noted, if it still is under KeepRole."""
    keeper, fenced = kept("c1"), lease("c2")
    fresh = Sightings().see_lease(keeper, BOOT).see_lease(fenced, BOOT)
    noted = (Unfenceable("c1", "host-c1"), Unfenceable("c2", "host-c2"))
    assert Workers((keeper, fenced), fresh, BOOT).noted(noted) == noted[:1]
    assert Workers((keeper, fenced), fresh, BOOT).noted(()) == ()
    assert Workers((keeper, fenced), fresh, BOOT + 60).noted(()) == noted[:1]


# --- what workers report ------------------------------------------------------------------------------

HEALTHY, UNHEALTHY = Application.HEALTHY, Application.UNHEALTHY
REPORTS: tuple[Report, ...] = (None, UNHEALTHY, HEALTHY)


def reports(sightings: Sightings, now: float, was: Report, *leases: WorkerLease) -> Report:
    return Workers(leases, sightings, now).counted(replace(NONE_LIVE, application=was), at(now)).application


@pytest.mark.parametrize("was", REPORTS)
@pytest.mark.parametrize("said", REPORTS)
@pytest.mark.parametrize(
    ("age", "renewed", "at_least", "at_most"),
    [
        (D / 2, True, True, True),
        (D / 2 + 0.1, True, False, True),  # no worse than it was, but no better than that either
        (SILENCE - 0.1, False, False, True),
        (SILENCE + 0.1, True, False, False),
    ],
)
def test_the_report_that_is_written(
    was: Report, said: Report, age: float, *, renewed: bool, at_least: bool, at_most: bool
) -> None:
    one = replace(ONE, application=said)
    found = reports(seen_at(100, renewed=renewed), 100 + age, was, one)
    assert found is within(was, said if at_least else None, said if at_most else None)


def test_the_best_of_the_live_workers_is_written() -> None:
    sick, well = lease(name="sick", application=UNHEALTHY), lease(name="well", application=HEALTHY)
    sightings = Sightings()
    for moment in (10, 13, 16):
        for each in (sick, well):
            version = replace(each, resource_version=str(moment))
            sightings = sightings.see_lease(version, moment)
    sick, well = (replace(each, resource_version="16") for each in (sick, well))
    assert reports(sightings, 17, None, sick, well) is HEALTHY
    later_on = sightings.see_lease(later(sick), 16 + SILENCE)
    assert reports(later_on, 17 + SILENCE, HEALTHY, later(sick), well) is UNHEALTHY


@pytest.mark.parametrize("said", REPORTS)
@pytest.mark.parametrize("lag", [0.0, 0.5, D / 2])
def test_replicas_that_lag_a_little_agree_on_what_is_reported(lag: float, said: Report) -> None:
    one = replace(ONE, application=said)
    moments = [n / 4 for n in range(int(4 * lag), 80)]
    for now, first, second, was in itertools.product(moments, [True, False], [True, False], REPORTS):
        replicas = [seen_at(0, renewed=first), seen_at(lag, renewed=second)]
        written = [was]
        for sightings in (*replicas, *replicas, *replicas):
            written.append(reports(sightings, now, written[-1], one))
        assert written[-1] is written[-2] is written[-3]


def test_when_a_member_was_last_healthy() -> None:
    sightings = Sightings(healthy={"c1": 40})
    assert Workers((), sightings, 100).last_healthy("c1") == 40
    assert Workers((), sightings, 100).last_healthy("c2") == 100


def test_leases_that_are_deleted_do_not_count() -> None:
    workers = Workers((ONE, TWO), Sightings(), 101.0, 101.0)
    assert workers.without([ONE]).leases == (TWO,)


def test_why_a_fence_is_open() -> None:
    """The holders of each member, and the workers that wait for nobody."""
    leases = (
        replace(ONE, held_by='"a" (holding)'),
        lease("c2", name="w2", held_by='"b" (draining)'),
        lease("c2", name="w3"),
    )
    assert in_the_way(leases, "these may still answer") == (
        'waiting for "a" (holding) of c1 to let go; waiting for "b" (draining) of c2 to let go;'
        f" these may still answer: {named(leases[2:])}"
    )
    assert in_the_way(leases[:2], "?").count(";") == 1
    others = (leases[0], lease("c3", name="w4"))
    assert in_the_way(others, "these may still answer") == (
        f'waiting for "a" (holding) of c1 to let go; these may still answer: {named(others[1:])}'
    )
