"""Watches the Leases of workers, and passes each event to the dispatcher.

With many federations, nearly all events are renewals. kopf needs 2.3 ms of CPU for an event, ten times as
much as this watch does: it could not keep up with the workers of a thousand federations.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Collection
from contextlib import aclosing

from tcf.coordinator.deliveries import Deliveries
from tcf.coordinator.dispatcher import Dispatcher
from tcf.core.model import WorkerLease
from tcf.hub import errors
from tcf.hub.sessions import LASTING_SECONDS
from tcf.hub.worker_leases import PLURAL, LeaseEvent, Leases
from tcf.runtime.backoff import Backoff
from tcf.runtime.clock import Clock

_LIST_SECONDS = 30.0
_BEGIN_SECONDS = 10.0
_LOST_SECONDS = 40.0
"""A watch that was not under way for so long counts as lost. It may last for half a minute."""

log = logging.getLogger(__name__)


class LeaseWatch:
    """Use `run` in a task of its own."""

    def __init__(
        self,
        leases: Leases,
        dispatcher: Dispatcher,
        deliveries: Deliveries,
        *,
        namespaces: Collection[str],
        clock: Clock,
    ) -> None:
        """`namespaces`: empty for all of them."""
        self._deliveries = deliveries
        self._again = asyncio.Event()
        self._watches = [
            _NamespaceWatch(each, leases, dispatcher, deliveries, announce=self._check_begun, clock=clock)
            for each in namespaces or (None,)
        ]

    async def run(self, readable: Callable[[], Awaitable[None]]) -> None:
        """Watch until cancelled. It begins, and begins again, when both kinds are `readable`."""
        while True:
            await readable()
            self._again.clear()
            self._deliveries.forget(PLURAL)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(each.run(), name=each.name) for each in self._watches]
                await self._again.wait()
                for task in tasks:
                    task.cancel()

    def restart(self, why: str) -> None:
        """Have the watches begin again, each with a list."""
        log.warning("the watches of Leases begin again: %s", why)
        self._again.set()

    def _check_begun(self) -> None:
        if all(each.begun for each in self._watches):
            self._deliveries.begin(PLURAL)


class _NamespaceWatch:
    """The watch of one namespace, or of all of them. `begun`: it is under way, or was a moment ago."""

    def __init__(
        self,
        namespace: str | None,
        leases: Leases,
        dispatcher: Dispatcher,
        deliveries: Deliveries,
        *,
        announce: Callable[[], None],
        clock: Clock,
    ) -> None:
        """`announce`: is called when it has begun."""
        self.name = f"watch the Leases in {namespace or 'all namespaces'}"
        self.begun = False
        self._namespace = namespace
        self._leases = leases
        self._dispatcher = dispatcher
        self._deliveries = deliveries
        self._announce = announce
        self._clock = clock
        self._version = ""
        """From where to go on; "" if a list is needed."""
        self._open_at = -math.inf
        """When it was last under way (boot seconds)."""
        self._known: dict[str, tuple[str, WorkerLease]] = {}
        """The namespace and the latest version of each Lease, by uid."""

    async def run(self) -> None:
        """Watch until cancelled."""
        backoff = Backoff()
        self.begun, self._version = False, ""
        while True:
            began, least = self._clock.boot(), 0.0
            try:
                await self._list_and_watch()
            except errors.HubError as error:
                least = error.retry_after
                self._fail(error)
            if self._clock.boot() - began > LASTING_SECONDS:
                backoff.reset()
            else:
                await asyncio.sleep(backoff.next(least=least))

    async def _list_and_watch(self) -> None:
        """Deliver what there is, unless that is known, and what changes, until the hub ends the watch."""
        if not self._version:
            self._version = await self._list()
        events = self._leases.watch_all(
            self._namespace, self._version, deadline=_BEGIN_SECONDS, opened=self._opened
        )
        async with aclosing(events):
            async for event in events:
                self._version = event.version
                self._take(event)
        self._open_at = self._clock.boot()

    def _opened(self) -> None:
        self._open_at = self._clock.boot()
        if not self.begun:
            self.begun = True
            self._announce()

    def _fail(self, error: errors.HubError) -> None:
        if isinstance(error, errors.VersionGoneError):
            self._version = ""
        self._deliveries.fail(str(error))
        log.debug("%s: %s", self.name, error)
        if self.begun and self._clock.boot() - self._open_at > _LOST_SECONDS:
            self.begun = False
            self._deliveries.end(PLURAL)
            log.warning("%s: it does not begin again: %s", self.name, error)

    async def _list(self) -> str:
        """Deliver all Leases, and that others are gone. Returns the version to go on from."""
        found, version = await self._leases.list_all(self._namespace, deadline=_LIST_SECONDS)
        gone = self._known.keys() - {event.lease.uid for event in found if event.lease}
        for namespace, lease in [self._known[uid] for uid in gone]:
            self._deliver(namespace, lease, deleted=True)
        for event in found:
            self._take(event)
        return version

    def _take(self, event: LeaseEvent) -> None:
        if event.lease:
            self._deliveries.note(PLURAL, event.version)
            self._deliver(event.namespace, event.lease, deleted=event.deleted)

    def _deliver(self, namespace: str, lease: WorkerLease, *, deleted: bool) -> None:
        _, known = self._known.pop(lease.uid, (namespace, lease))
        if known.federation != lease.federation:  # somebody has changed its label: it has left the other one
            self._dispatch(namespace, known, deleted=True)
        if not deleted:
            self._known[lease.uid] = namespace, lease
        self._dispatch(namespace, lease, deleted=deleted)

    def _dispatch(self, namespace: str, lease: WorkerLease, *, deleted: bool) -> None:
        key = (namespace, lease.federation)
        try:
            self._dispatcher.lease_event(key, lease, at=self._clock.boot(), deleted=deleted)
        except Exception:
            log.exception("a bug: an event of the Lease %s/%s is ignored", namespace, lease.name)
