"""The HTTP server with TLS, on real sockets and with real certificates."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from support.tls_files import MountedSecret, ServerFiles, as_client

from tcf.runtime.address import Address
from tcf.web import connections, health, server, tls_transport
from tcf.web.client_certificate import client_certificate
from tcf.web.envelope import TEXT, answer
from tcf.web.server import HttpServer, Routes
from tcf.web.server_certificate import ServerCertificate
from tcf.web.tls_transport import over_tls

GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
WHO = b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n"

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def who(request: web.BaseRequest) -> web.StreamResponse:
    """Answers by the subject of the client's certificate."""
    shown = client_certificate(request)
    told = f"{shown.common_name}: {', '.join(shown.organizations)}" if shown else "nobody"
    return answer(200, told.encode(), TEXT)


class Listening:
    """A server that listens with TLS, its files, and the clients that are connected to it."""

    def __init__(self, port: int, certificate: ServerCertificate, files: ServerFiles) -> None:
        self.port = port
        self.certificate = certificate
        self.files = files
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self, context: ssl.SSLContext | None) -> Pair:
        """`context`: None to connect without TLS."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        self._writers.append(writer)
        return reader, writer

    def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def listening(files: ServerFiles, more: Routes | None = None) -> AsyncIterator[Listening]:
    certificate = ServerCertificate(files.settings)
    routes = {**health.routes(alive=lambda: None, ready=lambda: None), "/who": {"GET": who}, **(more or {})}
    http = HttpServer(routes, Address("127.0.0.1", 0), tls=partial(over_tls, certificate))
    listens = Listening((await http.start()).port, certificate, files)
    try:
        yield listens
    finally:
        await http.stop()
        listens.close()


@pytest.fixture
def files(tmp_path: Path) -> ServerFiles:
    """Of a server that takes certificates of clients signed by `first`."""
    return ServerFiles(tmp_path / "tls", client_ca="first")


async def ask(pair: Pair, request: bytes = GET) -> tuple[str, bytes]:
    """The head and the body of one answer."""
    reader, writer = pair
    writer.write(request)
    return await next_answer(reader)


async def next_answer(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    (length,) = [line.split()[1] for line in head.splitlines() if line.startswith("Content-Length:")]
    return head, await reader.readexactly(int(length))


async def the_rest(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection is closed."""
    try:
        return await reader.read()
    except (ConnectionError, ssl.SSLError):
        return b""


# --- HTTP over TLS ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_http_is_the_same_over_tls(files: ServerFiles, version: ssl.TLSVersion) -> None:
    context = as_client()
    context.minimum_version = context.maximum_version = version
    async with listening(files) as listens:
        reader, writer = pair = await listens.connect(context)
        for _ in range(3):
            head, body = await ask(pair)
            assert (head.splitlines()[0], body) == ("HTTP/1.1 200 OK", b"ok")
        writer.write(GET.replace(b"GET", b"HEAD") + GET + WHO)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        assert [body for _, body in (await next_answer(reader), await next_answer(reader))] == [
            b"ok",
            b"nobody",
        ]
        writer.write(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await next_answer(reader))[1] == b"ok"
        assert await reader.read() == b""


async def test_bodies_and_large_answers_pass(monkeypatch: pytest.MonkeyPatch, files: ServerFiles) -> None:
    """They take many records, more than the buffers of both sides hold, and reading pauses on the way."""
    monkeypatch.setattr(connections, "_SEND_SECONDS", 60)
    large = bytes(range(256)) * 2048

    async def echo(request: web.BaseRequest) -> web.StreamResponse:
        return answer(200, await request.content.read(-1), TEXT)

    async with listening(files, {"/echo": {"POST": echo}}) as listens:
        reader, writer = await listens.connect(as_client())
        writer.write(
            b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(large) + large
        )
        assert (await next_answer(reader))[1] == large


