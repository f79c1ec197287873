"""When a worker reports that no operator looks after its federation."""

from __future__ import annotations

import asyncio
import logging
from typing import cast

import pytest

from tcf.core.model import MemberRef
from tcf.hub import errors
from tcf.hub.heartbeat_leases import Heartbeats
from tcf.worker.heartbeat_reader import HeartbeatReader
from tcf.worker.knowledge import Knowledge
from unit.build import federation
from unit.turns import JumpingClock

LASTS = 60
"""Seconds of a heartbeat: with a margin, it has run out after 66.1."""


class Beside:
    """A reader beside a worker, on a clock that jumps from look to look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.clock = JumpingClock(seconds)
        monkeypatch.setattr("asyncio.sleep", self.clock.sleep)
        self.version = "1"
        """What a look finds; "" if there is no heartbeat, "+" if it is renewed before each."""
        self.down = False
        self.remarks: list[tuple[float, bool]] = []
        """At each look: seconds since the start, and was there anything to remark just before?"""
        self.knowledge = Knowledge(MemberRef("ns", "shop", "c1"), clock=self.clock)
        self.knowledge.latest = federation()
        self.reader = HeartbeatReader(self.knowledge, cast("Heartbeats", self), clock=self.clock)

    async def look(self, namespace: str, *, deadline: float) -> tuple[str, int]:
        assert (namespace, deadline) == ("ns", 5)
        self.remarks.append((self.clock.passed, bool(self.reader.remarks())))
        if self.down:
            raise errors.UnreachableError("it is down")
        version = str(len(self.remarks)) if self.version == "+" else self.version
        return version, LASTS if version else 0

    async def run(self) -> bool:
        """Until the clock ends it. Is there anything to remark then?"""
        with pytest.raises(asyncio.CancelledError):
            await self.reader.run()
        return bool(self.reader.remarks())


async def test_it_looks_every_ten_seconds_or_a_little_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    beside = Beside(monkeypatch, 300)
    await beside.run()
    assert all(8 <= seconds <= 10 for seconds in beside.clock.slept)


async def test_a_heartbeat_that_is_renewed_is_an_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    beside = Beside(monkeypatch, 300)
    beside.version = "+"
    assert not await beside.run()
    assert not any(remark for _, remark in beside.remarks)


async def test_one_that_runs_out_is_remarked_and_logged_until_it_is_renewed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    beside = Beside(monkeypatch, 300)
    beside.clock.at[200] = lambda: setattr(beside, "version", "+")
    assert not await beside.run()
    assert not any(remark for since, remark in beside.remarks if since < 60)
    assert all(remark for since, remark in beside.remarks if 100 < since < 200)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "no operator seems to look after namespace ns" in caplog.records[0].message
    assert "again" in caplog.records[1].message


async def test_without_any_heartbeat_there_is_no_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    beside = Beside(monkeypatch, 25)
    beside.version = ""
    assert await beside.run()
    assert not beside.remarks[1][1], "one look is not enough"
    (remark,) = beside.reader.remarks()
    assert "does not exist" in remark


async def test_a_look_that_fails_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub is down. That is said elsewhere, and says nothing of the operators."""
    silent = Beside(monkeypatch, 200)
    silent.clock.at[100] = lambda: setattr(silent, "down", True)
    assert await silent.run()
    cut_off = Beside(monkeypatch, 200)
    cut_off.down = True
    assert not await cut_off.run()


async def test_without_a_federation_nobody_has_to_look_after_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Operators keep no heartbeat there. When one is created again, they get the time to begin with it."""
    beside = Beside(monkeypatch, 300)
    beside.clock.at[100] = lambda: setattr(beside.knowledge, "latest", None)
    assert not await beside.run()
    assert all(since <= 100 for since, _ in beside.remarks)

    again = Beside(monkeypatch, 250)
    again.clock.at[100] = lambda: setattr(again.knowledge, "latest", None)
    again.clock.at[200] = lambda: setattr(again.knowledge, "latest", federation())
    assert not await again.run()
