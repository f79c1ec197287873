"""Holds: for how long the applications beside a worker may act as the active member.

An application asks its worker for a hold, again and again, and acts only while it has one. A hold ends when
its holder releases it, or when its time has passed; nothing else shortens it. As long as a hold is
outstanding, the worker acknowledges no table in which its member has lost its role. So nobody else is
promoted before the application has stopped.

A hold never outlasts what the worker's Lease promises. So if the worker dies, its holds have run out before
a coordinator takes that Lease for silent. `docs/safety.md` has the argument.

Nothing here waits or fails. All times are boot seconds (CLOCK_BOOTTIME) of the worker.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from tcf.core.model import Application

MOST_HOLDERS = 64
HOLDER_RATE = 0.9
"""The part of its time that a hold's holder may use. The other 10 % are for clocks that run at different
rates."""
LONGEST_NAMES = 253
"""How many characters about holders a Lease may have."""


def awaited(held_by: str, member: str) -> str:
    """Whom a switchover waits for, for a person to read. `held_by`: what `Holds.named` returns."""
    return f"waiting for {held_by} of {member} to let go"


class HoldState(StrEnum):
    HOLDING = "holding"
    DRAINING = "draining"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """What a holder asks for: to act as the active member for so many `seconds`.

    Attributes:
        name: for people to read.
        instance: drawn by the holder, and never used again after a release. With the name, it identifies the
            hold. So a late request or a late release never counts for another hold.
        draining: the holder is about to stop, and only needs time to finish.
        healthy, message: the health of the application.
    """

    name: str
    instance: str
    seconds: float
    draining: bool = False
    healthy: bool = True
    message: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.instance


@dataclass(frozen=True, slots=True)
class Hold:
    """What is known of one holder.

    Attributes:
        request: the latest one.
        until: when the hold ends; minus infinity if it has never been granted.
        reported_until: how long the report of the application's health counts.
        since: when the state became what it was at that request.
    """

    request: HoldRequest
    until: float
    reported_until: float
    since: float

    def outstanding(self, now: float) -> bool:
        return now < self.until

    def known(self, now: float) -> bool:
        return now < max(self.until, self.reported_until)

    def state(self, now: float) -> HoldState:
        if not self.outstanding(now):
            return HoldState.IDLE
        return HoldState.DRAINING if self.request.draining else HoldState.HOLDING

    def state_since(self, now: float) -> float:
        """When the state became what it is."""
        return self.since if self.outstanding(now) else max(self.since, self.until)


class Holds:
    """The holds of one worker."""

    def __init__(self) -> None:
        self._holds: dict[tuple[str, str], Hold] = {}

    def note(self, request: HoldRequest, now: float, limit: float) -> Hold | None:
        """Record a request. The hold is granted, or extended, up to `limit` and never shortened.

        Args:
            limit: the latest time at which the hold may end; in the past if nothing may be granted.

        Returns:
            the hold as it is now; None if there are too many holders.
        """
        known = self._holds.get(request.key)
        if known is None:
            self._forget(now)
            if len(self._holds) >= MOST_HOLDERS:
                return None
        until = max(known.until if known else -math.inf, min(now + request.seconds, limit))
        hold = Hold(request, until, now + request.seconds, now)
        if known and known.state(now) is hold.state(now):
            hold = replace(hold, since=known.since)
        self._holds[request.key] = hold
        return hold

    def release(self, name: str, instance: str) -> None:
        self._holds.pop((name, instance), None)

    def latest(self, name: str, instance: str) -> HoldRequest | None:
        """The latest request of a holder. None after its release, and when it has not asked for long."""
        hold = self._holds.get((name, instance))
        return hold.request if hold else None

    def outstanding(self, name: str, instance: str, now: float) -> bool:
        hold = self._holds.get((name, instance))
        return hold is not None and hold.outstanding(now)

    def end(self, now: float) -> float:
        """When the last outstanding hold ends; `now` if none is outstanding."""
        return max([now, *(hold.until for hold in self._holds.values())])

    def known(self, now: float) -> Iterator[Hold]:
        """Everybody who has a hold or whose report still counts."""
        return (hold for hold in self._holds.values() if hold.known(now))

    def application(self, now: float) -> Application | None:
        """The health of the application: healthy if all say so that do not drain; None if nobody reports."""
        reports = [
            hold.request.healthy
            for hold in self._holds.values()
            if now < hold.reported_until and hold.state(now) is not HoldState.DRAINING
        ]
        if not reports:
            return None
        return Application.HEALTHY if all(reports) else Application.UNHEALTHY

    def named(self, now: float) -> str:
        """Who has a hold, for a person to read; "" for nobody. At most LONGEST_NAMES characters."""
        names = [
            f'"{hold.request.name}" ({hold.state(now)})'
            for hold in self._holds.values()
            if hold.outstanding(now)
        ]
        for count in range(len(names), 0, -1):
            more = [f"{len(names) - count} more"] if count < len(names) else []
            text = ", ".join(names[:count] + more)
            if len(text) <= LONGEST_NAMES:
                return text
        return ""

    def _forget(self, now: float) -> None:
        self._holds = {key: hold for key, hold in self._holds.items() if hold.known(now)}
