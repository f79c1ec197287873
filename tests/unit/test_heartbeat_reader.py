"""When a worker reports that no operator looks after its federation."""

from __future__ import annotations

import asyncio
import logging
from itertools import pairwise
from typing import cast

import pytest

from tcf.core.model import MemberRef
from tcf.hub import errors
from tcf.hub.heartbeat_leases import Heartbeats
from tcf.worker.heartbeat_reader import HeartbeatReader
from tcf.worker.knowledge import Knowledge
from unit.build import federation
from unit.jumping_loop import CLOCK, after, jumping, passed
from unit.turns import at_work

LASTS = 60
"""Seconds of a heartbeat: with a margin, it has run out after 66.1."""


class Beside:
    """A reader beside a worker."""

    def __init__(self) -> None:
        self.version = "1"
        """What a look finds; "" if there is no heartbeat, "+" if it is renewed before each."""
        self.down = False
        self.remarks: list[tuple[float, bool]] = []
        """At each look: seconds since the start, and was there anything to remark just before?"""
        self.knowledge = Knowledge(MemberRef("ns", "shop", "c1"), clock=CLOCK)
        self.knowledge.latest = federation()
        self.reader = HeartbeatReader(self.knowledge, cast("Heartbeats", self), clock=CLOCK)

    async def look(self, namespace: str, *, deadline: float) -> tuple[str, int]:
        assert (namespace, deadline) == ("ns", 5)
        self.remarks.append((passed(), bool(self.reader.remarks())))
        if self.down:
            raise errors.UnreachableError("it is down")
        version = str(len(self.remarks)) if self.version == "+" else self.version
        return version, LASTS if version else 0

    async def run(self, seconds: float) -> bool:
        """Is there anything to remark after so many seconds?"""
        async with at_work(self.reader.run()):
            await asyncio.sleep(seconds)
            return bool(self.reader.remarks())


@jumping
async def test_it_looks_every_half_minute_or_a_little_sooner() -> None:
    """Ten thousand workers would ask a thousand times a second otherwise."""
    beside = Beside()
    beside.version = "+"
    await beside.run(600)
    first, *looks = [moment for moment, _ in beside.remarks]
    assert 8 <= first <= 10
    assert all(24 <= later - sooner <= 30 for sooner, later in pairwise([first, *looks]))
    assert len(looks) >= 19


@pytest.mark.parametrize("version", ["", "1"])
@jumping
async def test_while_there_is_no_operator_it_looks_every_ten_seconds(version: str) -> None:
    beside = Beside()
    beside.version = version
    await beside.run(100)
    start = len(beside.remarks)
    await beside.run(100)
    looks = [moment for moment, _ in beside.remarks[start:]]
    assert all(8 <= later - sooner <= 10 for sooner, later in pairwise(looks))
    assert len(looks) >= 10


@jumping
async def test_a_heartbeat_that_is_renewed_is_an_operator() -> None:
    beside = Beside()
    beside.version = "+"
    assert not await beside.run(300)
    assert not any(remark for _, remark in beside.remarks)


@jumping
async def test_one_that_runs_out_is_remarked_and_logged_until_it_is_renewed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    beside = Beside()
    after(200, lambda: setattr(beside, "version", "+"))
    assert not await beside.run(300)
    assert not any(remark for since, remark in beside.remarks if since < 60)
    assert all(remark for since, remark in beside.remarks if 100 < since < 200)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "no operator seems to look after namespace ns" in caplog.records[0].message
    assert "again" in caplog.records[1].message


@jumping
async def test_without_any_heartbeat_there_is_no_operator() -> None:
    beside = Beside()
    beside.version = ""
    assert await beside.run(25)
    assert not beside.remarks[1][1], "one look is not enough"
    (remark,) = beside.reader.remarks()
    assert "does not exist" in remark


@jumping
async def test_a_look_that_fails_changes_nothing() -> None:
    """The hub is down. That is said elsewhere, and says nothing of the operators."""
    silent = Beside()
    after(100, lambda: setattr(silent, "down", True))
    assert await silent.run(200)
    cut_off = Beside()
    cut_off.down = True
    assert not await cut_off.run(200)


@jumping
async def test_without_a_federation_nobody_has_to_look_after_anything() -> None:
    """Operators keep no heartbeat there."""
    beside = Beside()
    after(100, lambda: setattr(beside.knowledge, "latest", None))
    assert not await beside.run(300)
    assert all(since <= 100 for since, _ in beside.remarks)


@jumping
async def test_operators_get_the_time_to_look_after_a_federation_that_comes_back() -> None:
    beside = Beside()
    after(100, lambda: setattr(beside.knowledge, "latest", None))
    after(200, lambda: setattr(beside.knowledge, "latest", federation()))
    assert not await beside.run(250)
