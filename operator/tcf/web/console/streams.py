"""`GET /console/events`: a stream of Server-Sent Events about all federations that the user may see.

| Event | Data |
|---|---|
| `session` | who the user is |
| `federations` | all of them, a line each; always the first after `session` |
| `federation` | one that is new or has changed |
| `gone` | one that was deleted |
| `selected` | all about the federation that the page shows; null if the user sees no such federation |
| `step` | what has just happened in that one, in words |
| `trouble` | why the stream ends before its time |

A page that reads slowly misses what has been replaced by something newer, never the newest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from tcf.auth.authority import DeniedError
from tcf.coordinator.dispatcher import Dispatcher
from tcf.coordinator.loop import Key
from tcf.core.authorization import FORCE, READ, SWITCH, Right
from tcf.core.model import Federation, MemberRef
from tcf.core.reasons import Reason
from tcf.core.role_changes import steps
from tcf.hub.answers import Json
from tcf.hub.federation_json import summary
from tcf.runtime.clock import Clock
from tcf.runtime.release import VERSION
from tcf.runtime.waiting import within
from tcf.web.audit_trail import Asked
from tcf.web.console.views import view
from tcf.web.envelope import answer, closing, compact, error, fields
from tcf.web.event_stream import CONTENT_TYPE, HEARTBEAT, UNBUFFERED
from tcf.web.guard import Guard

MOST_STREAMS = 50
"""How many pages may be open at a time. Each has a stream."""
_LONGEST_SECONDS = 120.0
"""A stream ends after this time. The page connects again, and the user's rights are checked again."""
_LOOK_SECONDS = 1.0
"""How often the page hears of workers that have renewed. Changes of roles are reported at once."""
_HEARTBEAT_SECONDS = 5.0
_PAUSE_SECONDS = 0.05
"""While very much changes, this much time lies between two looks at all federations."""


class Streams:
    """The streams of one operator."""

    def __init__(self, dispatcher: Dispatcher, guard: Guard, *, clock: Clock) -> None:
        self._dispatcher = dispatcher
        self._guard = guard
        self._clock = clock
        self._open = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Send events until the page is closed, the operator stops, or `_LONGEST_SECONDS` have passed."""
        asked = Asked.new(request)
        try:
            await self._guard.identify(request, asked)
        except DeniedError as denied:
            return self._guard.denial(denied)
        if request.method == "HEAD":
            return answer(200, b"", CONTENT_TYPE, UNBUFFERED)
        if self._open >= MOST_STREAMS:
            message = f"{MOST_STREAMS} pages of the console are open already; close some, or try again later"
            return closing(error(503, Reason.TOO_MANY_STREAMS, message, {"Retry-After": "10"}))
        response = web.StreamResponse(headers=fields(CONTENT_TYPE, UNBUFFERED))
        response.force_close()
        self._open += 1
        try:
            await response.prepare(request)
            news = _News(self._dispatcher, self._guard, asked, _selected(request), self._clock)
            await self._send(request, response, news)
        except ConnectionResetError:
            pass  # the page was closed, or does not read
        except DeniedError as denied:  # nobody knows what the user may see, so the page has to try again
            await response.write(_event("trouble", {"error": denied.refusal.message}))
        finally:
            self._open -= 1
        return response

    async def _send(self, request: web.BaseRequest, response: web.StreamResponse, news: _News) -> None:
        boot, changes = self._clock.boot, self._dispatcher.changes
        end = boot() + _LONGEST_SECONDS
        heartbeat_at = boot()
        while not self._dispatcher.stopped and request.transport is not None and boot() < end:
            seen = changes.count
            events = [event async for event in news.events()]
            if not events and boot() >= heartbeat_at:
                events = [HEARTBEAT]
            if events:
                await response.write(b"".join(events))
                heartbeat_at = boot() + _HEARTBEAT_SECONDS
            await asyncio.sleep(_PAUSE_SECONDS)
            if changes.count == seen:
                await within(_LOOK_SECONDS, changes.next())


class _News:
    """What one page has not been told yet."""

    def __init__(
        self, dispatcher: Dispatcher, guard: Guard, asked: Asked, selected: Key | None, clock: Clock
    ) -> None:
        self._dispatcher = dispatcher
        self._guard = guard
        self._asked = asked
        self._selected = selected
        self._clock = clock
        self._begun = False
        self._told: dict[Key, Federation] = {}
        self._rights: dict[tuple[Right, str, str], bool] = {}
        self._shown: Json | None = {}
        self._shown_federation: Federation | None = None

    async def events(self) -> AsyncIterator[bytes]:
        """The events since the last time."""
        if not self._begun:
            user = self._asked.user
            yield _event("session", {"user": user.name if user else None, "version": VERSION})
        for event in [*await self._of_all(), *await self._of_selected()]:
            yield event
        self._begun = True

    async def _of_all(self) -> list[bytes]:
        present = {(each.namespace, each.name): each for each, _ in self._dispatcher.federations()}
        new = []
        for key, federation in present.items():
            if self._told.get(key) is not federation and await self._may(READ, key):
                self._told[key] = federation
                new.append(summary(federation))
        if not self._begun:
            return [_event("federations", new)]
        gone = self._told.keys() - present.keys()
        for key in gone:
            del self._told[key]
        names = [{"namespace": namespace, "name": name} for namespace, name in gone]
        return [*(_event("federation", each) for each in new), *(_event("gone", each) for each in names)]

    async def _of_selected(self) -> list[bytes]:
        key = self._selected
        if key is None:
            return []
        cache = self._dispatcher.cache(key)
        federation = cache.federation if cache else None
        shown: Json | None = None
        now = self._clock.now()
        happened: list[bytes] = []
        if cache and federation and await self._may(READ, key):
            rights = {"switch": await self._may(SWITCH, key), "force": await self._may(FORCE, key)}
            now = self._clock.now()
            shown = {**view(federation, cache.workers(now.boot), now), "may": rights}
            before, self._shown_federation = self._shown_federation, federation
            if before and before.uid == federation.uid:
                texts = steps(before.status, federation.status)
                happened = [_event("step", {"text": text, "boot": now.boot}) for text in texts]
        if shown == self._shown:
            return happened
        self._shown = shown
        wall = now.wall.timestamp()
        return [_event("selected", shown and {**shown, "boot": now.boot, "wall": wall}), *happened]

    async def _may(self, right: Right, key: Key) -> bool:
        """Has the user the right on this federation? It is enough to have it on all of the namespace."""
        namespace, name = key
        return await self._has(right, namespace, "") or await self._has(right, namespace, name)

    async def _has(self, right: Right, namespace: str, name: str) -> bool:
        """The answer counts as long as the stream lasts."""
        key = (right, namespace, name)
        if key not in self._rights:
            about = MemberRef(namespace, name, "")
            self._rights[key] = not await self._guard.refusal(self._asked, right, about)
        return self._rights[key]


def _event(kind: str, data: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), compact(data))


def _selected(request: web.BaseRequest) -> Key | None:
    """Which federation the page shows; None if it shows none."""
    namespace, slash, name = request.query.get("selected", "").partition("/")
    return (namespace, name) if slash else None
