"""A schedule: who is there, and what goes wrong when. Plain data, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from simulation.network import Rates
from tcf.core.model import FailoverMode, Isolation

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
    """Something that is done to somebody at some moment (seconds), perhaps for a while.

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
    """What kind of schedules to draw. `faults`: how many of each kind, on the average."""

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
    """Else the wall clocks stand still, and no term can be had from them."""
    walls_wrong: float = 0.0
    """In how many of the schedules the wall clocks are wrong by minutes."""
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
    faults: tuple[Fault, ...] = field(default=())

    @property
    def may_keep_role(self) -> bool:
        """May a worker answer for ever, as KeepRole allows?"""
        return self.keep_role or any(
            fault.value == ("isolation", Isolation.KEEP_ROLE) for fault in self.faults
        )

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
        failover_timeout=chance.choice(FAILOVER_TIMEOUTS),
        cooldown=chance.choice(COOLDOWNS),
        length=length,
        stops=profile.stops * chance.choice((0.0, 0.3, 1.0)) if profile.rates_vary else profile.stops,
        stop_spread=profile.stop_spread,
        longest_stop=profile.longest_stop * duration,
        wall_runs=profile.wall_runs,
        wall_error=WALLS_WRONG if chance.random() < profile.walls_wrong else WALLS_RIGHT,
        slew=profile.slew,
        rates=rates,
    )
    faults: list[Fault] = []
    for kind, mean in profile.faults.items():
        count = int(mean) + (chance.random() < mean % 1)
        for _ in range(count):
            drawn = _DRAWN[kind](bare, chance)
            faults += drawn if isinstance(drawn, tuple) else (drawn,)
    return replace(bare, faults=tuple(sorted(faults, key=lambda fault: fault.at)))


def programs(schedule: Schedule) -> dict[str, str]:
    """Each worker's name with its member."""
    members = MEMBERS[: schedule.members]
    return {f"{member}{n}": member for member in members for n in range(1, schedule.workers + 1)}


def operators(schedule: Schedule) -> list[str]:
    return [f"op{n}" for n in range(1, schedule.operators + 1)]


def targets(schedule: Schedule) -> set[str]:
    """All that a fault may name."""
    workers = programs(schedule)
    return {"", ACTIVE, PASSIVE, *workers, *workers.values(), *operators(schedule)}


Drawn = Callable[[Schedule, random.Random], Fault | tuple[Fault, ...]]


def _moment(schedule: Schedule, chance: random.Random) -> float:
    return 1.0 + chance.random() * (schedule.length - 1.0)


def _while(schedule: Schedule, chance: random.Random) -> float:
    """From a hundredth of the lease duration to three of it, each order of magnitude as likely."""
    return float(schedule.duration) * 3.0 * 10 ** (-2.5 * chance.random())


def _soon(chance: random.Random, most: float = 0.3) -> float:
    return most * chance.random()


def _worker(schedule: Schedule, chance: random.Random) -> str:
    return chance.choice(sorted(programs(schedule)))


def _operator(schedule: Schedule, chance: random.Random) -> str:
    return chance.choice(operators(schedule))


def _anybody(schedule: Schedule, chance: random.Random) -> str:
    return _worker(schedule, chance) if chance.random() < 0.7 else _operator(schedule, chance)


def _member(schedule: Schedule, chance: random.Random) -> str:
    return chance.choice(MEMBERS[: schedule.members])


def _nobody(_: Schedule, __: random.Random) -> str:
    return ""


def _some(
    kind: str, whom: Callable[[Schedule, random.Random], str]
) -> Callable[[Schedule, random.Random], Fault]:
    def draw(schedule: Schedule, chance: random.Random) -> Fault:
        return Fault(_moment(schedule, chance), kind, whom(schedule, chance), _while(schedule, chance))

    return draw


def _slow(schedule: Schedule, chance: random.Random) -> Fault:
    delay = round(schedule.duration * 0.7 * chance.random(), 3)
    return replace(_some("slow", _anybody)(schedule, chance), value=delay)


def _cut(kind: str, whom: Callable[[Schedule, random.Random], str]) -> Drawn:
    """Both ways, or one: nothing arrives, or what arrives and is carried out is not answered."""

    def draw(schedule: Schedule, chance: random.Random) -> Fault:
        lost = chance.choice((None, None, "requests", "answers"))
        return replace(_some(kind, whom)(schedule, chance), value=lost)

    return draw


