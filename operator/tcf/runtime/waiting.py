"""Waiting for something, but not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def within(seconds: float, wait: Coroutine[Any, Any, object]) -> None:
    """Wait for something for so many seconds at most (not at all for 0 or less); either is no error."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await wait
    except TimeoutError:
        return
