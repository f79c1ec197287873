"""An HTTP server on aiohttp's low-level server: exact paths, and every error as `{"error": ...}`.

Thousands of probes may come in a second, and there are only a few paths. So there is no router, middleware or
application between the socket and the handler. The errors that aiohttp answers by itself (a request that is
not HTTP, a line that is too long) have the same form as all others, and clients never see a traceback.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import math
import resource
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from tcf.core.reasons import Reason
from tcf.runtime.address import Address
from tcf.runtime.listening import stop_listening
from tcf.web.audit_trail import ASKED, REQUEST, Asked, AuditTrail
from tcf.web.connections import LARGEST_BUFFER, Connections
from tcf.web.cross_site import from_elsewhere
from tcf.web.envelope import answer, closing, error

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Routes = Mapping[str, Mapping[str, Handler]]
"""Handlers by path and method. A path that ends with a slash stands for all paths with one more segment."""
Tls = Callable[[Connections], Callable[[], asyncio.Protocol]]
"""Puts TLS between sockets and connections: returns what makes the protocol of each socket."""

MOST_CONNECTIONS = 5000
"""How many connections may be open at a time. Each takes about 30 KiB; a load balancer has a few. They never
take more than half of the file descriptors, so that clients cannot keep the worker from reaching the hub."""
MOST_TLS_CONNECTIONS = 1200
"""The same for a listener with TLS. Each takes up to 85 KiB, most of them during the handshake."""
AT_ONCE = 1000
"""How many clients may wait to be accepted."""
_ACCEPTED_AT_ONCE = 16
"""How many clients are accepted in one go. Nobody is answered meanwhile, and so many descriptors may exceed
the limit."""
_SHUTDOWN_SECONDS = 5.0
_REPORT_SECONDS = 60.0
_NO_DESCRIPTORS = "socket.accept() out of system resource"
"""asyncio's message if there are too few file descriptors. It then accepts nothing for a second."""

log = logging.getLogger(__name__)


def for_health_checks(handler: Handler) -> Mapping[str, Handler]:
    """The methods of a path for health checks, by any of which a client gets the same status.

    OPTIONS is HAProxy's default.
    """

    async def options(request: web.BaseRequest) -> web.StreamResponse:
        response = await handler(request)
        response.headers["Allow"] = "GET, HEAD, OPTIONS"
        return response

    return {"GET": handler, "HEAD": handler, "OPTIONS": options}


