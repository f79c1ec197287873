"""An HTTP server on aiohttp's low-level one: exact paths, and every error as `{"error": ...}`.

Probes come thousands of times a second and know six paths, so there is no router, no middleware and
no application between the socket and the handler. Errors that aiohttp would answer by itself (what is
not HTTP at all, lines too long) get the same body as all others, and no traceback ever leaves.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import resource
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDict

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Routes = Mapping[str, Mapping[str, Handler]]
"""Handlers by path and method."""

LARGEST_BODY = 16 * 1024
MOST_CONNECTIONS = 5000
"""Connections at a time, each of some 30 KiB; a load balancer has a few. At most half of the file
descriptors there are, so that clients can't take those with which the hub is reached."""
AT_ONCE = 1000
"""Clients that may arrive together, before one has been accepted. asyncio accepts as many in one go, and
answers nobody meanwhile, so they are not as many as may be connected."""
_IDLE_SECONDS = 75.0
_SHUTDOWN_SECONDS = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Address:
    """`host` "": all interfaces, by IPv4 and IPv6."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host or "*"
        return f"{host}:{self.port}"


TEXT = "text/plain; charset=utf-8"
JSON = "application/json; charset=utf-8"


def answers(
    status: int, body: bytes = b"", content_type: str | None = None, headers: Mapping[str, str] | None = None
) -> Callable[[], web.Response]:
    """Gives an answer as often as it is called, each time a new one to which headers may be added.

    It has what every answer has: nobody may keep it, and no version is told.
    """
    told = CIMultiDict(headers or {})  # which aiohttp copies at half the price of a dict
    if content_type:
        told["Content-Type"] = content_type
    told["Cache-Control"] = "no-store"
    told["Server"] = "tcf"
    return functools.partial(web.Response, status=status, body=body, headers=told)


def answer(
    status: int, body: bytes = b"", content_type: str | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """One such answer."""
    return answers(status, body, content_type, headers)()


def error(status: int, reason: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """The answer to everything that is not as asked; `reason` is CamelCase, for programs."""
    body = json.dumps({"error": message}, ensure_ascii=False).encode()
    return answer(status, body, JSON, {"X-TCF-Reason": reason, **(headers or {})})


class _Connection(RequestHandler):
    """aiohttp's connection, which answers in our form what it can't even hand to a handler."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if cast("_Server", self._manager).admits():
            super().connection_made(transport)
        else:
            self._manager = None  # which is how aiohttp marks a connection that is over
            transport.close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500:  # noqa: PLR2004
            log.error("%s %s failed", request.method, request.path, exc_info=exc)
            response = error(status, "InternalError", "this is a bug in the worker; its log tells more")
        else:
            detail = " ".join((message or "").split())[:200]
            response = error(status, "MalformedRequest", f"this is not a valid HTTP request: {detail}")
        response.force_close()
        return response


class _Server(web.Server):
    """Hands out connections, not more than `most` at a time."""

    def __init__(self, handler: Handler, *, most: int) -> None:
        super().__init__(handler, keepalive_timeout=_IDLE_SECONDS, access_log=None, auto_decompress=False)
        self._most = most
        self._full = False

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)

    def admits(self) -> bool:
        """Is there room for one more connection? Tells when there is none any more, not each time."""
        count = len(self.connections)
        if count >= self._most and not self._full:
            log.warning("%s connections are open: no more are taken; who opens so many?", count)
        self._full = count >= (self._most // 2 if self._full else self._most)
        return count < self._most


class HttpServer:
    """Serves `routes` on one address from `start` to `stop`."""

    def __init__(self, routes: Routes, address: Address) -> None:
        self._routes = routes
        self._address = address
        self._runner: web.ServerRunner | None = None

    async def start(self) -> Address:
        """Listen; returns the address with the port that was really taken (for port 0).

        Raises:
            OSError: the address can't be had.
        """
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        server = _Server(self._dispatch, most=min(MOST_CONNECTIONS, descriptors // 2))
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            host = self._address.host or None
            site = web.TCPSite(runner, host, self._address.port, backlog=AT_ONCE)
            await site.start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        taken = runner.addresses[0]
        return Address(self._address.host, taken[1])

    async def stop(self) -> None:
        """Accept nothing more, let the answers under way go out (5 s at most), close."""
        runner, self._runner = self._runner, None
        if runner:
            await runner.cleanup()

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        # Almost every request is for a path as it is; only of others a URL has to be made.
        methods = self._routes.get(request.raw_path) or self._routes.get(request.path)
        if methods is None:
            known = ", ".join(self._routes)
            return error(404, "NotFound", f"there is no {request.path[:200]} here; there are {known}")
        handler = methods.get(request.method)
        if handler is not None:
            return await handler(request)
        allow = {"Allow": ", ".join([*methods, "OPTIONS"])}
        if request.method == "OPTIONS":
            return answer(204, headers=allow)
        return error(
            405,
            "MethodNotAllowed",
            f"{request.path} does not take {request.method}; use {' or '.join(methods)}",
            allow,
        )
