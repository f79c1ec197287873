"""What a command sees of many federations while it waits, with one watch for all of them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager

from tcf.core.model import Federation
from tcf.ctl.federation_sight import FederationSight
from tcf.ctl.hub_choice import SECONDS
from tcf.hub import errors
from tcf.hub.federations import Federations
from tcf.hub.sessions import LASTING_SECONDS
from tcf.runtime.backoff import Backoff
from tcf.runtime.clock import Clock


class NamespaceSight:
    """Some federations of a namespace, or of all.

    Attributes:
        trouble: why the hub cannot be read at present; "" if it can.
    """

    def __init__(self, federations: Iterable[Federation], clock: Clock) -> None:
        """`federations`: as they were read a moment ago."""
        self.trouble = ""
        self._clock = clock
        self._sights = {(each.namespace, each.name): FederationSight(each, clock) for each in federations}
        self._acted = -math.inf
        self._back = clock.boot()

    def of(self, federation: Federation) -> FederationSight:
        return self._sights[federation.namespace, federation.name]

    @property
    def last_act(self) -> float:
        """When an operator last moved a role, in boot seconds.

        It may be busy in another namespace. And it is not its fault if nothing is heard of it: at the
        earliest, this is when the hub was back.
        """
        return max(self._back, self._acted)

    async def watch(self, federations: Federations, namespace: str | None) -> None:
        """Watch until cancelled. `namespace`: None for all."""
        backoff = Backoff()
        while True:
            began = self._clock.boot()
            try:
                async with aclosing(federations.watch_all(namespace, deadline=SECONDS)) as events:
                    async for federation, there in events:
                        self._see(federation, there=there)
            except errors.HubError:
                pass  # the list says whether the hub can be read
            if self._clock.boot() - began >= LASTING_SECONDS:
                backoff.reset()
            await asyncio.sleep(backoff.next())
            await self._read(federations, namespace)

    async def _read(self, federations: Federations, namespace: str | None) -> None:
        """List them: the watch has missed what happened after its end."""
        try:
            found, malformed = await federations.list(namespace, deadline=SECONDS)
        except errors.HubError as error:
            self.trouble = str(error)
            return
        self._heard()
        for each in found:
            self._see(each, there=True)
        if malformed:  # nobody knows which these are, so none counts as deleted
            return
        there = {(each.namespace, each.name) for each in found}
        for key, sight in self._sights.items():
            if key not in there and sight.latest:
                sight.see(None)

    def _heard(self) -> None:
        if self.trouble:
            self.trouble, self._back = "", self._clock.boot()

    def _see(self, federation: Federation, *, there: bool) -> None:
        self._heard()
        sight = self._sights.get((federation.namespace, federation.name))
        if sight is None:
            return
        known = sight.known_term(federation.uid)
        sight.see(federation if there else None)
        if sight.known_term(federation.uid) > known:  # only operators raise terms
            self._acted = self._clock.boot()


@asynccontextmanager
async def seeing(
    hub_federations: Federations, namespace: str | None, followed: Iterable[Federation], clock: Clock
) -> AsyncIterator[NamespaceSight]:
    """Watch these federations within this block, which is cancelled if the watch fails by a bug."""
    sight = NamespaceSight(followed, clock)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(sight.watch(hub_federations, namespace), name="watch")
        try:
            yield sight
        finally:
            task.cancel()
