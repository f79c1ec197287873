"""The HTTP server on real sockets: what it does about connections that are many, idle or half done."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tcf.web import health, server
from tcf.web.server import Address, HttpServer

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


@asynccontextmanager
async def listening() -> AsyncIterator[int]:
    http = HttpServer(health.routes(alive=lambda: None, ready=lambda: None), Address("127.0.0.1", 0))
    address = await http.start()
    try:
        yield address.port
    finally:
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
    monkeypatch.setattr(server, "_IDLE_SECONDS", 0.2)
    async with listening() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        assert (await all_of(reader)).startswith(status)
        writer.close()


async def test_many_may_connect_at_once() -> None:
    """What doesn't fit into the kernel's queue is tried again after a second: too late for a probe."""
    async with listening() as port:
        with contextlib.ExitStack() as clients:
            # No await: they all arrive before the server can accept one.
            for _ in range(min(500, socket.SOMAXCONN)):
                clients.enter_context(socket.create_connection(("127.0.0.1", port), timeout=0.5))


Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def answered(pair: Pair) -> bool:
    """False if the connection is closed instead."""
    reader, writer = pair
    writer.write(REQUEST)
    try:
        return (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
        return False


async def admitted(port: int) -> Pair:
    """A connection, as soon as there is room for one."""
    while True:
        pair = await asyncio.open_connection("127.0.0.1", port)
        if await answered(pair):
            return pair


async def test_connections_above_the_limit_are_closed_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 4)
    async with listening() as port:
        inside = [await admitted(port) for _ in range(4)]
        for _ in range(20):
            assert not await answered(await asyncio.open_connection("127.0.0.1", port))
        for pair in inside:
            assert await answered(pair)
        assert [record.message for record in caplog.records] == [
            "4 connections are open: no more are taken; who opens so many?"
        ]
        for _, writer in inside:
            writer.close()
        again = [await admitted(port) for _ in range(4)]
        assert not await answered(await asyncio.open_connection("127.0.0.1", port))
        for _, writer in again:
            writer.close()
