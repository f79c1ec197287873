"""What a coordinator remembers, and that it forgets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tcf.core.model import Application, Failover, Federation, Follows
from tcf.core.sightings import Sightings, Stage
from unit.build import DOUBT, ONE, SILENCE, TERM, TWO, UID, D, federation, later, lease, request


def test_age_counts_from_the_first_receipt_of_a_version() -> None:
    sightings = Sightings().see_lease(ONE, 10).see_lease(ONE, 15)
    assert sightings.age(ONE, 20) == 10
    assert sightings.see_lease(later(ONE), 18).age(later(ONE), 20) == 2


def test_a_version_not_seen_has_no_age() -> None:
    sightings = Sightings().see_lease(ONE, 10)
    assert sightings.age(later(ONE), 20) == 0
    assert sightings.age(TWO, 20) == 0
    assert sightings.see_lease(later(ONE), 15).age(ONE, 20) == 0


def test_the_same_name_again_is_another_lease() -> None:
    again = replace(ONE, uid="another")
    sightings = Sightings().see_lease(ONE, 10).see_lease(later(ONE), 11).see_lease(again, 12)
    assert sightings.age(again, 20) == 8
    assert sightings.renewing_since(again, 12) is None


def test_renewed_only_when_the_change_was_seen() -> None:
    sightings = Sightings().see_lease(ONE, 10)
    assert Sightings().renewing_since(ONE, 10) is None
    assert sightings.renewing_since(ONE, 10) is None
    assert sightings.see_lease(ONE, 11).renewing_since(ONE, 11) is None
    assert sightings.see_lease(later(ONE), 11).renewing_since(later(ONE), 11) == 10
    assert sightings.see_lease(later(ONE), 10 + D / 2).renewing_since(later(ONE), 10 + D / 2) == 10


def test_a_change_seen_late_may_be_an_old_one() -> None:
    """A process that was stopped can't tell how long ago it was renewed."""
    sightings = Sightings().see_lease(ONE, 10).see_lease(later(ONE), 10 + D / 2 + 0.1)
    assert sightings.renewing_since(later(ONE), 10 + D / 2 + 0.1) is None


def test_what_a_list_lacks_is_forgotten() -> None:
    sightings = Sightings().see_leases([ONE, TWO], 10).see_leases([TWO], 20)
    assert sightings.age(TWO, 30) == 20
    assert sightings.see_lease(ONE, 25).age(ONE, 30) == 5
    assert sightings.see_lease(ONE, 25).renewing_since(ONE, 25) is None
    assert Sightings().see_leases([ONE], 1).see_leases([], 2).leases == {}


def test_sightings_are_immutable() -> None:
    sightings = Sightings()
    sightings.see_lease(ONE, 10)
    assert sightings == Sightings()


BUSY = federation("active passive", switchover=request())
FIRST = Stage(UID, TERM, 10, "r1", 10)


def seen(*federations: Federation | None) -> Stage | None:
    """The stage after these have been seen, one every ten seconds from 10 on."""
    sightings = Sightings()
    for n, about in enumerate(federations, 1):
        sightings = sightings.see_federation(about, 10 * n)
    return sightings.stage


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        pytest.param(BUSY, FIRST, id="the same"),
        pytest.param(replace(BUSY, resource_version="2", generation=2), FIRST, id="other news"),
        pytest.param(None, None, id="deleted"),
        pytest.param(federation(None), None, id="no status"),
        pytest.param(federation("active passive"), Stage(UID, TERM, 10, "", 20), id="no request"),
        pytest.param(
            federation("demoting passive", term=TERM + 1, switchover=request()),
            Stage(UID, TERM + 1, 20, "r1", 20),
            id="next table",
        ),
        pytest.param(
            federation("active passive", switchover=request(id="r2")),
            Stage(UID, TERM, 10, "r2", 20),
            id="next request",
        ),
        pytest.param(replace(BUSY, uid="uid-2"), Stage("uid-2", TERM, 20, "r1", 20), id="created again"),
    ],
)
def test_a_stage_begins_when_a_request_meets_a_table(then: Federation | None, expected: Stage | None) -> None:
    assert seen(BUSY) == FIRST
    assert seen(BUSY, then) == expected


