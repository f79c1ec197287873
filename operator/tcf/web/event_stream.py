"""`GET /tcf/events`: a stream of Server-Sent Events, for pages and programs that want to hear of each change.

The first event shows the roles as they are. Each further one follows a change of the role table. While the
roles are not certain, the last event is `unknown`. A client that is slow misses what has been replaced by
something newer, never the newest.

One task for each worker (`EventFeed.run`) notices what has changed, so a renewal costs the same with one
stream as with two hundred.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import cast

from aiohttp import web

from tcf.core.model import Refusal
from tcf.core.reading import STOPPING, Reading
from tcf.core.reasons import Reason
from tcf.runtime.waiting import within
from tcf.web.connections import Connection
from tcf.web.envelope import answer, closing, compact, error, fields
from tcf.web.guard import Guard
from tcf.web.role_table import rows
from tcf.web.server import Routes
from tcf.worker.knowledge import Knowledge

MOST_STREAMS = 200
"""How many streams a worker has open at a time. Each takes about 11 KiB."""
CONTENT_TYPE = "text/event-stream"
_HEARTBEAT_SECONDS = 10.0
"""Something is sent that often, because proxies close connections on which nothing comes: some after 30 s."""
_LONGEST_SECONDS = 3600.0
"""A stream ends after this time. The client connects again, and its right to read is checked again."""
_GREETING = b"retry: 1000\n\n"
"""Milliseconds after which a browser connects again."""
HEARTBEAT = b":\n\n"
UNBUFFERED = {"X-Accel-Buffering": "no"}
"""nginx passes events on at once if it finds this."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        topic: two events with the same one mean the same.
        id: the term; "" if the roles are not certain.
        text: as it is sent.
    """

    topic: object
    id: str
    text: bytes


class EventFeed:
    """The latest event of one worker. `listeners` are set when there is another one."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.member = knowledge.member
        self.clock = knowledge.clock
        self.listeners: set[asyncio.Event] = set()
        self.stopped = False
        self._knowledge = knowledge
        self._answer: Reading | Refusal | None = None
        self._latest = Event(None, "", b"")

    async def run(self) -> None:
        """Notice changes until cancelled. Then the streams end."""
        try:
            while True:
                self.latest()
                await within(self._expires_at() - self.clock.boot(), self._knowledge.changed())
        finally:
            self.stopped = True
            self._wake()

    def latest(self) -> Event:
        """The event for what the worker answers at this moment."""
        answer = STOPPING if self.stopped else self._knowledge.answer()
        if answer is not self._answer:
            self._answer = answer
            event = rendered(answer, self.member.cluster)
            if event.topic != self._latest.topic:
                self._latest = event
                self._wake()
        return self._latest

    def _expires_at(self) -> float:
        known = self._answer
        return known.valid_until if isinstance(known, Reading) and not known.keep else math.inf

    def _wake(self) -> None:
        for each in self.listeners:
            each.set()


def rendered(answer: Reading | Refusal, cluster: str) -> Event:
    """The event that shows an answer of the worker of this member."""
    if isinstance(answer, Refusal):
        data = {"cluster": cluster, "reason": answer.reason, "error": answer.message}
        # Its empty id makes a browser forget the last one. Otherwise it would get no snapshot afterwards.
        return Event(answer.reason, "", b"event: unknown\nid:\ndata: %b\n\n" % compact(data))
    table = {
        "term": answer.term,
        "cluster": cluster,
        "status": answer.role,
        "clusters": rows(answer.clusters),
    }
    data_line = compact(table)
    return Event(data_line, str(answer.term), b"id: %d\ndata: %b\n\n" % (answer.term, data_line))


def event_routes(feed: EventFeed, guard: Guard) -> Routes:
    """The handlers, by path and method."""
    handle = guard.reading(_Streams(feed).handle)
    return {"/tcf/events": {"GET": handle, "HEAD": handle}}


class _Streams:
    """The streams of one worker."""

    def __init__(self, feed: EventFeed) -> None:
        self._feed = feed

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Send events until the client hangs up, the worker stops, or an hour has passed."""
        feed = self._feed
        more = {**UNBUFFERED, "X-TCF-Cluster": feed.member.cluster}
        if request.method == "HEAD":
            return answer(200, b"", CONTENT_TYPE, more)
        if len(feed.listeners) >= MOST_STREAMS:
            return closing(
                error(
                    503,
                    Reason.TOO_MANY_STREAMS,
                    f"this worker has {MOST_STREAMS} streams open already; close some, or try again later",
                    {"X-TCF-Cluster": feed.member.cluster, "Retry-After": "10"},
                )
            )
        response = web.StreamResponse(headers=fields(CONTENT_TYPE, more))
        response.force_close()
        wake = asyncio.Event()
        feed.listeners.add(wake)
        cast("Connection", request.protocol).when_lost = wake.set
        try:
            await response.prepare(request)
            await self._send(request, response, wake)
        except ConnectionResetError:
            pass  # the client has hung up, or does not read
        finally:
            feed.listeners.discard(wake)
        return response

    async def _send(
        self, request: web.BaseRequest, response: web.StreamResponse, wake: asyncio.Event
    ) -> None:
        feed = self._feed
        known = request.headers.get("Last-Event-ID")
        sent = feed.latest().topic if known and known == feed.latest().id else None
        end = feed.clock.boot() + _LONGEST_SECONDS
        await response.write(_GREETING)
        while True:
            wake.clear()
            event = feed.latest()
            if event.topic != sent:
                sent = event.topic
                await response.write(event.text)
            elif feed.stopped or request.transport is None or feed.clock.boot() >= end:
                return
            else:
                await within(_HEARTBEAT_SECONDS, wake.wait())
                if not wake.is_set():
                    await response.write(HEARTBEAT)
