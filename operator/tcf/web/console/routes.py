"""The paths of the console."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from tcf.coordinator.dispatcher import Dispatcher
from tcf.core.admission import Kind
from tcf.hub.interfaces import FederationStore
from tcf.runtime.clock import Clock
from tcf.web.console.page_files import page_routes
from tcf.web.console.streams import Streams
from tcf.web.console.switching import Switching
from tcf.web.cross_site import foreign_host
from tcf.web.envelope import error
from tcf.web.guard import Guard
from tcf.web.server import Handler, Routes


def console_routes(
    dispatcher: Dispatcher, federations: FederationStore, guard: Guard, *, clock: Clock
) -> Routes:
    """The handlers, by path and method."""
    streams, switching = (
        Streams(dispatcher, guard, clock=clock),
        Switching(dispatcher, federations, clock=clock),
    )
    events = streams.handle if guard.knows_users else _for_this_machine(streams.handle)
    posts = {kind: guard.changing(partial(switching.handle, kind)) for kind in Kind}
    return {
        **page_routes(),
        "/console/events": {"GET": events, "HEAD": events},
        **{f"/console/{kind}": {"POST": post} for kind, post in posts.items()},
    }


def _for_this_machine(handler: Handler) -> Handler:
    """Without tokens, the console listens on a loopback address. Then only its own page may read.

    The server checks the same for requests that change something.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if refusal := foreign_host(request.headers):
            return error(421, refusal.reason, refusal.message)
        return await handler(request)

    return handle
