"""Which loop gets a watch event, and when loops start and end."""

from __future__ import annotations

import asyncio

import pytest

from tcf.coordinator.dispatcher import Dispatcher
from tcf.core.model import Federation
from unit.build import BOOT, TERM, federation, lease, request
from unit.quiet_hub import QuietHub
from unit.turns import at_work, turns

SHOP = federation("active passive", resource_version="10")


def quietly(about: Federation | None = SHOP) -> tuple[QuietHub, Dispatcher]:
    hub = QuietHub(about)
    return hub, hub.dispatcher(lambda: hub.now)


async def test_it_looks_after_what_it_got_before_it_began_and_after() -> None:
    hub, dispatcher = quietly()
    dispatcher.lease_event(("ns", "shop"), lease("c1"), at=BOOT, deleted=False)
    await turns()
    assert hub.asked == [], "it does not run yet"
    async with at_work(dispatcher.run()):
        await turns(30)
        assert hub.asked[:2] == ["get", "list"]
        hub.asked.clear()
        dispatcher.lease_event(("ns", "another"), lease("c1"), at=BOOT, deleted=False)
        await turns(30)
        assert hub.asked[:2] == ["get", "list"]


async def test_each_federation_has_one_loop() -> None:
    hub, dispatcher = quietly()
    async with at_work(dispatcher.run()):
        for name in ("c1", "c2"):
            dispatcher.lease_event(("ns", "shop"), lease(name), at=BOOT, deleted=False)
        await turns(30)
    assert hub.asked.count("get") == 1


def test_the_namespaces_are_those_with_a_federation() -> None:
    _, dispatcher = quietly()
    assert dispatcher.namespaces() == set()
    dispatcher.federation_event(SHOP, at=BOOT, deleted=False)
    dispatcher.lease_event(("elsewhere", "shop"), lease("c1"), at=BOOT, deleted=False)
    assert dispatcher.namespaces() == {"ns"}


@pytest.mark.parametrize("deleted", [False, True])
async def test_a_change_of_a_federation_wakes_its_loop(*, deleted: bool) -> None:
    hub, dispatcher = quietly()
    dispatcher.federation_event(SHOP, at=BOOT, deleted=False)
    async with at_work(dispatcher.run()):
        await turns(30)
        hub.asked.clear()
        if deleted:
            dispatcher.federation_event(SHOP, at=BOOT, deleted=True)
        else:
            asked = hub.edit(status=federation("active passive", switchover=request("c1", "")).status)
            dispatcher.federation_event(asked, at=BOOT, deleted=False)
        await turns(30)
    assert dispatcher.namespaces() == (set() if deleted else {"ns"})
    assert ("status" in hub.asked) is not deleted


async def test_a_change_of_a_lease_wakes_the_loop_of_its_federation() -> None:
    hub, dispatcher = quietly()
    hub.leases = (lease("c1"),)
    dispatcher.federation_event(SHOP, at=BOOT, deleted=False)
    async with at_work(dispatcher.run()):
        await turns(30)
        hub.asked.clear()
        another = lease("c2")
        hub.leases = (*hub.leases, another)
        dispatcher.lease_event(("ns", "shop"), another, at=BOOT, deleted=False)
        await turns(30)
        assert "status" in hub.asked, "it counts the worker"
        hub.asked.clear()
        dispatcher.lease_event(("ns", "shop"), another, at=BOOT, deleted=False)
        await turns(30)
        assert hub.asked == [], "that is known"


async def test_when_the_watches_begin_again_everything_is_read_again() -> None:
    hub, dispatcher = quietly()
    dispatcher.federation_event(SHOP, at=BOOT, deleted=False)
    async with at_work(dispatcher.run()):
        await turns(30)
        hub.asked.clear()
        dispatcher.look_again()
        await turns(30)
        assert hub.asked == ["get", "list"]


async def test_a_federation_that_comes_back_gets_a_new_loop() -> None:
    hub, dispatcher = quietly()
    dispatcher.federation_event(SHOP, at=BOOT, deleted=False)
    async with at_work(dispatcher.run()):
        await turns(30)
        dispatcher.federation_event(SHOP, at=BOOT, deleted=True)
        await turns(30)
        hub.asked.clear()
        hub.about = federation(None, uid="uid-2", resource_version="20")
        dispatcher.federation_event(hub.about, at=BOOT, deleted=False)
        await turns(30)
        assert "status" in hub.asked, "it gets its first roles"


