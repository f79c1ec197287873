"""A hub with one federation, for tests of operators. It answers what there is, and counts the requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

from tcf.coordinator.dispatcher import Dispatcher
from tcf.coordinator.roster import Roster
from tcf.core.model import Event, Federation, Status, WorkerLease
from tcf.hub import errors
from tcf.hub.events import Events
from tcf.hub.federations import Federations
from tcf.hub.worker_leases import Leases
from unit.build import BOOT, ClockAt

_MOST_ASKED = 10_000


class QuietHub:
    """Each of the `troubles`, by what is asked, happens once, in order, instead of the request."""

    def __init__(self, about: Federation | None, *leases: WorkerLease) -> None:
        self.about = about
        self.leases = leases
        self.troubles: dict[str, list[Exception]] = {}
        self.asked: list[str] = []
        self.reads: list[float] = []
        """When the federation was read, by the clock that the test moves."""
        self.at_once = self.most_at_once = 0
        self.slow = 0.0
        """Seconds that a read or a list takes."""
        self.now = BOOT
        self.boot: Callable[[], float] = lambda: self.now
        self.thousand = asyncio.Event()
        self.events: list[Event] = []

    async def get(self, *_: object, **__: object) -> Federation:
        self.reads.append(self.boot())
        if len(self.reads) == 1000:
            self.thousand.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.slow)
        self.at_once -= 1
        self._begin("get")
        if self.about is None:
            raise errors.NotFoundError("there is no such federation")
        return self.about

    async def list(self, *_: object, **__: object) -> tuple[WorkerLease, ...]:
        self._begin("list")
        if self.slow:
            await asyncio.sleep(self.slow)
        return self.leases

    async def delete(self, namespace: str, lease: WorkerLease, **__: object) -> None:
        assert namespace == "ns"
        self._begin("delete")
        if lease not in self.leases:
            raise errors.ConflictError("it has another version")
        self.leases = tuple(one for one in self.leases if one != lease)

    async def write_status(self, seen: Federation, status: Status, **__: object) -> Federation:
        self._begin("status")
        return self._put(seen, replace(seen, status=status))

    async def annotate(self, seen: Federation, annotations: Mapping[str, str], **__: object) -> Federation:
        self._begin("annotate")
        return self._put(seen, replace(seen, annotations={**seen.annotations, **annotations}))

    async def write(self, _: Federation, event: Event, **__: object) -> None:
        self._begin("event")
        self.events.append(event)

    def edit(self, **changes: object) -> Federation:
        """Somebody writes the federation."""
        assert self.about
        self.about = replace(self.about, **changes)  # type: ignore[arg-type]
        return self._put(self.about, self.about)

    def dispatcher(self, boot: Callable[[], float]) -> Dispatcher:
        clock = ClockAt(boot)
        roster = Roster("operator", clock=clock)
        return Dispatcher(
            cast("Federations", self), cast("Leases", self), cast("Events", self), roster=roster, clock=clock
        )

    def _put(self, seen: Federation, new: Federation) -> Federation:
        if self.about is None or seen.resource_version != self.about.resource_version:
            raise errors.ConflictError("it has another version")
        self.about = replace(new, resource_version=str(int(seen.resource_version) + 1))
        return self.about

    def _begin(self, what: str) -> None:
        assert len(self.asked) < _MOST_ASKED, "it goes round and round"
        self.asked.append(what)
        if waiting := self.troubles.get(what):
            raise waiting.pop(0)
