"""An HTTP server on the loopback address, in a thread of its own, as something to build stand-ins on."""

from __future__ import annotations

import ssl
from typing import Self

from aiohttp import web
from rig.loop_thread import LoopThread


class LoopbackServer:
    """Serves from its creation to the end of the block. Attribute `url`: where, without a final slash."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: serve HTTPS with it."""
        self._loop = LoopThread(type(self).__name__)
        self.url = self._loop.run(self._start(tls))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._runner.cleanup())
        self._loop.end()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        raise NotImplementedError

    async def _start(self, tls: ssl.SSLContext | None) -> str:
        self._runner = web.ServerRunner(web.Server(self.answer, access_log=None), shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls).start()
        return f"{'https' if tls else 'http'}://127.0.0.1:{self._runner.addresses[0][1]}"
