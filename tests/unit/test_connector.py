"""When a session has been closed, all its connections are."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import warnings
from collections.abc import Coroutine
from contextlib import closing
from threading import Event, Thread

import aiohttp
import pytest
from rig.patience import PATIENCE
from support.certificate_authority import CertificateAuthority

from tcf.runtime.connector import Connector

PART = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart"
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npart"
NONE = b""
MUCH = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"part" * 2_000_000


class StubbornServer:
    """Sends the same bytes to each client, and then neither reads nor hangs up."""

    def __init__(self, tls: ssl.SSLContext | None, answer: bytes) -> None:
        self._tls, self._answer = tls, answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._clients: list[socket.socket] = []
        self.accepted = Event()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._listening.getsockname()[1]}/"
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._clients.append(client)
                self.accepted.set()
                client.settimeout(PATIENCE)
                if self._answer:
                    if self._tls:
                        client = self._tls.wrap_socket(client, server_side=True)
                        self._clients.append(client)
                    client.recv(65536)
                    client.sendall(self._answer)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        for each in (self._listening, *self._clients):
            each.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


def left_open(client: Coroutine[None, None, None]) -> list[str]:
    """Run it in an event loop of its own. What Python reports as open after the end of the loop."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(client)
        gc.collect()
    return [str(each.message) for each in seen]


@pytest.mark.parametrize("answer", [PART, WHOLE, MUCH], ids=["part", "whole", "much"])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_nobody_has_to_agree_to_the_end(
    authority: CertificateAuthority, answer: bytes, *, secure: bool
) -> None:
    """A watch is given up in the middle of its answer; other connections stay open for more requests."""

    async def client() -> None:
        connector = Connector(ssl=authority.trusting())
        async with aiohttp.ClientSession(connector=connector) as session, session.get(server.url) as response:
            await response.content.readexactly(4)

    tls = authority.server().server_context if secure else None
    with closing(StubbornServer(tls, answer)) as server:
        assert left_open(client()) == []


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_connection_may_still_be_on_its_way(authority: CertificateAuthority, *, cancelled: bool) -> None:
    """The server accepts it, and does not take part in the handshake of TLS."""

    async def client() -> None:
        session = aiohttp.ClientSession(connector=Connector(ssl=authority.trusting()))
        asking = asyncio.create_task(session.get(server.url.replace("http:", "https:")).__aenter__())
        async with asyncio.timeout(PATIENCE):
            await asyncio.to_thread(server.accepted.wait)
            if cancelled:
                asking.cancel()
            await session.close()
            (ended,) = await asyncio.gather(asking, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError if cancelled else aiohttp.ClientError)

    with closing(StubbornServer(None, NONE)) as server:
        assert left_open(client()) == []


def test_a_name_with_several_addresses() -> None:
    """Nobody listens at some of them."""

    async def client() -> None:
        url = server.url.replace("127.0.0.1", "localhost")
        async with aiohttp.ClientSession(connector=Connector()) as session, session.get(url) as response:
            assert await response.read() == b"part"

    with closing(StubbornServer(None, WHOLE)) as server:
        assert left_open(client()) == []
