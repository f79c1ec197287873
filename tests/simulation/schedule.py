"""A schedule: who is there, and what goes wrong when. Plain data, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from simulation.network import Rates

MEMBERS = ("a", "b", "c")
DURATIONS = (2, 3, 5)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is done to somebody at some moment (seconds), perhaps for a while."""

    at: float
    kind: str
    target: str = ""
    seconds: float = 0.0
    value: Any = None

    def __str__(self) -> str:
        parts = [f"{self.at:7.3f}", self.kind, self.target]
        parts += [f"for {self.seconds:.3f} s"] if self.seconds else []
        parts += [repr(self.value)] if self.value is not None else []
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Profile:
    """What kind of schedules to draw. `faults`: how many of each kind, on the average."""

    name: str
    faults: Mapping[str, float]
    rates: Rates = Rates()
    periods: float = 12.0
    """Length of the faulty part, in lease durations."""
    members: tuple[int, ...] = (2, 2, 3)
    workers: tuple[int, ...] = (1, 1, 2)
    operators: tuple[int, ...] = (1, 2, 2)
    durations: tuple[int, ...] = DURATIONS
    keep_role: float = 0.15
    automatic: float = 0.5
    stops: float = 0.0
    """How likely a process is stopped before a callback."""
    longest_stop: float = 2.0
    """Of one stop, in lease durations."""
    slew: float = 0.04
    """By how much a clock's rate may differ from 1."""
    rates_vary: bool = True
    """Each schedule has its own part of `rates`, down to nothing."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """One run, entirely: the same schedule gives the same run."""

    seed: int
    profile: str
    members: int
    workers: int
    operators: int
    duration: int
    keep_role: bool
    automatic: bool
    length: float
    stops: float
    longest_stop: float
    slew: float
    rates: Rates
    faults: tuple[Fault, ...] = field(default=())

    @property
    def timeout(self) -> int:
        """spec.switchoverTimeout: the least that the CRD allows for the longest duration there may be."""
        return int(1.1 * max(DURATIONS) + 1) + 1

    def __str__(self) -> str:
        head = replace(self, faults=())
        return "\n".join([repr(head), *(f"  {fault}" for fault in self.faults)])


def draw(profile: Profile, seed: int) -> Schedule:
    """The schedule of this profile with this seed."""
    chance = random.Random(f"{profile.name} {seed}")
    duration = chance.choice(profile.durations)
    length = profile.periods * duration
    keep_role = chance.random() < profile.keep_role
    rates = profile.rates
    if profile.rates_vary:
        part = chance.choice((0.0, 0.3, 1.0))
        odds = {
            name: getattr(rates, name) * part * chance.random()
            for name in Rates.__slots__
            if name != "longest"
        }
        rates = Rates(**odds, longest=rates.longest)
    bare = Schedule(
        seed=seed,
        profile=profile.name,
        members=chance.choice(profile.members),
        workers=chance.choice(profile.workers),
        operators=chance.choice(profile.operators),
        duration=duration,
        keep_role=keep_role,
        automatic=not keep_role and chance.random() < profile.automatic,
        length=length,
        stops=profile.stops * chance.choice((0.0, 0.3, 1.0)) if profile.rates_vary else profile.stops,
        longest_stop=profile.longest_stop * duration,
        slew=profile.slew,
        rates=rates,
    )
    faults: list[Fault] = []
    for kind, mean in profile.faults.items():
        count = int(mean) + (chance.random() < mean % 1)
        faults += (_DRAWN[kind](bare, kind, chance) for _ in range(count))
    return replace(bare, faults=tuple(sorted(faults, key=lambda fault: fault.at)))


def programs(schedule: Schedule) -> dict[str, str]:
    """Each worker's name with its member."""
    members = MEMBERS[: schedule.members]
    return {f"{member}{n}": member for member in members for n in range(1, schedule.workers + 1)}


def _moment(schedule: Schedule, chance: random.Random) -> float:
    return 1.0 + chance.random() * (schedule.length - 1.0)


def _while(schedule: Schedule, chance: random.Random) -> float:
    """From a hundredth of the lease duration to three of it, each order of magnitude as likely."""
    return float(schedule.duration) * 3.0 * 10 ** (-2.5 * chance.random())


