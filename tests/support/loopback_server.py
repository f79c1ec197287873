"""An HTTP server on the loopback address, in a thread of its own, as something to build stand-ins on."""

from __future__ import annotations

import asyncio
import ssl
from typing import Self

from aiohttp import web
from rig.loop_thread import LoopThread

from tcf.runtime.listening import stop_listening


class LoopbackServer:
    """Serves from its creation to the end of the block. Attribute `url`: where, without a final slash."""

    def __init__(self, tls: ssl.SSLContext | None = None, *, port: int = 0) -> None:
        """`tls`: serve HTTPS with it. A `port` of 0 is any free one."""
        self._loop = LoopThread(type(self).__name__)
        self.url = self._loop.run(self._start(tls, port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._stop())
        self._loop.end()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        raise NotImplementedError

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self.answer(request)
        except ConnectionError:  # the client hangs up; aiohttp would log that as an error
            return web.Response()

    async def _start(self, tls: ssl.SSLContext | None, port: int) -> str:
        self._server = web.Server(self._answer, access_log=None, handler_cancellation=True)
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._server, "127.0.0.1", port, ssl=tls)
        return f"{'https' if tls else 'http'}://127.0.0.1:{self._listening.sockets[0].getsockname()[1]}"

    async def _stop(self) -> None:
        await stop_listening(self._listening)
        while connections := self._server.connections:
            # A client that keeps a TLS connection open would make a close wait for it.
            for connection in connections:
                if connection.transport:
                    connection.transport.abort()
            await asyncio.sleep(0.01)
        await self._server.shutdown(0.1)  # with 0, it would wait for ever
