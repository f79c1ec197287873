"""The guard in front of every handler that changes something: it finds out who asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from tcf.core.model import Principal
from tcf.web.server import Handler

GuardedHandler = Callable[[web.BaseRequest, Principal], Awaitable[web.StreamResponse]]


def guarded(handler: GuardedHandler, *, via: str) -> Handler:
    """A handler that calls `handler` with the principal of the request. `via`: the member of this worker.

    For now the principal is the client's address, because clients do not authenticate themselves yet.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return await handler(request, Principal(request.remote or "a local client", via))

    return handle
