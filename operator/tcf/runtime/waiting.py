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
