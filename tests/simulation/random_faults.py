"""Draws one fault at a time: at a random moment, for a random target, and of random length."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from simulation.schedule import (
    COOLDOWNS,
    DURATIONS,
    FAILOVER_TIMEOUTS,
    MEMBERS,
    TIMEOUTS,
    Fault,
    Schedule,
    holders,
    operators,
    programs,
)
from tcf.core.model import Application, FailoverMode, Follows, Isolation

Drawn = Callable[[Schedule, random.Random], Fault | tuple[Fault, ...]]


def moment(schedule: Schedule, chance: random.Random) -> float:
    return 1.0 + chance.random() * (schedule.length - 1.0)


def lasting(schedule: Schedule, chance: random.Random) -> float:
    """From a hundredth of the lease duration to three of it, each order of magnitude as likely."""
    return float(schedule.duration) * 3.0 * 10 ** (-2.5 * chance.random())


def soon(chance: random.Random, most: float = 0.3) -> float:
    return most * chance.random()


def any_worker(schedule: Schedule, chance: random.Random) -> str:
    return chance.choice(sorted(programs(schedule)))


def any_operator(schedule: Schedule, chance: random.Random) -> str:
    return chance.choice(operators(schedule))


def anybody(schedule: Schedule, chance: random.Random) -> str:
    return any_worker(schedule, chance) if chance.random() < 0.7 else any_operator(schedule, chance)


def any_member(schedule: Schedule, chance: random.Random) -> str:
    return chance.choice(MEMBERS[: schedule.members])


def _of_holder(kind: str) -> Drawn:
    def draw(schedule: Schedule, chance: random.Random) -> tuple[Fault, ...]:
        names = sorted(holders(schedule))
        if not names:
            return ()
        return (Fault(moment(schedule, chance), kind, chance.choice(names), lasting(schedule, chance)),)

    return draw


def nobody(_: Schedule, __: random.Random) -> str:
    return ""


def _some(
    kind: str, whom: Callable[[Schedule, random.Random], str]
) -> Callable[[Schedule, random.Random], Fault]:
    def draw(schedule: Schedule, chance: random.Random) -> Fault:
        return Fault(moment(schedule, chance), kind, whom(schedule, chance), lasting(schedule, chance))

    return draw


def _slow(schedule: Schedule, chance: random.Random) -> Fault:
    delay = round(schedule.duration * 0.7 * chance.random(), 3)
    return replace(_some("slow", anybody)(schedule, chance), value=delay)


def _cut(kind: str, whom: Callable[[Schedule, random.Random], str]) -> Drawn:
    """A cut in both directions, or in one: either requests or answers are lost."""

    def draw(schedule: Schedule, chance: random.Random) -> Fault:
        lost = chance.choice((None, None, "requests", "answers"))
        return replace(_some(kind, whom)(schedule, chance), value=lost)

    return draw


def _ask(schedule: Schedule, chance: random.Random) -> Fault:
    what = chance.choice(("toggle", "promote", "promote", "demote", "promote force"))
    return Fault(moment(schedule, chance), "ask", any_worker(schedule, chance), value=what)


def _edit(schedule: Schedule, chance: random.Random) -> Fault:
    edits: list[tuple[str, Any]] = [
        ("lease_duration", chance.choice(DURATIONS)),
        ("active_cluster", chance.choice((None, *MEMBERS[: schedule.members]))),
        ("isolation", chance.choice(tuple(Isolation))),
        ("clusters", "".join(chance.sample(MEMBERS, chance.randint(2, 3)))),
        ("paused", chance.random() < 0.5),
        ("switchover_timeout", chance.choice(TIMEOUTS)),
        ("member.name", (any_member(schedule, chance), chance.choice(("here", "there")))),
        ("member.priority", (any_member(schedule, chance), chance.randint(-3, 3))),
        ("failover.mode", chance.choice(tuple(FailoverMode))),
        ("failover.timeout", chance.choice(FAILOVER_TIMEOUTS)),
        ("failover.cooldown", chance.choice(COOLDOWNS)),
    ]
    if schedule.following:
        edits.append(("failover.follows", chance.choice(tuple(Follows))))
    return Fault(moment(schedule, chance), "edit", value=chance.choice(edits))


def _ill(schedule: Schedule, chance: random.Random) -> Fault:
    """An application is unhealthy, or nobody reports on it; at one worker or at all of its member."""
    report = chance.choice((Application.UNHEALTHY, Application.UNHEALTHY, None))
    kind = chance.choice(("ill", "ill member"))
    whom = any_member if kind == "ill member" else any_worker
    return replace(_some(kind, whom)(schedule, chance), value=report)


def _recreate(schedule: Schedule, chance: random.Random) -> Fault:
    members = "".join(chance.sample(MEMBERS, chance.randint(2, 3)))
    value = (members, chance.random() < 0.5, any_member(schedule, chance))
    return Fault(moment(schedule, chance), "recreate", seconds=lasting(schedule, chance), value=value)


def _restore(schedule: Schedule, chance: random.Random) -> Fault:
    bumped = chance.random() < 0.8
    return Fault(moment(schedule, chance), "restore", seconds=lasting(schedule, chance), value=bumped)


# --- third parties ----------------------------------------------------------------------------------------

TOUCHES = ("annotation", "forget", "keep role", "longer")
"""Edits of a worker's Lease by hand that leave the promise intact."""
ROBBERIES = ("delete", "replace", "relabel", "unlabel", "shorter", "forge")
"""Edits of a worker's Lease that hide its present answer from a fence."""
STATUS_TOUCHES = ("history", "request", "conditions", "counts")
REWRITES = ("swap", "nobody", "demoting", "promoting")


