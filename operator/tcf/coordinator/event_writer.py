"""Writes Events in a task of its own. They are for people, so the loops do not wait for them."""

from __future__ import annotations

import asyncio
import logging

from tcf.core.model import Event, Federation
from tcf.hub import errors
from tcf.hub.interfaces import EventStore
from tcf.runtime.backoff import Backoff
from tcf.runtime.clock import Clock

_REQUEST_SECONDS = 5.0
_MOST_WAITING = 5000
"""A failover has three. So this is enough for a site with a thousand federations."""

log = logging.getLogger(__name__)


class EventWriter:
    """Use `run` in a task of its own."""

    def __init__(self, events: EventStore, *, clock: Clock) -> None:
        self._events = events
        self._clock = clock
        self._waiting: asyncio.Queue[tuple[float, Federation, Event]] = asyncio.Queue(_MOST_WAITING)

    def add(self, federation: Federation, event: Event, *, due: float) -> None:
        """Write the Event at boot time `due`, or later."""
        if self._waiting.full():
            log.warning("too many Events wait to be written; this one is dropped", extra=_about(federation))
        else:
            self._waiting.put_nowait((due, federation, event))

    async def run(self) -> None:
        """Work until cancelled."""
        backoff = Backoff()
        while True:
            due, federation, event = await self._waiting.get()
            await asyncio.sleep(due - self._clock.boot())
            try:
                await self._events.write(federation, event, deadline=_REQUEST_SECONDS)
                backoff.reset()
            except errors.HubError as error:
                message = "cannot write the Event %s: %s"
                log.warning(message, event.reason, error, extra=_about(federation))
                await asyncio.sleep(backoff.next(least=error.retry_after))


def _about(federation: Federation) -> dict[str, object]:
    return {"federation": f"{federation.namespace}/{federation.name}"}
