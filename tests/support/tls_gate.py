"""A TLS server before the hub that takes only those who show a certain client certificate."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import Self

from rig.hub_namespace import HubNamespace
from rig.loop_thread import LoopThread

CERTIFICATES = Path(__file__).parent / "certificates"
"""Made for these tests, valid for a hundred years: the gate's own, and two for clients, each signed by
itself."""


class TlsGate:
    """Takes clients that show the certificate of this name ("first" or "second"); `server` is its URL."""

    def __init__(self, hub: HubNamespace, takes: str) -> None:
        host, _, port = hub.server.removeprefix("https://").rpartition(":")
        self._hub = host, int(port)
        self._takes = takes
        self._loop = LoopThread("tls gate")
        self._listener = self._loop.run(self._listen())
        self.server = f"https://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._stop())
        self._loop.end()

    async def _listen(self) -> asyncio.Server:
        self._tasks: set[asyncio.Task[None]] = set()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(CERTIFICATES / "gate-cert.pem", CERTIFICATES / "gate-key.pem")
        tls.load_verify_locations(CERTIFICATES / f"{self._takes}-cert.pem")
        tls.verify_mode = ssl.CERT_REQUIRED
        return await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=tls)

    async def _stop(self) -> None:
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        untrusting = ssl.create_default_context()
        untrusting.check_hostname, untrusting.verify_mode = False, ssl.CERT_NONE
        try:
            with contextlib.suppress(OSError):
                there, back = await asyncio.open_connection(*self._hub, ssl=untrusting)
                try:
                    await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))
                finally:
                    back.close()
        finally:
            self._tasks.discard(task)
            writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
