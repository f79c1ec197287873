"""Asks somebody who knows users and rights: at a limited rate, and reports trouble once.

Anybody can send tokens. Without a limit, they would make the hub work, and a hub that throttles this worker
would throttle its renewals, too.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tcf.auth.authority import DeniedError
from tcf.core.model import Refusal
from tcf.core.reasons import Reason
from tcf.runtime.clock import Clock

T = TypeVar("T")

PER_SECOND = 50
"""Questions a second, in each of the two lanes."""
BURST = 25
"""How many questions may be asked at once after a pause."""
MOST_WAITING = 64
MOST_WAITING_OF_ONE = 8
"""How many questions about strangers from one address may wait. So clients with other addresses get their
turn soon, even while one sends as many tokens as it can."""
_BUSY = Refusal(Reason.TOO_MANY_REQUESTS, "too many clients wait to be checked; try again later")

log = logging.getLogger(__name__)


class NoAnswerError(Exception):
    """There is no answer. The message is for the log, and contains no part of a token.

    `reason` and `public` are for the client.
    """

    def __init__(self, message: str, *, reason: Reason, public: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.public = public


class _Lane:
    """Turns to ask, first come, first served, at a limited rate."""

    def __init__(self, clock: Clock, most_of_one: int) -> None:
        self._clock = clock
        self._most_of_one = most_of_one
        self._free_at = 0.0
        self._order = asyncio.Lock()
        self._waiting: Counter[str] = Counter()

    def enter(self, source: str) -> None:
        """Raises DeniedError if too many are waiting."""
        if self._waiting[source] >= self._most_of_one or self._waiting.total() >= MOST_WAITING:
            raise DeniedError(503, _BUSY)
        self._waiting[source] += 1

    def leave(self, source: str) -> None:
        self._waiting -= Counter([source])  # which forgets a source of which nothing waits any more

    async def turn(self) -> None:
        async with self._order:
            now = self._clock.boot()
            self._free_at = max(self._free_at, now - BURST / PER_SECOND) + 1 / PER_SECOND
            await asyncio.sleep(max(0.0, self._free_at - now))


class Inquiries:
    """All questions to one authority. `whom`: its name in the log.

    Clients who have been known before have a lane of their own. So a flood of new tokens, which anybody can
    invent, does not keep them from being checked again.
    """

    def __init__(self, whom: str, clock: Clock) -> None:
        self._whom = whom
        self._strangers = _Lane(clock, MOST_WAITING_OF_ONE)
        self._acquaintances = _Lane(clock, MOST_WAITING)
        self._trouble = ""

    def make(
        self, what: str, source: str, ask: Callable[[], Awaitable[T]], *, known: bool = False
    ) -> Awaitable[T]:
        """Ask when it is this question's turn. `ask` may raise NoAnswerError.

        Args:
            what: the question, for messages: "who asks".
            source: the client's address.
            known: has the client been known before?

        Raises:
            DeniedError: too many questions are waiting (at once), or there is no answer (when it is awaited).
        """
        lane = self._acquaintances if known else self._strangers
        lane.enter(source)
        return self._make(lane, what, source, ask)

    async def _make(self, lane: _Lane, what: str, source: str, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            await lane.turn()
            answer = await ask()
        except NoAnswerError as error:
            self._report(f"cannot check {what}: {error}")
            refusal = Refusal(error.reason, f"cannot check {what}: {error.public}")
            raise DeniedError(500, refusal) from error
        finally:
            lane.leave(source)
        self._report("")
        return answer

    def _report(self, trouble: str) -> None:
        """Log trouble once, and its end."""
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if trouble:
            log.warning("%s", trouble)
        else:
            log.info("%s answers again", self._whom)