def _by_hand(kind: str, whom: Callable[[Schedule, random.Random], str], *values: str) -> Drawn:
    def draw(schedule: Schedule, chance: random.Random) -> Fault:
        return Fault(moment(schedule, chance), kind, whom(schedule, chance), value=chance.choice(values))

    return draw


def foreign_lease(schedule: Schedule, chance: random.Random) -> Fault:
    """A Lease with the label of the federation that no worker has made, and its acknowledgement."""
    whose = chance.choice((*MEMBERS[: schedule.members], "", "stranger"))
    acknowledges = chance.choice(("", "", "present", "other object", "ahead", "absurd"))
    seconds = float(chance.choice(DURATIONS))
    return Fault(moment(schedule, chance), "foreign lease", seconds=seconds, value=(whose, acknowledges))


RANDOM_FAULTS: Mapping[str, Drawn] = {
    "stop": _some("stop", anybody),  # SIGSTOP, SIGCONT
    "crash": _some("crash", anybody),  # SIGKILL and a new start
    "restart": _some("restart", any_worker),  # SIGTERM and a new start
    "cut": _cut("cut", anybody),
    "cut member": _cut("cut member", any_member),
    "refuse": _some("refuse", anybody),
    "kill member": _some("kill member", any_member),
    "watch break": _some("watch break", anybody),
    "hub down": _some("hub down", nobody),
    "lose status": _some("lose status", nobody),
    "operator stop": _some("stop", any_operator),
    "operator crash": _some("crash", any_operator),
    "crowd": _some("crowd", any_operator),
    "pause holder": _of_holder("pause holder"),
    "crash holder": _of_holder("crash holder"),
    "slow": _slow,
    "ill": _ill,
    "ask": _ask,
    "place": _some("place", nobody),
    "edit": _edit,
    "recreate": _recreate,
    "restore": _restore,
    "touch lease": _by_hand("touch lease", any_worker, *TOUCHES),
    "rob lease": _by_hand("rob lease", any_worker, *ROBBERIES),
    "foreign lease": foreign_lease,
    "touch status": _by_hand("touch status", nobody, *STATUS_TOUCHES),
    "rewrite roles": _by_hand("rewrite roles", nobody, *REWRITES),
    "remove crd": _some("remove crd", nobody),
}