def test_nothing_seen_is_nothing_remembered() -> None:
    assert seen(None, federation(None)) is None


def test_a_row_of_renewals_lasts_until_it_breaks() -> None:
    sightings, one = Sightings().see_lease(ONE, 10), ONE
    assert sightings.renewing_since(one, 10) is None
    for moment in (13, 16, 19):
        one = later(one)
        sightings = sightings.see_lease(one, moment)
    assert sightings.renewing_since(one, 19 + D / 2) == 10
    assert sightings.renewing_since(one, 19 + D / 2 + 0.1) is None
    one = later(one)
    sightings = sightings.see_lease(one, 30)
    assert sightings.renewing_since(one, 30) is None
    one = later(one)
    assert sightings.see_lease(one, 32).renewing_since(one, 32) == 30
    assert sightings.renewing_since(TWO, 30) is None


def test_a_member_is_heard_of_by_every_new_version_and_when_a_lease_goes() -> None:
    sightings = Sightings().see_federation(federation("active passive passive"), 5)
    assert sightings.heard == {"c1": 5, "c2": 5, "c3": 5}
    sightings = sightings.see_leases([ONE, TWO], 10).see_lease(later(ONE), 13).see_lease(later(TWO), 13)
    assert sightings.heard == {"c1": 13, "c2": 13, "c3": 5}
    sightings = sightings.see_leases([later(TWO)], 20)
    assert sightings.heard == {"c1": 20, "c2": 13, "c3": 5}
    sightings = sightings.see_gone(TWO.uid, 22)
    assert sightings.heard == {"c1": 20, "c2": 22, "c3": 5}
    assert sightings.see_gone(TWO.uid, 40) == sightings
    assert sightings.see_federation(federation("active passive"), 50).heard == sightings.heard


@pytest.mark.parametrize(
    ("roles", "heard"),
    [
        (("passive active", "passive promoting", "passive active"), 30),
        (("active passive", "demoting passive", "passive promoting", "passive active"), 40),
        (("active passive", "passive promoting", "active passive"), 5),
        (("passive active", "passive demoting", "passive active"), 10),
        (("passive active", "passive passive", "passive active"), 30),
    ],
    ids=["completed", "handed over", "given back", "kept", "asked for again"],
)
def test_whoever_becomes_active_is_heard_of(roles: tuple[str, ...], heard: float) -> None:
    """A worker of it has taken over; one that stays active was not heard of for that."""
    sightings = Sightings().see_federation(federation("passive passive"), 5)
    for n, table in enumerate(roles, start=1):
        sightings = sightings.see_federation(federation(table, term=TERM + n), 10 * n)
    assert sightings.heard["c2"] == heard


def test_a_worker_that_ends_right_after_its_start_is_no_sign_of_life() -> None:
    """It registers, renews at once, and is gone: killed, or cleanly."""
    sightings = Sightings().see_federation(federation("active passive"), 5)
    for n in range(10):
        registered = lease("c1", name=f"try-{n}", ack=None, duration=1)
        renewed = later(registered, duration=D)
        sightings = sightings.see_lease(registered, 20 + n).see_lease(renewed, 20.5 + n)
        sightings = sightings.see_gone(renewed.uid, 20.9 + n) if n % 2 else sightings
    assert sightings.heard["c1"] == 5


def test_an_old_lease_that_is_collected_is_no_sign_of_life() -> None:
    sightings = Sightings().see_lease(ONE, 10).see_lease(later(ONE), 13)
    assert sightings.heard == {"c1": 13}
    assert sightings.see_gone(ONE.uid, 13 + SILENCE - 0.1).heard == {"c1": 13 + SILENCE - 0.1}
    assert sightings.see_gone(ONE.uid, 13 + SILENCE + 0.1).heard == {"c1": 13}


