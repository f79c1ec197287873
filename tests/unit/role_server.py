"""One federation as the API server keeps it, for tests of workers: read, written and watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import cast

from tcf.core.model import Federation, Status
from tcf.hub import errors
from tcf.hub.federations import Federations
from unit.jumping_loop import passed


class RoleServer:
    """Each of the `troubles`, by the name of the method, happens once, in order, instead of the request."""

    def __init__(self, about: Federation | None) -> None:
        self.about = about
        self.troubles: dict[str, list[errors.HubError]] = {}
        self.down: errors.HubError | None = None
        """The error of every request."""
        self.reads: list[float] = []
        """When it was read, in seconds since the test started."""
        self.watches: list[float] = []
        """When a watch started."""
        self.deadlines: set[float] = set()
        self.writes: list[Status] = []
        self.written: list[float] = []
        """When the status was to be written."""
        self.during_read: Callable[[], None] | None = None
        """What somebody does once while the answer to a read is on its way."""
        self._watchers: list[asyncio.Queue[Federation | errors.HubError | str | None]] = []

    @property
    def as_federations(self) -> Federations:
        return cast("Federations", self)

    def put(self, about: Federation | None, *, watched: bool = True) -> None:
        """Somebody writes or deletes it. `watched`: the watches deliver that."""
        if about and self.about:
            about = replace(about, resource_version=str(int(self.about.resource_version) + 1))
        self.about = about
        if watched:
            self.deliver(about)

    def deliver(self, what: Federation | errors.HubError | str | None) -> None:
        """To all watches: an event, an error that ends them, or "end"."""
        for watcher in self._watchers:
            watcher.put_nowait(what)

    async def get(self, namespace: str, name: str, *, deadline: float) -> Federation:
        assert (namespace, name) == ("ns", "shop")
        self.reads.append(passed())
        self.deadlines.add(deadline)
        await asyncio.sleep(0)
        self._begin("get")
        answer, act = self.about, self.during_read
        if act:
            self.during_read = None
            act()
            await asyncio.sleep(0.001)
        if answer is None:
            raise errors.NotFoundError("there is no such federation")
        return answer

    async def write_status(self, seen: Federation, status: Status, *, deadline: float) -> Federation:
        self.deadlines.add(deadline)
        self.writes.append(status)
        self.written.append(passed())
        self._begin("status")
        if self.about is None:
            raise errors.NotFoundError("there is no such federation")
        if self.about.resource_version != seen.resource_version:
            raise errors.ConflictError("it has another version")
        self.put(replace(seen, status=status))
        return self.about

    async def watch(self, namespace: str, name: str, *, deadline: float) -> AsyncGenerator[Federation | None]:
        assert (namespace, name) == ("ns", "shop")
        self.watches.append(passed())
        self.deadlines.add(deadline)
        self._begin("watch")
        events: asyncio.Queue[Federation | errors.HubError | str | None] = asyncio.Queue()
        self._watchers.append(events)
        try:
            if self.about:
                yield self.about
            while (event := await events.get()) != "end":
                if isinstance(event, errors.HubError):
                    raise event
                assert not isinstance(event, str)
                yield event
        finally:
            self._watchers.remove(events)

    def _begin(self, what: str) -> None:
        if waiting := self.troubles.get(what):
            raise waiting.pop(0)
        if self.down:
            raise self.down
