"""The event loop in small steps, for tests of tasks that wait for each other, or for a clock that jumps."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from unit.build import BOOT, ClockAt

_sleep = asyncio.sleep
_MOST_WAITS = 10_000


async def turns(count: int = 10) -> None:
    """Let all tasks go on until they wait for something else."""
    for _ in range(count):
        await _sleep(0)


@contextlib.asynccontextmanager
async def at_work(act: Coroutine[Any, Any, object]) -> AsyncIterator[asyncio.Task[object]]:
    """Run it in a task, and cancel that at the end. If the task has failed by then, the test fails."""
    task = asyncio.create_task(act)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class JumpingClock(ClockAt):
    """Its `sleep` lets time pass on this clock only, until `seconds` have passed since BOOT."""

    def __init__(self, seconds: float) -> None:
        super().__init__(lambda: self.time)
        self.time = BOOT
        self.slept: list[float] = []
        self.at: dict[float, Callable[[], None]] = {}
        """What happens so many seconds after BOOT."""
        self._end = BOOT + seconds
        self._waits = 0

    @property
    def passed(self) -> float:
        return self.time - BOOT

    async def sleep(self, seconds: float) -> None:
        """Use it instead of `asyncio.sleep`. It cancels a task that sleeps beyond the end."""
        if seconds:
            self.slept.append(seconds)
        await turns()
        self.time += max(0.0, seconds)
        for moment in [moment for moment in self.at if moment <= self.passed]:
            self.at.pop(moment)()
        if self.time > self._end:
            raise asyncio.CancelledError

    async def within(self, seconds: float, wait: Coroutine[Any, Any, object]) -> None:
        """Use it instead of `runtime.waiting.within`. It jumps to the end, or to what happens before."""
        self._waits += 1
        assert self._waits < _MOST_WAITS, "it goes round and round"
        waiting, until = asyncio.ensure_future(wait), self.time + max(0.0, seconds)
        try:
            while not await self._jump(waiting, until):
                pass
        finally:
            waiting.cancel()

    async def _jump(self, waiting: asyncio.Future[object], until: float) -> bool:
        """To the next thing that happens. Is the wait over then?"""
        await turns()
        if waiting.done():
            return True
        upcoming = min(self.at, default=math.inf)
        if BOOT + upcoming <= min(until, self._end):
            self.time = max(self.time, BOOT + upcoming)
            self.at.pop(upcoming)()
            return False
        self.time = until
        if until > self._end:
            raise asyncio.CancelledError
        return True