def test_what_comes_in_after_a_stop_is_no_row_whatever_durations_it_says() -> None:
    """A worker says 1 s when it registers, then 15 s, then what the spec has; all may come in at once."""
    registered = lease("c1", ack=None, duration=1)
    idle, renewed = later(registered, duration=15), later(later(registered), duration=D)
    sightings = Sightings().see_lease(registered, 10).see_lease(idle, 14).see_lease(renewed, 14)
    assert sightings.renewing_since(renewed, 14) is None
    again = later(renewed)
    assert sightings.see_lease(again, 16).renewing_since(again, 16) == 14


def test_a_shorter_duration_begins_a_new_row() -> None:
    long = lease("c1", duration=100)
    short, again = later(later(long), duration=D), later(later(later(long)), duration=D)
    sightings = Sightings().see_lease(long, 10).see_lease(later(long), 50).see_lease(short, 52)
    assert sightings.see_lease(again, 55).renewing_since(again, 55) == 52


def test_a_slow_worker_is_heard_of() -> None:
    """Its renewals are too far apart to prove anything of others, but it lives."""
    sightings, one = Sightings().see_lease(ONE, 10), ONE
    for moment in (18, 27, 35):
        one = later(one)
        sightings = sightings.see_lease(one, moment)
    assert sightings.heard == {"c1": 35}
    assert sightings.renewing_since(one, 35) is None


# --- the record of a loss -----------------------------------------------------------------------------

DOUBTFUL = federation("passive passive", in_doubt=DOUBT)


def doubted(*federations: Federation | None) -> float | None:
    """Until when nobody is promoted, when these have been seen, one every ten seconds from 10 on."""
    sightings = Sightings()
    for n, about in enumerate(federations, 1):
        sightings = sightings.see_federation(about, 10 * n)
    return sightings.doubt.until if sightings.doubt else None


@pytest.mark.parametrize(
    ("federations", "until"),
    [
        ((DOUBTFUL,), 22),
        ((DOUBTFUL, DOUBTFUL), 22),
        ((federation("passive passive"), DOUBTFUL), 32),
        ((DOUBTFUL, federation("passive passive")), 22),
        ((DOUBTFUL, federation("passive promoting")), 22),
        ((DOUBTFUL, federation("passive passive", in_doubt=replace(DOUBT, seconds=1))), 22),
        ((DOUBTFUL, federation("passive passive", in_doubt=replace(DOUBT, since="later"))), 32),
        ((DOUBTFUL, federation("passive active")), None),
        ((DOUBTFUL, federation("passive passive", uid="uid-2")), 22),
        ((DOUBTFUL, None, federation("passive passive", uid="uid-2", in_doubt=DOUBT)), 22),
        ((DOUBTFUL, federation(None)), 22),
        ((DOUBTFUL, None), 22),
        ((None,), None),
        ((federation(None),), None),
    ],
    ids=[
        "seen",
        "seen again",
        "seen later",
        "removed by hand",
        "somebody is being promoted",
        "made shorter by hand",
        "another loss",
        "somebody is active",
        "another object",
        "another object that is in doubt as well",
        "no status",
        "no federation",
        "never one",
        "never a status",
    ],
)
def test_a_doubt_is_kept_until_somebody_is_active(
    federations: tuple[Federation | None, ...], until: float | None
) -> None:
    assert doubted(*federations) == until


def test_the_highest_term_of_the_latest_object_is_kept() -> None:
    sightings = Sightings()
    assert sightings.known_term(UID) == 0
    for about, known in (
        (federation(term=TERM), TERM),
        (federation(term=TERM + 3), TERM + 3),
        (federation(term=TERM + 1), TERM + 3),
        (federation(None), TERM + 3),
        (None, TERM + 3),
    ):
        sightings = sightings.see_federation(about, 1)
        assert sightings.known_term(UID) == known
    sightings = sightings.see_federation(federation(term=7, uid="uid-2"), 1)
    assert (sightings.known_term(UID), sightings.known_term("uid-2")) == (0, 7)


