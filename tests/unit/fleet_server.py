"""Many federations as the API server keeps them, for tests of an evacuation: read, written and watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, replace
from typing import cast

from tcf.core.history import ended
from tcf.core.model import Federation, Status
from tcf.ctl.hub_choice import OpenHub
from tcf.hub import errors
from tcf.runtime.clock import Clock
from unit.build import at, rows
from unit.jumping_loop import CLOCK

ANSWER_SECONDS = 0.1
STEP_SECONDS = 1.0


@dataclass
class _Hub:
    federations: FleetServer
    clock: Clock = CLOCK


class FleetServer:
    """Every request takes ANSWER_SECONDS. An operator moves roles, a step every STEP_SECONDS.

    Each of the `troubles`, by the name of the method, happens once, in order, instead of the request.
    """

    def __init__(self, federations: Iterable[Federation]) -> None:
        self._version = 100
        self.there = {each.name: each for each in federations}
        self.troubles: dict[str, list[errors.HubError]] = {}
        self.down: errors.HubError | None = None
        """The error of every request."""
        self.malformed: tuple[str, ...] = ()
        """What a list says of objects that it cannot read."""
        self.lost_answer = ""
        """A write to this federation succeeds, and its answer is lost, once."""
        self.operator: Callable[[str], None] | None = self.moves
        """What is done about a request that has been placed."""
        self.asked: list[str] = []
        """In which order federations were read."""
        self.placed: list[str] = []
        """In which order requests were placed."""
        self.at_once = self.most_at_once = self.watches = self.lists = 0
        self._watchers: set[asyncio.Queue[tuple[Federation, bool] | errors.HubError]] = set()

    @property
    def as_hub(self) -> OpenHub:
        return cast("OpenHub", _Hub(self))

    # --- what the API server does --------------------------------------------------------------------

    async def get(self, _namespace: str, name: str, **_how: object) -> Federation:
        self.asked.append(name)
        await self._answer("get")
        if name not in self.there:
            raise errors.NotFoundError(name)
        return self.there[name]

    async def write_status(self, federation: Federation, status: Status, **_how: object) -> Federation:
        await self._answer("write_status")
        known = self.there.get(federation.name)
        if known is None:
            raise errors.NotFoundError(federation.name)
        if known.resource_version != federation.resource_version:
            raise errors.ConflictError(federation.name)
        self.put(replace(known, status=status))
        if status.switchover:
            self.placed.append(federation.name)
            if self.operator:
                self.operator(federation.name)
        if self.lost_answer == federation.name:
            self.lost_answer = ""
            self.down = errors.UnreachableError("the answer is lost", ambiguous=True)
            asyncio.get_running_loop().call_later(20, self.come_back)
            raise self.down
        return self.there[federation.name]

    async def list(self, *_where: object, **_how: object) -> tuple[tuple[Federation, ...], tuple[str, ...]]:
        self.lists += 1
        await self._answer("list")
        return tuple(self.there.values()), self.malformed

    async def watch_all(self, *_where: object, **_how: object) -> AsyncGenerator[tuple[Federation, bool]]:
        self.watches += 1
        await self._answer("watch_all")
        events: asyncio.Queue[tuple[Federation, bool] | errors.HubError] = asyncio.Queue()
        self._watchers.add(events)
        try:
            for each in list(self.there.values()):
                yield each, True
            while True:
                event = await events.get()
                if isinstance(event, errors.HubError):
                    raise event
                yield event
        finally:
            self._watchers.discard(events)

    async def _answer(self, method: str) -> None:
        if self.down:
            raise self.down
        self.at_once += method != "watch_all"
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(ANSWER_SECONDS)
        self.at_once -= method != "watch_all"
        if waiting := self.troubles.get(method):
            raise waiting.pop(0)
        if self.down:
            raise self.down

    # --- what others do ------------------------------------------------------------------------------

    def put(self, about: Federation) -> None:
        self._version += 1
        about = replace(about, resource_version=str(self._version))
        self.there[about.name] = about
        self._deliver((about, True))

    def delete(self, name: str) -> None:
        self._deliver((self.there.pop(name), False))

    def go_down(self) -> None:
        """Every connection breaks, and there are no new ones."""
        self.down = errors.UnreachableError("connection refused")
        self._deliver(self.down)

    def come_back(self) -> None:
        self.down = None

    def _deliver(self, what: tuple[Federation, bool] | errors.HubError) -> None:
        for watcher in self._watchers:
            watcher.put_nowait(what)

    def moves(self, name: str, seconds: float = STEP_SECONDS) -> None:
        """An operator carries the request out."""
        loop = asyncio.get_running_loop()
        loop.call_later(seconds, self._step, name, "demoting passive")
        loop.call_later(2 * seconds, self._step, name, "passive promoting")
        loop.call_later(3 * seconds, self._step, name, "passive active")

    def refuses(self, name: str, reason: str = "NoLiveWorker") -> None:
        """An operator refuses the request."""
        asyncio.get_running_loop().call_later(STEP_SECONDS, self.end, name, reason)

    def end(self, name: str, outcome: str, message: str = "why") -> None:
        self.put(replace(self.there[name], status=ended(self._status(name), outcome, message, at())))

    def _step(self, name: str, roles: str) -> None:
        before = self._status(name)
        active = roles.split()[1] == "active"
        after = replace(
            before, term=before.term + 1, clusters=rows(roles), active_cluster="c2" if active else ""
        )
        self.put(replace(self.there[name], status=after))
        if active:
            self.end(name, "Succeeded", "")

    def _status(self, name: str) -> Status:
        status = self.there[name].status
        assert status
        return status
