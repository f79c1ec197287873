"""The end of listening."""

from __future__ import annotations

import asyncio

_TURNS = 3
"""The turns of the loop in which a connection that was accepted begins."""


async def stop_listening(server: asyncio.Server) -> None:
    """Close it. When this returns, every connection that it has accepted has begun.

    asyncio accepts a connection in one turn of its loop, begins it in the next one, and makes it known to its
    protocol in the one after that. Then aiohttp's task for it begins. `Server.close` alone, in between, would
    leave the client without an answer and the socket open, and aiohttp would wait for a task in vain.
    """
    loop = asyncio.get_running_loop()
    for each in server.sockets:
        loop.remove_reader(each.fileno())
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    server.close()
