"""Gives each watch event to the loop of its federation, and starts and ends these loops."""

from __future__ import annotations

import asyncio

from tcf.coordinator.event_writer import EventWriter
from tcf.coordinator.loop import FederationLoop, Key
from tcf.core.model import Federation, WorkerLease
from tcf.hub.interfaces import EventStore, FederationStore, LeaseStore
from tcf.runtime.clock import Clock

_AT_ONCE = 32
"""Federations that are worked on at a time, so that a thousand of them do not flood the hub at a start."""


class Dispatcher:
    """Looks after every federation of which it gets an event. Use `run` in a task of its own."""

    def __init__(
        self, federations: FederationStore, leases: LeaseStore, events: EventStore, *, clock: Clock
    ) -> None:
        self._federations = federations
        self._leases = leases
        self._event_writer = EventWriter(events, clock=clock)
        self._clock = clock
        self._loops: dict[Key, FederationLoop] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Work until cancelled. A request under way then is finished by another replica, or later."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for loop in self._loops.values():
                self._start(loop)
            tasks.create_task(self._event_writer.run(), name="events")

    def namespaces(self) -> set[str]:
        """Those with a federation."""
        return {key[0] for key, loop in self._loops.items() if loop.cache.federation}

    def look_again(self) -> None:
        """The watches begin again, and may have missed anything: read everything again."""
        for loop in self._loops.values():
            loop.look_again()

    def federation_event(self, federation: Federation, *, deleted: bool) -> None:
        """Take in a watch event about a federation (also the first sight of it)."""
        loop = self._loop((federation.namespace, federation.name))
        if loop.cache.watched_federation(federation, self._clock.boot(), deleted=deleted):
            loop.wake.set()
        elif not deleted and loop.cache.is_ahead_of(federation):
            loop.look_again()  # old news, or a hub that was set back: only a read can tell

    def lease_event(self, key: Key, lease: WorkerLease, *, deleted: bool) -> None:
        """Take in a watch event about a worker's Lease of the federation `key`, whether that exists or
        not."""
        loop = self._loop(key)
        if loop.cache.watched_lease(lease, self._clock.boot(), deleted=deleted):
            loop.wake.set()

    def _loop(self, key: Key) -> FederationLoop:
        loop = self._loops.get(key)
        if loop is None:
            loop = FederationLoop(
                key,
                self._federations,
                self._leases,
                self._event_writer,
                clock=self._clock,
                turns=self._turns,
            )
            self._loops[key] = loop
            self._start(loop)
        return loop

    def _start(self, loop: FederationLoop) -> None:
        if self._tasks is None:
            return  # `run` starts the loops that were there before it
        self._tasks.create_task(self._attend(loop), name=f"attend {loop.name}")

    async def _attend(self, loop: FederationLoop) -> None:
        await loop.run()
        # Nothing is awaited since it found nothing left, so no event can have come in between.
        del self._loops[loop.key]
