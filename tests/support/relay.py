"""A server between programs and their hub, as something to build proxies on."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Self

from rig.hub_namespace import HubNamespace
from rig.loop_thread import LoopThread

from tcf.runtime.listening import stop_listening


class Relay:
    """Passes connections on to the hub, each after `greet`. Attribute `port`: where it listens."""

    def __init__(self, hub: HubNamespace, *, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: end TLS here, and begin it again towards the hub."""
        host, _, port = hub.server.removeprefix("https://").rpartition(":")
        self._hub = host, int(port)
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = LoopThread("relay")
        self._server = self._loop.run(self._start())
        self.port: int = self._server.sockets[0].getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._stop())
        self._loop.end()

    async def greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What there is to say before data flows."""

    async def _start(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)

    async def _stop(self) -> None:
        await stop_listening(self._server)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self.greet(reader, writer)
                there, back = await asyncio.open_connection(
                    *self._hub, ssl=_trusting() if self._tls else None
                )
                try:
                    await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))
                finally:
                    _end(back)
        finally:
            self._tasks.discard(task)
            _end(writer)


def _end(writer: asyncio.StreamWriter) -> None:
    """Send what was written, unless the relay is being stopped: then nobody waits for that."""
    task = asyncio.current_task()
    if task and task.cancelling():
        writer.transport.abort()
    else:
        writer.close()


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
