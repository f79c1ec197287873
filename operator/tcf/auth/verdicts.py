"""Remembers the answers of an authority for a few seconds, and asks a question only once at a time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from tcf.runtime.clock import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

GOOD_SECONDS = 10.0
"""How long a favourable answer counts. So long may somebody whose right was taken away still use it."""
BAD_SECONDS = 2.0
"""How long an unfavourable answer counts. So long may somebody who has just been given a right wait."""
MOST = 2048
"""How many answers are remembered: more than can be got (see `auth.inquiries`) while they count."""


class Verdicts(Generic[K, V]):
    """The answers to questions of one kind.

    Only answers are remembered. If there is none, `ask` raises an exception, and the next client asks again.
    """

    def __init__(self, clock: Clock, *, good: Callable[[V], bool]) -> None:
        """`good`: is the answer favourable to the client?"""
        self._clock = clock
        self._good = good
        self._known: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._asking: dict[K, asyncio.Task[V]] = {}
        self._good_before: OrderedDict[K, None] = OrderedDict()

    def good_before(self, key: K) -> bool:
        """Was the latest answer to this question favourable? It may have expired since."""
        return key in self._good_before

    async def of(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        """The answer to the question `key`. Raises what `ask` raises, at once or later."""
        known = self._known.get(key)
        if known and self._clock.boot() < known[0]:
            return known[1]
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._find(key, ask()), name="verdict")
            asking.add_done_callback(lambda task: self._end(key, task))
        # A client that hangs up must not take the answer away from the others.
        return await asyncio.shield(asking)

    async def _find(self, key: K, asking: Awaitable[V]) -> V:
        began = self._clock.boot()
        answer = await asking
        good = self._good(answer)
        self._known[key] = began + (GOOD_SECONDS if good else BAD_SECONDS), answer
        self._good_before.pop(key, None)
        if good:
            self._good_before[key] = None
            if len(self._good_before) > MOST:
                self._good_before.popitem(last=False)
        self._known.move_to_end(key)
        if len(self._known) > MOST:
            self._known.popitem(last=False)
        return answer

    def _end(self, key: K, task: asyncio.Task[V]) -> None:
        del self._asking[key]
        # If all clients have hung up, nobody else looks at the exception, and asyncio would log it.
        if not task.cancelled():
            task.exception()