async def test_what_a_loop_reports_becomes_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tcf.coordinator.loop.AFTERWARDS", 0)
    hub, dispatcher = quietly(federation("active passive", switchover=request("c1", "")))
    hub.leases = (lease("c1"), lease("c2"))
    assert hub.about
    dispatcher.federation_event(hub.about, at=BOOT, deleted=False)
    async with at_work(dispatcher.run()):
        await turns(60)
    assert [(event.reason, event.term) for event in hub.events] == [("Demoting", TERM + 1)]


@pytest.mark.parametrize(("raised", "named"), [(True, True), (True, False), (False, True)])
def test_a_step_is_a_sign_of_the_operator_that_is_named_in_the_status(*, raised: bool, named: bool) -> None:
    """A change without a new term may come from anybody, who leaves the name as it is."""
    _, dispatcher = quietly()
    peers = {f"peer-{n}": f"peer-{n}/1" for n in range(20)}
    dispatcher.roster.found("ns", peers)
    dispatcher.federation_event(SHOP, at=BOOT, deleted=False)
    dispatcher.roster.stepped_in("ns", peers)
    assert dispatcher.roster.before("ns", "shop", "") == [], "all are slow"

    for n, peer in enumerate(peers, 1):
        shop = federation(
            "active passive",
            resource_version=str(10 + n),
            term=TERM + n * raised,
            operator=peer if named else "somebody else",
        )
        dispatcher.federation_event(shop, at=BOOT, deleted=False)

    assert bool(dispatcher.roster.before("ns", "shop", "")) == (raised and named)


async def test_an_older_version_than_is_known_is_looked_into() -> None:
    """It is old news, or the hub was set back, which only a read can tell."""
    quiet, dispatcher = quietly()
    dispatcher.federation_event(SHOP, at=BOOT, deleted=False)
    running = asyncio.create_task(dispatcher.run())
    await asyncio.sleep(0.01)
    assert quiet.reads == []
    assert quiet.about
    dispatcher.federation_event(quiet.about, at=BOOT, deleted=False)
    await asyncio.sleep(0.01)
    assert quiet.reads == [], "the same version is no reason"
    dispatcher.federation_event(federation("active passive", resource_version="5"), at=BOOT, deleted=False)
    await asyncio.sleep(0.01)
    assert len(quiet.reads) == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_thousand_federations_do_not_flood_the_hub() -> None:
    """Each begins with a Lease that was watched before its federation, so that it has to be read."""
    quiet = QuietHub(federation("active passive"))
    dispatcher = quiet.dispatcher(lambda: BOOT)
    for n in range(1000):
        dispatcher.lease_event(("ns", f"f{n}"), lease("c1"), at=BOOT, deleted=False)
    running = asyncio.create_task(dispatcher.run())
    await asyncio.wait_for(quiet.thousand.wait(), 30)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert quiet.most_at_once <= 32


async def test_events_are_counted_by_what_they_are_about() -> None:
    _, dispatcher = quietly()
    dispatcher.federation_event(SHOP, at=BOOT, deleted=False)
    for name in ("c1", "c2"):
        dispatcher.lease_event(("ns", "shop"), lease(name), at=BOOT, deleted=False)
    assert dispatcher.events == {"clusterfederations": 1, "leases": 2}


async def test_what_is_known_of_federations_can_be_looked_at() -> None:
    _, dispatcher = quietly()
    dispatcher.federation_event(SHOP, at=BOOT, deleted=False)
    dispatcher.lease_event(("ns", "another"), lease("c1"), at=BOOT, deleted=False)
    ((known, tally),) = dispatcher.federations()
    cache = dispatcher.cache(("ns", "shop"))
    assert cache
    assert (known, tally) == (SHOP, cache.tally)
    bare = dispatcher.cache(("ns", "another"))
    assert bare
    assert bare.federation is None
    assert dispatcher.cache(("ns", "nothing")) is None


def test_only_a_new_table_of_a_known_federation_is_a_sign_of_its_operator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, dispatcher = quietly()
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(dispatcher.roster, "acted", lambda *what: told.append(what))
    versions = [
        federation("active passive", resource_version="10", operator="op-2"),
        federation("active passive", resource_version="11", operator="op-2"),
        federation("demoting passive", resource_version="12", term=TERM + 1),
        federation("passive promoting", resource_version="13", term=TERM + 2, operator="op-2"),
        federation(None, resource_version="14"),
    ]
    for version in versions:
        dispatcher.federation_event(version, at=BOOT, deleted=False)
    assert told == [("ns", "op-2")]
