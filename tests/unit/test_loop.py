"""A federation's loop where a real hub can't be made to answer at the fatal moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import cast

import pytest

from tcf.coordinator.dispatcher import Dispatcher
from tcf.coordinator.event_writer import EventWriter
from tcf.coordinator.loop import FederationLoop
from tcf.core.model import Federation, Status, WorkerLease
from tcf.hub import errors
from tcf.hub.events import Events
from tcf.hub.federations import Federations
from tcf.hub.leases import Leases
from unit.build import BOOT, TERM, ClockAt, bootstrap, federation, lease, request


def loop_with(
    federations: object, leases: object, boot: Callable[[], float] = lambda: BOOT
) -> FederationLoop:
    clock, events = ClockAt(boot), cast("Events", object())
    return FederationLoop(
        ("ns", "shop"),
        cast("Federations", federations),
        cast("Leases", leases),
        EventWriter(events, clock=clock),
        clock=clock,
        turns=asyncio.Semaphore(),
    )


async def test_a_decision_is_written_under_the_version_it_was_made_on() -> None:
    """Else a table that is watched between the fence's deletes and the write would be overwritten."""
    written: list[str] = []

    class FakeLeases:
        async def list(self, *_: object, **__: object) -> tuple[WorkerLease, ...]:
            return lease("c1", ack=1), lease("c2")

        async def delete(self, *_: object, **__: object) -> None:
            rolled_back = replace(federation("active passive", term=TERM + 1), resource_version="11")
            loop.cache.watched_federation(rolled_back, BOOT, deleted=False)

    class FakeFederations:
        async def write_status(self, to: Federation, _: Status, **__: object) -> Federation:
            written.append(to.resource_version)
            raise asyncio.CancelledError

    loop = loop_with(FakeFederations(), FakeLeases())
    demoting = federation("demoting passive", switchover=request(), resource_version="10")
    loop.cache.read_federation(demoting, BOOT)
    loop.cache.read_leases((lease("c1", ack=1), lease("c2")), asked=BOOT - 61, now=BOOT - 60)

    with pytest.raises(asyncio.CancelledError):
        await loop._turn()

    assert written == ["10"]


async def test_that_the_hub_was_restored_is_not_concluded_from_memory() -> None:
    """What is remembered is older than the restore; its version may by now be that of another table."""
    begun_again = federation("passive passive", term=TERM + 9, switchover=bootstrap(), resource_version="10")
    ahead = lease("c1", ack=TERM + 9)

    class FakeLeases:
        async def list(self, *_: object, **__: object) -> tuple[WorkerLease, ...]:
            return (ahead,)

    class FakeFederations:
        async def get(self, *_: object, **__: object) -> Federation:
            return begun_again

        async def write_status(self, _: Federation, status: Status, **__: object) -> Federation:
            assert not status.history, "begun again a second time"
            raise asyncio.CancelledError

    loop = loop_with(FakeFederations(), FakeLeases())
    loop.cache.read_federation(federation("active passive", resource_version="10"), BOOT)
    loop.cache.read_leases((ahead,), asked=BOOT, now=BOOT)

    with pytest.raises(asyncio.CancelledError):
        await loop._turn()


async def test_a_crd_that_drops_what_is_written_is_noticed() -> None:
    """Else the operator would write the same again and again, and promote in spite of a doubt."""

    class OlderCrd:
        async def list(self, *_: object, **__: object) -> tuple[WorkerLease, ...]:
            return lease("c1"), lease("c2")

        async def write_status(self, to: Federation, status: Status, **__: object) -> Federation:
            return replace(to, status=replace(status, longest_lease_seconds=None), resource_version="11")

    older = OlderCrd()
    loop = loop_with(older, older)
    loop.cache.read_federation(federation("active passive"), BOOT)
    with pytest.raises(errors.OutdatedKindError, match="older than this operator"):
        await loop._turn()


async def test_an_older_version_than_is_known_is_looked_into() -> None:
    """It is old news, or the hub was set back, which only a read can tell."""
    quiet = QuietHub(federation("active passive", resource_version="10"))
    dispatcher = quiet.dispatcher(lambda: quiet.now)
    dispatcher.federation_event(quiet.about, deleted=False)
    running = asyncio.create_task(dispatcher.run())
    await asyncio.sleep(0.01)
    assert quiet.reads == []
    dispatcher.federation_event(quiet.about, deleted=False)
    await asyncio.sleep(0.01)
    assert quiet.reads == [], "the same version is no reason"
    dispatcher.federation_event(federation("active passive", resource_version="5"), deleted=False)
    await asyncio.sleep(0.01)
    assert len(quiet.reads) == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


class QuietHub:
    """Answers every read with what there is, and counts."""

    def __init__(self, about: Federation) -> None:
        self.about = about
        self.reads: list[float] = []
        self.at_once = self.most_at_once = 0
        self.now = BOOT
        self.thousand = asyncio.Event()

    async def get(self, *_: object, **__: object) -> Federation:
        self.reads.append(self.now)
        if len(self.reads) == 1000:
            self.thousand.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        return self.about

    async def list(self, *_: object, **__: object) -> tuple[WorkerLease, ...]:
        return ()

    async def write_status(self, _: Federation, status: Status, **__: object) -> Federation:
        self.about = replace(self.about, status=status, resource_version="20")
        return self.about

    async def annotate(self, _: Federation, annotations: Mapping[str, str], **__: object) -> Federation:
        self.about = replace(self.about, annotations=annotations, resource_version="30")
        return self.about

    def dispatcher(self, boot: Callable[[], float]) -> Dispatcher:
        events = cast("Events", object())
        return Dispatcher(cast("Federations", self), cast("Leases", self), events, clock=ClockAt(boot))


async def seconds_of(monkeypatch: pytest.MonkeyPatch, quiet: QuietHub, seconds: float) -> None:
    """Let a loop attend to it for so long, by a clock that jumps to when the loop wants to wake up."""

    async def jump(wait: float, event: Coroutine[object, object, object]) -> None:
        event.close()
        quiet.now += max(wait, 0.001)
        if quiet.now > BOOT + seconds:
            raise asyncio.CancelledError

    monkeypatch.setattr("tcf.coordinator.loop.within", jump)
    loop = loop_with(quiet, quiet, lambda: quiet.now)
    loop.cache.watched_federation(quiet.about, BOOT, deleted=False)
    with pytest.raises(asyncio.CancelledError):
        await loop.run()


async def test_what_was_watched_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = QuietHub(federation("active passive"))
    await seconds_of(monkeypatch, quiet, 40)
    assert quiet.reads == []
    await seconds_of(monkeypatch, quiet, 200)
    assert 2 <= len(quiet.reads) <= 5


async def test_a_federation_that_waits_for_a_worker_is_read_ever_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quiet = QuietHub(federation("passive passive", switchover=bootstrap(), workers=0, live=0))
    await seconds_of(monkeypatch, quiet, 600)
    soon = [read for read in quiet.reads if read < BOOT + 60]
    assert 5 <= len(soon) <= 14
    assert len(quiet.reads) - len(soon) <= 20


async def test_a_thousand_federations_do_not_flood_the_hub() -> None:
    """Each begins with a Lease that was watched before its federation, so that it has to be read."""
    quiet = QuietHub(federation("active passive"))
    dispatcher = quiet.dispatcher(lambda: BOOT)
    for n in range(1000):
        dispatcher.lease_event(("ns", f"f{n}"), lease("c1"), deleted=False)
    running = asyncio.create_task(dispatcher.run())
    await asyncio.wait_for(quiet.thousand.wait(), 30)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert quiet.most_at_once <= 32