def _ask(schedule: Schedule, chance: random.Random) -> Fault:
    what = chance.choice(("toggle", "promote", "promote", "demote", "promote force"))
    return Fault(_moment(schedule, chance), "ask", _worker(schedule, chance), value=what)


def _edit(schedule: Schedule, chance: random.Random) -> Fault:
    edits: list[tuple[str, Any]] = [
        ("lease_duration", chance.choice(DURATIONS)),
        ("active_cluster", chance.choice((None, *MEMBERS[: schedule.members]))),
        ("isolation", chance.choice(tuple(Isolation))),
        ("clusters", "".join(chance.sample(MEMBERS, chance.randint(2, 3)))),
        ("paused", chance.random() < 0.5),
        ("switchover_timeout", chance.choice(TIMEOUTS)),
        ("member.name", (_member(schedule, chance), chance.choice(("here", "there")))),
        ("member.priority", (_member(schedule, chance), chance.randint(-3, 3))),
        ("failover.mode", chance.choice(tuple(FailoverMode))),
        ("failover.timeout", chance.choice(FAILOVER_TIMEOUTS)),
        ("failover.cooldown", chance.choice(COOLDOWNS)),
    ]
    return Fault(_moment(schedule, chance), "edit", value=chance.choice(edits))


def _recreate(schedule: Schedule, chance: random.Random) -> Fault:
    members = "".join(chance.sample(MEMBERS, chance.randint(2, 3)))
    value = (members, chance.random() < 0.5, _member(schedule, chance))
    return Fault(_moment(schedule, chance), "recreate", seconds=_while(schedule, chance), value=value)


def _restore(schedule: Schedule, chance: random.Random) -> Fault:
    bumped = chance.random() < 0.8
    return Fault(_moment(schedule, chance), "restore", seconds=_while(schedule, chance), value=bumped)


# --- third parties ----------------------------------------------------------------------------------------

TOUCHES = ("annotation", "forget", "keep role", "longer")
"""What may be done to a worker's Lease by hand without any harm to the promise."""
ROBBERIES = ("delete", "replace", "relabel", "unlabel", "shorter", "forge")
"""What keeps a fence from counting the worker's present answer."""
STATUS_TOUCHES = ("history", "request", "conditions", "counts")
REWRITES = ("swap", "nobody", "demoting", "promoting")


def _by_hand(kind: str, whom: Callable[[Schedule, random.Random], str], *values: str) -> Drawn:
    def draw(schedule: Schedule, chance: random.Random) -> Fault:
        return Fault(_moment(schedule, chance), kind, whom(schedule, chance), value=chance.choice(values))

    return draw


def _foreign_lease(schedule: Schedule, chance: random.Random) -> Fault:
    """A Lease with the label of the federation that no worker has made, and its acknowledgement."""
    whose = chance.choice((*MEMBERS[: schedule.members], "", "stranger"))
    acknowledges = chance.choice(("", "", "present", "other object", "ahead", "absurd"))
    seconds = float(chance.choice(DURATIONS))
    return Fault(_moment(schedule, chance), "foreign lease", seconds=seconds, value=(whose, acknowledges))


