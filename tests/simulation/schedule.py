"""A schedule: who is there, and what goes wrong when. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from simulation.network import Rates
from tcf.core.model import Isolation

ACTIVE, PASSIVE = "active", "passive"
NO_TROUBLE = Rates()
MEMBERS = ("a", "b", "c")
DURATIONS = (2, 3, 5)
TIMEOUTS = (7, 9)
"""spec.switchoverTimeout: from the least that the CRD allows for the longest duration there may be."""
FAILOVER_TIMEOUTS = (1, 3, 8)
COOLDOWNS = (0, 0, 10)
WALLS_RIGHT, WALLS_WRONG = 1.0, 200.0


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens to somebody at a certain second, perhaps for a while.

    `target` is a process, a member, or ACTIVE or PASSIVE: a worker of a member that has that role then.
    `then` is what follows when it has come to that; moments are counted from there.
    """

    at: float
    kind: str
    target: str = ""
    seconds: float = 0.0
    value: Any = None
    then: tuple[Fault, ...] = ()

    def __str__(self) -> str:
        parts = [f"{self.at:7.3f}", self.kind, self.target]
        parts += [f"for {self.seconds:.3f} s"] if self.seconds else []
        parts += [repr(self.value)] if self.value is not None else []
        parts += [f"then [{'; '.join(map(str, self.then))}]"] if self.then else []
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Profile:
    """What kind of schedules to draw. `faults`: how many of each kind, on average."""

    name: str
    faults: Mapping[str, float]
    rates: Rates = NO_TROUBLE
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
    stop_spread: float = 2.0
    """Orders of magnitude between the shortest stop and the longest."""
    longest_stop: float = 2.0
    """Of one stop, in lease durations."""
    wall_runs: bool = True
    """If not, the wall clocks stand still, so terms cannot come from them."""
    walls_wrong: float = 0.0
    """The part of the schedules in which wall clocks are wrong by minutes."""
    slew: float = 0.04
    """By how much a clock's rate may differ from 1."""
    rates_vary: bool = True
    """Each schedule has its own part of `rates`, down to nothing."""
    longest_conclusion: float = 0.0
    """Seconds until what a role has caused is over, at most; 0: a role causes nothing."""
    holders: tuple[int, ...] = (0,)
    """Of each member."""
    habits: tuple[str, ...] = ("releases", "releases", "drains", "is stubborn")
    """What holders do when they have to stop."""
    holder_rates: Rates = NO_TROUBLE
    """How likely their requests are lost, come late or come twice, and the same for answers."""
    following: float = 0.0
    """The part of the schedules in which workers report on their applications, and roles follow these."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Everything about one run: the same schedule gives the same run."""

    seed: int
    profile: str
    members: int
    workers: int
    operators: int
    duration: int
    keep_role: bool
    automatic: bool
    failover_timeout: int
    cooldown: int
    length: float
    stops: float
    stop_spread: float
    longest_stop: float
    wall_runs: bool
    wall_error: float
    """Seconds by which a wall clock may be wrong, until the faults end."""
    slew: float
    rates: Rates
    longest_conclusion: float = 0.0
    holders: int = 0
    habits: tuple[str, ...] = ()
    holder_rates: Rates = NO_TROUBLE
    following: bool = False
    """Workers report on their applications, and roles follow these until somebody edits that."""
    faults: tuple[Fault, ...] = field(default=())

    @property
    def may_keep_role(self) -> bool:
        """May a worker answer for ever, as KeepRole allows?"""
        return self.keep_role or any(
            fault.value == ("isolation", Isolation.KEEP_ROLE) for fault in self.faults
        )

    @property
    def undisturbed(self) -> bool:
        """Does nothing happen but requests of clients?"""
        return not self.stops and self.rates == NO_TROUBLE and all(f.kind == "ask" for f in self.faults)

    def __str__(self) -> str:
        head = replace(self, faults=())
        return "\n".join([repr(head), *(f"  {fault}" for fault in self.faults)])


def programs(schedule: Schedule) -> dict[str, str]:
    """Each worker's name with its member."""
    members = MEMBERS[: schedule.members]
    return {f"{member}{n}": member for member in members for n in range(1, schedule.workers + 1)}


def operators(schedule: Schedule) -> list[str]:
    return [f"op{n}" for n in range(1, schedule.operators + 1)]


def holders(schedule: Schedule) -> dict[str, str]:
    """Each holder's name with its member."""
    members = MEMBERS[: schedule.members]
    return {f"h{member}{n}": member for member in members for n in range(1, schedule.holders + 1)}


def targets(schedule: Schedule) -> set[str]:
    """All that a fault may name."""
    workers = programs(schedule)
    others = (*operators(schedule), *holders(schedule))
    return {"", ACTIVE, PASSIVE, *workers, *workers.values(), *others}
