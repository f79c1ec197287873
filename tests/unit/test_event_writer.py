"""Events are written beside the loops: later, one after the other, and without holding anybody up."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from itertools import pairwise
from typing import cast

import pytest

from tcf.coordinator.event_writer import EventWriter
from tcf.core.model import Event, Federation, Trigger
from tcf.hub import errors
from tcf.hub.events import Events
from unit.build import BOOT, TERM, federation
from unit.jumping_loop import CLOCK, jumping, passed
from unit.turns import at_work

SHOP = federation("active passive")
EVENT = Event("r1", TERM, Trigger.API, "Demoting", "c1 gives up its role", warning=False)


def event(number: int) -> Event:
    return replace(EVENT, request=f"r{number}")


class Hub:
    """Takes Events."""

    def __init__(self) -> None:
        self.written: list[tuple[float, str]] = []
        self.error: errors.HubError | None = None
        self.writer = EventWriter(cast("Events", self), clock=CLOCK)

    async def write(self, about: Federation, one: Event, *, deadline: float) -> None:
        assert (about, deadline) == (SHOP, 5)
        self.written.append((passed(), one.request))
        if self.error:
            raise self.error

    @property
    def pauses(self) -> list[float]:
        """From one write to the next."""
        return [later - sooner for (sooner, _), (later, _) in pairwise(self.written)]


@jumping
async def test_an_event_is_written_when_it_is_due() -> None:
    hub = Hub()
    async with at_work(hub.writer.run()):
        hub.writer.add(SHOP, event(1), due=BOOT + 2)
        hub.writer.add(SHOP, event(2), due=BOOT + 1)
        await asyncio.sleep(3)
    assert hub.written == [(2, "r1"), (2, "r2")]


@jumping
async def test_an_event_that_cannot_be_written_is_dropped_and_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The others are written all the same, after a pause that grows as long as it goes on."""
    caplog.set_level(logging.WARNING)
    hub = Hub()
    hub.error = errors.ForbiddenError("no rights")
    async with at_work(hub.writer.run()):
        for number in range(10):
            hub.writer.add(SHOP, event(number), due=BOOT)
        await asyncio.sleep(60)
        assert [request for _, request in hub.written] == [f"r{number}" for number in range(10)]
        assert len(caplog.records) == 10
        assert "cannot write the Event Demoting: no rights" in caplog.text
        assert hub.pauses[0] <= 0.05
        assert hub.pauses[-1] >= 2
        hub.error = None
        hub.writer.add(SHOP, EVENT, due=BOOT)
        await asyncio.sleep(1)
        hub.error = errors.ForbiddenError("no rights")
        for number in range(2):
            hub.writer.add(SHOP, event(number), due=BOOT)
        await asyncio.sleep(1)
    assert hub.pauses[-1] <= 0.05, "the pauses begin small again"


@jumping
async def test_too_many_events_are_dropped_and_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    hub = Hub()
    for number in range(5000):
        hub.writer.add(SHOP, event(number), due=BOOT)
    assert not caplog.records
    hub.writer.add(SHOP, event(5000), due=BOOT)
    assert "this one is dropped" in caplog.text
    async with at_work(hub.writer.run()):
        await asyncio.sleep(1)
    assert len(hub.written) == 5000
    assert hub.written[-1] == (0, "r4999")
