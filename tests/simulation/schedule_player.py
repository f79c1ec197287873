"""Plays a schedule: its faults, then time to settle; reports what was broken, with a trace if wanted."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from simulation.hub_faults import HUB_FAULTS
from simulation.injector import Inject, Injector
from simulation.profiles import ONE_LEFT, OUTAGES, OUTAGES_OF_THE_HEALTHY, OVERLOAD, OVERLOADED_FAILOVERS
from simulation.program_faults import PROGRAM_FAULTS, ask
from simulation.readable_trace import captured_logs, readable_names
from simulation.schedule import Fault, Schedule
from simulation.settling import Settling, settling_bound
from simulation.testbed import Testbed
from simulation.third_party_faults import THIRD_PARTY_FAULTS
from tcf.core import reasons
from tcf.core.model import Federation

FAULTS: Mapping[str, Inject] = {**PROGRAM_FAULTS, **HUB_FAULTS, **THIRD_PARTY_FAULTS}
"""How each kind of fault is done."""
_NOBODY_IS_DEAD = {OUTAGES.name, OUTAGES_OF_THE_HEALTHY.name}
_TOO_LATE = {reasons.Outcome.ROLLED_BACK, reasons.Outcome.TIMED_OUT, reasons.Outcome.EXPIRED}
_IMPOSSIBLE = {
    OVERLOAD.name: _TOO_LATE,
    OVERLOADED_FAILOVERS.name: _TOO_LATE,
    ONE_LEFT.name: {*_TOO_LATE, reasons.Outcome.NO_COORDINATOR},
}
"""Outcomes of requests that these profiles must not have."""
_FORCE_AFTER = 0.3
"""Part of the time to settle after which a person overrides what no wait will fence."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was wrong (nothing: the run was good), and what happened."""

    broken: tuple[str, ...]
    trace: tuple[str, ...]
    switchovers: int
    failovers: int
    settled_after: float
    end: Federation | None = None
    """The federation as it was at rest."""


def play(schedule: Schedule, *, tracing: bool = False) -> Outcome:
    """Run a schedule to its end."""
    random.seed(schedule.seed)  # the product's jitter
    bed = Testbed(schedule, tracing=tracing)
    injector = Injector(bed, FAULTS)
    with readable_names(), captured_logs(bed.world):
        bed.begin()
        for fault in schedule.faults:
            bed.world.at(fault.at, injector.inject, fault)
        bed.world.run(schedule.length)
        settled_after = _settle(bed, injector)
        end = bed.hub.federation
        for program in bed.programs.values():
            program.crash()
    return Outcome(
        (*bed.checker.broken, *bed.world.errors),
        tuple(bed.world.trace or ()),
        bed.checker.switchovers,
        bed.checker.failovers,
        settled_after,
        end,
    )


def _settle(bed: Testbed, injector: Injector) -> float:
    """End all faults and let the federation come to rest; the seconds that it took."""
    world, checker = bed.world, bed.checker
    calm_at, bound, settling = world.now, settling_bound(bed.schedule.longest_conclusion), Settling(bed)
    bed.end_faults()
    world.at(calm_at + _FORCE_AFTER * bound, _override, injector, settling)
    world.run(calm_at + bound, enough=lambda: bool(checker.broken or world.errors) or settling.over())
    if checker.broken or world.errors:
        return world.now - calm_at  # the run was broken off
    if why := settling.obstacle():
        checker.fail(f"not at rest {bound:.0f} s after the last fault: {why}")
    if bed.schedule.profile in _NOBODY_IS_DEAD and checker.failovers:
        checker.fail("a member was replaced though nobody was dead")
    if wrong := checker.outcomes() & _IMPOSSIBLE.get(bed.schedule.profile, set()):
        checker.fail(f"a request has ended with {wrong}, although operators were only busy, or one was left")
    checker.check_asks(bed.asks)
    return world.now - calm_at


def _override(injector: Injector, settling: Settling) -> None:
    """What only a person can decide: the workers that are silent under KeepRole are dead."""
    bed = injector.bed
    status = bed.hub.federation.status if bed.hub.federation else None
    if status is None or not status.unfenceable or not settling.obstacle():
        return
    worker = next(program for program in bed.workers if status.member(program.member))
    ask(injector, Fault(bed.world.now, "ask", worker.name, value="promote force"))
