"""Gives each watch event to the loop of its federation, and starts and ends these loops."""

from __future__ import annotations

import asyncio
from collections import Counter

from tcf.coordinator.cache import FederationCache
from tcf.coordinator.event_writer import EventWriter
from tcf.coordinator.federation_tally import FederationTally
from tcf.coordinator.loop import FederationLoop, Key
from tcf.coordinator.roster import Roster
from tcf.coordinator.turns import Turns
from tcf.core.model import Federation, WorkerLease
from tcf.hub.interfaces import EventStore, FederationStore, LeaseStore
from tcf.runtime.changes import Changes
from tcf.runtime.clock import Clock

_AT_ONCE = 32
"""How many federations are worked on at a time. So a thousand of them do not flood the hub at a start."""


class Dispatcher:
    """Looks after every federation about which it gets an event. Use `run` in a task of its own."""

    def __init__(
        self,
        federations: FederationStore,
        leases: LeaseStore,
        events: EventStore,
        *,
        roster: Roster,
        clock: Clock,
    ) -> None:
        self._federations = federations
        self._leases = leases
        self._event_writer = EventWriter(events, clock=clock)
        self.roster = roster
        self._clock = clock
        self.events: Counter[str] = Counter()
        """How many events the watches have delivered, by resource."""
        self.changes = Changes()
        """Of any federation, and of `stopped`."""
        self.stopped = False
        self._loops: dict[Key, FederationLoop] = {}
        self.turns = Turns(_AT_ONCE)
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Work until cancelled. A request under way is then finished by another operator, or later."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for loop in self._loops.values():
                    self._start(loop)
                tasks.create_task(self._event_writer.run(), name="events")
        finally:
            self.stopped = True
            self.changes.announce()

    def namespaces(self) -> set[str]:
        """The namespaces that have a federation."""
        return {key[0] for key, loop in self._loops.items() if loop.cache.federation}

    def federations(self) -> list[tuple[Federation, FederationTally]]:
        """Every federation that is there, and what was counted of it."""
        caches = (loop.cache for loop in self._loops.values())
        return [(cache.federation, cache.tally) for cache in caches if cache.federation]

    def cache(self, key: Key) -> FederationCache | None:
        """What is known of this federation; None if nothing is."""
        loop = self._loops.get(key)
        return loop.cache if loop else None

    def look_again(self) -> None:
        """Read everything again: the watches begin again, and may have missed something."""
        for loop in self._loops.values():
            loop.look_again()

    def federation_event(self, federation: Federation, *, at: float, deleted: bool) -> None:
        """Take in a watch event about a federation, which may be new. It was received at boot time `at`."""
        self.events["clusterfederations"] += 1
        loop = self._loop((federation.namespace, federation.name))
        before = loop.cache.table
        if loop.cache.watched_federation(federation, at, deleted=deleted):
            if before and loop.cache.table != before and federation.status and federation.status.operator:
                self.roster.acted(federation.namespace, federation.status.operator)
            loop.woken(at)
        elif loop.cache.is_ahead_of(federation):
            loop.look_again()  # either the event is outdated or the hub was restored: only a read can show

    def lease_event(self, key: Key, lease: WorkerLease, *, at: float, deleted: bool) -> None:
        """Take in a watch event about a worker's Lease, received at boot time `at`.

        The federation `key` need not exist.
        """
        self.events["leases"] += 1
        loop = self._loop(key)
        if loop.cache.watched_lease(lease, at, deleted=deleted):
            loop.woken(at)

    def _loop(self, key: Key) -> FederationLoop:
        loop = self._loops.get(key)
        if loop is None:
            loop = FederationLoop(
                key,
                self._federations,
                self._leases,
                self._event_writer,
                clock=self._clock,
                turns=self.turns,
                roster=self.roster,
                announce=self.changes.announce,
            )
            self._loops[key] = loop
            self._start(loop)
        return loop

    def _start(self, loop: FederationLoop) -> None:
        if self._tasks is None:
            return  # `run` will start this loop
        self._tasks.create_task(self._attend(loop), name=f"attend {loop.name}")

    async def _attend(self, loop: FederationLoop) -> None:
        await loop.run()
        # The loop has found nothing left. Nothing was awaited since, so no event can have come in between.
        del self._loops[loop.key]
