"""`GET /console/events`: a stream of Server-Sent Events about all federations that the user may see.

| Event | Data |
|---|---|
| `session` | who the user is |
| `federations` | some that are new or have changed, a line each |
| `gone` | one that was deleted |
| `selected` | all about the federation that the page shows; null if the user sees no such federation |
| `step` | what has just happened in that one, in words |
| `live` | the page has been told everything; `complete`: the rights on all federations are known |
| `trouble` | why the stream ends before its time: what the operator knows may be outdated, for example |

A page that reads slowly misses what has been replaced by something newer, never the newest.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from aiohttp import web

from tcf.auth.authority import DeniedError
from tcf.coordinator.dispatcher import Dispatcher
from tcf.coordinator.loop import Key
from tcf.core.authorization import FORCE, READ, SWITCH, Right
from tcf.core.model import Federation, MemberRef, Refusal
from tcf.core.reasons import Reason
from tcf.core.role_changes import steps
from tcf.hub.answers import Json
from tcf.hub.federation_json import summary
from tcf.runtime.clock import Clock
from tcf.runtime.release import VERSION
from tcf.runtime.waiting import within
from tcf.web.audit_trail import Asked
from tcf.web.console.places import Places
from tcf.web.console.views import view
from tcf.web.envelope import answer, closing, compact, error, fields
from tcf.web.event_stream import CONTENT_TYPE, HEARTBEAT, UNBUFFERED
from tcf.web.guard import Guard

MOST_STREAMS, MOST_OF_ONE = 50, 10
"""How many pages may be open at a time, and how many of one user. Each has a stream."""
_LONGEST_SECONDS = 120.0
"""A stream ends after this time. The page connects again, and the user's rights are checked again."""
_LOOK_SECONDS = 1.0
"""How often the page hears of workers that have renewed. Changes of roles are reported at once."""
_HEARTBEAT_SECONDS = 5.0
_CHECK_SECONDS = 2.0
"""How long the rights of the user may be checked before the page hears something."""
_BATCH = 50
"""How many federations are in one event. A slow reader gets a little time for each write."""
_PAUSE_SECONDS = 0.05
"""While very much changes, this much time lies between two looks at all federations."""


