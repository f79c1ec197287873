"""Faults of real processes, and schedules of them that are drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

SECONDS = 10.0
"""How long one schedule takes. Then everything is repaired and has to come to rest."""


@dataclass(frozen=True)
class Scene:
    """Who takes part: two operators, and two workers for each member."""

    seed: int
    members: int
    duration: int

    @property
    def workers(self) -> list[str]:
        return [f"cluster_{m}.{n}" for m in range(1, self.members + 1) for n in (1, 2)]

    @property
    def operators(self) -> list[str]:
        return ["operator.1", "operator.2"]


@dataclass(frozen=True)
class TimedFault:
    """What happens to `target` (a program, a member or nothing) at second `at`, until `seconds` later."""

    at: float
    kind: str
    target: str = ""
    seconds: float = 0.0
    delay: float = 0.0


def scene(seed: int) -> Scene:
    chance = random.Random(f"scene {seed}")
    return Scene(seed, members=chance.choice((2, 2, 3)), duration=chance.choice((1, 1, 2)))


def schedule(where: Scene, seed: int) -> list[TimedFault]:
    """Some faults at random moments, and switchovers throughout."""
    chance = random.Random(f"schedule {where.seed} {seed}")
    programs = [*where.workers, *where.workers, *where.operators]
    members = [f"cluster_{m}" for m in range(1, where.members + 1)]
    anybody = ["active", *members]

    def lasting(shortest: float, longest: float) -> float:
        """Between so many lease durations; a factor of two is equally likely at each end."""
        return float(where.duration * shortest * (longest / shortest) ** chance.random())

    kinds: dict[str, Callable[[], TimedFault]] = {
        "kill": lambda: TimedFault(0, "kill", chance.choice(programs), lasting(0.1, 2)),
        "restart": lambda: TimedFault(0, "restart", chance.choice(programs), lasting(0.05, 1)),
        "stop": lambda: TimedFault(0, "stop", chance.choice(programs), lasting(0.3, 3)),
        "cut": lambda: TimedFault(0, "cut", chance.choice(programs), lasting(0.2, 3)),
        "half-open": lambda: TimedFault(0, "half-open", chance.choice(programs), lasting(0.2, 3)),
        "slow": lambda: TimedFault(
            0, "slow", chance.choice(programs), lasting(0.5, 4), max(0.05, lasting(0.05, 2))
        ),
        "reset": lambda: TimedFault(0, "reset", chance.choice(programs)),
        "kill member": lambda: TimedFault(0, "kill member", chance.choice(anybody), lasting(1.5, 4)),
        "cut member": lambda: TimedFault(0, "cut member", chance.choice(anybody), lasting(0.5, 4)),
        "stop member": lambda: TimedFault(0, "stop member", "active", lasting(1, 3)),
        "apiserver restart": lambda: TimedFault(0, "apiserver restart", seconds=lasting(0.1, 2)),
        "etcd pause": lambda: TimedFault(0, "etcd pause", seconds=lasting(0.1, 2)),
        "lies": lambda: TimedFault(0, "lies", seconds=lasting(0.5, 4)),
        "distorted watches": lambda: TimedFault(0, "distorted watches", seconds=lasting(0.5, 4)),
        "touched Lease": lambda: TimedFault(0, "touched Lease", chance.choice(where.workers)),
        "deleted Lease": lambda: TimedFault(0, "deleted Lease", chance.choice(where.workers)),
        "foreign Lease": lambda: TimedFault(0, "foreign Lease", chance.choice(members)),
        "edited status": lambda: TimedFault(0, "edited status", chance.choice(members)),
        "removed CRD": lambda: TimedFault(0, "removed CRD", seconds=lasting(0.05, 2)),
        "restored etcd": lambda: TimedFault(0, "restored etcd", chance.choice(("bumped", "not bumped"))),
    }
    weights = (4, 2, 5, 4, 3, 3, 2, 2, 2, 2, 0.5, 1, 2, 2, 2, 0.5, 0.7, 0.5, 0.5, 0.4)
    drawn = chance.choices(list(kinds), weights, k=chance.randint(3, 7))
    faults = [_at(kinds[kind](), SECONDS * chance.random()) for kind in drawn]
    moment = chance.random()
    while moment < SECONDS:
        faults.append(TimedFault(moment, "switch", chance.choice(where.workers)))
        moment += 0.5 + 2 * chance.random()
    return sorted(faults, key=lambda fault: fault.at)


def _at(fault: TimedFault, moment: float) -> TimedFault:
    return TimedFault(round(moment, 3), fault.kind, fault.target, fault.seconds, fault.delay)
