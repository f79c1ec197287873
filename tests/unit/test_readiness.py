"""What an operator says of itself, and when it begins its watches again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import replace
from typing import cast

import pytest

from tcf.coordinator.deliveries import Deliveries
from tcf.coordinator.readiness import Readiness
from tcf.hub import errors, federations, worker_leases
from tcf.hub.access import Access
from tcf.hub.federations import Federations
from tcf.hub.records import Identity
from tcf.hub.worker_leases import Leases
from tcf.runtime.clock import Clock
from unit.build import BOOT, ClockAt
from unit.jumping_loop import CLOCK, jumping, passed
from unit.turns import at_work

SHOP = Identity("ns", "shop", "uid-1", "50")


class QuietHub:
    """What small reads find, and what may be watched."""

    def __init__(self) -> None:
        self.first: Identity | None = None
        self.version = 100
        self.leases_version = 100
        self.forbidden: Collection[str] = ()
        self.error: errors.HubError | None = None
        self.asked: list[str | None] = []

    async def reach(self, namespace: str | None, *, deadline: float) -> tuple[Identity | None, int]:
        assert deadline == 5
        self.asked.append(namespace)
        if self.error:
            raise self.error
        return self.first, self.version

    async def may(self, verb: str, group: str, plural: str, _: str | None, *, deadline: float) -> bool:
        assert (verb, deadline) == ("watch", 5)
        return f"{plural}.{group}" not in self.forbidden


class QuietLeases:
    def __init__(self, hub: QuietHub) -> None:
        self._hub = hub

    async def reach(self, _: str | None, **__: object) -> int:
        return self._hub.leases_version


KINDS = (federations.PLURAL, worker_leases.PLURAL)


def begin(watched: Deliveries) -> None:
    for plural in KINDS:
        watched.begin(plural)


def forget(watched: Deliveries) -> None:
    for plural in KINDS:
        watched.forget(plural)


class Stage:
    """A Readiness with a hub, deliveries and a clock to play with."""

    def __init__(self, *namespaces: str, clock: Clock | None = None) -> None:
        self.hub, self.watched = QuietHub(), Deliveries()
        begin(self.watched)
        self.now = BOOT
        self.restarts: list[str] = []
        self.reach = Readiness(
            cast("Federations", self.hub),
            cast("Leases", QuietLeases(self.hub)),
            cast("Access", self.hub),
            namespaces,
            watched=self.watched,
            watches=(self,),
            clock=clock or ClockAt(lambda: self.now),
        )

    def restart(self, why: str) -> None:
        """It is the watches, too."""
        self.restarts.append(why)

    async def look(self) -> str | None:
        """What is wrong now, by its reason."""
        trouble = await self.reach._look()
        return trouble.reason if trouble else None

    def deliver(self, which: Identity, *, deleted: bool = False) -> None:
        self.watched.note_object(federations.PLURAL, which.uid, which.resource_version, deleted=deleted)


@pytest.mark.parametrize(("namespaces", "asked"), [((), [None]), (("a", "b"), ["a", "b"])])
async def test_it_looks_everywhere_it_looks_after(namespaces: tuple[str, ...], asked: list[str]) -> None:
    stage = Stage(*namespaces)
    assert await stage.look() is None
    assert stage.hub.asked == asked


@pytest.mark.parametrize("kind", ["clusterfederations.tcf.dev", "leases.coordination.k8s.io"])
@pytest.mark.parametrize(("namespaces", "where"), [((), "in all namespaces"), (("a",), "in namespace a")])
async def test_a_right_that_lacks_is_named(kind: str, namespaces: tuple[str, ...], where: str) -> None:
    stage = Stage(*namespaces)
    stage.hub.forbidden = {kind}
    trouble = await stage.reach._look()
    assert trouble
    assert trouble.reason == "HubForbidden"
    assert trouble.message == f"this operator may not watch {kind} {where}; grant that right by RBAC"
    assert not stage.reach._readable.is_set()


async def test_trouble_with_the_hub_is_told() -> None:
    stage = Stage()
    stage.hub.error = errors.UnreachableError("cannot reach the hub")
    assert await stage.look() == "HubUnreachable"
    assert not stage.reach._readable.is_set()


async def test_before_the_watches_begin_again_there_is_a_new_look() -> None:
    """What was there at the last one may be gone by now."""
    stage = Stage()
    assert await stage.look() is None
    stage.hub.error = errors.KindNotFoundError("no such kind")
    waiting = asyncio.create_task(stage.reach.readable())
    await asyncio.sleep(0)
    assert await stage.look() == "CRDNotInstalled"
    await asyncio.sleep(0)
    assert not waiting.done()
    stage.hub.error = None
    await stage.look()
    await waiting


async def test_what_was_delivered_is_watched() -> None:
    stage = Stage()
    stage.hub.first = SHOP
    stage.deliver(SHOP)
    for _ in range(3):
        assert await stage.look() is None
    stage.deliver(replace(SHOP, resource_version="60"))
    assert await stage.look() is None
    assert stage.restarts == []


@pytest.mark.parametrize(
    "delivered",
    [None, replace(SHOP, uid="uid-0"), replace(SHOP, resource_version="49")],
    ids=["nothing", "one before it", "an older version"],
)
async def test_what_is_missed_twice_is_not_watched(delivered: Identity | None) -> None:
    """By watches that have delivered before, which begin again at once."""
    stage = Stage()
    if delivered:
        stage.hub.first = delivered
        stage.deliver(delivered)
    assert await stage.look() is None
    stage.hub.first = SHOP
    assert await stage.look() is None
    assert await stage.look() == "NotWatching"
    assert stage.restarts == ["ns/shop can be read, but no watch has delivered it yet"]
    forget(stage.watched)
    await stage.look()
    begin(stage.watched)
    assert await stage.look() == "NotWatching"
    assert len(stage.restarts) == 1, "they were given no time to deliver"
    stage.now += 20
    assert await stage.look() == "NotWatching"
    assert len(stage.restarts) == 2
    forget(stage.watched)
    await stage.look()
    begin(stage.watched)
    await stage.look()
    stage.now += 19.9
    await stage.look()
    assert len(stage.restarts) == 2, "each time they get twice as long"
    stage.now += 20.1
    await stage.look()
    assert len(stage.restarts) == 3
    stage.deliver(SHOP)
    assert await stage.look() is None


async def test_watches_that_have_not_begun_are_given_time() -> None:
    stage = Stage()
    forget(stage.watched)
    stage.hub.first = SHOP
    for _ in range(5):
        assert await stage.look() == "NotWatching"
        stage.now += 60
    assert stage.restarts == []
    begin(stage.watched)
    assert await stage.look() == "NotWatching"
    assert stage.restarts == []
    stage.now += 20
    assert await stage.look() == "NotWatching"
    assert len(stage.restarts) == 1


@pytest.mark.parametrize("why", ["", "no rights"])
async def test_why_a_watch_could_not_be_begun_is_said(why: str) -> None:
    stage = Stage()
    forget(stage.watched)
    stage.watched.fail(why)
    trouble = await stage.reach._look()
    message = "federations and Leases can be read, but are not watched yet"
    assert trouble
    assert trouble.message == message + (f" (the last attempt: {why})" if why else "")


async def test_a_busy_federation_is_no_dead_watch() -> None:
    """Each look finds a version that has just been written, and the one before has been delivered by then."""
    stage = Stage()
    for version in range(50, 100):
        stage.hub.first = replace(SHOP, resource_version=str(version))
        assert await stage.look() is None
        stage.deliver(stage.hub.first)
    assert stage.restarts == []


async def test_an_object_that_goes_back_shows_that_the_hub_was_set_back() -> None:
    """Also if versions have been raised, so that those of lists only rise."""
    stage = Stage()
    stage.hub.first = SHOP
    stage.deliver(SHOP)
    await stage.look()
    stage.hub.first = replace(SHOP, resource_version="49")
    await stage.look()
    (why,) = stage.restarts
    assert why == (
        "the hub was restored: it shows version 49 of ns/shop,"
        " but the watches have delivered version 50 already"
    )
    forget(stage.watched)
    begin(stage.watched)
    await stage.look()
    assert len(stage.restarts) == 1, "watches that have begun again have not seen that version"


async def test_each_namespace_is_missed_for_itself() -> None:
    stage = Stage("a", "b")
    await stage.look()
    stage.hub.first = SHOP
    await stage.look()
    stage.hub.first = replace(SHOP, uid="uid-2", name="other")
    assert await stage.look() is None, "another one is missed for the first time"


async def test_one_that_was_deleted_and_comes_back_has_to_be_delivered_again() -> None:
    stage = Stage()
    stage.hub.first = SHOP
    stage.deliver(SHOP)
    await stage.look()
    stage.deliver(replace(SHOP, resource_version="51"), deleted=True)
    await stage.look()
    assert await stage.look() == "NotWatching"


@pytest.mark.parametrize("plural", [federations.PLURAL, worker_leases.PLURAL])
async def test_a_hub_that_was_set_back_is_noticed(plural: str) -> None:
    stage = Stage()
    stage.watched.note(plural, "100")
    assert await stage.look() is None
    assert stage.restarts == []
    stage.watched.note(plural, "101")
    stage.watched.note(plural, "99")
    await stage.look()
    (why,) = stage.restarts
    assert why == (
        f"the hub was restored: it shows version 100 of {plural},"
        " but the watches have delivered version 101 already"
    )
    forget(stage.watched)
    await stage.look()
    assert len(stage.restarts) == 1


# --- one look after the other -------------------------------------------------------------------------


class Looking(Stage):
    """At work, in a loop whose time jumps."""

    def __init__(self) -> None:
        super().__init__(clock=CLOCK)
        self.looks: list[float] = []
        original = self.hub.reach

        async def reach(namespace: str | None, *, deadline: float) -> tuple[Identity | None, int]:
            self.looks.append(passed())
            return await original(namespace, deadline=deadline)

        self.hub.reach = reach  # type: ignore[method-assign]


@jumping
async def test_it_looks_every_five_seconds() -> None:
    stage = Looking()
    async with at_work(stage.reach.run()):
        assert _told(stage) == "the operator has not reached the hub yet"
        await asyncio.sleep(12)
    assert stage.looks == [0, 5, 10]
    assert _told(stage) == ""


@jumping
async def test_in_trouble_it_looks_every_second_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stage = Looking()
    stage.hub.error = errors.UnreachableError("it is down")
    async with at_work(stage.reach.run()):
        await asyncio.sleep(2.5)
        assert _told(stage) == "it is down"
        stage.hub.error = errors.UnauthorizedError("who is that")
        await asyncio.sleep(2)
        stage.hub.error = None
        await asyncio.sleep(12)
        stage.hub.error = errors.UnreachableError("down again")
        await asyncio.sleep(5)
    assert stage.looks[:8] == [0, 1, 2, 3, 4, 5, 10, 15]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "not ready: it is down"),
        ("WARNING", "not ready: who is that"),
        ("INFO", "ready: federations and Leases can be read and are watched"),
        ("WARNING", "not ready: down again"),
    ]


@jumping
async def test_what_no_watch_has_delivered_is_looked_for_again_after_a_second() -> None:
    stage = Looking()
    stage.hub.first = SHOP
    async with at_work(stage.reach.run()):
        await asyncio.sleep(0.5)
        assert _told(stage) == "", "it may be on its way"
        await asyncio.sleep(1)
        assert "no watch has delivered it yet" in _told(stage)
        stage.deliver(SHOP)
        await asyncio.sleep(7)
    assert stage.looks == [0, 1, 2, 7]


@jumping
async def test_whoever_is_to_begin_watches_does_not_wait_for_the_next_look() -> None:
    stage = Looking()
    async with at_work(stage.reach.run()):
        await asyncio.sleep(2)
        await stage.reach.readable()
        assert passed() == 2
        await asyncio.sleep(6)
    assert stage.looks == [0, 2, 7]


def _told(stage: Stage) -> str:
    """What is wrong; "" if nothing is."""
    return stage.reach.trouble.message if stage.reach.trouble else ""