class Streams:
    """The streams of one operator."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        guard: Guard,
        *,
        trouble: Callable[[], Refusal | None],
        clock: Clock,
    ) -> None:
        self._dispatcher = dispatcher
        self._guard = guard
        self._trouble = trouble
        self._clock = clock
        self._places = Places(MOST_STREAMS, MOST_OF_ONE)

    async def handle(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        """Send events until the page is closed, the operator stops, or `_LONGEST_SECONDS` have passed."""
        if request.method == "HEAD":
            return answer(200, b"", CONTENT_TYPE, UNBUFFERED)
        user = asked.user.name if asked.user else ""
        if self._places.full(user):
            message = (
                f"too many pages of the console are open already ({MOST_OF_ONE} for one user, {MOST_STREAMS}"
                " for all together); close some, or try again later"
            )
            return closing(error(503, Reason.TOO_MANY_STREAMS, message, {"Retry-After": "10"}))
        response = web.StreamResponse(headers=fields(CONTENT_TYPE, UNBUFFERED))
        response.force_close()
        # The page may be closed, or not read.
        with self._places.taken(user), contextlib.suppress(ConnectionResetError):
            await response.prepare(request)
            news = _News(self._dispatcher, self._guard, asked, _selected(request), self._clock)
            await self._send(request, response, news)
        return response

    async def _send(self, request: web.BaseRequest, response: web.StreamResponse, news: _News) -> None:
        boot, changes = self._clock.boot, self._dispatcher.changes
        end = boot() + _LONGEST_SECONDS
        heartbeat_at = boot()
        while not self._dispatcher.stopped and request.transport is not None and boot() < end:
            seen = changes.count
            if trouble := self._trouble():
                await response.write(_event("trouble", {"error": trouble.message}))
                return
            try:
                events = await news.events()
            except DeniedError as denied:  # nobody knows what the user may see
                await response.write(_event("trouble", {"error": denied.refusal.message}))
                return
            if not events and boot() >= heartbeat_at:
                events = [HEARTBEAT]
            for event in events:
                await response.write(event)
                heartbeat_at = boot() + _HEARTBEAT_SECONDS
            await asyncio.sleep(_PAUSE_SECONDS)
            if changes.count == seen and news.complete:
                await within(_LOOK_SECONDS, changes.next())


class _News:
    """What one page has not been told yet.

    Attributes:
        complete: the rights of the user on all federations are known.
    """

    def __init__(
        self, dispatcher: Dispatcher, guard: Guard, asked: Asked, selected: Key | None, clock: Clock
    ) -> None:
        self.complete = False
        self._dispatcher = dispatcher
        self._guard = guard
        self._asked = asked
        self._selected = selected
        self._clock = clock
        self._begun = False
        self._seen: dict[Key, Federation] = {}
        self._told: dict[Key, Json] = {}
        self._rights: dict[tuple[Right, str, str], bool] = {}
        self._shown: Json | None = {}
        self._shown_federation: Federation | None = None

    async def events(self) -> list[bytes]:
        """The events since the last time. Raises DeniedError if nobody knows what the user may see."""
        present = {(each.namespace, each.name): each for each, _ in self._dispatcher.federations()}
        was_complete, self.complete = self.complete, False
        await within(_CHECK_SECONDS, self._check(present))
        found = [*self._of_all(present), *self._of_selected()]
        if not self._begun:
            user = self._asked.user
            found.insert(0, _event("session", {"user": user.name if user else None, "version": VERSION}))
        if not self._begun or self.complete != was_complete:
            found.append(_event("live", {"complete": self.complete}))
        self._begun = True
        return found

    def _of_all(self, present: dict[Key, Federation]) -> list[bytes]:
        new = []
        for key, federation in present.items():
            if self._seen.get(key) is not federation and self._may(READ, key):
                self._seen[key] = federation
                line = summary(federation)
                if self._told.get(key) != line:
                    self._told[key] = line
                    new.append(line)
        gone = self._told.keys() - present.keys()
        for key in gone:
            del self._told[key], self._seen[key]
        names = [{"namespace": namespace, "name": name} for namespace, name in gone]
        batches = [new[begin : begin + _BATCH] for begin in range(0, len(new), _BATCH)]
        return [*(_event("federations", each) for each in batches), *(_event("gone", each) for each in names)]

    def _of_selected(self) -> list[bytes]:
        key = self._selected
        if key is None or self._may(READ, key) is None:
            return []
        cache = self._dispatcher.cache(key)
        federation = cache.federation if cache else None
        now = self._clock.now()
        shown: Json | None = None
        happened: list[bytes] = []
        if cache and federation and self._may(READ, key):
            rights = {"switch": bool(self._may(SWITCH, key)), "force": bool(self._may(FORCE, key))}
            shown = {**view(federation, cache.workers(now.boot), now), "may": rights}
            before, self._shown_federation = self._shown_federation, federation
            if before and before.uid == federation.uid:
                texts = steps(before.status, federation.status)
                happened = [_event("step", {"text": text}) for text in texts]
        if shown == self._shown:
            return happened
        self._shown = shown
        clocks = {"boot": now.boot, "wall": now.wall.timestamp()}
        return [_event("selected", shown and {**shown, **clocks}), *happened]

    # --- rights -------------------------------------------------------------------------------------------

    def _may(self, right: Right, key: Key) -> bool | None:
        """Has the user the right on this federation? None if that is not known yet.

        It is enough to have it on all of the namespace.
        """
        namespace, name = key
        whole = self._rights.get((right, namespace, ""))
        return whole or (None if whole is None else self._rights.get((right, namespace, name)))

    async def _check(self, present: dict[Key, Federation]) -> None:
        """Find out what the user may do, first with what the page shows. That counts for this stream."""
        if self._selected:
            for right in (READ, SWITCH, FORCE):
                await self._find(right, self._selected)
        for key in present:
            if self._may(READ, key) is None:
                await self._find(READ, key)
        self.complete = True

    async def _find(self, right: Right, key: Key) -> None:
        namespace, name = key
        for part in ("", name):
            if self._may(right, key) is None:
                refusal = await self._guard.refusal(self._asked, right, MemberRef(namespace, part, ""))
                self._rights[right, namespace, part] = not refusal


def _event(kind: str, data: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), compact(data))


def _selected(request: web.BaseRequest) -> Key | None:
    """Which federation the page shows; None if it shows none."""
    namespace, slash, name = request.query.get("selected", "").partition("/")
    return (namespace, name) if slash and namespace and name else None