# --- signs of life ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("after", "sign"), [(D / 4 - 0.01, False), (D / 4, True), (D / 4 + 0.01, True)])
def test_a_lease_has_to_last_for_a_quarter_of_its_duration(after: float, sign: bool) -> None:  # noqa: FBT001
    new = lease("c1", ack=None)
    sightings = Sightings().see_lease(new, 10).see_lease(later(new), 10 + after)
    assert ("c1" in sightings.heard) is sign


@pytest.mark.parametrize(("after", "sign"), [(D / 4 - 0.01, False), (D / 4 + 0.01, True)])
def test_so_does_one_that_goes_although_its_versions_came_at_once(after: float, sign: bool) -> None:  # noqa: FBT001
    """A coordinator that was stopped gets them like this. The worker may have lived for long."""
    new = lease("c1", ack=None)
    sightings = Sightings().see_lease(new, 10).see_lease(later(new), 10)
    assert ("c1" in sightings.see_gone(new.uid, 10 + after).heard) is sign


@pytest.mark.parametrize(("age", "sign"), [(SILENCE - 0.1, True), (SILENCE, True), (SILENCE + 0.1, False)])
def test_a_lease_that_goes_is_a_sign_unless_it_was_silent(age: float, sign: bool) -> None:  # noqa: FBT001
    sightings = Sightings().see_lease(ONE, 0)
    gone = sightings.see_gone(ONE.uid, age)
    assert (gone.heard.get("c1") == age) is sign
    assert sightings.see_gone("another", age) == sightings


def test_becoming_active_is_a_sign_once() -> None:
    passive, active = federation("passive passive"), federation("active passive")
    sightings = Sightings().see_federation(passive, 10).see_federation(active, 20)
    assert sightings.heard["c1"] == 20
    assert sightings.see_federation(active, 30).heard["c1"] == 20
    nobody = sightings.see_federation(passive, 30)
    assert nobody.heard == sightings.heard
    assert nobody.see_federation(active, 40).heard["c1"] == 40


def test_no_federation_and_one_without_a_status_have_no_stage() -> None:
    assert Sightings().see_federation(None, 10).stage is None
    assert Sightings().see_federation(federation(None), 10).stage is None


def test_what_is_not_known_is_not_being_renewed() -> None:
    assert Sightings().renewing_since(ONE, 10) is None
    sightings = Sightings().see_lease(ONE, 10)
    assert sightings.renewing_since(ONE, 10) is None
    sightings = sightings.see_lease(later(ONE), 12)
    assert sightings.renewing_since(later(ONE), 12 + D / 2) == 10
    assert sightings.renewing_since(later(ONE), 12.01 + D / 2) is None


FOLLOWING = Failover(follows=Follows.APPLICATIONS)
WELL_1, WELL_2 = (replace(each, application=Application.HEALTHY) for each in (ONE, TWO))
SICK = Application.UNHEALTHY


def following(roles: str = "active passive") -> Federation:
    return federation(roles, failover=FOLLOWING)


def test_a_member_has_been_healthy_as_of_each_report_and_until_one_ends() -> None:
    sightings = Sightings().see_federation(following(), 5)
    assert sightings.healthy == {"c1": 5, "c2": 5}
    sightings = sightings.see_leases([WELL_1, TWO], 10)
    assert sightings.healthy == {"c1": 10, "c2": 5}
    sick = later(WELL_1, application=SICK)
    sightings = sightings.see_lease(sick, 13)
    assert sightings.healthy == {"c1": 13, "c2": 5}, "until it said something else"
    sightings = sightings.see_lease(later(sick), 16).see_lease(later(TWO), 16)
    assert sightings.healthy == {"c1": 13, "c2": 5}
    assert sightings.heard == {"c1": 16, "c2": 16}
    sightings = sightings.see_lease(later(later(sick), application=None), 19)
    assert sightings.healthy == {"c1": 13, "c2": 5}


