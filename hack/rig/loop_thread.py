"""An event loop in a thread of its own, for proxies that run beside everything else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """It runs from its creation to `end`."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name)
        self._thread.start()

    def run(self, act: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there, and wait for its result."""
        return asyncio.run_coroutine_threadsafe(act, self.loop).result()

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


async def stop_accepting(server: asyncio.Server) -> None:
    """Close it, and return when every connection that it has accepted has been given to its handler.

    In Python 3.11, `close` alone leaves a connection open that is being accepted at that moment.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    while accepting := [one for one in asyncio.all_tasks() if "_accept_connection2" in repr(one)]:
        await asyncio.wait(accepting)
    server.close()
