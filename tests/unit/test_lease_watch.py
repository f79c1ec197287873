"""The watch of Leases: what it delivers, also of what it has missed, and when it lists again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from tcf.coordinator.deliveries import Deliveries
from tcf.coordinator.dispatcher import Dispatcher
from tcf.coordinator.lease_watch import LeaseWatch
from tcf.core.model import WorkerLease
from tcf.hub import errors
from tcf.hub.worker_leases import PLURAL, LeaseEvent, Leases
from unit.build import lease
from unit.jumping_loop import CLOCK, jumping, passed
from unit.turns import at_work

ONE, TWO = (replace(lease(name), resource_version=version) for name, version in (("c1", "11"), ("c2", "12")))


def event(of: WorkerLease, *, deleted: bool = False) -> LeaseEvent:
    return LeaseEvent(of.resource_version, "ns", of, deleted)


class Hub:
    """Lists what is there, and has watches to which events are given. It is the dispatcher, too."""

    def __init__(self, *namespaces: str) -> None:
        self.there = [ONE, TWO]
        self.version = "20"
        self.troubles: list[errors.HubError] = []
        """Of requests, in order, whatever they are for."""
        self.asked: list[str] = []
        self.lists: list[float] = []
        self.given: list[tuple[str, str, bool]] = []
        self.federations: list[str] = []
        """Of those that were given."""
        self.watching: dict[str | None, asyncio.Queue[LeaseEvent | errors.HubError | None]] = {}
        self.deliveries = Deliveries()
        self.watch = LeaseWatch(
            cast("Leases", self),
            cast("Dispatcher", self),
            self.deliveries,
            namespaces=namespaces,
            clock=CLOCK,
        )

    async def list_all(self, namespace: str | None, **_: object) -> tuple[tuple[LeaseEvent, ...], str]:
        self._begin(f"list {namespace}")
        self.lists.append(passed())
        return (*(event(each) for each in self.there), LeaseEvent("13")), self.version

    async def watch_all(
        self, namespace: str | None, version: str, *, opened: Callable[[], None], **_: object
    ) -> AsyncGenerator[LeaseEvent]:
        self._begin(f"watch {namespace} from {version}")
        opened()
        queue = self.watching[namespace] = asyncio.Queue()
        while (given := await queue.get()) is not None:
            if isinstance(given, errors.HubError):
                raise given
            yield given

    def lease_event(self, key: tuple[str, str], value: WorkerLease, *, at: float, deleted: bool) -> None:
        assert key == ("ns", value.federation)
        assert at == CLOCK.boot()
        self.given.append((value.cluster, value.resource_version, deleted))
        self.federations.append(value.federation)

    def give(self, *events: LeaseEvent | errors.HubError | None, namespace: str | None = None) -> None:
        for each in events:
            self.watching[namespace].put_nowait(each)

    def begun(self) -> bool:
        self.deliveries.begin("clusterfederations")
        return self.deliveries.begun

    def _begin(self, what: str) -> None:
        self.asked.append(what)
        if self.troubles:
            raise self.troubles.pop(0)


async def readable() -> None:
    """It is."""


async def soon() -> None:
    await asyncio.sleep(0.001)


GONE = errors.VersionGoneError("too old resource version")


@jumping
async def test_what_is_listed_and_what_changes_then_is_delivered() -> None:
    hub = Hub()
    async with at_work(hub.watch.run(readable)):
        await soon()
        assert hub.given == [("c1", "11", False), ("c2", "12", False)]
        assert hub.begun()
        hub.give(event(replace(ONE, resource_version="21")), event(TWO, deleted=True))
        await soon()
        assert hub.given[2:] == [("c1", "21", False), ("c2", "12", True)]
        assert hub.deliveries.newest(PLURAL) == 21


@jumping
async def test_a_watch_that_ends_goes_on_where_it_was() -> None:
    """No list is needed, also after an error, and when the hub has only said that it has a newer version."""
    hub = Hub()
    async with at_work(hub.watch.run(readable)):
        await soon()
        hub.give(event(replace(ONE, resource_version="21")), None)
        await asyncio.sleep(1)
        hub.give(LeaseEvent("30"), errors.UnreachableError("it is down"))
        await asyncio.sleep(1)
        assert hub.asked == ["list None", *(f"watch None from {version}" for version in (20, 21, 30))]
        assert len(hub.given) == 3


@jumping
async def test_what_happened_while_there_was_no_watch_is_found_by_a_list() -> None:
    hub = Hub()
    async with at_work(hub.watch.run(readable)):
        await soon()
        hub.there = [replace(ONE, resource_version="25")]
        hub.give(GONE)
        await asyncio.sleep(0.1)
        assert hub.given[2:] == [("c2", "12", True), ("c1", "25", False)]
        assert len(hub.lists) == 2


@jumping
async def test_lists_that_fail_are_tried_again_ever_less_often() -> None:
    hub = Hub()
    hub.troubles = [errors.UnreachableError("it is down")] * 100
    async with at_work(hub.watch.run(readable)):
        await asyncio.sleep(60)
        assert 10 <= len(hub.asked) <= 30
        assert not hub.begun()
        assert hub.deliveries.trouble == "it is down"
        hub.troubles.clear()
        await asyncio.sleep(5)
        assert hub.begun()
        assert len(hub.given) == 2


@jumping
async def test_a_hub_that_is_overloaded_is_left_alone_for_as_long_as_it_asks() -> None:
    hub = Hub()
    overloaded = errors.UnreachableError("it is overloaded (429)")
    overloaded.retry_after = 3.0
    hub.troubles = [overloaded]
    async with at_work(hub.watch.run(readable)):
        await asyncio.sleep(10)
    assert 3.0 <= hub.lists[0] <= 4.5


@jumping
async def test_it_begins_again_when_it_is_told_to() -> None:
    """After a restore: the hub may never reach the version from which it would go on."""
    hub = Hub()
    async with at_work(hub.watch.run(readable)):
        await soon()
        hub.version = "5"
        hub.watch.restart("the hub was restored")
        await soon()
        assert hub.asked == ["list None", "watch None from 20", "list None", "watch None from 5"]


@jumping
async def test_each_namespace_has_a_watch_and_it_has_begun_when_all_have() -> None:
    hub = Hub("a", "b")
    hub.there = []
    hub.troubles = [errors.UnreachableError("a is down")]
    async with at_work(hub.watch.run(readable)):
        await soon()
        assert hub.asked == ["list a", "list b", "watch b from 20"]
        assert not hub.begun()
        await asyncio.sleep(1)
        assert hub.begun()


@jumping
async def test_watches_that_end_at_once_begin_again_ever_less_often() -> None:
    hub = Hub()
    async with at_work(hub.watch.run(readable)):
        for _ in range(600):
            await asyncio.sleep(0.1)
            hub.give(None)
        assert 10 <= len(hub.asked) <= 40
        assert len(hub.lists) == 1


@jumping
async def test_a_watch_that_does_not_begin_again_counts_as_lost() -> None:
    hub = Hub()
    async with at_work(hub.watch.run(readable)):
        await soon()
        assert hub.begun()
        hub.troubles = [errors.UnreachableError("a proxy ends all watches")] * 1000
        hub.give(None)
        await asyncio.sleep(30)
        assert hub.begun(), "that happens now and then"
        await asyncio.sleep(30)
        assert not hub.begun()
        assert hub.deliveries.trouble == "a proxy ends all watches"
        hub.troubles.clear()
        await asyncio.sleep(10)
        assert hub.begun()


@jumping
async def test_a_bug_that_shows_in_one_lease_leaves_the_others_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub = Hub()
    take = hub.lease_event

    def fail(key: tuple[str, str], value: WorkerLease, **how: Any) -> None:
        assert value.cluster != "c1", "a bug"
        take(key, value, **how)

    monkeypatch.setattr(hub, "lease_event", fail)
    async with at_work(hub.watch.run(readable)):
        await soon()
    assert hub.given == [("c2", "12", False)]
    assert "a bug" in caplog.text


@jumping
async def test_a_lease_that_is_given_to_another_federation_has_left_its_own() -> None:
    hub = Hub()
    async with at_work(hub.watch.run(readable)):
        await soon()
        hub.give(event(replace(ONE, federation="other", resource_version="21")))
        await soon()
        assert hub.given[2:] == [("c1", "11", True), ("c1", "21", False)]
        assert hub.federations == ["shop", "shop", "shop", "other"]
        hub.give(event(replace(ONE, federation="other", resource_version="22"), deleted=True))
        await soon()
        assert hub.given[4:] == [("c1", "22", True)]


@jumping
async def test_nothing_is_asked_before_the_kinds_are_readable() -> None:
    hub, granted = Hub(), asyncio.Event()

    async def wait_for_rights() -> None:
        await granted.wait()

    async with at_work(hub.watch.run(wait_for_rights)):
        await asyncio.sleep(10)
        assert hub.asked == []
        granted.set()
        await soon()
        assert hub.begun()


@jumping
async def test_while_it_begins_again_nothing_counts_as_delivered() -> None:
    hub = Hub()
    async with at_work(hub.watch.run(readable)):
        await soon()
        hub.troubles = [errors.UnreachableError("it is down")] * 3
        hub.watch.restart("the hub was restored")
        await soon()
        assert (hub.begun(), hub.deliveries.newest(PLURAL)) == (False, 0)


@pytest.mark.parametrize("end", [None, errors.UnreachableError("the connection broke")], ids=repr)
@jumping
async def test_a_watch_that_was_under_way_a_moment_ago_is_not_lost(end: errors.HubError | None) -> None:
    """However long it has lasted, and however it has ended."""
    hub = Hub()
    async with at_work(hub.watch.run(readable)):
        await asyncio.sleep(30 if end else 300)
        hub.troubles = [errors.UnreachableError("a proxy ends all watches")] * 1000
        hub.give(end)
        await asyncio.sleep(0.5)
        assert hub.begun()


@jumping
async def test_after_a_watch_that_lasted_it_is_tried_again_soon() -> None:
    hub = Hub()
    hub.troubles = [errors.UnreachableError("it is down")] * 12
    async with at_work(hub.watch.run(readable)):
        await asyncio.sleep(200)
        asked = len(hub.asked)
        hub.give(None)
        await soon()
        assert len(hub.asked) == asked + 1, "at once"
        hub.give(None)
        await asyncio.sleep(0.06)
        assert len(hub.asked) == asked + 2, "the pauses begin small again"


@jumping
async def test_a_watch_that_never_began_is_not_reported_as_lost(caplog: pytest.LogCaptureFixture) -> None:
    hub = Hub()
    hub.troubles = [errors.UnreachableError("it is down")] * 100
    async with at_work(hub.watch.run(readable)):
        await asyncio.sleep(100)
    assert "does not begin again" not in caplog.text