@pytest.mark.parametrize(("age", "counts"), [(SILENCE - 0.1, True), (SILENCE + 0.1, False)])
def test_a_healthy_worker_that_goes_was_healthy_until_then(age: float, *, counts: bool) -> None:
    """If it was silent, an operator has deleted its Lease."""
    sightings = Sightings().see_federation(following(), 5).see_lease(WELL_1, 10)
    assert sightings.see_gone(WELL_1.uid, 10 + age).healthy["c1"] == (10 + age if counts else 10)
    sick = sightings.see_lease(later(WELL_1, application=SICK), 13)
    assert sick.see_gone(WELL_1.uid, 14).healthy["c1"] == 13


def test_whoever_was_not_watched_may_have_been_healthy() -> None:
    """What a coordinator has missed counts in favour of the member."""
    sightings = Sightings().see_federation(following(), 5).see_lease(WELL_1, 10)
    assert sightings.see_lease(later(WELL_1, application=SICK), 1000).healthy["c1"] == 1000


def test_the_first_reports_of_a_worker_count_no_more_than_other_signs_of_life() -> None:
    new = lease("c1", ack=None, duration=D, application=Application.HEALTHY)
    sightings = Sightings().see_federation(following(), 5).see_lease(new, 10)
    sightings = sightings.see_lease(later(new), 10 + D / 4 - 0.1)
    assert sightings.healthy["c1"] == 5
    assert sightings.see_lease(later(later(new)), 10 + D / 4).healthy["c1"] == 10 + D / 4


def test_nothing_is_known_of_health_while_roles_follow_workers() -> None:
    sightings = Sightings().see_federation(following(), 5).see_lease(WELL_1, 10)
    sightings = sightings.see_federation(federation("active passive"), 20)
    assert sightings.healthy == {}
    sightings = sightings.see_lease(later(WELL_1), 23)
    assert sightings.healthy == {}
    assert sightings.see_federation(following(), 30).healthy == {"c1": 30, "c2": 30}
    assert sightings.see_federation(None, 30).healthy == {}


def test_a_member_that_becomes_active_begins_healthy() -> None:
    sightings = Sightings().see_federation(following("promoting passive"), 5)
    active = following("active passive")
    assert sightings.see_federation(active, 20).healthy == {"c1": 20, "c2": 5}
    again = sightings.see_federation(active, 20).see_federation(following("demoting passive"), 30)
    assert again.see_federation(active, 40).healthy == {"c1": 20, "c2": 5}, "it was active all the time"


@pytest.mark.parametrize(
    ("known", "seconds", "queued", "expected"),
    [
        ((0, 0), 5, False, (5, 0)),
        ((0, 0), 5, True, (5, 5)),
        ((0, 0), 0.5, True, (0.5, 0.5)),
        ((0, 0), 100, True, (10, 10)),
        ((3, 2), 4, True, (7, 6)),
        ((3, 2), 4, False, (7, 2)),
        ((8, 8), 5, True, (10, 10)),
        ((8, 0), -3, True, (8, 0)),
    ],
    ids=str,
)
def test_time_that_does_not_count_against_a_request(
    known: tuple[float, float], seconds: float, expected: tuple[float, float], *, queued: bool
) -> None:
    """Never more than has passed since the request met its table."""
    stage = replace(FIRST, excused=known[0], queued=known[1])
    excused = Sightings(stage=stage).excused(seconds, 20, queued=queued).stage
    assert excused == replace(FIRST, excused=expected[0], queued=expected[1])


def test_the_next_request_is_not_excused_for_what_the_one_before_had_to_wait() -> None:
    sightings = Sightings().see_federation(BUSY, 10).excused(5, 20, queued=True)
    assert sightings.stage == replace(FIRST, excused=5, queued=5)
    asked_again = federation("active passive", switchover=request(id="r2"))
    assert sightings.see_federation(asked_again, 20).stage == Stage(UID, TERM, 10, "r2", 20)
    assert Sightings().excused(5, 20, queued=True) == Sightings()
