"""What somebody who waits for a request sees of a federation through an operator."""

from __future__ import annotations

import asyncio

from tcf.coordinator.cached_sight import CachedSight
from tcf.core.model import Federation
from unit.build import BOOT, TERM, UID, federation
from unit.quiet_hub import QuietHub
from unit.turns import at_work, turns

SHOP = federation("active passive", resource_version="10")


def over(sight: CachedSight) -> bool:
    return sight.stopped


async def test_it_is_what_the_cache_has() -> None:
    hub = QuietHub(SHOP)
    dispatcher = hub.dispatcher(lambda: hub.now)
    sight, another = (CachedSight(dispatcher, ("ns", name)) for name in ("shop", "another"))
    assert (sight.latest, sight.known_term(UID), sight.stopped) == (None, 0, False)
    dispatcher.federation_event(SHOP, at=BOOT, deleted=False)
    assert (sight.latest, sight.known_term(UID)) == (SHOP, TERM)
    assert sight.known_term("uid-2") == 0
    assert (another.latest, another.known_term(UID)) == (None, 0)


async def test_changes_and_the_end_are_told() -> None:
    hub = QuietHub(SHOP)
    dispatcher = hub.dispatcher(lambda: hub.now)
    sight = CachedSight(dispatcher, ("ns", "shop"))
    told: list[Federation | None] = []

    async def listen() -> None:
        while True:
            await sight.changed()
            told.append(sight.latest)

    async with at_work(listen()):
        async with at_work(dispatcher.run()):
            await turns(5)
            told.clear()
            dispatcher.federation_event(SHOP, at=BOOT, deleted=False)
            await turns(5)
            assert told
            assert told[0]
            assert over(sight) is False
            await turns(50)
            told.clear()
        await asyncio.sleep(0)
        assert over(sight)
        await turns(5)
        assert told
