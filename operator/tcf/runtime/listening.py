"""The end of listening."""

from __future__ import annotations

import asyncio


async def stop_listening(server: asyncio.Server) -> None:
    """Close it. When this returns, every connection that it has accepted has begun.

    asyncio accepts a connection in one turn of its loop, begins it in the next one, and makes it known to its
    protocol in the one after that. `Server.close` alone, in between, would leave the client without an answer
    and the socket open.
    """
    loop = asyncio.get_running_loop()
    for each in server.sockets:
        loop.remove_reader(each.fileno())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    server.close()
