"""What somebody who waits for a request sees of a federation in the cache of this operator."""

from __future__ import annotations

from tcf.coordinator.dispatcher import Dispatcher
from tcf.coordinator.loop import Key
from tcf.core.model import Federation


class CachedSight:
    """A `Sight` of the federation `key`."""

    def __init__(self, dispatcher: Dispatcher, key: Key) -> None:
        self._dispatcher = dispatcher
        self._key = key

    @property
    def latest(self) -> Federation | None:
        cache = self._dispatcher.cache(self._key)
        return cache.federation if cache else None

    @property
    def stopped(self) -> bool:
        return self._dispatcher.stopped

    def known_term(self, uid: str) -> int:
        cache = self._dispatcher.cache(self._key)
        return cache.known_term(uid) if cache else 0

    async def changed(self) -> None:
        await self._dispatcher.changes.next()
