"""What a command sees of one federation while it waits: every version that a watch delivers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from tcf.core.model import Federation
from tcf.ctl.hub_choice import SECONDS
from tcf.hub import errors
from tcf.hub.interfaces import FederationStore
from tcf.hub.records import supersedes
from tcf.runtime.backoff import Backoff
from tcf.runtime.changes import Changes
from tcf.runtime.clock import Clock


class FederationSight:
    """A `Sight` of a federation.

    Attributes:
        latest: the newest version seen; None after the federation was deleted.
        stopped: False, because the watch goes on for as long as the command.
        trouble: why the watch does not work at present; "" if it does.
        versions: every version seen that nobody has taken yet, so that no table is missed, each with the boot
            time at which it came.
    """

    stopped = False

    def __init__(self, federation: Federation, clock: Clock) -> None:
        """`federation`: as it was read a moment ago."""
        self.latest: Federation | None = federation
        self.trouble = ""
        self.versions: list[tuple[float, Federation]] = []
        self._clock = clock
        self._where = federation.namespace, federation.name
        self._changes = Changes()

    def known_term(self, uid: str) -> int:
        latest = self.latest
        return latest.status.term if latest and latest.uid == uid and latest.status else 0

    async def changed(self) -> None:
        """Wait until there is something new."""
        await self._changes.next()

    def taken(self) -> list[tuple[float, Federation]]:
        """The versions that nobody has taken yet."""
        found, self.versions = self.versions, []
        return found

    async def watch(self, federations: FederationStore) -> None:
        """Watch until cancelled."""
        backoff = Backoff()
        while True:
            try:
                async with aclosing(federations.watch(*self._where, deadline=SECONDS)) as events:
                    async for federation in events:
                        self.see(federation)
                        backoff.reset()
            except errors.HubError as error:
                self.trouble = str(error)
                self._changes.announce()
                await asyncio.sleep(backoff.next())
                await self._look(federations)

    async def _look(self, federations: FederationStore) -> None:
        """Read it instead: the person may not watch it, or watches do not get through."""
        try:
            self.see(await federations.get(*self._where, deadline=SECONDS))
        except errors.NotFoundError:
            self.see(None)
        except errors.HubError as error:
            self.trouble = str(error)

    def see(self, federation: Federation | None) -> None:
        """Take note of a version that was read, or of a deletion (None)."""
        self.trouble = ""
        if federation is None:
            self.latest = None
        elif supersedes(federation, self.latest):
            self.latest = federation
            self.versions.append((self._clock.boot(), federation))
        self._changes.announce()


@asynccontextmanager
async def watching(
    federations: FederationStore, federation: Federation, clock: Clock
) -> AsyncIterator[FederationSight]:
    """Watch the federation within this block."""
    sight = FederationSight(federation, clock)
    task = asyncio.create_task(sight.watch(federations), name="watch")
    try:
        yield sight
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(ended, Exception):
        raise ended
