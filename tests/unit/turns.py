"""The event loop in small steps, for tests of tasks that wait for each other and never for the clock."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any


async def turns(count: int = 10) -> None:
    """Let all tasks go on until they wait for something else."""
    for _ in range(count):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def at_work(act: Coroutine[Any, Any, object]) -> AsyncIterator[asyncio.Task[object]]:
    """Have it done beside the test, which cancels it at its end. If it has failed by then, so does the
    test."""
    task = asyncio.create_task(act)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
