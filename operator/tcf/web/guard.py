"""What stands in front of every handler that changes something: it establishes who asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from tcf.core.model import Principal
from tcf.web.server import Handler

GuardedHandler = Callable[[web.BaseRequest, Principal], Awaitable[web.StreamResponse]]


def guarded(handler: GuardedHandler, *, via: str) -> Handler:
    """`handler`, with the principal of each request. `via`: the member whose worker is asked.

    The principal is the client's address for now, since clients do not authenticate themselves yet.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return await handler(request, Principal(request.remote or "a local client", via))

    return handle
