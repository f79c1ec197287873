"""Events are written beside the loops: later, one after the other, and without holding anybody up."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from tcf.coordinator.event_writer import EventWriter
from tcf.core.model import Federation, Trigger
from tcf.core.steps import Event
from tcf.hub import errors
from tcf.hub.events import Events
from unit.build import BOOT, TERM, federation
from unit.turns import JumpingClock, at_work, turns

SHOP = federation("active passive")
EVENT = Event("r1", TERM, Trigger.API, "Demoting", "c1 gives up its role", warning=False)


def event(number: int) -> Event:
    return replace(EVENT, request=f"r{number}")


class Hub:
    """Takes Events, on a clock that jumps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = JumpingClock(1e6)
        monkeypatch.setattr("asyncio.sleep", self.clock.sleep)
        self.written: list[tuple[float, str]] = []
        self.error: errors.HubError | None = None
        self.writer = EventWriter(cast("Events", self), clock=self.clock)

    async def write(self, about: Federation, one: Event, *, deadline: float) -> None:
        assert (about, deadline) == (SHOP, 5)
        self.written.append((self.clock.passed, one.request))
        if self.error:
            raise self.error


async def test_an_event_is_written_when_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(monkeypatch)
    async with at_work(hub.writer.run()):
        hub.writer.add(SHOP, event(1), due=BOOT + 2)
        hub.writer.add(SHOP, event(2), due=BOOT + 1)
        await turns(60)
    assert hub.written == [(2, "r1"), (2, "r2")]


async def test_an_event_that_cannot_be_written_is_dropped_and_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are written all the same, after a pause that grows as long as it goes on."""
    hub = Hub(monkeypatch)
    hub.error = errors.ForbiddenError("no rights")
    async with at_work(hub.writer.run()):
        for number in range(10):
            hub.writer.add(SHOP, event(number), due=BOOT)
        await turns(600)
        assert [request for _, request in hub.written] == [f"r{number}" for number in range(10)]
        assert len(caplog.records) == 10
        assert "Demoting could not be written: no rights" in caplog.text
        pauses = [seconds for seconds in hub.clock.slept if seconds > 0]
        assert pauses[0] <= 0.05
        assert pauses[-1] >= 2
        hub.clock.slept.clear()
        hub.error = None
        hub.writer.add(SHOP, EVENT, due=BOOT)
        await turns(60)
        hub.error = errors.ForbiddenError("no rights")
        hub.writer.add(SHOP, EVENT, due=BOOT)
        await turns(60)
    assert max(hub.clock.slept) <= 0.05, "the pauses begin small again"


async def test_too_many_events_are_dropped_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub = Hub(monkeypatch)
    for number in range(1000):
        hub.writer.add(SHOP, event(number), due=BOOT)
    assert not caplog.records
    hub.writer.add(SHOP, event(1000), due=BOOT)
    assert "one is dropped" in caplog.text
    async with at_work(hub.writer.run()):
        while len(hub.written) < 1000:
            await turns()
        await turns()
    assert hub.written[-1] == (0, "r999")
