"""Watches the Leases of workers, and passes each event to the dispatcher.

With many federations, nearly all events are renewals. kopf needs 2.3 ms of CPU for an event, ten times as
much as this watch does: it could not keep up with the workers of a thousand federations.
"""

from __future__ import annotations

import asyncio
import logging
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
            _NamespaceWatch(each, leases, dispatcher, deliveries, begun=self._check_begun, clock=clock)
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
    """The watch of one namespace, or of all of them. `begun`: it is under way."""

    def __init__(
        self,
        namespace: str | None,
        leases: Leases,
        dispatcher: Dispatcher,
        deliveries: Deliveries,
        *,
        begun: Callable[[], None],
        clock: Clock,
    ) -> None:
        """`begun`: is called each time it has begun."""
        self.name = f"watch the Leases in {namespace or 'all namespaces'}"
        self.begun = False
        self._namespace = namespace
        self._leases = leases
        self._dispatcher = dispatcher
        self._deliveries = deliveries
        self._announce = begun
        self._clock = clock
        self._known: dict[str, tuple[str, WorkerLease]] = {}
        """The namespace and the latest version of each Lease, by uid."""

    async def run(self) -> None:
        """Watch until cancelled."""
        backoff = Backoff()
        self.begun = False
        while True:
            began, least = self._clock.boot(), 0.0
            try:
                version = await self._list()
                self.begun = True
                self._announce()
                while True:
                    version = await self._watch(version)
            except errors.HubError as error:
                # Most likely it was out of reach for a moment, or no longer has the version to go on from.
                log.debug("%s: %s", self.name, error)
                self._deliveries.fail(str(error))
                least = error.retry_after
            if self._clock.boot() - began > LASTING_SECONDS:
                backoff.reset()
            await asyncio.sleep(backoff.next(least=least))

    async def _list(self) -> str:
        """Deliver all Leases, and that others are gone. Returns the version to go on from."""
        found, version = await self._leases.list_all(self._namespace, deadline=_LIST_SECONDS)
        gone = self._known.keys() - {event.lease.uid for event in found if event.lease}
        for namespace, lease in [self._known[uid] for uid in gone]:
            self._deliver(namespace, lease, deleted=True)
        for event in found:
            self._take(event)
        return version

    async def _watch(self, version: str) -> str:
        """Deliver what changes, until the hub ends the watch. Returns the version to go on from."""
        events = self._leases.watch_all(self._namespace, version, deadline=_BEGIN_SECONDS)
        async with aclosing(events):
            async for event in events:
                version = event.version
                self._take(event)
        return version

    def _take(self, event: LeaseEvent) -> None:
        if event.lease:
            self._deliveries.note(PLURAL, event.version)
            self._deliver(event.namespace, event.lease, deleted=event.deleted)

    def _deliver(self, namespace: str, lease: WorkerLease, *, deleted: bool) -> None:
        if deleted:
            self._known.pop(lease.uid, None)
        else:
            self._known[lease.uid] = namespace, lease
        key = (namespace, lease.federation)
        self._dispatcher.lease_event(key, lease, at=self._clock.boot(), deleted=deleted)
