"""The holders of one worker: applications that may act as long as they have a hold.

Judging a request and recording it is one step without an await, so no answer rests on an outdated reading.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tcf.core.holds import HOLDER_RATE, MOST_HOLDERS, HoldRequest, HoldState
from tcf.core.model import Refusal, Role
from tcf.core.reading import Reading
from tcf.runtime.waiting import within
from tcf.worker.knowledge import Knowledge

MOST_WAITING = 2 * MOST_HOLDERS
"""How many requests may wait at a time. The others are answered at once, so that they leave connections for
probes."""


@dataclass(frozen=True, slots=True)
class HoldAnswer:
    """The answer to a holder.

    `held_for`: seconds for which the holder may act, counted from when it sent the request; 0 for not at all.
    `begun`: it had no hold before, and has one now.
    """

    answer: Reading | Refusal
    held_for: float
    begun: bool
    answered_at: float

    @property
    def active(self) -> bool:
        return isinstance(self.answer, Reading) and self.answer.role is Role.ACTIVE


@dataclass(frozen=True, slots=True)
class HolderRow:
    """One holder, for a person to read. `since`: since when it has this state (wall clock)."""

    name: str
    state: HoldState
    seconds_left: float
    healthy: bool
    message: str
    since: datetime


class Holders:
    """Answers the holders. `released` is called when a worker that waits for a release can go on."""

    def __init__(self, knowledge: Knowledge, *, released: Callable[[], object]) -> None:
        self._knowledge = knowledge
        self.clock = knowledge.clock
        self._state = knowledge.state
        self._holds = knowledge.state.cover.holds
        self._released = released
        self._waiting = 0

    async def ask(
        self, request: HoldRequest, wait: float = 0.0, *, there: Callable[[], bool] = lambda: True
    ) -> HoldAnswer | None:
        """Answer a request, at the latest after `wait` seconds; None if there are too many holders.

        `there`: is there still somebody who can receive the answer? If not, nothing is granted.

        The answer comes earlier if it is news: the holder may begin to act, or has to stop, or nobody knows.
        """
        asked_at = self.clock.boot()
        held_before = self._holds.outstanding(*request.key, asked_at)
        if self._waiting >= MOST_WAITING:
            wait = 0.0
        while True:
            now = self.clock.boot()
            hold = self._state.hold(request, now)
            if hold is None:
                return None
            held_for = HOLDER_RATE * (hold.until - asked_at) if hold.outstanding(now) else 0.0
            begun = held_for > 0 and not held_before
            answer = HoldAnswer(self._knowledge.answer(now), held_for, begun, now)
            left = asked_at + wait - now
            unknown = isinstance(answer.answer, Refusal)
            if left <= 0 or answer.active is not held_before or unknown:
                return answer
            await self._wait(left)
            latest = self._holds.latest(*request.key)
            if latest is None or not there():
                # It was released meanwhile, or the holder has hung up: grant nothing.
                now = self.clock.boot()
                return HoldAnswer(self._knowledge.answer(now), 0.0, begun=False, answered_at=now)
            request = replace(latest, seconds=request.seconds)  # what was reported since counts

    async def _wait(self, seconds: float) -> None:
        self._waiting += 1
        try:
            await within(seconds, self._knowledge.changed())
        finally:
            self._waiting -= 1

    def release(self, name: str, instance: str) -> bool:
        """Forget a hold, whose holder has stopped acting. False if none was outstanding."""
        outstanding = self._holds.outstanding(name, instance, self.clock.boot())
        self._holds.release(name, instance)
        waiting = self._state.pending is not None or self._knowledge.stopped
        if waiting and self.end() is None:
            self._released()
        return outstanding

    def end(self) -> float | None:
        """When the last outstanding hold ends (boot seconds); None if none is outstanding."""
        now = self.clock.boot()
        end = self._holds.end(now)
        return end if end > now else None

    def named(self) -> str:
        """Who has a hold, for a person to read."""
        return self._holds.named(self.clock.boot())

    def rows(self) -> list[HolderRow]:
        """Everybody who has a hold, or has reported a short time ago, by name."""
        now = self.clock.now()
        known = sorted(self._holds.known(now.boot), key=lambda hold: hold.request.key)
        return [
            HolderRow(
                name=hold.request.name,
                state=hold.state(now.boot),
                seconds_left=max(0.0, hold.until - now.boot),
                healthy=hold.request.healthy,
                message=hold.request.message,
                since=now.wall - timedelta(seconds=now.boot - hold.state_since(now.boot)),
            )
            for hold in known
        ]
