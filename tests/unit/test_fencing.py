"""The fence: whose worker may still answer "active"?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tcf.core.annotations import Acknowledgement
from tcf.core.fencing import COLLECT_FACTOR, Age, collect_after, collectable, fence, silence_needed
from tcf.core.liveness import Workers
from tcf.core.model import WorkerLease
from tcf.core.sightings import Sightings
from unit.build import SILENCE, TERM, UID, kept, later, lease

TABLE = Acknowledgement(UID, TERM)
RECEIVED = 1000.0
MOMENT = 0.01


def after(silence: float, one: WorkerLease) -> tuple[WorkerLease, Age, float]:
    return one, Sightings().see_lease(one, RECEIVED).age, RECEIVED + silence


def judge(silence: float, one: WorkerLease, *, force: bool = False) -> str:
    one, age, now = after(silence, one)
    verdict = fence([one], age, TABLE, now, force=force)
    assert verdict.closed is (not verdict.waiting)
    if verdict.waiting:
        return "waits" if verdict.retry_at else "waits for ever"
    return "delete" if verdict.silent else "closed"


Make = Callable[..., WorkerLease]


@pytest.mark.parametrize(
    ("one", "fresh", "silent"),
    [
        pytest.param(lease(ack=TERM), "closed", "closed", id="exactly"),
        pytest.param(lease(ack=TERM - 1), "waits", "delete", id="lower term"),
        pytest.param(lease(ack=TERM + 1), "waits", "delete", id="higher term"),
        pytest.param(lease(ack=TERM, uid="uid-0"), "waits", "delete", id="another object"),
        pytest.param(lease(ack=None), "waits", "delete", id="nothing yet"),
        pytest.param(kept(ack=TERM), "closed", "closed", id="KeepRole, exactly"),
        pytest.param(kept(ack=TERM - 1), "waits for ever", "waits for ever", id="KeepRole, lower term"),
        pytest.param(kept(ack=None), "waits for ever", "waits for ever", id="KeepRole, nothing yet"),
    ],
)
def test_one_lease(one: WorkerLease, fresh: str, silent: str) -> None:
    assert judge(0, one) == fresh
    assert judge(SILENCE - MOMENT, one) == fresh
    assert judge(SILENCE + MOMENT, one) == silent


@pytest.mark.parametrize(("silence", "expected"), [(0, "waits"), (SILENCE + MOMENT, "delete")])
def test_force_takes_a_silent_worker_for_dead_but_never_a_living_one(silence: float, expected: str) -> None:
    assert judge(silence, kept(ack=TERM - 1), force=True) == expected
    assert judge(silence, lease(ack=TERM - 1), force=True) == expected


@pytest.mark.parametrize("duration", [1, 10, 300])
def test_silence_is_counted_with_the_duration_of_the_lease(duration: int) -> None:
    one = lease(ack=None, duration=duration)
    needed = duration * 1.1 + 0.1
    assert silence_needed(one.duration) == pytest.approx(needed)
    assert judge(needed - MOMENT, one) == "waits"
    assert judge(needed + MOMENT, one) == "delete"


def test_nobody_is_silent_who_was_not_watched_for_long_enough() -> None:
    one = lease(ack=None)
    unseen = fence([one], Sightings().age, TABLE, 1e9)
    assert unseen.waiting == (one,)
    _, age, now = after(1000, one)
    assert fence([later(one)], age, TABLE, now).waiting == (later(one),)


def test_without_leases_the_fence_is_closed() -> None:
    verdict = fence([], Sightings().age, TABLE, 0)
    assert (verdict.closed, verdict.silent, verdict.retry_at) == (True, (), None)


def test_one_that_waits_holds_up_all() -> None:
    dead, quick, slow, done = (
        lease(name="dead", ack=1),
        lease(name="quick", ack=1, duration=1),
        lease(name="slow", ack=1, duration=100),
        lease(name="done"),
    )
    sightings = Sightings().see_lease(dead, 0)
    for one in (quick, slow, done):
        sightings = sightings.see_lease(one, RECEIVED)
    verdict = fence([dead, quick, slow, done], sightings.age, TABLE, RECEIVED + 1)
    assert verdict.silent == (dead,)
    assert verdict.waiting == (quick, slow)
    assert verdict.retry_at == pytest.approx(RECEIVED + 1.2)


def test_retry_at_knows_of_no_time_at_which_a_keeper_is_silent() -> None:
    keeper, worker = kept(name="keeper", ack=1), lease(name="worker", ack=1)
    sightings = Sightings().see_leases([keeper, worker], RECEIVED)
    assert fence([keeper, worker], sightings.age, TABLE, RECEIVED).retry_at == pytest.approx(
        RECEIVED + SILENCE
    )
    assert fence([keeper], sightings.age, TABLE, RECEIVED).retry_at is None


def test_leftovers_are_collected_late_and_never_under_keep_role() -> None:
    late = COLLECT_FACTOR * SILENCE
    assert collect_after(lease()) == pytest.approx(late)
    assert not collectable(*after(late - MOMENT, lease()))
    assert collectable(*after(late + MOMENT, lease()))
    assert collectable(*after(late + MOMENT, lease(ack=None)))
    assert not collectable(*after(late + MOMENT, kept()))
    assert not collectable(lease(), Sightings().age, 1e9)


def test_a_lease_is_silent_when_it_has_been_for_longer_than_that_not_just_as_long() -> None:
    """Of 9 seconds: 1.1 x 9 + 0.1 is 10 exactly in floating point."""
    old = lease("c1", ack=None, duration=9)
    sightings = Sightings().see_lease(old, 0)
    table = Acknowledgement(UID, TERM)
    assert silence_needed(9) == 10
    waits = fence([old], sightings.age, table, 10)
    assert (waits.closed, waits.silent) == (False, ())
    assert waits.retry_at
    assert 10 < waits.retry_at < 10.01
    assert fence([old], sightings.age, table, waits.retry_at).silent == (old,)
    assert Workers((old,), sightings, 10).alive([old]) == 1
    assert not collectable(old, sightings.age, 100)
    assert collectable(old, sightings.age, 100.01)
