"""Does the spec allow a failover, and has the member been silent for long enough?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from simulation.network import Link
from simulation.schedule import WALLS_RIGHT
from simulation.world import START, World
from tcf.core.fencing import silence_needed
from tcf.core.model import (
    Application,
    FailoverMode,
    Federation,
    Follows,
    HistoryEntry,
    Trigger,
    WorkerLease,
)

_SETTLED = 1 / 4
"""The part of its duration for which a Lease must exist before its renewals are signs of life."""
_AT_ONCE = 1 / 2
"""Renewals within this part of a duration may reach a coordinator all at once, after it was stopped."""
_FAST = 0.95
"""The part of a silence that has passed for certain when a coordinator with a fast clock has counted it."""
_WALLS_APART = 2 * WALLS_RIGHT + 1.0
"""Seconds between two wall clocks, and one more because history keeps whole seconds."""


@dataclass(frozen=True, slots=True)
class _Sign:
    """A sign of life at `at`, under a Lease that was first acknowledged at `acknowledged`.

    `late`: how much earlier a coordinator may begin to count that has seen the Lease before that: it takes
    the Lease for one that has just been created.
    `healthy`: the Lease has said for long, at least until then, that the application is healthy.
    """

    at: float
    acknowledged: float = 0.0
    late: float = 0.0
    healthy: bool = True


class Failovers:
    """Sees every write of a Lease on the hub, so it knows more than any coordinator."""

    def __init__(self, world: World, *, walls_agree: bool) -> None:
        self._world = world
        self._walls_agree = walls_agree
        self._created: dict[str, float] = {}
        self._acknowledged: dict[str, float] = {}
        self._renewed: dict[str, float] = {}
        self._healthy: dict[str, float] = {}
        """Since when each Lease says that the application is healthy."""
        self._signs: dict[str, list[_Sign]] = {}
        self._ended: dict[str, float] = {}

    def changed(self, value: Federation | WorkerLease, *, deleted: bool) -> None:
        """A Lease is written or deleted. Only its own worker deletes one that is not silent."""
        assert isinstance(value, WorkerLease)
        now, uid = self._world.now, value.uid
        last = self._renewed.get(uid, now)
        self._created.setdefault(uid, now)
        if value.acknowledged:
            self._acknowledged.setdefault(uid, now)
        if not deleted:
            self._renewed[uid] = last = now
        created = self._created[uid]
        settled = last - created >= value.duration * (_SETTLED + _AT_ONCE)
        # A coordinator learns of it within the time in which it has to see its witness renew. Once the Lease
        # is silent for it, it takes a deletion for that of another coordinator.
        noticed = now - last + value.duration * _AT_ONCE < _FAST * silence_needed(value.duration)
        if settled and noticed:
            acknowledged = self._acknowledged.get(uid, now)
            # A coordinator may miss what was so for less than a duration.
            healthy = now - self._healthy.get(uid, now) >= value.duration
            sign = _Sign(now, acknowledged, value.duration * _SETTLED, healthy)
            self._signs.setdefault(value.cluster, []).append(sign)
        if deleted or value.application is not Application.HEALTHY:
            self._healthy.pop(uid, None)
        else:
            self._healthy.setdefault(uid, now)

    def promoted(self, member: str) -> None:
        """A member has become active, so one of its workers must be alive."""
        self._signs.setdefault(member, []).append(_Sign(self._world.now))

    def ended(self, past: HistoryEntry) -> None:
        """A request has ended, at the moment that it names: the write may have taken seconds to arrive."""
        said = (datetime.fromisoformat(past.finished_at) - START).total_seconds()
        self._ended[past.id] = min(said, self._world.now)

    def objection(self, before: Federation, dead: str, by: Link, *, cooldown: bool = True) -> str:
        """What is wrong about replacing the member `dead` now; "" if nothing is."""
        spec, status, now = before.spec, before.status, self._world.now
        if spec.failover.mode is not FailoverMode.AUTOMATIC or spec.paused:
            return f"failover is {spec.failover.mode}, paused: {spec.paused}"
        history = status.history if status else ()
        moved = (p for p in history if _calls_for_rest(p))
        rested = now - self._ended.get(next((p.id for p in moved), ""), -math.inf)
        if cooldown and self._walls_agree and rested < spec.failover.cooldown - _WALLS_APART:
            return f"the active member has changed, or a failover has failed, {rested:.1f} s ago"
        needed = max(silence_needed(spec.lease_duration), spec.failover.timeout)
        follows = spec.failover.follows is Follows.APPLICATIONS
        signs = [sign for sign in self._signs.get(dead, []) if sign.healthy or not follows]
        until = min((sign.at for sign in signs if sign.at > by.listed), default=now)
        for sign in signs:
            late = sign.late if sign.acknowledged >= by.opened else 0.0
            if sign.at <= by.listed and until - sign.at + late < _FAST * needed:
                return f"{dead} has been unable to act for {until - sign.at:.1f} s only, not {needed:.1f} s"
        return ""


def _calls_for_rest(past: HistoryEntry) -> bool:
    changed = past.succeeded and bool(past.to) and past.trigger is not Trigger.BOOTSTRAP
    return changed or (past.trigger is Trigger.FAILOVER and not past.succeeded)
