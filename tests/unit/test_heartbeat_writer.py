"""How an operator shows that it looks after a namespace: often enough, and without a flood."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import cast

import pytest

from tcf.coordinator.heartbeat_writer import HeartbeatWriter
from tcf.coordinator.roster import Roster
from tcf.hub import errors
from tcf.hub.heartbeat_leases import Heartbeats
from unit.jumping_loop import CLOCK, after, jumping, passed
from unit.turns import at_work


class Hub:
    """Takes heartbeats; and an operator that looks after some namespaces."""

    def __init__(self, *namespaces: str) -> None:
        self.namespaces = set(namespaces)
        self.at_work = True
        self.error: errors.HubError | None = None
        self.hangs = False
        self.beats: list[tuple[float, str]] = []
        self.at_once = self.most_at_once = 0
        self.marks: dict[str, str] = {}
        """Of other operators."""
        self.forgotten: list[str] = []
        self.roster = Roster("operator-1", clock=CLOCK)
        self.writer = HeartbeatWriter(
            cast("Heartbeats", self),
            roster=self.roster,
            namespaces=lambda: frozenset(self.namespaces),
            at_work=lambda: self.at_work,
            clock=CLOCK,
        )

    async def beat(
        self, namespace: str, holder: str, forgotten: Iterable[str], *, deadline: float
    ) -> dict[str, str]:
        assert (holder, deadline) == ("operator-1", 5)
        self.beats.append((passed(), namespace))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await (asyncio.Event().wait() if self.hangs else asyncio.sleep(0))
        self.at_once -= 1
        if self.error:
            raise self.error
        self.forgotten += forgotten
        return {holder: f"{holder}/{passed()}", **self.marks}

    async def run(self, seconds: float) -> None:
        async with at_work(self.writer.run()):
            await asyncio.sleep(seconds)

    def of(self, namespace: str) -> list[float]:
        """When the heartbeat there was renewed."""
        return [since for since, where in self.beats if where == namespace]


@jumping
async def test_each_namespace_gets_a_heartbeat_at_once_and_then_every_twenty_seconds() -> None:
    """Or up to a fifth of that earlier; a tick is a second."""
    hub = Hub("a", "b")
    await hub.run(399.5)
    for namespace in ("a", "b"):
        moments = hub.of(namespace)
        assert moments[0] == 0
        pauses = [later - sooner for sooner, later in pairwise(moments)]
        assert len(pauses) >= 18
        assert all(16 <= pause <= 21 for pause in pauses)
        assert len(set(pauses)) > 1, "not in step"


@jumping
async def test_an_operator_that_cannot_work_does_not_pretend_to() -> None:
    hub = Hub("a")
    hub.at_work = False
    after(49.5, lambda: setattr(hub, "at_work", True))
    await hub.run(99.5)
    assert hub.of("a")[0] == 50


@jumping
async def test_namespaces_come_and_go() -> None:
    hub = Hub("a")
    after(29.5, lambda: hub.namespaces.add("b"))
    after(99.5, lambda: hub.namespaces.discard("a"))
    after(149.5, lambda: hub.namespaces.add("a"))
    await hub.run(199.5)
    assert hub.of("b")[0] == 30
    assert not [since for since in hub.of("a") if 100 <= since < 150]
    assert 150 in hub.of("a")


@jumping
async def test_a_renewal_that_takes_long_is_not_made_twice() -> None:
    hub = Hub("a")
    hub.hangs = True
    await hub.run(99.5)
    assert hub.of("a") == [0]


@jumping
async def test_a_namespace_that_is_gone_when_its_renewal_ends_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub = Hub("a")
    waiting = asyncio.Event()

    async def slow(namespace: str, *_: object, **__: object) -> dict[str, str]:
        hub.beats.append((passed(), namespace))
        if len(hub.beats) == 1:
            await waiting.wait()
        return {}

    monkeypatch.setattr(hub, "beat", slow)
    after(1.5, lambda: hub.namespaces.discard("a"))
    after(3.5, waiting.set)
    after(5.5, lambda: hub.namespaces.add("a"))
    await hub.run(9.5)
    assert hub.of("a") == [0, 6]


@jumping
async def test_many_namespaces_do_not_flood_the_hub() -> None:
    hub = Hub(*(f"n{n}" for n in range(50)))
    await hub.run(14.5)
    assert Counter(namespace for _, namespace in hub.beats) == {f"n{n}": 1 for n in range(50)}
    assert 2 <= hub.most_at_once <= 8


@jumping
async def test_another_operator_that_was_faster_is_no_trouble(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    hub = Hub("a")
    hub.error = errors.ConflictError("it exists already")
    hub.marks = {"operator-2": "operator-2/1"}
    after(0.5, lambda: setattr(hub, "error", None))
    await hub.run(9.5)
    assert hub.of("a") == [0, 1]
    assert hub.roster.peers() == {"a": 1}
    assert not caplog.records


@jumping
async def test_trouble_is_logged_when_it_begins_or_changes_and_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    hub = Hub("a")
    hub.error = errors.ForbiddenError("no rights")
    after(99.5, lambda: setattr(hub, "error", errors.UnreachableError("it is down")))
    after(199.5, lambda: setattr(hub, "error", None))
    after(299.5, lambda: setattr(hub, "error", errors.UnreachableError("down again")))
    await hub.run(399.5)
    assert len(hub.of("a")) >= 18
    whys = ("no rights", "it is down", "down again")
    assert len(caplog.records) == len(whys)
    for record, why in zip(caplog.records, whys, strict=True):
        assert why in record.message
        assert "namespace a" in record.message


@jumping
async def test_trouble_in_a_namespace_that_has_come_back_is_logged_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    hub = Hub("a")
    hub.error = errors.ForbiddenError("no rights")
    after(49.5, hub.namespaces.clear)
    after(59.5, lambda: hub.namespaces.add("a"))
    await hub.run(99.5)
    assert len(caplog.records) == 2


@jumping
async def test_each_beat_shows_who_else_is_there() -> None:
    hub = Hub("a")
    hub.marks = {"operator-2": "operator-2/1"}
    await hub.run(0.5)
    shares = {not hub.roster.before("a", f"f{n}", "") for n in range(50)}
    assert shares == {True, False}
    assert all(not hub.roster.before("b", f"f{n}", "") for n in range(50)), "not in another namespace"


@jumping
async def test_a_mark_that_never_changes_is_removed() -> None:
    hub = Hub("a")
    hub.marks = {"operator-2": "operator-2/1"}
    await hub.run(590)
    assert not hub.forgotten
    await hub.run(60)
    assert set(hub.forgotten) == {"operator-2"}


@jumping
async def test_a_namespace_without_federations_has_no_peers() -> None:
    hub = Hub("a")
    hub.marks = {"operator-2": "operator-2/1"}
    after(10, lambda: hub.namespaces.discard("a"))
    async with at_work(hub.writer.run()):
        await asyncio.sleep(5)
        assert hub.roster.peers() == {"a": 1}
        await asyncio.sleep(10)
        assert hub.roster.peers() == {}
