"""The coordinator's loop where a real hub can't be made to answer at the fatal moment."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from tcf.coordinator.coordinator import Hub, _Attendant
from tcf.coordinator.view import View
from tcf.core.model import Federation, Status, WorkerLease
from tcf.hub.events import Events
from tcf.hub.federations import Federations
from tcf.hub.leases import Leases
from unit.build import BOOT, TERM, at, federation, lease, request


async def test_a_decision_is_written_under_the_version_it_was_made_on() -> None:
    """Else a table that is watched between the fence's deletes and the write would be overwritten."""
    written: list[str] = []

    class FakeLeases:
        async def list(self, *_: object, **__: object) -> tuple[WorkerLease, ...]:
            return lease("c1", ack=1), lease("c2")

        async def delete(self, *_: object, **__: object) -> None:
            rolled_back = replace(federation("active passive", term=TERM + 1), resource_version="11")
            attendant.view.watched_federation(rolled_back, BOOT, deleted=False)

    class FakeFederations:
        async def write_status(self, to: Federation, _: Status, **__: object) -> Federation:
            written.append(to.resource_version)
            raise asyncio.CancelledError

    hub = Hub(cast("Federations", FakeFederations()), cast("Leases", FakeLeases()), cast("Events", object()))
    attendant = _Attendant(("ns", "shop"), hub, lambda: at(BOOT), asyncio.Queue())
    demoting = federation("demoting passive", switchover=request(), resource_version="10")
    attendant.view.read_federation(demoting, BOOT)
    attendant.view.read_leases((lease("c1", ack=1), lease("c2")), asked=BOOT - 61, now=BOOT - 60)

    with pytest.raises(asyncio.CancelledError):
        await attendant._turn()

    assert written == ["10"]


def test_a_list_knows_better_than_what_was_seen_before_it_was_asked_for() -> None:
    """A hub that has lost its last writes lists an older version: it can be deleted only as that."""
    view, lost = View(), lease("c1", resource_version="12")
    view.watched_lease(lost, BOOT, deleted=False)
    older = replace(lost, resource_version="9")
    view.read_leases((older,), asked=BOOT + 1, now=BOOT + 2)
    assert view.observation(confirmed=True).leases == (older,)


def test_a_list_does_not_know_what_was_seen_after_it_was_asked_for() -> None:
    view, newest = View(), lease("c1", resource_version="12")
    view.watched_lease(newest, BOOT + 1, deleted=False)
    view.read_leases((replace(newest, resource_version="9"),), asked=BOOT, now=BOOT + 2)
    assert view.observation(confirmed=True).leases == (newest,)


def test_once_an_obstacle_is_gone_there_is_no_more_hurry() -> None:
    attendant = _Attendant(("ns", "shop"), cast("Hub", object()), lambda: at(BOOT), asyncio.Queue())
    attendant.view.read_federation(federation("active passive"), BOOT)
    attendant._report_obstacle("somebody is in the way")
    assert attendant._next_refresh() <= BOOT + 1
    attendant._report_obstacle("")
    assert attendant._next_refresh() > BOOT + 30
