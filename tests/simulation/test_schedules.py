"""Two thousand schedules of everything at once, and some that look for one thing."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from simulation.draw import draw
from simulation.profiles import GENERAL, PROFILES
from simulation.schedule import Fault, Schedule
from simulation.schedule_player import play
from simulation.search import first_failure, report, shrunk

SCHEDULES, BATCH = 2000, 50
DIRECTED = 20


@pytest.mark.parametrize("first", range(0, SCHEDULES, BATCH))
def test_nothing_breaks(first: int) -> None:
    failing = first_failure(GENERAL, range(first, first + BATCH))
    assert failing is None, report(failing)


@pytest.mark.parametrize("name", sorted(set(PROFILES) - {GENERAL.name}))
def test_nothing_breaks_where_a_mutant_would(name: str) -> None:
    failing = first_failure(PROFILES[name], range(DIRECTED))
    assert failing is None, report(failing)


def test_a_seed_gives_the_same_run_again() -> None:
    schedule = draw(GENERAL, 7)
    assert schedule == draw(GENERAL, 7)
    first, second = play(schedule, tracing=True), play(schedule, tracing=True)
    assert first == second
    assert len(first.trace) > 100
    assert play(schedule).settled_after == first.settled_after


def test_a_schedule_is_shrunk_to_what_it_fails_by() -> None:
    schedule, culprit = draw(GENERAL, 3), Fault(5.0, "ask", "a1", value="toggle")
    crowd = replace(schedule, faults=(*schedule.faults, culprit))
    small = shrunk(crowd, fails=lambda smaller: culprit in smaller.faults)
    assert small.faults == (culprit,)
    assert (small.operators, small.workers, small.members, small.stops) == (1, 1, 2, 0.0)


def test_every_smaller_schedule_can_be_played() -> None:
    schedule = next(s for s in (draw(GENERAL, seed) for seed in itertools.count()) if _crowded(s))

    def played(smaller: Schedule) -> bool:
        assert not play(smaller).broken
        return False

    assert shrunk(schedule, fails=played) == schedule


def _crowded(schedule: Schedule) -> bool:
    """Is there somebody of every kind to be left out, also in what follows from a fault?"""
    return (schedule.members, schedule.workers, schedule.operators) == (3, 2, 2) and any(
        fault.then for fault in schedule.faults
    )