async def test_a_client_that_has_said_its_last_word_gets_its_answer(files: ServerFiles) -> None:
    go_on = asyncio.Event()

    async def wait(_: web.BaseRequest) -> web.StreamResponse:
        await go_on.wait()
        return answer(200, b"ok", TEXT)

    async with listening(files, {"/slow": {"GET": wait}}) as listens:
        client = await Handshake.begin(listens)
        await client.finish()
        await client.send(GET.replace(b"healthz", b"slow"), last=True)
        go_on.set()
        assert (await client.receive()).endswith(b"\r\n\r\nok")


class Handshake:
    """A client whose handshake goes on when a test wants it to."""

    def __init__(self, pair: Pair, context: ssl.SSLContext) -> None:
        self.reader, self.writer = pair
        self._from_server, self._to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._from_server, self._to_server, server_hostname="127.0.0.1")

    @classmethod
    async def begin(cls, listens: Listening, context: ssl.SSLContext | None = None) -> Handshake:
        """Connect, send the first message, and wait until the server begins to answer it."""
        client = cls(await listens.connect(None), context or as_client())
        with contextlib.suppress(ssl.SSLWantReadError):
            client._object.do_handshake()
        client.writer.write(client._to_server.read())
        client._from_server.write(await client.reader.read(65536))
        return client

    async def finish(self) -> None:
        while True:
            try:
                self._object.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.writer.write(self._to_server.read())
                self._from_server.write(await self.reader.read(65536))
        self.writer.write(self._to_server.read())

    async def send(self, data: bytes, *, last: bool = False) -> None:
        self._object.write(data)
        if last:
            with contextlib.suppress(ssl.SSLWantReadError):
                self._object.unwrap()
        self.writer.write(self._to_server.read())

    async def receive(self) -> bytes:
        """What comes until the connection is closed."""
        self._from_server.write(await the_rest(self.reader))
        received = b""
        with contextlib.suppress(ssl.SSLZeroReturnError):
            while data := self._object.read(65536):
                received += data
        return received


# --- What is not TLS, or not good enough ------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 3,
        b"P",
        b"POST /who HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60000,
        b"\x80\x2e\x01\x00\x02hello",
    ],
)
@pytest.mark.parametrize("half_closed", [False, True])
async def test_plain_http_gets_an_answer_that_a_person_can_read(
    files: ServerFiles, sent: bytes, *, half_closed: bool
) -> None:
    async with listening(files) as listens:
        reader, writer = await listens.connect(None)
        writer.write(sent)
        if half_closed:
            writer.write_eof()
        head, body = await next_answer(reader)
        assert head.startswith("HTTP/1.0 400 Bad Request\r\n")
        assert "X-TCF-Reason: MalformedRequest\r\n" in head
        assert json.loads(body) == {"error": "this port speaks HTTPS, and this is not; use https://"}
        assert await the_rest(reader) == b""


async def test_tls_1_1_is_refused(files: ServerFiles) -> None:
    context = as_client()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with listening(files) as listens:
        with pytest.raises(ssl.SSLError, match="alert protocol version"):
            await listens.connect(context)


async def test_nobody_can_choose_an_expensive_key_exchange(files: ServerFiles) -> None:
    context = as_client()
    context.set_ecdh_curve("secp521r1")
    async with listening(files) as listens:
        with pytest.raises(ssl.SSLError, match="handshake failure"):
            await listens.connect(context)


async def test_garbage_in_place_of_a_handshake_ends_the_connection(files: ServerFiles) -> None:
    async with listening(files) as listens:
        for garbage in (b"\x16" * 100, b"\x16\x03\x01\x00\x05hello"):
            reader, writer = await listens.connect(None)
            writer.write(garbage)
            assert b"HTTP" not in await the_rest(reader)
        assert (await ask(await listens.connect(as_client())))[1] == b"ok"


async def test_a_handshake_may_not_be_as_large_as_it_likes(files: ServerFiles) -> None:
    """OpenSSL would collect 128 KiB of one message before it looks at it."""
    async with listening(files) as listens:
        reader, writer = await listens.connect(None)
        writer.write(b"\x16\x03\x01\x40\x00\x01\x01\xff\x00" + b"x" * 16380)
        writer.write(b"\x16\x03\x01\x40\x00" + b"x" * 16384)
        assert await the_rest(reader) == b""


