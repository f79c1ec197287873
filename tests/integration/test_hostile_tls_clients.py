"""What thousands of hostile clients can do to a worker with TLS (see support/attackers.py)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import Iterator

import pytest
from rig.hub_namespace import own_namespace
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.attackers import Attack, probe, sends, withstands
from support.tls_files import ServerFiles, as_client

ATTACKERS = 2000
"""More than may be connected at a time. Handshakes take processor time on their side as well."""
PROBES = 300
GET = b"GET /tcf/clusters HTTP/1.1\r\nHost: x\r\n\r\n"

pytestmark = pytest.mark.timeout(300)
"""Thousands of attackers take processor time: more than a minute on a machine at load 12."""
_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def worker(
    control_plane: dict[str, str], crd: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TcfProcess]:
    """An active worker, as the chart starts it."""
    folder = tmp_path_factory.mktemp("hostile")
    files = ServerFiles(folder / "tls", client_ca="first")
    with own_namespace(control_plane) as hub:
        hub.apply(leaseDuration="15s")
        programs = TcfProcesses(hub, folder, development=False)
        try:
            operator = programs.operator()
            active = programs.worker("cluster_1", *files.options, "--auth", "kubernetes", tls=as_client())
            active.await_active()
            assert operator.stop() == 0
            yield active
        finally:
            programs.close()


class Tls:
    """A client's side of TLS on a stream. (asyncio's own takes too much memory for thousands of clients.)"""

    context = as_client()

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = self.context.wrap_bio(self._arrived, self._leaving, server_hostname="127.0.0.1")

    @classmethod
    def hello(cls) -> bytes:
        """The first message of a handshake."""
        leaving = ssl.MemoryBIO()
        with contextlib.suppress(ssl.SSLWantReadError):
            cls.context.wrap_bio(ssl.MemoryBIO(), leaving, server_hostname="127.0.0.1").do_handshake()
        return leaving.read()

    async def shake_hands(self) -> None:
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                self._object.do_handshake()
                return
            self._writer.write(self._leaving.read())
            data = await self._reader.read(65536)
            if not data:
                raise ConnectionError("the server has closed the connection")
            self._arrived.write(data)

    async def send(self, data: bytes) -> None:
        self._object.write(data)
        self._writer.write(self._leaving.read())
        await self._writer.drain()


def by_tls(data: bytes) -> Attack:
    """Shakes hands, sends this, and then holds the connection."""

    async def attack(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls = Tls(reader, writer)
        await tls.shake_hands()
        await tls.send(data)
        await reader.read()

    return attack


async def bit_by_bit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Nothing comes back until the whole message is there."""
    for byte in Tls.hello():
        writer.write(bytes([byte]))
        await asyncio.sleep(1)
        if reader.at_eof() or writer.is_closing():
            return


async def never_reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One in fifty asks all the time. If all of them did, this would be about the machine's speed."""
    tls = Tls(reader, writer)
    await tls.shake_hands()
    writer.transport.pause_reading()  # type: ignore[attr-defined] # a transport that reads, which all sockets have
    asks = next(_NUMBERS) % 50 == 0
    while not writer.is_closing():
        if asks:
            await tls.send(GET * 50)
        await asyncio.sleep(1)


ATTACKS: dict[str, Attack] = {
    "silent": sends(b""),
    "half_a_handshake": sends(Tls.hello()),
    "bit_by_bit": bit_by_bit,
    "garbage": sends(b"\x16\x03\x01\x40\x00" + bytes(range(256)) * 60),
    "endless_hello": sends(
        b"\x16\x03\x01\x40\x00\x01\x01\xff\x00" + b"x" * 16380 + b"\x16\x03\x01\x40\x00" * 5000
    ),
    "plain_http": sends(GET),
    "idle_after_the_handshake": by_tls(b""),
    "half_a_head": by_tls(GET[:-2]),
    "idle_after_a_request": by_tls(GET),
    "never_reads": never_reads,
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
async def test_probes_are_answered_all_the_same(worker: TcfProcess, attack: Attack) -> None:
    await withstands(worker, attack, ["/tcf/is_active"] * PROBES, attackers=ATTACKERS)
    assert await probe(worker, "/tcf/is_active")
