"""Is a failover one that the spec allows, of a member that has been silent for as long as it has to be?"""

from __future__ import annotations

import math

from simulation.schedule import WALLS_RIGHT
from simulation.world import World
from tcf.core.model import (
    FailoverMode,
    Federation,
    HistoryEntry,
    Switchover,
    Trigger,
    WorkerLease,
)
from tcf.core.silence import silence_needed

_SETTLED = 3 / 4
"""The part of its duration after which the renewals of a Lease must be known as signs of life: a coordinator
wants a quarter, and what was written within half a duration may reach it at once, after a stop of its own."""
_FAST = 0.95
"""What a coordinator's clock may make of a second, with a little more."""
_WALLS_APART = 2 * WALLS_RIGHT + 1.0
"""Seconds between two wall clocks; one of the moments is cut to whole seconds besides."""


class Failovers:
    """Watches the Leases where they are written, and so knows more than any coordinator."""

    def __init__(self, world: World, *, walls_agree: bool) -> None:
        self._world = world
        self._walls_agree = walls_agree
        self._created: dict[str, float] = {}
        self._renewed: dict[str, float] = {}
        self._signs: dict[str, list[float]] = {}
        """When each member has given signs of life."""
        self._ended: dict[str, float] = {}

    def changed(self, value: Federation | WorkerLease, *, deleted: bool) -> None:
        """A Lease is written or deleted; whoever deletes one that is not silent is its own worker."""
        assert isinstance(value, WorkerLease)
        now, uid = self._world.now, value.uid
        last = self._renewed.get(uid, now)
        self._created.setdefault(uid, now)
        if not deleted:
            self._renewed[uid] = last = now
        settled = last - self._created[uid] >= value.duration * _SETTLED
        if settled and now - last < value.duration:
            self._signs.setdefault(value.cluster, []).append(now)

    def promoted(self, member: str) -> None:
        """It has become active, for which one of its workers must have been there."""
        self._signs.setdefault(member, []).append(self._world.now)

    def ended(self, past: HistoryEntry) -> None:
        self._ended[past.id] = self._world.now

    def objection(self, before: Federation, request: Switchover, listed: float) -> str:
        """What is wrong about a failover that begins now, by somebody who knows the Leases as of `listed`."""
        spec, status, now = before.spec, before.status, self._world.now
        if spec.failover.mode is not FailoverMode.AUTOMATIC or spec.paused:
            return f"failover is {spec.failover.mode}, paused: {spec.paused}"
        history = status.history if status else ()
        moved = (p for p in history if p.succeeded and p.to and p.trigger is not Trigger.BOOTSTRAP)
        rested = now - self._ended.get(next((p.id for p in moved), ""), -math.inf)
        if self._walls_agree and rested < spec.failover.cooldown - _WALLS_APART:
            return f"the active member has changed {rested:.1f} s ago"
        needed = max(silence_needed(spec.lease_duration), spec.failover.timeout)
        signs = self._signs.get(request.from_, [])
        heard = max((at for at in signs if at <= listed), default=0.0)
        silence = min((at for at in signs if at > listed), default=now) - heard
        if silence < _FAST * needed:
            return f"{request.from_} has been silent for {silence:.1f} s only, instead of {needed:.1f} s"
        return ""