@pytest.mark.parametrize("begun", [False, True])
async def test_a_handshake_may_not_take_for_ever(
    monkeypatch: pytest.MonkeyPatch, files: ServerFiles, *, begun: bool
) -> None:
    monkeypatch.setattr(connections, "_HEAD_SECONDS", 0.2)
    async with listening(files) as listens:
        reader = (await Handshake.begin(listens)).reader if begun else (await listens.connect(None))[0]
        await the_rest(reader)


async def test_many_handshakes_may_be_under_way_at_once(
    monkeypatch: pytest.MonkeyPatch, files: ServerFiles
) -> None:
    monkeypatch.setattr(tls_transport, "_SHAKE_SECONDS", 0)
    async with listening(files) as listens:
        pairs = await asyncio.gather(*(listens.connect(as_client()) for _ in range(100)))
        assert {body for _, body in await asyncio.gather(*map(ask, pairs))} == {b"ok"}


async def test_handshakes_that_never_get_their_turn_take_no_memory_for_ever(
    monkeypatch: pytest.MonkeyPatch, files: ServerFiles
) -> None:
    """The newest is first, so under a flood of them the oldest end before their turn."""
    added: asyncio.Queue[tls_transport._Handshakes] = asyncio.Queue()
    add = tls_transport._Handshakes.add

    def note(queue: tls_transport._Handshakes, one: tls_transport._TlsTransport) -> None:
        add(queue, one)
        added.put_nowait(queue)

    monkeypatch.setattr(server, "MOST_TLS_CONNECTIONS", 3)
    monkeypatch.setattr(tls_transport._Handshakes, "add", note)
    monkeypatch.setattr(tls_transport._Handshakes, "_go_on", lambda _: None)
    async with listening(files) as listens:
        for n in range(10):
            _, writer = await listens.connect(None)
            writer.write(b"\x16")
            queue = await added.get()
            assert len(queue._waiting) <= min(n + 1, 4), "one that is closed may still be there for a moment"


async def test_a_handshake_that_does_not_go_on_makes_room(
    monkeypatch: pytest.MonkeyPatch, files: ServerFiles
) -> None:
    monkeypatch.setattr(server, "MOST_TLS_CONNECTIONS", 3)
    async with listening(files) as listens:
        begun = await Handshake.begin(listens)
        silent, _ = await listens.connect(None)
        honest = await listens.connect(as_client())
        assert (await ask(honest))[1] == b"ok"
        for stuck in (begun.reader, silent):
            assert (await ask(await listens.connect(as_client())))[1] == b"ok"
            assert await the_rest(stuck) == b""
        assert (await ask(honest))[1] == b"ok"


