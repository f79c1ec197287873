"""Tasks beside a test, and the event loop in small steps."""

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
    """Run it in a task, and cancel that at the end. If the task has failed by then, the test fails."""
    task = asyncio.create_task(act)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
