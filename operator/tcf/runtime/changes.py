"""Wakes the tasks that wait for something to change."""

from __future__ import annotations

import asyncio


class Changes:
    """Any number of tasks may wait; `announce` wakes all of them."""

    def __init__(self) -> None:
        self.count = 0
        """How many changes there were."""
        self._next = asyncio.Event()

    async def next(self) -> None:
        """Wait for the next change."""
        await self._next.wait()

    def announce(self) -> None:
        """Something has changed."""
        self.count += 1
        self._next.set()
        self._next = asyncio.Event()
