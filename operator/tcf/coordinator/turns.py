"""Limits how many federations are worked on at a time, and decides who is next."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple


class Rank(NamedTuple):
    """The lowest is next.

    Attributes:
        of_peers: peers come first for the federation.
        rests: no member is demoting or promoting.
        priority: negative, because the highest one is next.
        since: when there began to be work for it (boot seconds). Negative for those of peers: the newest
            comes first, because the peers begin with the oldest.
    """

    of_peers: bool
    rests: bool
    priority: int
    since: float


class Turns:
    """So many turns at a time. Whoever wants one waits until those with a lower rank have had theirs."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._order = itertools.count()
        self._waiting: list[tuple[Rank, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def turn(self, rank: Rank) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the end of the block."""
        await self._begin(rank)
        try:
            yield
        finally:
            self._end()

    async def _begin(self, rank: Rank) -> None:
        if self._free:
            self._free -= 1
            return
        called = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._order), called))
        try:
            await called
        except asyncio.CancelledError:
            if not called.cancelled():
                self._end()  # it was called at the moment it was cancelled
            raise

    def _end(self) -> None:
        while self._waiting:
            _, _, called = heapq.heappop(self._waiting)
            if not called.done():  # otherwise whoever waited was cancelled
                called.set_result(None)
                return
        self._free += 1
