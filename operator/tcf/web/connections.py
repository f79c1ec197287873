"""The connections of clients: how many there may be, and how long each may take.

Anyone who can reach the port can open connections. That must not keep a load balancer's probe from its
answer, or use up the memory of the process. So each connection has limits. When there are too many, the
connection that has been idle for the longest time makes room. (A limit for each address would hit clients
that share one.)
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from tcf.core.reasons import Reason
from tcf.web.envelope import error

LARGEST_FIELD = 8 * 1024
"""The most bytes of the request line, or of one header field. A token has to fit."""
LARGEST_HEAD = 16 * 1024
"""The most bytes of the request line and all header fields together."""
LARGEST_BUFFER = 16 * 1024
"""How many bytes of a connection the kernel holds in either direction. What does not fit waits here, and the
next answers wait as well."""
_HEAD_SECONDS = 5.0
"""The time for a head to arrive, from its first byte on (for the first head: from the connection on)."""
_IDLE_SECONDS = 75.0
"""How long a connection may wait for its next request."""
_SEND_SECONDS = 5.0
"""How long a client may go without reading from an answer that is being sent."""
_LINGER_SECONDS = 2.0
"""How long to read the rest of an unwanted body, since a client that is still sending may miss the answer."""
_FOUND_AT_ONCE = 64
"""How many idle connections one search through all connections finds."""

log = logging.getLogger(__name__)

Answering = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(RequestHandler):
    """aiohttp's connection with limits. It also gives our form to the errors that never reach a handler.

    Attributes:
        busy: a complete head has arrived, and its answer has not been sent yet. If not, it is idle.
        when_lost: called when there is no connection any more, for an answer that has no end of its own.
    """

    __slots__ = ("_allowed", "_half_closed", "_head", "_impatience", "_latest", "busy", "when_lost")

    def __init__(self, manager: Connections, **more: Any) -> None:
        super().__init__(manager, **more)
        self.busy = False
        self.when_lost: Callable[[], object] | None = None
        self._allowed = _HEAD_SECONDS
        self._head = 0
        self._half_closed = False
        self._latest = EMPTY_PAYLOAD
        self._impatience: asyncio.TimerHandle | None = None

    @property
    def idle_since(self) -> float:
        """In the event loop's time."""
        return self._next_keepalive_close_time - self._allowed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if cast("Connections", self._manager).admits():
            super().connection_made(transport)
            # So every byte that waits is noticed. Otherwise nothing would ever end a connection whose last
            # bytes the client does not take: `close` waits for them.
            cast("asyncio.Transport", transport).set_write_buffer_limits(0)
            self._allow(_HEAD_SECONDS)
        else:
            self._manager = None  # aiohttp marks a closed connection in this way
            transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_impatience()
        super().connection_lost(exc)
        if self.when_lost:
            self.when_lost()

    # --- receiving ----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            if self._head + len(data) > LARGEST_HEAD:
                self._measure()
            self._latest = self._messages[-1][1]
            self.busy, self._allowed, self._head = True, _IDLE_SECONDS, 0
        elif not self._body_arrives():
            if not self.busy and self._allowed != _HEAD_SECONDS:
                self._allow(_HEAD_SECONDS)
            self._head += len(data)
            if self._head > LARGEST_HEAD and not self._close:
                self._refuse()

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio needs a bool; aiohttp returns nothing
        """Keep the connection open for the answer if the client has sent its request completely."""
        self._half_closed = True
        return self.busy and not self._body_arrives()

    def _body_arrives(self) -> bool:
        """Is the body of the latest request incomplete?"""
        return not self._latest.is_eof()

    def _measure(self) -> None:
        """Refuse heads that are too large but were parsed before their bytes could be counted."""
        for n, (message, _) in enumerate(self._messages):
            if (
                sum(len(name) + len(value) for name, value in getattr(message, "raw_headers", ()))
                > LARGEST_HEAD
            ):
                self._messages[n] = (_too_large(), EMPTY_PAYLOAD)

    def _refuse(self) -> None:
        """Answer that the head is too large, after the answers to earlier requests, and read nothing more."""
        self._pause_reading_for_buffer()
        self._answer_by(_too_large())

    def refuse_plain(self) -> None:
        """Answer that this port speaks HTTPS to a client that does not. Its bytes need not be passed on."""
        self._answer_by(_ErrInfo(400, NotTlsError(), ""))

    def _answer_by(self, wrong: _ErrInfo) -> None:
        self._messages.append((wrong, EMPTY_PAYLOAD))
        self.busy = True
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def _allow(self, seconds: float) -> None:
        """Close the connection if it is still idle after so many seconds."""
        self._allowed = seconds
        self._next_keepalive_close_time = self._loop.time() + seconds
        if self._keepalive_handle:
            self._keepalive_handle.cancel()
        self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)

    # --- answering ----------------------------------------------------------------------------------

    async def _handle_request(
        self, request: web.BaseRequest, start_time: float | None, request_handler: Answering
    ) -> tuple[web.StreamResponse, bool]:
        try:
            return await super()._handle_request(request, start_time, request_handler)
        finally:
            if not self._messages:
                self.busy = False
                if self._half_closed:
                    self.close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500:  # noqa: PLR2004
            log.error("%s %s failed", request.method, request.path, exc_info=exc)
            response = error(status, Reason.INTERNAL_ERROR, "this is a bug in the worker; see its log")
        elif isinstance(exc, LineTooLong):
            response = error(
                431,
                Reason.HEAD_TOO_LARGE,
                f"the request line or a header field has more than {LARGEST_FIELD} bytes,"
                f" or all of them together more than {LARGEST_HEAD}",
            )
        elif isinstance(exc, NotTlsError):
            message = "this port speaks HTTPS, and this is not; use https://"
            response = error(status, Reason.MALFORMED_REQUEST, message)
        else:
            # Only the first line says what is wrong. The next ones quote the request, perhaps with a token.
            detail = (message or "").partition("\n")[0].partition(": b'")[0].rstrip(": ")[:200]
            response = error(status, Reason.MALFORMED_REQUEST, f"this is not a valid HTTP request: {detail}")
        response.force_close()
        return response

    # --- sending ------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.transport:
            # The transport's `close` would wait until everything is sent, and aiohttp forgets it then.
            self._impatience = self._loop.call_later(_SEND_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_impatience()

    def _stop_impatience(self) -> None:
        if self._impatience:
            self._impatience.cancel()
            self._impatience = None


class NotTlsError(Exception):
    """A client speaks something else than TLS where TLS is spoken."""


def _too_large() -> _ErrInfo:
    return _ErrInfo(431, LineTooLong(b"", LARGEST_HEAD), "")


class Connections(web.Server):
    """All connections of one listener, at most `most` of them at a time."""

    def __init__(self, handler: Answering, *, most: int) -> None:
        super().__init__(
            handler,
            keepalive_timeout=_IDLE_SECONDS,
            lingering_time=_LINGER_SECONDS,
            access_log=None,
            auto_decompress=False,
            max_line_size=LARGEST_FIELD,
            max_field_size=LARGEST_FIELD,
        )
        self._most = most
        self._full = False
        self._idlest: list[tuple[float, int, Connection]] = []

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._kwargs)

    def admits(self) -> bool:
        """Is there room for one more connection, or can room be made? Logs only when it fills up."""
        count = len(self._connections)
        if count >= self._most and not self._full:
            log.warning(
                "%s connections are open, which is the limit;"
                " for each new one, the one that has been idle for the longest time is closed",
                count,
            )
        self._full = count >= (self._most // 2 if self._full else self._most)
        return count < self._most or self._make_room()

    def end_those(self, chosen: Callable[[asyncio.Transport], bool]) -> None:
        """Close these connections. One with a request under way is closed after its answer."""
        for one, transport in list(cast("dict[Connection, asyncio.Transport]", self._connections).items()):
            if chosen(transport):
                (one.close if one.busy else one.force_close)()

    def _make_room(self) -> bool:
        """Close the connection that has been idle for the longest time; False if none is idle."""
        while self._idlest or self._find_idlest():
            since, _, one = self._idlest.pop()
            if not one.busy and one.idle_since == since:
                one.force_close()
                return True
        return False

    def _find_idlest(self) -> bool:
        idle = (
            (one.idle_since, id(one), one)
            for one in cast("dict[Connection, Any]", self._connections)
            if not one.busy and one.transport
        )
        self._idlest = heapq.nsmallest(_FOUND_AT_ONCE, idle)[::-1]
        return bool(self._idlest)