async def ask_for_ever(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(GET * 100)
        await writer.drain()


async def test_a_client_that_reads_nothing_is_closed(
    monkeypatch: pytest.MonkeyPatch, files: ServerFiles
) -> None:
    monkeypatch.setattr(connections, "_SEND_SECONDS", 0.3)
    async with listening(files) as listens:
        _, writer = await listens.connect(as_client())
        writer.transport.pause_reading()  # type: ignore[attr-defined] # all sockets can
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await ask_for_ever(writer)


async def test_sessions_of_clients_without_tickets_are_not_kept(files: ServerFiles) -> None:
    """OpenSSL keeps 20,000 of them, with the certificates of the clients."""
    context = as_client(shows="alice")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET
    async with listening(files) as listens:
        for _ in range(3):
            reader, writer = await listens.connect(context)
            writer.write(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert (await next_answer(reader))[1] == b"ok"
            await the_rest(reader)
        await asyncio.sleep(0)
        assert listens.certificate.context.session_stats()["number"] == 0


class Slow:
    """A handler that has `begun` and then waits until it may `go_on`."""

    def __init__(self) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def __call__(self, _: web.BaseRequest) -> web.StreamResponse:
        self.begun.set()
        await self.go_on.wait()
        return answer(200, b"done", TEXT)


async def test_a_stop_sends_the_answers_under_way_and_ends_other_connections(files: ServerFiles) -> None:
    slow = Slow()
    async with listening(files, {"/slow": {"GET": slow}}) as listens:
        idle, under_way = await listens.connect(as_client()), await Handshake.begin(listens)
        assert (await ask(idle))[1] == b"ok"
        waiting = asyncio.create_task(
            ask(await listens.connect(as_client()), GET.replace(b"healthz", b"slow"))
        )
        await slow.begun.wait()
        asyncio.get_running_loop().call_soon(slow.go_on.set)
    assert (await waiting)[1] == b"done"
    assert await the_rest(under_way.reader) == b""
    assert await idle[0].read() == b""


# --- New files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ServerFiles, MountedSecret])
async def test_new_clients_see_a_new_certificate_and_old_ones_stay(
    tmp_path: Path, kind: type[ServerFiles]
) -> None:
    async with listening(kind(tmp_path / "tls")) as listens:
        before = await listens.connect(as_client("gate"))
        assert (await ask(before))[1] == b"ok"
        listens.files.replace("renewed")
        listens.certificate.look()
        assert (await ask(await listens.connect(as_client("renewed"))))[1] == b"ok"
        with pytest.raises(ssl.SSLCertVerificationError):
            await listens.connect(as_client("gate"))
        assert (await ask(before))[1] == b"ok"


async def test_files_are_looked_at_all_the_time(monkeypatch: pytest.MonkeyPatch, files: ServerFiles) -> None:
    monkeypatch.setattr("tcf.web.server_certificate._LOOK_SECONDS", 0.01)
    async with listening(files) as listens:
        looking = asyncio.create_task(listens.certificate.run())
        changed = asyncio.Event()
        listens.certificate.when_client_ca_changes(changed.set)
        files.replace("renewed", "second")
        await changed.wait()
        looking.cancel()


# --- Certificates of clients ------------------------------------------------------------------------


async def test_a_client_may_show_a_certificate(files: ServerFiles) -> None:
    async with listening(files) as listens:
        with_one = await listens.connect(as_client(shows="alice"))
        assert (await ask(with_one, WHO))[1] == b"alice: team-a, team-b"
        without = await listens.connect(as_client())
        assert (await ask(without, WHO))[1] == b"nobody"


@pytest.mark.parametrize("shows", ["second", "expired-alice"])
async def test_a_certificate_that_is_not_trusted_ends_the_connection(files: ServerFiles, shows: str) -> None:
    async with listening(files) as listens:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            # With TLS 1.3, a client learns only from the first answer that it is not welcome.
            await ask(await listens.connect(as_client(shows=shows)))


async def test_without_a_client_ca_nobody_is_asked_for_a_certificate(tmp_path: Path) -> None:
    async with listening(ServerFiles(tmp_path / "tls")) as listens:
        pair = await listens.connect(as_client(shows="alice"))
        assert (await ask(pair, WHO))[1] == b"nobody"


async def test_a_new_client_ca_ends_connections_that_the_former_one_vouches_for(files: ServerFiles) -> None:
    slow = Slow()
    async with listening(files, {"/slow": {"GET": slow}}) as listens:
        idle, busy = [await listens.connect(as_client(shows="alice")) for _ in range(2)]
        assert (await ask(idle, WHO))[1].startswith(b"alice")
        nobody = await listens.connect(as_client())
        assert (await ask(nobody))[1] == b"ok"
        under_way = await Handshake.begin(listens, as_client(shows="alice"))
        waiting = asyncio.create_task(ask(busy, GET.replace(b"healthz", b"slow")))
        await slow.begun.wait()

        files.replace("gate", "second")
        listens.certificate.look()

        assert await the_rest(idle[0]) == b""
        assert await the_rest(under_way.reader) == b""
        slow.go_on.set()
        assert (await waiting)[1] == b"done"
        assert await the_rest(busy[0]) == b""
        assert (await ask(nobody))[1] == b"ok"
        assert (await ask(await listens.connect(as_client(shows="second")), WHO))[1] == b"second: "
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await ask(await listens.connect(as_client(shows="alice")))
