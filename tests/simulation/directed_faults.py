"""Draws what has to come together for a broken rule to show: a few faults in a certain order."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from simulation.random_faults import Drawn, any_member, any_worker, foreign_lease, moment, soon
from simulation.schedule import (
    ACTIVE,
    DURATIONS,
    MEMBERS,
    PASSIVE,
    TIMEOUTS,
    Fault,
    Schedule,
    operators,
    programs,
)
from tcf.core.model import Application, Isolation


def _stalled(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The active worker is cut off, reads once more, and is stopped; meanwhile the role moves."""
    t, d = moment(schedule, chance), schedule.duration
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
    t, d = moment(schedule, chance), schedule.duration
    return (
        Fault(t, "stop", ACTIVE, d * (1.2 + chance.random())),
        Fault(t + soon(chance), "ask", PASSIVE, value="promote"),
    )


def _renewed(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """A new worker replaces the active one, and no operator has heard of it when the role moves."""
    t, d = moment(schedule, chance), schedule.duration
    cut = t + 0.2 + soon(chance)
    return (
        Fault(t, "restart", ACTIVE, 0.1),
        *(Fault(t + 0.06, "deafen", name, 0.3 * d, value="Leases") for name in operators(schedule)),
        Fault(cut, "cut", ACTIVE, 2.0 * d),
        Fault(cut + 0.01, "ask", PASSIVE, value="promote"),
    )


def _unheard(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The role moves, and the watch of the active worker does not say so."""
    t = moment(schedule, chance)
    return (
        Fault(t, "deafen", ACTIVE, schedule.duration),
        Fault(t + soon(chance), "ask", PASSIVE, value="promote"),
    )


def _unanswered(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The same; and when the worker has read it, the answer to its renewal is lost."""
    deaf, switch = _unheard(schedule, chance)
    cut = Fault(0.0, "cut", ACTIVE, 0.5 * schedule.duration, value="answers")
    return deaf, switch, Fault(switch.at + 0.05, "once read", ACTIVE, then=(cut,))


def _answered_late(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The role moves while a renewal of the active worker is on its way."""
    slow = Fault(0.0, "slow", ACTIVE, 0.2 * schedule.duration, value=0.05 * schedule.duration)
    switch = Fault(0.0001, "ask", PASSIVE, value="promote")
    return (Fault(moment(schedule, chance), "once read", ACTIVE, then=(slow, switch)),)


def _cut_and_switch(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    t = moment(schedule, chance)
    return (
        Fault(t, "cut", ACTIVE, 3.0 * schedule.duration),
        Fault(t + soon(chance), "ask", PASSIVE, value="promote"),
    )


def _dead(schedule: Schedule, chance: random.Random) -> Fault:
    """The active worker dies, for about as long as a failover waits for it, or longer."""
    seconds = schedule.duration * (0.5 + 3.0 * chance.random()) + schedule.failover_timeout
    return Fault(moment(schedule, chance), "crash", ACTIVE, seconds)


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


def _ill_active(schedule: Schedule, chance: random.Random) -> Fault:
    """The active application is ill, for about as long as a failover waits for it, or longer."""
    report = chance.choice((Application.UNHEALTHY, Application.UNHEALTHY, None))
    return replace(_dead(schedule, chance), kind="ill member", value=report)


def _flapping(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The active application is ill again and again, and well for a moment in between."""
    t, d = moment(schedule, chance), schedule.duration
    faults = []
    for _ in range(4):
        seconds = (1.1 * d + schedule.failover_timeout) * chance.random()
        faults.append(Fault(t, "ill member", ACTIVE, seconds, value=Application.UNHEALTHY))
        t += seconds + d * chance.random()
    return tuple(faults)


def _ill_and_stuck(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The active application is ill for long. Whoever is to take over cannot, until that is rolled back."""
    t = 0.4 * moment(schedule, chance)
    cut = Fault(0.0, "cut", PASSIVE, TIMEOUTS[0] + soon(chance, 1.0))
    return (
        Fault(t, "ill member", ACTIVE, schedule.length, value=Application.UNHEALTHY),
        Fault(t, "once failing over", then=(cut,)),
    )


def _forced_though_ill(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The role is forced upon a member whose application has been ill for longer than a failover waits."""
    t, wait = moment(schedule, chance), 1.2 * schedule.duration + schedule.failover_timeout
    return (
        Fault(t, "ill member", PASSIVE, 3.0 * wait, value=Application.UNHEALTHY),
        Fault(t + wait, "ask", PASSIVE, value="promote force"),
    )


def _overloaded(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The hub throttles everybody during a switchover, or operators have no turn for what is asked for.

    A worker is throttled only for so long that its Lease does not become silent.
    """
    t, d = 3.0 * schedule.duration + schedule.length / 3 * chance.random(), schedule.duration
    begin = Fault(t, "place")
    if chance.random() < 0.5:
        late = t + soon(chance, 0.05)
        all_workers = (Fault(late, "refuse", name, 0.5 * d * chance.random()) for name in programs(schedule))
        throttled = (Fault(late, "refuse", name, 2.0 * TIMEOUTS[0]) for name in operators(schedule))
        return begin, *all_workers, *throttled
    seconds = 2 * TIMEOUTS[0] + 60 + 20 * chance.random()
    return begin, *(Fault(t - 0.1, "crowd", name, seconds) for name in operators(schedule))


def _overloaded_failover(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """Operators have no turn for a failover that has begun, or the hub throttles them."""
    kind, seconds = chance.choice(("crowd", "refuse")), TIMEOUTS[0] * (0.5 + 2.0 * chance.random())
    trouble = tuple(Fault(soon(chance, 0.05), kind, name, seconds) for name in operators(schedule))
    dead = Fault(3.0 * schedule.duration, "crash", ACTIVE, schedule.length)
    return dead, Fault(0.0, "once failing over", then=trouble)


def _one_left(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """All operators but one die when they know each other, and people ask for the role."""
    gone = 22.0 + soon(chance, 3.0)
    left = chance.choice(operators(schedule))
    crashes = (Fault(gone, "crash", name, 40.0) for name in operators(schedule) if name != left)
    asks = (Fault(gone + 10.0 * n + soon(chance, 5.0), "ask", PASSIVE, value="promote") for n in range(3))
    return *crashes, *asks


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


def _shorter_while_draining(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The role moves and the lease duration is cut; the worker writes that, and hears no more."""
    t = moment(schedule, chance)
    cut = Fault(0.0, "cut", ACTIVE, 2.0 * schedule.duration, value="answers")
    return (
        Fault(max(0.0, t - 2.0 * schedule.duration), "edit", value=("lease_duration", max(DURATIONS))),
        Fault(t, "ask", PASSIVE, value="promote"),
        Fault(t + 0.05, "edit", value=("lease_duration", min(DURATIONS))),
        Fault(t + 0.06, "once read", ACTIVE, then=(cut,)),
    )


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


def _recreated(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """Deleted and applied again at once, for another active member, who also asks for the role."""
    t = moment(schedule, chance)
    return (
        Fault(t, "recreate", seconds=0.02, value=("", False, PASSIVE)),
        Fault(t + 0.02 + soon(chance), "ask", PASSIVE, value="promote"),
    )


def _recreated_once_active(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The same when a member has just become active, and its worker is about to be the first to show that."""
    t = moment(schedule, chance)
    again = Fault(0.001, "recreate", seconds=0.001, value=("", False, PASSIVE))
    ask = Fault(0.003, "ask", PASSIVE, value="promote")
    deaf = Fault(0.0, "deafen", ACTIVE, 5.0)
    stop = Fault(0.0, "stop after read", ACTIVE, 0.1 + soon(chance), then=(deaf, again, ask))
    late = Fault(0.0, "slow", PASSIVE, 1.0, value=1.0)
    return Fault(t, "ask", PASSIVE, value="promote"), Fault(t, "once active", then=(late, stop))


def _expelled(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The active member is cut off; the federation is deleted and applied again without it."""
    t = moment(schedule, chance)
    return (
        Fault(t, "cut", ACTIVE, 2.0 * schedule.duration),
        Fault(t + soon(chance), "recreate", seconds=0.02, value=(PASSIVE, False, PASSIVE)),
    )


def _shown_late(stop: float, d: float) -> Fault:
    """The active worker is stopped before it acknowledges what it has read, does so later, and is cut off."""
    cut = Fault(stop + 0.005, "cut", ACTIVE, 2.0 * d)
    return Fault(0.0, "stop after read", ACTIVE, stop, then=(cut,))


def _once_moved(t: float, history: tuple[Fault, ...]) -> tuple[Fault, ...]:
    """What follows when the second member has become active by an edit of the spec."""
    moved = Fault(t, "edit", value=("active_cluster", MEMBERS[1]))
    return moved, Fault(t, "once active", then=history)


def _set_back(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The hub is set back to where a member has just become active; who knows most is the last to show it.

    Two tables are lost, in which members only come and go. A worker of another member has seen the first,
    and acknowledges it again. That of the active member has seen both. It is about to acknowledge the second
    when the operator, which was down, begins again and is asked for the member that was active before. Then
    the worker is cut off.
    """
    d, lost = schedule.duration, 0.6
    down = d / 3 + 0.1
    stop = d * (0.1 + 0.15 * chance.random())
    shown_late = _shown_late(stop, d)
    history = (
        Fault(0.3, "edit", value=("clusters", MEMBERS)),
        Fault(0.4, "deafen", PASSIVE, lost - 0.4),
        Fault(0.45, "edit", value=("clusters", MEMBERS[:2])),
        Fault(lost, "crash", "op1", down),
        Fault(lost, "deafen", ACTIVE, 2.0 * d),
        Fault(lost, "restore", seconds=lost - 0.0005, value=True),
        Fault(lost, "once read", ACTIVE, then=(shown_late,)),
        Fault(lost + down / 2, "edit", value=("active_cluster", MEMBERS[0])),
    )
    return _once_moved(moment(schedule, chance), history)


def _set_back_without_lease(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """The same, back to when the active worker was just restarting, so that its Lease is lost as well.

    Then it is cut off, and before the operator is back, somebody makes the lease duration shorter.
    """
    lost, down = 0.6, schedule.duration / 3 + 0.1
    history = (
        *_lost_with_the_lease(schedule, lost, down),
        Fault(lost + 0.01, "edit", value=("lease_duration", min(DURATIONS))),
        Fault(lost + down * chance.random(), "edit", value=("active_cluster", MEMBERS[0])),
    )
    return _once_moved(moment(schedule, chance), history)


def _lost_with_the_lease(schedule: Schedule, lost: float, down: float) -> tuple[Fault, ...]:
    """At `lost`, the hub forgets the active worker's Lease and later tables. The operator crashes with it."""
    return (
        Fault(0.05, "restart", ACTIVE, 0.1),
        Fault(0.3, "edit", value=("clusters", MEMBERS)),
        Fault(0.4, "deafen", PASSIVE, lost - 0.4),
        Fault(0.45, "edit", value=("clusters", MEMBERS[:2])),
        Fault(lost, "crash", "op1", down),
        Fault(lost, "cut", ACTIVE, 2.0 * schedule.duration),
        Fault(lost, "restore", seconds=lost - 0.12, value=True),
    )


def _set_back_and_recreated(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """As "without lease"; when the loss has been noticed, the federation is deleted and applied again."""
    lost, down = 0.6, schedule.duration / 3 + 0.1
    back = lost + down
    history = (
        *_lost_with_the_lease(schedule, lost, down),
        Fault(back + 0.2 + soon(chance), "recreate", seconds=0.02, value=("", False, PASSIVE)),
        Fault(back + 0.6, "ask", PASSIVE, value="promote"),
    )
    return _once_moved(moment(schedule, chance), history)


def _set_back_and_seen(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """As "set back", but a second operator has long seen the lost table, whose number the new one gets."""
    d, lost = schedule.duration, 0.45 + 1.7 * schedule.duration
    down = d / 3 + 0.1
    stop = d * (0.1 + 0.4 * chance.random())
    shown_late = _shown_late(stop, d)
    history = (
        Fault(0.3, "edit", value=("clusters", MEMBERS)),
        Fault(0.42, "cut", PASSIVE, lost - 0.42),
        Fault(0.45, "edit", value=("clusters", MEMBERS[:2])),
        Fault(lost, "crash", "op1", down),
        Fault(lost, "stop", "op2", down + 0.1),
        Fault(lost, "deafen", ACTIVE, 2.0 * d),
        Fault(lost, "restore", seconds=lost - 0.0005, value=True),
        Fault(lost, "once read", ACTIVE, then=(shown_late,)),
        Fault(lost + down / 2, "edit", value=("active_cluster", MEMBERS[0])),
    )
    return _once_moved(moment(schedule, chance), history)


def _outrun(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """So many switchovers that terms rise faster than seconds pass; then nothing of them is left."""
    t = moment(schedule, chance)
    worker = any_worker(schedule, chance)
    quick = (Fault(t + 0.15 * n, "ask", worker, value="toggle") for n in range(12))
    return (
        *quick,
        *(Fault(t + 2.0, "restart", name, 0.5) for name in programs(schedule)),
        Fault(t + 2.1, "recreate", seconds=0.05, value=("", False, PASSIVE)),
    )


def _late_first(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """A federation begins while the member that is chosen first has no worker, for a while."""
    t, member = moment(schedule, chance), any_member(schedule, chance)
    seconds = (schedule.duration + schedule.failover_timeout) * 1.5 * chance.random()
    return (
        Fault(t, "kill member", member, seconds),
        Fault(t + 0.01, "recreate", seconds=0.02, value=("", False, member)),
    )


def _absurd(schedule: Schedule, chance: random.Random) -> Fault:
    return replace(foreign_lease(schedule, chance), value=(any_member(schedule, chance), "absurd"))


def _asked_again(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """A request times out while the active worker concludes. Soon after, somebody asks for the same again."""
    t = moment(schedule, chance)
    again = (t + TIMEOUTS[0] + 0.4 * n + soon(chance) for n in range(8))
    return tuple(Fault(at, "ask", PASSIVE, value="promote") for at in (t, *again))


_CONCLUDING = 2.0
"""Seconds after a request in which the worker that loses its role is likely to be concluding that."""


def _while_concluding(kind: str, *values: object, target: str = ACTIVE, periods: float = 0.0) -> Drawn:
    """The role moves; while the worker that loses it concludes that, something happens to it.

    For up to `periods` lease durations, or shortly.
    """

    def draw(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
        t = moment(schedule, chance)
        at = t + _CONCLUDING * chance.random()
        seconds = periods * schedule.duration * chance.random() or soon(chance)
        value = chance.choice(values) if values else None
        return Fault(t, "ask", PASSIVE, value="promote"), Fault(at, kind, target, seconds, value)

    return draw


def _robbed(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
    """Somebody takes the Lease of the active worker away; just after that the role moves."""
    t = moment(schedule, chance)
    what = chance.choice(("delete", "replace", "unlabel"))
    return (
        Fault(t, "rob lease", ACTIVE, value=what),
        Fault(t + 0.3 * schedule.duration + soon(chance), "ask", PASSIVE, value="promote"),
    )


DIRECTED_FAULTS: Mapping[str, Drawn] = {
    "robbed": _robbed,
    "asked again": _asked_again,
    "crash while concluding": _while_concluding("crash"),
    "restart while concluding": _while_concluding("restart"),
    "stop while concluding": _while_concluding("stop", periods=3.0),
    "cut while concluding": _while_concluding("cut", periods=3.0),
    "rob while concluding": _while_concluding("rob lease", "delete", "replace", "unlabel"),
    "recreate while concluding": _while_concluding("recreate", ("", False, PASSIVE), target=""),
    "stalled": _stalled,
    "stalled slowly": _stalled_slowly,
    "frozen": _frozen,
    "renewed": _renewed,
    "unheard": _unheard,
    "unanswered": _unanswered,
    "answered late": _answered_late,
    "cut and switch": _cut_and_switch,
    "shorter": _edited_while_cut("lease_duration", 5, 2),
    "shorter while draining": _shorter_while_draining,
    "stricter": _edited_while_cut("isolation", Isolation.KEEP_ROLE, Isolation.FENCE),
    "faded": _faded,
    "ill active": _ill_active,
    "flapping": _flapping,
    "ill and stuck": _ill_and_stuck,
    "forced though ill": _forced_though_ill,
    "dead": _dead,
    "overloaded": _overloaded,
    "overloaded failover": _overloaded_failover,
    "one left": _one_left,
    "dead and paused": _dead_and_paused,
    "slow operator": _slow_operator,
    "recreated": _recreated,
    "recreated once active": _recreated_once_active,
    "expelled": _expelled,
    "set back": _set_back,
    "set back without lease": _set_back_without_lease,
    "set back and recreated": _set_back_and_recreated,
    "set back and seen": _set_back_and_seen,
    "outrun": _outrun,
    "late first": _late_first,
    "absurd": _absurd,
}
