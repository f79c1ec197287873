"""Waits with a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def within(seconds: float, wait: Coroutine[Any, Any, object]) -> None:
    """Wait for at most so many seconds (not at all for 0 or less). If the time runs out, that is no error."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await wait
    except TimeoutError:
        return
    finally:
        wait.close()  # in case it was never begun


async def afresh(rest: Coroutine[Any, Any, None]) -> None:
    """Do the rest of a task that was cancelled, as a task that was not.

    In Python 3.11.2, which Debian 12 has, a timeout ends a task that was cancelled before, instead of raising
    TimeoutError in it.
    """
    await asyncio.create_task(rest)