def _robbed(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The Lease of the active worker is taken away; just after that the role moves."""
    t = _moment(schedule, chance)
    what = chance.choice(("delete", "replace", "unlabel"))
    return (
        Fault(t, "rob lease", ACTIVE, value=what),
        Fault(t + 0.3 * schedule.duration + _soon(chance), "ask", PASSIVE, value="promote"),
    )


# --- directed: what has to come together for a broken rule to show ----------------------------------------


def _stalled(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The active worker is cut off, gets one read through, and stops; meanwhile the role moves."""
    t, d = _moment(schedule, chance), schedule.duration
    cut = Fault(t, "cut", ACTIVE, d * (0.3 + 0.3 * chance.random()))
    switch = Fault(0.01, "ask", PASSIVE, value="promote")
    stop = d * (0.4 + 0.55 * chance.random())
    return cut, Fault(t + cut.seconds, "stop after read", ACTIVE, stop, then=(switch,))


def _stalled_slowly(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The same, with more time between the requests of the operators; the worker wakes up in between."""
    cut, stall = _stalled(schedule, chance)
    seconds = schedule.duration * (0.2 + 0.4 * chance.random())
    again = Fault(seconds + 0.025, "cut", ACTIVE, 2.0 * schedule.duration)
    slow = (Fault(cut.at, "slow", name, 2.0 * schedule.duration, value=0.4) for name in operators(schedule))
    return *slow, cut, replace(stall, seconds=seconds, then=(*stall.then, again))


def _frozen(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The active worker is stopped until another one has its role."""
    t, d = _moment(schedule, chance), schedule.duration
    return (
        Fault(t, "stop", ACTIVE, d * (1.2 + chance.random())),
        Fault(t + _soon(chance), "ask", PASSIVE, value="promote"),
    )


def _renewed(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The active worker is replaced by another one, of which no operator has heard when the role moves."""
    t, d = _moment(schedule, chance), schedule.duration
    cut = t + 0.2 + _soon(chance)
    return (
        Fault(t, "restart", ACTIVE, 0.1),
        *(Fault(t + 0.06, "deafen", name, 0.3 * d, value="Leases") for name in operators(schedule)),
        Fault(cut, "cut", ACTIVE, 2.0 * d),
        Fault(cut + 0.01, "ask", PASSIVE, value="promote"),
    )


def _unheard(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The active worker is not told by its watch that the role moves."""
    t = _moment(schedule, chance)
    return (
        Fault(t, "deafen", ACTIVE, schedule.duration),
        Fault(t + _soon(chance), "ask", PASSIVE, value="promote"),
    )


def _unanswered(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """Nor, when it has read that, is it answered that its renewal was carried out."""
    deaf, switch = _unheard(schedule, chance)
    cut = Fault(0.0, "cut", ACTIVE, 0.5 * schedule.duration, value="answers")
    return deaf, switch, Fault(switch.at + 0.05, "once read", ACTIVE, then=(cut,))


def _answered_late(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The role moves while a renewal of the active worker is on its way."""
    slow = Fault(0.0, "slow", ACTIVE, 0.2 * schedule.duration, value=0.05 * schedule.duration)
    switch = Fault(0.0001, "ask", PASSIVE, value="promote")
    return (Fault(_moment(schedule, chance), "once read", ACTIVE, then=(slow, switch)),)


def _cut_and_switch(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    t = _moment(schedule, chance)
    return (
        Fault(t, "cut", ACTIVE, 3.0 * schedule.duration),
        Fault(t + _soon(chance), "ask", PASSIVE, value="promote"),
    )


def _dead(schedule: Schedule, chance: random.Random) -> Fault:
    """The active worker dies, for about as long as a failover waits for it, or longer."""
    seconds = schedule.duration * (0.5 + 3.0 * chance.random()) + schedule.failover_timeout
    return Fault(_moment(schedule, chance), "crash", ACTIVE, seconds)


def _dead_and_paused(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The same while failover is paused, for a part of the time."""
    dead = _dead(schedule, chance)
    paused = dead.at + 2.0 * (chance.random() - 0.5)
    again = paused + dead.seconds * chance.random()
    return (
        dead,
        Fault(paused, "edit", value=("paused", True)),
        Fault(again, "edit", value=("paused", False)),
    )


def _edited_while_cut(what: str, *values: object) -> Drawn:
    """The spec changes at the moment at which the active worker is cut off, and the role moves."""

    def draw(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
        cut, switch = _cut_and_switch(schedule, chance)
        edit = cut.at + 0.05 * (chance.random() - 0.8)
        return (
            Fault(max(0.0, edit - 4.0 * schedule.duration), "edit", value=(what, values[0])),
            Fault(edit, "edit", value=(what, values[1])),
            cut,
            switch,
        )

    return draw


def _faded(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The active worker's answers come late, then not at all, and the role moves."""
    cut, switch = _cut_and_switch(schedule, chance)
    t, d = cut.at, schedule.duration
    return Fault(t - d, "slow", ACTIVE, d, value=round(0.3 * d, 3)), cut, switch


def _slow_operator(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The first list of an operator that has just begun is slow; the active worker is cut off meanwhile."""
    cut, switch = _cut_and_switch(schedule, chance)
    begin = cut.at - 0.4 - 2.0 * chance.random()
    slow = Fault(0.0, "slow", "op1", cut.at - begin, value=3.0)
    return (
        Fault(begin - 0.05, "crash", "op1", 0.05),
        Fault(begin + 0.001, "deafen", "op1", cut.at - begin),
        Fault(begin + 0.001, "once read", "op1", then=(slow,)),
        cut,
        switch,
    )


def _anew(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """Deleted and applied again at once, for another active member, who also asks for the role."""
    t = _moment(schedule, chance)
    return (
        Fault(t, "recreate", seconds=0.02, value=("", False, PASSIVE)),
        Fault(t + 0.02 + _soon(chance), "ask", PASSIVE, value="promote"),
    )


def _anew_once_active(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The same when a member has become active, and a worker of it is about to be the first to tell so."""
    t = _moment(schedule, chance)
    again = Fault(0.001, "recreate", seconds=0.001, value=("", False, PASSIVE))
    ask = Fault(0.003, "ask", PASSIVE, value="promote")
    deaf = Fault(0.0, "deafen", ACTIVE, 5.0)
    stop = Fault(0.0, "stop after read", ACTIVE, 0.1 + _soon(chance), then=(deaf, again, ask))
    late = Fault(0.0, "slow", PASSIVE, 1.0, value=1.0)
    return Fault(t, "ask", PASSIVE, value="promote"), Fault(t, "once active", then=(late, stop))


def _expelled(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The active member is cut off; the federation is deleted and applied again without it."""
    t = _moment(schedule, chance)
    return (
        Fault(t, "cut", ACTIVE, 2.0 * schedule.duration),
        Fault(t + _soon(chance), "recreate", seconds=0.02, value=(PASSIVE, False, PASSIVE)),
    )


def _told_late(stop: float, d: float) -> Fault:
    """The active worker is stopped when it is about to tell what it has read, tells it, and is cut off."""
    cut = Fault(stop + 0.005, "cut", ACTIVE, 2.0 * d)
    return Fault(0.0, "stop after read", ACTIVE, stop, then=(cut,))


def _once_moved(t: float, history: tuple[Fault, ...]) -> tuple[Fault, ...]:
    """What follows when the second member has become active by an edit of the spec."""
    moved = Fault(t, "edit", value=("active_cluster", MEMBERS[1]))
    return moved, Fault(t, "once active", then=history)


def _set_back(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The hub is set back to where a member has just become active; whoever knows most is the last to tell.

    Two tables are lost, in which members only come and go. A worker of another member has seen the first,
    and acknowledges it again. That of the active one has seen both; it is about to tell when the operator,
    away meanwhile, begins anew, and is asked for the member that was active before. Then it is cut off.
    """
    d, lost = schedule.duration, 0.6
    away = d / 3 + 0.1
    stop = d * (0.1 + 0.15 * chance.random())
    told_late = _told_late(stop, d)
    history = (
        Fault(0.3, "edit", value=("clusters", MEMBERS)),
        Fault(0.4, "deafen", PASSIVE, lost - 0.4),
        Fault(0.45, "edit", value=("clusters", MEMBERS[:2])),
        Fault(lost, "crash", "op1", away),
        Fault(lost, "deafen", ACTIVE, 2.0 * d),
        Fault(lost, "restore", seconds=lost - 0.0005, value=True),
        Fault(lost, "once read", ACTIVE, then=(told_late,)),
        Fault(lost + away / 2, "edit", value=("active_cluster", MEMBERS[0])),
    )
    return _once_moved(_moment(schedule, chance), history)


def _set_back_without_lease(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The same, back to when the active worker was just restarting, so that its Lease is lost as well.

    Then it is cut off, and before the operator is back, somebody makes the lease duration shorter.
    """
    lost, away = 0.6, schedule.duration / 3 + 0.1
    history = (
        *_lost_with_the_lease(schedule, lost, away),
        Fault(lost + 0.01, "edit", value=("lease_duration", min(DURATIONS))),
        Fault(lost + away * chance.random(), "edit", value=("active_cluster", MEMBERS[0])),
    )
    return _once_moved(_moment(schedule, chance), history)


def _lost_with_the_lease(schedule: Schedule, lost: float, away: float) -> tuple[Fault, ...]:
    """At `lost`, the hub forgets the active worker's Lease and later tables. The operator crashes with it."""
    return (
        Fault(0.05, "restart", ACTIVE, 0.1),
        Fault(0.3, "edit", value=("clusters", MEMBERS)),
        Fault(0.4, "deafen", PASSIVE, lost - 0.4),
        Fault(0.45, "edit", value=("clusters", MEMBERS[:2])),
        Fault(lost, "crash", "op1", away),
        Fault(lost, "cut", ACTIVE, 2.0 * schedule.duration),
        Fault(lost, "restore", seconds=lost - 0.12, value=True),
    )


def _set_back_and_recreated(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """As "without lease"; when the loss has been noticed, the federation is deleted and applied again."""
    lost, away = 0.6, schedule.duration / 3 + 0.1
    back = lost + away
    history = (
        *_lost_with_the_lease(schedule, lost, away),
        Fault(back + 0.2 + _soon(chance), "recreate", seconds=0.02, value=("", False, PASSIVE)),
        Fault(back + 0.6, "ask", PASSIVE, value="promote"),
    )
    return _once_moved(_moment(schedule, chance), history)


def _set_back_and_seen(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """As "set back", but a second operator has long seen the lost table, whose number the new one gets."""
    d, lost = schedule.duration, 0.45 + 1.7 * schedule.duration
    away = d / 3 + 0.1
    stop = d * (0.1 + 0.4 * chance.random())
    told_late = _told_late(stop, d)
    history = (
        Fault(0.3, "edit", value=("clusters", MEMBERS)),
        Fault(0.42, "cut", PASSIVE, lost - 0.42),
        Fault(0.45, "edit", value=("clusters", MEMBERS[:2])),
        Fault(lost, "crash", "op1", away),
        Fault(lost, "stop", "op2", away + 0.1),
        Fault(lost, "deafen", ACTIVE, 2.0 * d),
        Fault(lost, "restore", seconds=lost - 0.0005, value=True),
        Fault(lost, "once read", ACTIVE, then=(told_late,)),
        Fault(lost + away / 2, "edit", value=("active_cluster", MEMBERS[0])),
    )
    return _once_moved(_moment(schedule, chance), history)


def _outrun(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """So many switchovers that terms rise faster than seconds pass; then nothing of them is left."""
    t = _moment(schedule, chance)
    worker = _worker(schedule, chance)
    quick = (Fault(t + 0.15 * n, "ask", worker, value="toggle") for n in range(12))
    return (
        *quick,
        *(Fault(t + 2.0, "restart", name, 0.5) for name in programs(schedule)),
        Fault(t + 2.1, "recreate", seconds=0.05, value=("", False, PASSIVE)),
    )


def _late_first(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """A federation begins while the member that is chosen first is away, for longer or shorter."""
    t, member = _moment(schedule, chance), _member(schedule, chance)
    seconds = (schedule.duration + schedule.failover_timeout) * 1.5 * chance.random()
    return (
        Fault(t, "kill member", member, seconds),
        Fault(t + 0.01, "recreate", seconds=0.02, value=("", False, member)),
    )


def _absurd(schedule: Schedule, chance: random.Random) -> Fault:
    return replace(_foreign_lease(schedule, chance), value=(_member(schedule, chance), "absurd"))


_DRAWN: Mapping[str, Drawn] = {
    "stop": _some("stop", _anybody),  # SIGSTOP, SIGCONT
    "crash": _some("crash", _anybody),  # SIGKILL and a new start
    "restart": _some("restart", _worker),  # SIGTERM and a new start
    "cut": _cut("cut", _anybody),
    "cut member": _cut("cut member", _member),
    "refuse": _some("refuse", _anybody),
    "kill member": _some("kill member", _member),
    "watch break": _some("watch break", _anybody),
    "hub down": _some("hub down", _nobody),
    "lose status": _some("lose status", _nobody),
    "operator stop": _some("stop", _operator),
    "operator crash": _some("crash", _operator),
    "slow": _slow,
    "ask": _ask,
    "edit": _edit,
    "recreate": _recreate,
    "restore": _restore,
    "touch lease": _by_hand("touch lease", _worker, *TOUCHES),
    "rob lease": _by_hand("rob lease", _worker, *ROBBERIES),
    "foreign lease": _foreign_lease,
    "touch status": _by_hand("touch status", _nobody, *STATUS_TOUCHES),
    "rewrite roles": _by_hand("rewrite roles", _nobody, *REWRITES),
    "remove crd": _some("remove crd", _nobody),
    "robbed": _robbed,
    "stalled": _stalled,
    "stalled slowly": _stalled_slowly,
    "frozen": _frozen,
    "renewed": _renewed,
    "unheard": _unheard,
    "unanswered": _unanswered,
    "answered late": _answered_late,
    "cut and switch": _cut_and_switch,
    "shorter": _edited_while_cut("lease_duration", 5, 2),
    "stricter": _edited_while_cut("isolation", Isolation.KEEP_ROLE, Isolation.FENCE),
    "faded": _faded,
    "dead": _dead,
    "dead and paused": _dead_and_paused,
    "slow operator": _slow_operator,
    "anew": _anew,
    "anew once active": _anew_once_active,
    "expelled": _expelled,
    "set back": _set_back,
    "set back without lease": _set_back_without_lease,
    "set back and recreated": _set_back_and_recreated,
    "set back and seen": _set_back_and_seen,
    "outrun": _outrun,
    "late first": _late_first,
    "absurd": _absurd,
}
