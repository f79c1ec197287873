"""Looks for a schedule that fails, makes it as small as it still fails, and prints what happens in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from simulation.draw import draw
from simulation.network import Rates
from simulation.schedule import Fault, Profile, Schedule, targets
from simulation.schedule_player import Outcome, play


def first_failure(profile: Profile, seeds: Iterable[int]) -> Schedule | None:
    """The first schedule that breaks something; None if there is none."""
    return next((schedule for seed in seeds if play(schedule := draw(profile, seed)).broken), None)


def shrunk(schedule: Schedule, *, fails: Callable[[Schedule], bool] | None = None) -> Schedule:
    """The smallest schedule found that still breaks something: no part of it can be left out."""
    still_fails = fails or (lambda smaller: bool(play(smaller).broken))
    while True:
        smaller = next(filter(still_fails, _smaller(schedule)), None)
        if smaller is None:
            return schedule
        schedule = smaller


def report(schedule: Schedule) -> str:
    """A failing schedule for a person: in its smallest form, with its trace up to the failure."""
    small = shrunk(schedule)
    outcome: Outcome = play(small, tracing=True)
    end = next((n for n, line in enumerate(outcome.trace) if " CHECK " in line), len(outcome.trace))
    return "\n".join(
        [
            f"profile {schedule.profile!r}, seed {schedule.seed}:",
            *(f"  {line}" for line in outcome.broken),
            "made as small as it still fails:",
            str(small),
            "trace:",
            *outcome.trace[: end + 1],
        ]
    )


def _smaller(schedule: Schedule) -> Iterator[Schedule]:
    """Simpler schedules, the boldest first."""
    half = len(schedule.faults) // 2
    if half:
        yield replace(schedule, faults=schedule.faults[:half])
        yield replace(schedule, faults=schedule.faults[half:])
    if schedule.rates != Rates():
        yield replace(schedule, rates=Rates())
    if schedule.stops:
        yield replace(schedule, stops=0.0)
    for faults in _one_less(schedule.faults):
        yield replace(schedule, faults=faults)
    for name in Rates.__slots__:
        if name != "longest" and getattr(schedule.rates, name):
            yield replace(schedule, rates=replace(schedule.rates, **{name: 0.0}))
    yield from _fewer(schedule)
    if schedule.holders:
        yield _of_those_there(replace(schedule, holders=schedule.holders - 1))
    if schedule.longest_conclusion:
        yield replace(schedule, longest_conclusion=0.0)
    if schedule.slew:
        yield replace(schedule, slew=0.0)
    if schedule.following:
        yield replace(schedule, following=False)
    if schedule.automatic:
        yield replace(schedule, automatic=False)


def _fewer(schedule: Schedule) -> Iterator[Schedule]:
    """Without an operator, a worker of each member, or a member."""
    if schedule.operators > 1:
        yield _of_those_there(replace(schedule, operators=schedule.operators - 1))
    if schedule.workers > 1:
        yield _of_those_there(replace(schedule, workers=schedule.workers - 1))
    if schedule.members > 2:
        yield _of_those_there(replace(schedule, members=schedule.members - 1))


def _one_less(faults: tuple[Fault, ...]) -> Iterator[tuple[Fault, ...]]:
    """Without one of them, or without one of what follows from one."""
    for n, fault in enumerate(faults):
        before, after = faults[:n], faults[n + 1 :]
        yield before + after
        for fewer in _one_less(fault.then):
            yield (*before, replace(fault, then=fewer), *after)


def _of_those_there(schedule: Schedule) -> Schedule:
    """The schedule without what is done to somebody who is not in it (any more)."""
    there = targets(schedule)

    def kept(faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
        return tuple(replace(f, then=kept(f.then)) for f in faults if f.target in there)

    return replace(schedule, faults=kept(schedule.faults))
