"""Draws a schedule from a profile and a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace

from simulation.directed_faults import DIRECTED_FAULTS
from simulation.network import Rates
from simulation.random_faults import RANDOM_FAULTS, Drawn
from simulation.schedule import (
    COOLDOWNS,
    FAILOVER_TIMEOUTS,
    WALLS_RIGHT,
    WALLS_WRONG,
    Fault,
    Profile,
    Schedule,
)

DRAWN: Mapping[str, Drawn] = {**RANDOM_FAULTS, **DIRECTED_FAULTS}
"""How each kind of trouble that a profile may name is drawn."""


def draw(profile: Profile, seed: int) -> Schedule:
    """The schedule of this profile with this seed."""
    chance = random.Random(f"{profile.name} {seed}")
    quiet = _draw_frame(profile, seed, chance)
    faults = sorted(_draw_faults(profile, quiet, chance), key=lambda fault: fault.at)
    longest = profile.longest_conclusion
    if longest and profile.rates_vary:
        longest *= chance.choice((0.0, 0.0, 0.2, 1.0))
    return replace(quiet, faults=tuple(faults), longest_conclusion=longest)


def _draw_frame(profile: Profile, seed: int, chance: random.Random) -> Schedule:
    """Everything but the faults."""
    duration = chance.choice(profile.durations)
    keep_role = chance.random() < profile.keep_role
    rates = _draw_rates(profile.rates, chance) if profile.rates_vary else profile.rates
    return Schedule(
        seed=seed,
        profile=profile.name,
        members=chance.choice(profile.members),
        workers=chance.choice(profile.workers),
        operators=chance.choice(profile.operators),
        duration=duration,
        keep_role=keep_role,
        automatic=not keep_role and chance.random() < profile.automatic,
        failover_timeout=chance.choice(FAILOVER_TIMEOUTS),
        cooldown=chance.choice(COOLDOWNS),
        length=profile.periods * duration,
        stops=profile.stops * chance.choice((0.0, 0.3, 1.0)) if profile.rates_vary else profile.stops,
        stop_spread=profile.stop_spread,
        longest_stop=profile.longest_stop * duration,
        wall_runs=profile.wall_runs,
        wall_error=WALLS_WRONG if chance.random() < profile.walls_wrong else WALLS_RIGHT,
        slew=profile.slew,
        rates=rates,
        holders=chance.choice(profile.holders),
        habits=profile.habits,
        holder_rates=profile.holder_rates,
        following=bool(profile.following) and chance.random() < profile.following,
    )


def _draw_rates(most: Rates, chance: random.Random) -> Rates:
    """A part of each rate, down to nothing."""
    part = chance.choice((0.0, 0.3, 1.0))
    odds = {
        name: getattr(most, name) * part * chance.random() for name in Rates.__slots__ if name != "longest"
    }
    return Rates(**odds, longest=most.longest)


def _draw_faults(profile: Profile, quiet: Schedule, chance: random.Random) -> Iterator[Fault]:
    for kind, mean in profile.faults.items():
        count = int(mean) + (chance.random() < mean % 1)
        for _ in range(count):
            drawn = DRAWN[kind](quiet, chance)
            yield from drawn if isinstance(drawn, tuple) else (drawn,)
