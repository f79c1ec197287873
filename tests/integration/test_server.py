"""The HTTP server on real sockets: what it does about connections that are many, idle or half done."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tcf.runtime.address import Address
from tcf.web import connections, health, server
from tcf.web.envelope import TEXT, answer
from tcf.web.server import HttpServer, Routes

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Listening:
    """A server that listens, and the clients that are connected to it."""

    def __init__(self, port: int, http: HttpServer) -> None:
        self.port = port
        self.http = http
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> Pair:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        return reader, writer

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def listening(more: Routes | None = None) -> AsyncIterator[Listening]:
    probes = health.routes(alive=lambda: None, ready=lambda: None)
    http = HttpServer({**probes, **(more or {})}, Address("127.0.0.1", 0))
    listens = Listening((await http.start()).port, http)
    try:
        yield listens
    finally:
        listens.close()
        await http.stop()


async def all_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection is closed."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", b""),
        (b"GET /healthz HTTP/1.1\r\nHos", b""),
        (REQUEST, b"HTTP/1.1 200"),
        (REQUEST + b"GET /he", b"HTTP/1.1 200"),
    ],
)
async def test_idle_and_half_done_connections_are_closed(
    monkeypatch: pytest.MonkeyPatch, sent: bytes, status: bytes
) -> None:
    monkeypatch.setattr(connections, "_IDLE_SECONDS", 0.2)
    monkeypatch.setattr(connections, "_HEAD_SECONDS", 0.2)
    async with listening() as server_:
        reader, writer = await server_.connect()
        writer.write(sent)
        assert (await all_of(reader)).startswith(status)


async def test_the_head_of_a_request_may_not_come_bit_by_bit_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However soon after each other the bits come, and also that of a later request."""
    monkeypatch.setattr(connections, "_HEAD_SECONDS", 0.3)
    async with listening() as server_:
        for later in (False, True):
            reader, writer = pair = await server_.connect()
            if later:
                assert await answered(pair)
            writer.write(b"GET /healthz HTTP/1.1\r\n")
            received = asyncio.create_task(all_of(reader))
            while not received.done():
                writer.write(b"X: y\r\n")
                await asyncio.sleep(0.02)
            assert await received == b""


async def test_a_client_that_reads_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_SEND_SECONDS", 0.3)

    async def ask_for_ever(client: socket.socket) -> None:
        while True:
            await asyncio.get_running_loop().sock_sendall(client, REQUEST * 100)

    async with listening() as server_:
        with socket.create_connection(("127.0.0.1", server_.port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(ask_for_ever(client), 20)


async def test_a_client_that_does_not_take_the_last_bytes_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few they are, and although the server itself has nothing more to say."""
    monkeypatch.setattr(connections, "_SEND_SECONDS", 0.3)
    monkeypatch.setattr(connections, "_IDLE_SECONDS", 0.1)
    async with listening() as server_:
        open_ = server_.http._connections
        assert open_
        with socket.create_connection(("127.0.0.1", server_.port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            waiting = 0
            while not waiting:
                client.sendall(REQUEST)
                await asyncio.sleep(0.01)
                (transport,) = open_._connections.values()
                waiting = transport.get_write_buffer_size()
            assert waiting < connections.LARGEST_BUFFER
            async with asyncio.timeout(20):
                while open_._connections:  # noqa: ASYNC110 - the end of a connection is no event
                    await asyncio.sleep(0.05)


async def test_the_body_of_a_request_may_follow_its_head_in_large_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its bytes are not those of a head, even before the handler has begun."""
    monkeypatch.setattr(server, "LARGEST_BUFFER", 2**20)

    async def measure(request: web.BaseRequest) -> web.StreamResponse:
        return answer(200, b"ok" if len(await request.content.read(-1)) == 10**6 else b"less", TEXT)

    async with listening({"/size": {"POST": measure}}) as server_:
        reader, writer = await server_.connect()
        writer.write(
            b"POST /size HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 10**6
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(2) == b"ok"


async def test_many_may_connect_at_once() -> None:
    """What doesn't fit into the kernel's queue is tried again after a second: too late for a probe."""
    async with listening() as server_:
        with contextlib.ExitStack() as clients:
            # No await: they all arrive before the server can accept one.
            for _ in range(min(500, socket.SOMAXCONN)):
                clients.enter_context(socket.create_connection(("127.0.0.1", server_.port), timeout=0.5))


async def answered(pair: Pair, request: bytes = REQUEST) -> bool:
    """False if the connection is closed instead."""
    reader, writer = pair
    writer.write(request)
    try:
        return (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    except (asyncio.IncompleteReadError, ConnectionError):
        return False


async def test_at_the_limit_the_one_that_has_been_idle_the_longest_makes_room(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 4)
    async with listening() as server_:
        first = [await server_.connect() for _ in range(4)]
        for pair in (*first, first[0]):  # so the second is the idlest by now
            assert await answered(pair)
        assert await answered(await server_.connect())
        assert [await answered(pair) for pair in first] == [True, False, True, True]
        for _ in range(20):
            assert await answered(await server_.connect())
        (message,) = [record.message for record in caplog.records]
        assert message.startswith("4 connections are open, which is the limit")


async def test_nobody_whose_request_is_under_way_has_to_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 4)
    go_on, under_way = asyncio.Event(), asyncio.Semaphore(0)

    async def wait(_: web.BaseRequest) -> web.StreamResponse:
        under_way.release()
        await go_on.wait()
        return answer(200, b"ok", TEXT)

    slow = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
    async with listening({"/slow": {"GET": wait}}) as server_:
        clients = [await server_.connect() for _ in range(4)]
        waiting = [asyncio.create_task(answered(client, slow)) for client in clients]
        for _ in clients:
            await under_way.acquire()
        assert not await answered(await server_.connect())
        go_on.set()
        assert all(await asyncio.gather(*waiting))
        assert await answered(await server_.connect())


@pytest.mark.parametrize("turns", range(8))
async def test_a_client_that_comes_during_a_stop_causes_no_error(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """asyncio accepts in one turn of the loop, and begins the connection in a later one."""
    monkeypatch.setattr(server, "_SHUTDOWN_SECONDS", 1000.0)  # nothing is to be waited for
    async with listening() as server_:
        clients = [socket.socket() for _ in range(4)]
        try:
            for client in clients:
                client.connect(("127.0.0.1", server_.port))
            for _ in range(turns):
                await asyncio.sleep(0)
            await server_.http.stop()
        finally:
            for client in clients:
                client.close()
    assert not caplog.records
