"""The paths of the console."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from aiohttp import web

from tcf.coordinator.dispatcher import Dispatcher
from tcf.core.admission import Kind
from tcf.core.model import Refusal
from tcf.hub.interfaces import FederationStore
from tcf.runtime.clock import Clock
from tcf.web.console.page_files import page_routes
from tcf.web.console.streams import Streams
from tcf.web.console.switching import Switching
from tcf.web.cross_site import from_elsewhere
from tcf.web.envelope import error
from tcf.web.guard import Guard
from tcf.web.server import Handler, Routes


def console_routes(
    dispatcher: Dispatcher,
    federations: FederationStore,
    guard: Guard,
    *,
    trouble: Callable[[], Refusal | None],
    clock: Clock,
) -> Routes:
    """The handlers, by path and method. `trouble`: why the operator may know less than the hub."""
    streams = Streams(dispatcher, guard, trouble=trouble, clock=clock)
    switching = Switching(dispatcher, federations, trouble=trouble, clock=clock)
    events = guard.knowing(streams.handle)
    if not guard.knows_users:
        events = _for_its_own_page(events)
    posts = {kind: guard.changing(partial(switching.handle, kind)) for kind in Kind}
    return {
        **page_routes(),
        "/console/events": {"GET": events, "HEAD": events},
        **{f"/console/{kind}": {"POST": post} for kind, post in posts.items()},
    }


def _for_its_own_page(handler: Handler) -> Handler:
    """Without tokens, the console listens on a loopback address, and pages of other sites must not use it.

    The server checks the same for requests that change something.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if refused := from_elsewhere(request.headers, loopback=True):
            status, refusal = refused
            return error(status, refusal.reason, refusal.message)
        return await handler(request)

    return handle
