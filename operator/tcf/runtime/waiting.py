"""Waits with a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def within(seconds: float, wait: Coroutine[Any, Any, object]) -> None:
    """Wait for at most so many seconds (not at all for 0 or less). If the time runs out, that is no error.

    This also works in a task that was cancelled before and is cleaning up. In Python 3.11.2, which Debian 12
    has, a timeout alone would end such a task.
    """
    task = asyncio.current_task()
    cancelled = task.cancelling() if task else 0
    limit = asyncio.timeout(max(0.0, seconds))
    try:
        async with limit:
            await wait
    except TimeoutError:
        return
    except asyncio.CancelledError:
        if not limit.expired() or (task and task.cancelling() > cancelled):
            raise
    finally:
        wait.close()  # in case it was never begun
