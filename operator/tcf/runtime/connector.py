"""The connections of an aiohttp session. They are closed when `close` returns."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any
from weakref import WeakSet

import aiohttp

_LOOK_SECONDS = 0.005
_MOST_LOOKS = 1000
"""Closing takes a few turns of the event loop, and these may take seconds on a very busy machine."""


class Connector(aiohttp.TCPConnector):
    """Waits in `close` until every socket is closed, so that the event loop may end.

    By itself, aiohttp forgets a TLS connection as soon as it begins to close it. The other side has to
    agree to the end, and may take long or never do so.
    """

    def __init__(self, **options: Any) -> None:
        """`options`: as of aiohttp.TCPConnector."""
        self._sockets: WeakSet[socket.socket] = WeakSet()
        super().__init__(socket_factory=self._socket, **options)

    async def close(self, *, abort_ssl: bool = False) -> None:
        """End all connections, also those that are still being opened or closed."""
        await super().close(abort_ssl=abort_ssl)
        open_ones = [each for each in self._sockets if each.fileno() >= 0]
        for each in open_ones:
            with contextlib.suppress(OSError):  # it was never connected, or is not any more
                each.shutdown(socket.SHUT_RD)  # to asyncio, the other side has hung up
        for _ in range(_MOST_LOOKS):
            if all(each.fileno() < 0 for each in open_ones):
                return
            await asyncio.sleep(_LOOK_SECONDS)

    def _socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, *_ = address
        made = socket.socket(family, kind, protocol)
        self._sockets.add(made)
        return made
