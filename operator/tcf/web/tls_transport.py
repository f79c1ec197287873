"""TLS between the socket of a client and its connection.

asyncio's own TLS has a buffer of 256 KiB for each connection, so a few hundred clients would use up the
memory of a worker. It also shakes hands with everybody at once, and probes on open connections have to wait
for that. So this is a small TLS transport with `ssl.SSLObject`, which has no buffers of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from typing import Any, cast

from tcf.web.connections import Connection, Connections
from tcf.web.server_certificate import ServerCertificate

_HANDSHAKE = 0x16
"""The first byte of a client that speaks TLS."""
_RECORD = 16 * 1024
"""The most bytes of a TLS record."""
_LARGEST_HANDSHAKE = 16 * 1024
"""The most bytes that a client sends for a handshake. Its certificate with the chain has to fit. OpenSSL
would collect ten times as many."""
_SHAKE_SECONDS = 0.005
"""How long handshakes may take in one go, before other clients have their turn. One takes about 1 ms with an
RSA key."""

log = logging.getLogger(__name__)


def over_tls(certificate: ServerCertificate, connections: Connections) -> Callable[[], asyncio.Protocol]:
    """What makes a connection with TLS below it, for each client."""
    handshakes = _Handshakes()

    def by_client_ca(transport: asyncio.Transport) -> bool:
        return isinstance(transport, _TlsTransport) and transport.by_client_ca

    certificate.when_client_ca_changes(lambda: connections.end_those(by_client_ca))
    return lambda: _TlsTransport(connections(), certificate, handshakes)


class _Handshakes:
    """Carries out the handshakes of a listener bit by bit, so that open connections are served in between.

    The newest is first. If there are more than the processor can do, some clients are answered at once and
    others not at all. If the oldest were first, all of them would be answered too late.
    """

    def __init__(self) -> None:
        self._waiting: list[_TlsTransport] = []
        self._loop = asyncio.get_running_loop()

    def add(self, one: _TlsTransport) -> None:
        self._waiting.append(one)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        until = self._loop.time() + _SHAKE_SECONDS
        try:
            while self._waiting:
                self._waiting.pop().shake_hands()
                if self._loop.time() >= until:
                    break
        finally:
            if self._waiting:
                self._loop.call_soon(self._go_on)


class _TlsTransport(asyncio.Transport, asyncio.Protocol):
    """A transport for `connection`, and the protocol of the transport below, which is the client's socket.

    The connection begins before the handshake. So its limits hold for the handshake, too: how long it may
    take, how many there may be, and who makes room.
    """

    __slots__ = (
        "_below",
        "_certificate",
        "_closing",
        "_connection",
        "_from_client",
        "_handshakes",
        "_held",
        "_object",
        "_open",
        "_plain",
        "_shaken",
        "_to_client",
    )

    def __init__(
        self, connection: Connection, certificate: ServerCertificate, handshakes: _Handshakes
    ) -> None:
        super().__init__()
        self._below: asyncio.Transport
        self._connection = connection
        self._certificate = certificate
        self._handshakes = handshakes
        self._object: ssl.SSLObject | None = None
        self._from_client = ssl.MemoryBIO()
        self._to_client = ssl.MemoryBIO()
        self._held: set[str] = set()
        self._open = self._plain = self._closing = False
        self._shaken = 0

    @property
    def by_client_ca(self) -> bool:
        """Has the present client CA vouched for this client, or may it still do so?"""
        return self._object is not None and (not self._open or bool(self._object.getpeercert()))

    # --- the protocol of the transport below --------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._below = cast("asyncio.Transport", transport)
        self._connection.connection_made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._connection.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._object is None:
            self._begin(data[0])
        if self._plain:
            return
        self._from_client.write(data)
        if self._open:
            self._deliver()
        else:
            self._shaken += len(data)
            # Nothing more is read until these bytes have had their turn, so that not too many can pile up.
            self._hold("handshake")
            self._handshakes.add(self)

    def eof_received(self) -> bool:
        stays = (self._open or self._plain) and self._connection.eof_received()
        if not stays:
            self.close()
        return stays

    def pause_writing(self) -> None:
        # A client can make TLS itself answer. It must not make it write more and more without reading that.
        self._hold("writing")
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._release("writing")
        self._connection.resume_writing()

    # --- TLS ----------------------------------------------------------------------------------------

    def _begin(self, first: int) -> None:
        if first == _HANDSHAKE:
            self._object = self._certificate.context.wrap_bio(
                self._from_client, self._to_client, server_side=True
            )
        elif not self._plain:
            self._plain = True
            self._connection.refuse_plain()

    def shake_hands(self) -> None:
        """Go on with the handshake as far as the bytes that have come allow it."""
        if self._closing or self._object is None:
            return
        try:
            self._object.do_handshake()
            self._open = True
        except ssl.SSLWantReadError:
            if self._shaken > _LARGEST_HANDSHAKE:
                self.close()
        except ssl.SSLError as error:
            self._fail(error)
        self._flush()
        self._release("handshake")

    def _deliver(self) -> None:
        """Pass on everything that the client has sent, unless it has to wait."""
        if self._held or self._closing or not self._object:
            return
        records: list[bytes] = []
        try:
            while self._from_client.pending or self._object.pending():
                records.append(self._object.read(_RECORD))
                if not records[-1]:
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._fail(error)
            return
        if data := b"".join(records):
            self._connection.data_received(data)
        if records and not records[-1]:
            self.eof_received()
        self._flush()

    def _flush(self) -> None:
        if self._to_client.pending and not self._closing:
            self._below.write(self._to_client.read())

    def _fail(self, error: ssl.SSLError) -> None:
        """Say why in TLS's own way, and close."""
        log.debug("TLS with %s failed: %s", self._below.get_extra_info("peername"), error)
        self._flush()
        self._closing = True
        self._below.close()

    def _hold(self, reason: str) -> None:
        """Read nothing more for this reason."""
        self._held.add(reason)
        self._below.pause_reading()

    def _release(self, reason: str) -> None:
        self._held.discard(reason)
        if not self._held and not self._closing:
            self._below.resume_reading()
            if self._open:
                # Not at once: this may be called while the connection takes in what came before.
                asyncio.get_running_loop().call_soon(self._deliver)

    # --- the transport of the connection ------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "sslcontext":
            return self._object.context if self._object else default
        if name == "peercert":
            return self._object.getpeercert() if self._object and self._open else default
        return self._below.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._plain or self._object is None:
            self._below.write(data)
            return
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._object.write(rest) :]
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._flush()

    def close(self) -> None:
        if self._closing:
            return
        if self._open and self._object and not _remembered(self._object):
            with contextlib.suppress(ssl.SSLError):  # it wants to wait for the client's answer
                self._object.unwrap()
            self._flush()
        self._closing = True
        self._below.close()

    def abort(self) -> None:
        self._closing = True
        self._below.abort()

    def is_closing(self) -> bool:
        return self._closing or self._below.is_closing()

    def pause_reading(self) -> None:
        self._hold("connection")

    def resume_reading(self) -> None:
        self._release("connection")

    def is_reading(self) -> bool:
        return self._below.is_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._below.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._below.get_write_buffer_size()


def _remembered(tls: ssl.SSLObject) -> bool:
    """Does OpenSSL keep this session in memory? (It is one of TLS 1.2, of a client that takes no tickets.)

    OpenSSL keeps 20,000 of them, which may take more than 100 MiB. It forgets one that did not end in TLS's
    own way. HTTP has its own ends, so clients do not miss that.
    """
    return tls.version() == "TLSv1.2" and tls.session is not None and bool(tls.session.id)