def _worker(schedule: Schedule, chance: random.Random) -> str:
    return chance.choice(sorted(programs(schedule)))


def _operator(schedule: Schedule, chance: random.Random) -> str:
    return f"op{chance.randint(1, schedule.operators)}"


def _anybody(schedule: Schedule, chance: random.Random) -> str:
    return _worker(schedule, chance) if chance.random() < 0.7 else _operator(schedule, chance)


def _on_anybody(schedule: Schedule, kind: str, chance: random.Random) -> Fault:
    return Fault(_moment(schedule, chance), kind, _anybody(schedule, chance), _while(schedule, chance))


def _on_worker(schedule: Schedule, kind: str, chance: random.Random) -> Fault:
    return Fault(_moment(schedule, chance), kind, _worker(schedule, chance), _while(schedule, chance))


def _on_member(schedule: Schedule, kind: str, chance: random.Random) -> Fault:
    member = chance.choice(MEMBERS[: schedule.members])
    return Fault(_moment(schedule, chance), kind, member, _while(schedule, chance))


def _on_hub(schedule: Schedule, kind: str, chance: random.Random) -> Fault:
    return Fault(_moment(schedule, chance), kind, seconds=_while(schedule, chance))


def _slow(schedule: Schedule, kind: str, chance: random.Random) -> Fault:
    delay = schedule.duration * 0.7 * chance.random()
    return replace(_on_anybody(schedule, kind, chance), value=round(delay, 3))


def _ask(schedule: Schedule, kind: str, chance: random.Random) -> Fault:
    what = chance.choice(("toggle", "promote", "promote", "demote", "promote force"))
    return Fault(_moment(schedule, chance), kind, _worker(schedule, chance), value=what)


def _switch(schedule: Schedule, kind: str, chance: random.Random) -> Fault:
    return Fault(_moment(schedule, chance), kind, _worker(schedule, chance), value="promote")


def _edit(schedule: Schedule, kind: str, chance: random.Random) -> Fault:
    edits: list[tuple[str, Any]] = [
        ("leaseDuration", chance.choice(DURATIONS)),
        ("activeCluster", chance.choice((None, *MEMBERS[: schedule.members]))),
        ("isolation", chance.choice(("Fence", "KeepRole"))),
        ("members", "".join(chance.sample(MEMBERS, chance.randint(2, 3)))),
        ("paused", chance.random() < 0.5),
    ]
    what = chance.choice(edits)
    return Fault(_moment(schedule, chance), kind, value=what)


def _duration(schedule: Schedule, kind: str, chance: random.Random) -> Fault:
    what = ("leaseDuration", chance.choice(DURATIONS))
    return Fault(_moment(schedule, chance), "edit", value=what)


def _isolation(schedule: Schedule, kind: str, chance: random.Random) -> Fault:
    what = ("isolation", chance.choice(("Fence", "KeepRole")))
    return Fault(_moment(schedule, chance), "edit", value=what)


def _recreate(schedule: Schedule, kind: str, chance: random.Random) -> Fault:
    members = "".join(chance.sample(MEMBERS, chance.randint(2, 3)))
    annotated = chance.random() < 0.5
    return replace(
        _on_hub(schedule, kind, chance),
        value=(members, annotated, chance.choice(MEMBERS[: schedule.members])),
    )


def _restore(schedule: Schedule, kind: str, chance: random.Random) -> Fault:
    return replace(_on_hub(schedule, kind, chance), value=chance.random() < 0.5)


_DRAWN = {
    "stop": _on_anybody,  # SIGSTOP, SIGCONT
    "crash": _on_anybody,  # SIGKILL and a new start
    "restart": _on_worker,  # SIGTERM and a new start
    "cut": _on_anybody,
    "cut member": _on_member,
    "kill member": _on_member,
    "slow": _slow,
    "watch break": _on_anybody,
    "hub down": _on_hub,
    "ask": _ask,
    "switch": _switch,
    "edit": _edit,
    "duration": _duration,
    "isolation": _isolation,
    "lose status": _on_hub,
    "recreate": _recreate,
    "restore": _restore,
}