class HttpServer:
    """Serves `routes` on one address from `start` to `stop`: by HTTPS with a `tls`, otherwise by HTTP."""

    def __init__(
        self, routes: Routes, address: Address, audit: AuditTrail | None = None, tls: Tls | None = None
    ) -> None:
        """`audit`: records each request that may change something."""
        self._routes = routes
        self._address = address
        self._audit = audit
        self._tls = tls
        self.scheme = "https" if tls else "http"
        self.loopback = False
        """Does it listen on loopback addresses only? Known after `start`."""
        self.answered: Counter[tuple[str, str, int]] = Counter()
        """How many requests were answered, by path, method and status."""
        self._listener: asyncio.Server | None = None
        self._connections: Connections | None = None
        self._reported_at = -math.inf

    async def start(self) -> Address:
        """Listen. Returns the address, with the actual port instead of port 0.

        Raises:
            OSError: it is impossible to listen on this address.
        """
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._report)
        most = MOST_TLS_CONNECTIONS if self._tls else MOST_CONNECTIONS
        connections = Connections(self._dispatch, most=min(most, descriptors // 2))
        factory = self._tls(connections) if self._tls else connections
        host, port = self._address.host or None, self._address.port
        listener = await loop.create_server(
            factory, host, port, backlog=_ACCEPTED_AT_ONCE, start_serving=False
        )
        for each in listener.sockets:
            for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):  # connections inherit them
                each.setsockopt(socket.SOL_SOCKET, buffer, LARGEST_BUFFER)
        await listener.start_serving()
        for each in listener.sockets:
            with each.dup() as same:
                same.listen(AT_ONCE)
        self.loopback = all(_is_loopback(each) for each in listener.sockets)
        self._listener, self._connections = listener, connections
        return Address(self._address.host, listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Accept no more clients, send the answers under way (for 5 s at most), and close."""
        if self._listener and self._connections:
            await stop_listening(self._listener)
            self._connections.pre_shutdown()
            await self._connections.shutdown(_SHUTDOWN_SECONDS)
            self._listener = None

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections.connections) if self._connections else 0

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        # Almost every request is a probe: a GET of exactly such a path. Only the others take the longer way.
        path, method = request.raw_path, request.method
        methods = self._routes.get(path)
        probed = methods.get(method) if methods and method == "GET" and request.version.major == 1 else None
        if not methods:
            path, methods = self._find(_path(request))
        status = 500
        try:
            response = await (probed(request) if probed else self._answer(request, methods))
            status = response.status
        finally:
            self.answered[path, method if method in _METHODS else "other", status] += 1
        return response

    def _find(self, path: str) -> tuple[str, Mapping[str, Handler] | None]:
        """The path as it is counted, and its handlers. What clients make up must not become a time series."""
        if methods := self._routes.get(path):
            return path, methods
        folder = path[: path.rfind("/") + 1]
        methods = self._routes.get(folder)
        return f"{folder}NAME" if methods else "other", methods

    async def _answer(
        self, request: web.BaseRequest, methods: Mapping[str, Handler] | None
    ) -> web.StreamResponse:
        if request.version.major != 1:
            return closing(error(505, Reason.UNSUPPORTED_VERSION, "this is neither HTTP/1.1 nor 1.0"))
        handler = methods.get(request.method) if methods else None
        if request.method not in _SAFE:
            return await self._change(request, methods, handler)
        if handler is not None:
            return await handler(request)
        return self._nothing_there(request, methods)

    async def _change(
        self, request: web.BaseRequest, methods: Mapping[str, Handler] | None, handler: Handler | None
    ) -> web.StreamResponse:
        """Answer a request with a method that may change something, and record that."""
        asked = request[ASKED] = Asked.new(request)
        response: web.StreamResponse | None = None
        try:
            if handler is None:
                response = self._nothing_there(request, methods)
            elif refused := from_elsewhere(request.headers, loopback=self.loopback):
                status, refusal = refused
                response = error(status, refusal.reason, refusal.message)
            else:
                response = await handler(request)
            response.headers[REQUEST] = asked.request
            return response
        finally:
            if self._audit and not asked.routine:
                self._audit.record(request, asked, response)

    def _nothing_there(
        self, request: web.BaseRequest, methods: Mapping[str, Handler] | None
    ) -> web.StreamResponse:
        if methods is None:
            known = ", ".join(f"{path}NAME" if path.endswith("/") else path for path in self._routes)
            return error(404, Reason.NOT_FOUND, f"there is no {request.path[:200]}; the paths are {known}")
        allow = {"Allow": ", ".join({**methods, "OPTIONS": None})}
        if request.method == "OPTIONS":
            return answer(204, headers=allow)
        return error(
            405,
            Reason.METHOD_NOT_ALLOWED,
            f"{request.path} does not take {request.method}; use {' or '.join(methods)}",
            allow,
        )

    def _report(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Report errors of no particular task. Log a lack of file descriptors only once a minute."""
        if context.get("message") != _NO_DESCRIPTORS:
            loop.default_exception_handler(context)
        elif loop.time() - self._reported_at > _REPORT_SECONDS:
            self._reported_at = loop.time()
            log.warning("no client can be accepted for now, so clients wait: %s", context.get("exception"))


_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS = _SAFE | {"POST", "PUT", "PATCH", "DELETE"}


def _path(request: web.BaseRequest) -> str:
    """The path without the query. For requests that change something, it is not decoded.

    Otherwise a proxy's rules for `/tcf/demote` would not apply to `/tcf%2fdemote`.
    """
    return request.path if request.method in _SAFE else request.rel_url.raw_path


def _is_loopback(listening: socket.socket) -> bool:
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback
