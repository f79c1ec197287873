"""A federation's loop where a real hub can't be made to answer at the fatal moment."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import cast

import pytest

from tcf.coordinator.event_writer import EventWriter
from tcf.coordinator.loop import FederationLoop
from tcf.coordinator.roster import Roster
from tcf.coordinator.turns import Rank, Turns
from tcf.core.annotations import Acknowledgement
from tcf.core.decide import AFTERWARDS
from tcf.core.fencing import COLLECT_FACTOR
from tcf.core.model import Event, Federation, Status, WorkerLease
from tcf.hub import errors
from tcf.hub.events import Events
from tcf.hub.federations import Federations
from tcf.hub.worker_leases import Leases
from tcf.runtime.backoff import Backoff
from unit.build import (
    BEHIND,
    BOOT,
    ONE,
    SILENCE,
    TERM,
    TWO,
    ClockAt,
    bootstrap,
    described,
    entry,
    federation,
    lease,
    request,
)
from unit.jumping_loop import CLOCK, after, jumping, passed, stall
from unit.quiet_hub import QuietHub
from unit.turns import at_work


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
        turns=Turns(1),
        roster=Roster("operator", clock=clock),
        announce=lambda: None,
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


# --- a loop at work, on a clock that jumps ------------------------------------------------------------

IDLE = federation("active passive", resource_version="10")
TO_NOBODY = federation("active passive", switchover=request("c1", ""), resource_version="10")
WAITING = federation("demoting passive", switchover=request("c1", ""), resource_version="10")
"""With BEHIND, it waits for a worker of c1."""


class Attended:
    """A loop that attends to what a hub has."""

    def __init__(self, hub: QuietHub) -> None:
        self.hub = hub
        hub.boot = CLOCK.boot
        self.events: list[tuple[str, float]] = []
        """What was reported, and when it is due."""
        self.roster = Roster("operator", clock=CLOCK)
        self.loop = FederationLoop(
            ("ns", "shop"),
            cast("Federations", hub),
            cast("Leases", hub),
            cast("EventWriter", self),
            clock=CLOCK,
            turns=Turns(1),
            roster=self.roster,
            announce=lambda: None,
        )

    def add(self, _: Federation, event: Event, *, due: float) -> None:
        self.events.append((event.reason, due - BOOT))

    def knows(self, *, silent: WorkerLease | None = None) -> None:
        """It has got everything by watch events: the `silent` Lease a minute ago, all else now."""
        assert self.hub.about
        self.loop.cache.watched_federation(self.hub.about, BOOT, deleted=False)
        for each in self.hub.leases:
            since = BOOT - 60 if each == silent else BOOT
            self.loop.cache.watched_lease(each, since, deleted=False)

    async def run(self, seconds: float, *, watched: bool = True) -> None:
        """For so long. `watched`: it has got everything by watch events."""
        if watched:
            self.knows()
        async with at_work(self.loop.run()):
            await asyncio.sleep(seconds)

    def renew(self, lease: WorkerLease) -> None:
        """The worker writes this, and a watch event shows it."""
        version = str(int(self.hub.leases[0].resource_version) + 10)
        renewed = replace(lease, resource_version=version)
        self.hub.leases = tuple(renewed if each.uid == lease.uid else each for each in self.hub.leases)
        if self.loop.cache.watched_lease(renewed, CLOCK.boot(), deleted=False):
            self.loop.wake.set()

    def sees(self, about: Federation) -> None:
        """A watch event."""
        if self.loop.cache.watched_federation(about, CLOCK.boot(), deleted=False):
            self.loop.wake.set()

    @property
    def reads(self) -> list[float]:
        """When the federation was read, in seconds since the start."""
        return [moment - BOOT for moment in self.hub.reads]

    @property
    def pauses(self) -> list[float]:
        """From one read to the next."""
        return [later - sooner for sooner, later in pairwise(self.reads)]


@jumping
async def test_what_is_not_known_is_read_before_anything_else() -> None:
    attended = Attended(QuietHub(IDLE, ONE, TWO))
    await attended.run(1, watched=False)
    assert attended.hub.asked[:2] == ["get", "list"]
    assert attended.loop.cache.federation == attended.hub.about


@jumping
async def test_a_federation_without_a_status_gets_its_first_roles() -> None:
    attended = Attended(QuietHub(federation(None)))
    await attended.run(0.1)
    assert attended.hub.about
    assert attended.hub.about.status


@jumping
async def test_with_neither_a_federation_nor_a_lease_it_ends() -> None:
    attended = Attended(QuietHub(None))
    await attended.loop.run()
    assert (attended.hub.asked, passed()) == (["get", "list"], 0)


@pytest.mark.parametrize("gone", [False, True])
@jumping
async def test_leases_of_a_federation_that_is_gone_are_collected_before_it_ends(
    caplog: pytest.LogCaptureFixture, *, gone: bool
) -> None:
    caplog.set_level(logging.INFO)
    attended = Attended(QuietHub(None, ONE))
    if gone:
        attended.hub.troubles["delete"] = [errors.NotFoundError("somebody else was faster")]
    await attended.loop.run()
    assert attended.hub.asked.count("delete") == 1
    assert passed() == pytest.approx(COLLECT_FACTOR * SILENCE, abs=0.1)
    assert ("deleted the Lease of a silent worker" in caplog.text) is not gone


@jumping
async def test_nothing_is_written_when_a_lease_that_is_to_be_deleted_has_changed() -> None:
    """Its worker is alive after all. Everything is read again."""
    demoting = federation("demoting passive", switchover=request(), resource_version="10")
    attended = Attended(QuietHub(demoting, BEHIND, TWO))
    attended.hub.troubles["delete"] = [errors.ConflictError("it has another version")]
    attended.knows(silent=BEHIND)
    await attended.run(0.1, watched=False)
    asked = attended.hub.asked
    assert asked[:4] == ["list", "delete", "get", "list"]
    assert "status" not in asked[: asked.index("delete", 3)]
    assert "status" in asked


@jumping
async def test_what_was_watched_is_not_read() -> None:
    attended = Attended(QuietHub(IDLE))
    await attended.run(40)
    assert attended.reads == []


@jumping
async def test_a_federation_that_waits_for_a_worker_is_read_ever_less_often() -> None:
    waiting = federation("passive passive", switchover=bootstrap(), workers=0, live=0)
    attended = Attended(QuietHub(waiting))
    await attended.run(600)
    soon = [moment for moment in attended.reads if moment < 60]
    assert 4 <= len(soon) <= 8
    assert len(attended.reads) - len(soon) <= 20


@jumping
async def test_the_hub_is_read_now_and_then_though_nothing_happens() -> None:
    """A watch may have died unnoticed. The loops do not read in step."""
    attended = Attended(QuietHub(IDLE, ONE, TWO))
    attended.hub.leases = ()
    await attended.run(1200)
    assert len(attended.pauses) >= 18
    assert all(48 <= pause <= 60.1 for pause in attended.pauses)
    assert len(set(attended.pauses)) > 1


@jumping
async def test_it_reads_at_once_when_watches_have_begun_again() -> None:
    attended = Attended(QuietHub(IDLE, ONE, TWO))
    after(10, attended.loop.look_again)
    await attended.run(20)
    assert attended.reads == [10]


@jumping
async def test_what_changes_is_read_soon_while_something_is_under_way() -> None:
    attended = Attended(QuietHub(IDLE, BEHIND))

    def ask() -> None:
        attended.sees(attended.hub.edit(status=WAITING.status))

    after(1, ask)
    await attended.run(23)
    assert 2.5 <= attended.reads[0] <= 4
    assert len(attended.reads) >= 2


@jumping
async def test_after_a_conflict_it_reads_again_soon() -> None:
    attended = Attended(QuietHub(TO_NOBODY, ONE, TWO))
    attended.hub.troubles["status"] = [errors.ConflictError("it has another version")] * 6
    await attended.run(10)
    assert attended.hub.asked.count("get") >= 6
    assert attended.events[0][0] == "Demoting"
    assert attended.reads[0] <= 0.01
    assert attended.pauses[4] >= 0.1


@jumping
async def test_pauses_after_conflicts_and_troubles_begin_small_again() -> None:
    attended = Attended(QuietHub(IDLE, ONE, TWO))
    down, conflict = errors.UnreachableError("it is down"), errors.ConflictError("it has another version")
    attended.knows()
    async with at_work(attended.loop.run()):
        for error in (down, conflict, down, conflict):
            await asyncio.sleep(50)
            attended.hub.reads.clear()
            attended.hub.troubles["get"] = [error] * 6
            attended.loop.look_again()
            await asyncio.sleep(30)
            assert attended.pauses[0] <= (0.01 if error is conflict else 0.05)
            assert attended.pauses[5] >= (0.16 if error is conflict else 0.8)


@jumping
async def test_trouble_with_the_hub_is_logged_when_it_begins_changes_or_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    attended = Attended(QuietHub(IDLE, ONE, TWO))
    attended.hub.troubles["get"] = [errors.UnreachableError("it is down")] * 3
    attended.hub.troubles["list"] = [errors.ForbiddenError("no rights")] * 3
    await attended.run(100, watched=False)
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        ("WARNING", "it is down"),
        ("WARNING", "no rights"),
        ("INFO", "the hub answers again"),
    ]
    assert attended.loop.cache.federation == attended.hub.about


@jumping
async def test_a_bug_that_one_federation_meets_is_logged_and_it_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    attended = Attended(QuietHub(IDLE, ONE, TWO))
    attended.hub.troubles["list"] = [ZeroDivisionError("a bug")]
    await attended.run(30, watched=False)
    assert attended.reads == [0, 10]
    assert "a bug" in caplog.text


@jumping
async def test_a_bug_met_later_makes_it_read_again() -> None:
    attended = Attended(QuietHub(TO_NOBODY, ONE, TWO))
    attended.hub.troubles["status"] = [ZeroDivisionError("a bug")]
    await attended.run(11)
    assert attended.reads[0] == 10


def waits_for(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.getMessage().startswith("waiting: ")]


@pytest.mark.parametrize(("seconds", "logged"), [(0.9, 0), (9.0, 1)])
@jumping
async def test_what_it_waits_for_is_logged_once_after_a_second(
    caplog: pytest.LogCaptureFixture, seconds: float, logged: int
) -> None:
    caplog.set_level(logging.INFO)
    attended = Attended(QuietHub(WAITING, BEHIND, TWO))
    for moment in range(2, int(seconds)):
        after(moment, attended.loop.wake.set)
    await attended.run(seconds)
    assert len(waits_for(caplog)) == logged


@jumping
async def test_each_obstacle_is_logged_and_none_that_is_soon_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    attended = Attended(QuietHub(WAITING, BEHIND, TWO))
    promoting = federation("passive promoting", term=TERM + 1, switchover=request())
    retired = federation("passive passive", term=TERM + 2, history=(entry(to=""),))
    after(3, lambda: attended.sees(attended.hub.edit(status=promoting.status)))
    after(3.9, attended.loop.wake.set)
    after(5, lambda: attended.sees(attended.hub.edit(status=retired.status)))
    await attended.run(7)
    fields = [(vars(one)["federation"], vars(one)["term"], vars(one)["trigger"]) for one in caplog.records]
    assert fields == [("ns/shop", TERM, "api"), ("ns/shop", TERM + 1, "api")], "what every line says"
    first, second = waits_for(caplog)
    assert "host-c1" in first
    assert "no worker of c2" in second

    caplog.clear()
    short = Attended(QuietHub(WAITING, BEHIND, TWO))
    after(0.5, lambda: short.sees(short.hub.edit(status=retired.status)))
    await short.run(7)
    assert waits_for(caplog) == []


@jumping
async def test_a_step_is_logged_and_becomes_an_event_a_little_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    attended = Attended(QuietHub(TO_NOBODY, ONE, TWO))
    await attended.run(0.1)
    ((reason, due),) = attended.events
    assert reason == "Demoting"
    assert due == pytest.approx(AFTERWARDS)
    (record,) = [one for one in caplog.records if "gives up its role" in one.getMessage()]
    assert (record.levelname, vars(record)["term"], vars(record)["request"]) == ("INFO", TERM + 1, "r1")
    assert vars(record)["federation"] == "ns/shop"


@jumping
async def test_a_step_that_should_worry_somebody_is_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also that the request has failed is said once, by the Event."""
    caplog.set_level(logging.WARNING)
    demoting = federation("demoting passive", switchover=request(), resource_version="10")
    await Attended(QuietHub(demoting, ONE)).run(0.1)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "no worker of c2 is alive" in record.getMessage()


@jumping
async def test_a_request_that_is_refused_without_a_step_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    past = entry("r0", outcome="TimedOut", message="of an earlier time")
    about = federation("active passive", switchover=request(), history=(past,), resource_version="10")
    await Attended(QuietHub(about, ONE)).run(5)
    (record,) = caplog.records
    assert record.getMessage().startswith("request failed: no worker of c2 is alive")
    assert vars(record)["reason"] == "NoLiveWorker"


@jumping
async def test_a_request_for_what_is_so_already_is_no_refusal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    about = federation("active passive", switchover=request("", "c1"), resource_version="10")
    attended = Attended(QuietHub(about, ONE, TWO))
    await attended.run(5)
    assert attended.hub.about
    assert attended.hub.about.status
    assert attended.hub.about.status.history[0].succeeded
    assert not caplog.records


@jumping
async def test_who_is_active_is_noted_beside_the_status_a_little_later() -> None:
    attended = Attended(QuietHub(IDLE, ONE, TWO))
    after(AFTERWARDS - 0.01, lambda: attended.hub.asked.append("(soon)"))
    await attended.run(5)
    assert attended.hub.asked == ["list", "status", "(soon)", "annotate"]
    assert attended.loop.cache.federation == attended.hub.about


@jumping
async def test_what_was_watched_during_a_read_is_the_newer_news(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = QuietHub(IDLE, ONE, TWO)
    attended = Attended(hub)
    original = hub.get

    async def slow(*args: object, **more: object) -> Federation:
        answer = await original(*args, **more)
        if len(hub.reads) == 1:
            attended.sees(hub.edit(status=TO_NOBODY.status))
        return answer

    monkeypatch.setattr(hub, "get", slow)
    await attended.run(0.1, watched=False)
    assert [reason for reason, _ in attended.events][:1] == ["Demoting"]


@jumping
async def test_a_list_that_was_sent_for_before_the_present_table_was_seen_confirms_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    demoting = federation("demoting passive", switchover=request(), resource_version="10")
    hub = QuietHub(demoting, ONE, TWO)
    attended = Attended(hub)
    original = hub.list

    async def slow(*args: object, **more: object) -> tuple[WorkerLease, ...]:
        answer = await original(*args, **more)
        if hub.asked.count("list") == 1:
            again = federation("demoting passive", term=TERM + 2, switchover=request())
            hub.leases = (lease("c1", ack=TERM + 2), lease("c2", ack=TERM + 2))
            attended.sees(hub.edit(status=again.status))
        return answer

    monkeypatch.setattr(hub, "list", slow)
    await attended.run(0.1)
    assert hub.asked[: hub.asked.index("status")].count("list") == 2


LOST = federation("active passive", resource_version="10")
AHEAD = lease("c2", ack=TERM + 7)
"""Its worker has seen a table that the hub has lost."""


@jumping
async def test_a_lost_table_is_outdone_after_the_federation_was_read_again() -> None:
    attended = Attended(QuietHub(LOST, ONE, AHEAD))
    await attended.run(0.1)
    assert attended.hub.asked[:3] == ["get", "list", "status"]
    assert attended.events[0][0] == "HubRestored"


@jumping
async def test_a_version_that_was_watched_beside_the_read_has_to_be_read_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may be from before the loss."""
    hub = QuietHub(LOST, ONE, AHEAD)
    attended = Attended(hub)
    original = hub.get

    async def slow(*args: object, **more: object) -> Federation:
        answer = await original(*args, **more)
        if hub.asked.count("get") == 1:
            attended.sees(hub.edit(generation=2))
        return answer

    monkeypatch.setattr(hub, "get", slow)
    await attended.run(0.1)
    assert hub.asked[: hub.asked.index("status")].count("get") == 2


@jumping
async def test_a_change_makes_it_read_soon_however_long_it_has_waited() -> None:
    waiting = federation("passive passive", switchover=bootstrap(), workers=0, live=0, resource_version="10")
    attended = Attended(QuietHub(waiting))
    after(300, lambda: attended.sees(attended.hub.edit(generation=2)))
    await attended.run(305)
    assert attended.reads[-1] > 300
    assert min(moment for moment in attended.reads if moment > 300) < 303.1
    earlier = [moment for moment in attended.reads if moment <= 300]
    assert earlier[-1] - earlier[-2] > 10


# --- other operators, and a process that is busy ------------------------------------------------------


def peer_before(attended: Attended) -> str:
    """Another operator joins that comes first for this federation."""
    for n in range(100):
        name = f"peer-{n}"
        attended.roster.found("ns", {name: f"{name}/1"})
        if attended.roster.before("ns", "shop", ""):
            return name
    raise AssertionError("the hash is broken")


@jumping
async def test_a_step_is_left_to_the_operator_that_comes_first() -> None:
    attended = Attended(QuietHub(TO_NOBODY, ONE, TWO))
    peer_before(attended)
    after(0.3, lambda: attended.sees(attended.hub.edit(status=IDLE.status)))  # it has taken a step
    await attended.run(0.7)
    assert attended.hub.asked == []


@jumping
async def test_the_status_says_which_operator_has_written_it() -> None:
    attended = Attended(QuietHub(TO_NOBODY, ONE, TWO))
    await attended.run(0.1)
    assert attended.hub.about
    assert attended.hub.about.status
    assert attended.hub.about.status.operator == "operator"


@jumping
async def test_a_peer_is_not_slow_because_a_write_in_its_place_has_failed() -> None:
    """The hub may be the trouble."""
    attended = Attended(QuietHub(TO_NOBODY, ONE, TWO))
    peer_before(attended)
    attended.hub.troubles["status"] = [errors.UnreachableError("no answer")] * 1000
    await attended.run(5)
    assert "status" in attended.hub.asked
    assert attended.roster.before("ns", "shop", "")
    attended.hub.troubles["status"] = []
    await attended.run(5)
    assert attended.roster.before("ns", "shop", "") == []


@jumping
async def test_if_that_one_does_nothing_the_step_is_taken_after_a_moment() -> None:
    """And the steps after that at once."""
    attended = Attended(QuietHub(TO_NOBODY, ONE, TWO))
    peer_before(attended)
    after(2, lambda: attended.renew(replace(ONE, acknowledged=Acknowledgement(IDLE.uid, TERM + 1))))
    await attended.run(5)
    assert [reason for reason, _ in attended.events] == ["Demoting", "Demoted"]
    written = [moment - AFTERWARDS for _, moment in attended.events]
    assert written == pytest.approx([0.5, 2], abs=0.01)


@jumping
async def test_a_step_does_not_wait_for_a_peer_that_was_too_slow_before() -> None:
    attended = Attended(QuietHub(TO_NOBODY, ONE, TWO))
    peer_before(attended)
    attended.roster.stepped_in("ns", attended.roster.before("ns", "shop", ""))
    await attended.run(0.1)
    assert attended.events[0][0] == "Demoting"


def demoting_without_end() -> Attended:
    """A switchover waits for a worker that renews and does not acknowledge. Its deadline is 30 s."""
    attended = Attended(QuietHub(WAITING, BEHIND, TWO))
    attended.knows()
    for n in range(30):
        after(5 * n, lambda: attended.renew(BEHIND))
    return attended


async def rolled_back(attended: Attended, *, not_before: float, by: float) -> None:
    """The request is rolled back between these seconds, and nothing else happens."""
    async with at_work(attended.loop.run()):
        await asyncio.sleep(not_before)
        assert attended.events == []
        await asyncio.sleep(by - not_before)
    assert [reason for reason, _ in attended.events] == ["RolledBack"]


def slow_once(attended: Attended, moment: float, seconds: float, act: Callable[[], None]) -> None:
    """What the loop asks the hub because of `act`, at that moment, takes so many seconds."""

    def slow() -> None:
        attended.hub.slow = seconds
        act()

    after(moment, slow)
    after(moment + 1, lambda: setattr(attended.hub, "slow", 0.0))


@jumping
async def test_time_in_the_queue_does_not_count_against_a_deadline() -> None:
    attended = demoting_without_end()
    async with at_work(attended.loop.run()):
        await asyncio.sleep(10)
        async with attended.loop._turns.turn(Rank(of_peers=False, rests=False, priority=0, since=0.0)):
            await asyncio.sleep(40)
        await asyncio.sleep(15)
        assert attended.events == []
        await asyncio.sleep(10)
    assert [reason for reason, _ in attended.events] == ["RolledBack"]


@jumping
async def test_time_with_a_hub_that_throttles_does_not_count_either() -> None:
    attended = demoting_without_end()
    throttled: list[Exception] = [
        errors.UnreachableError("the hub is overloaded (429)")
    ] * 15  # for 30 s or more

    def throttle() -> None:
        attended.hub.troubles["get"] = throttled
        attended.loop.look_again()

    after(10, throttle)
    async with at_work(attended.loop.run()):
        await asyncio.sleep(50)
        assert (throttled, attended.events) == ([], [])
        await asyncio.sleep(40)
    assert [reason for reason, _ in attended.events] == ["RolledBack"]


@jumping
async def test_time_with_a_slow_hub_does_not_count_either() -> None:
    attended = demoting_without_end()

    slow_once(attended, 12, 4.0, attended.loop.look_again)
    await rolled_back(attended, not_before=33, by=36)


@jumping
async def test_time_with_a_slow_hub_does_not_count_for_a_step_that_it_shows_to_be_wrong_either() -> None:
    """The watch says that the last worker is gone, and the list that it is there."""
    attended = demoting_without_end()

    def gone() -> None:
        attended.loop.cache.watched_lease(attended.hub.leases[0], CLOCK.boot(), deleted=True)
        attended.loop.wake.set()

    slow_once(attended, 26, 10.0, gone)
    await rolled_back(attended, not_before=38, by=58)


@jumping
async def test_time_in_which_the_process_was_stopped_does_not_count_either() -> None:
    """It counts until the moment at which the process would have looked anyway."""
    attended = demoting_without_end()
    after(15.2, lambda: stall(9.5))
    await rolled_back(attended, not_before=33, by=42)


@jumping
async def test_an_event_shows_since_when_the_process_has_been_late() -> None:
    attended = demoting_without_end()
    attended.loop._looks = Backoff(first=60.0, longest=60.0)  # nothing else to do before the deadline

    def late() -> None:
        attended.loop.woken(CLOCK.boot())
        stall(9.5)

    after(15.2, late)
    await rolled_back(attended, not_before=38, by=42)


@jumping
async def test_an_event_that_was_handled_in_time_excuses_nothing_later() -> None:
    attended = demoting_without_end()
    after(1, lambda: attended.loop.woken(CLOCK.boot()))
    async with at_work(attended.loop.run()):
        await asyncio.sleep(31)
    assert [reason for reason, _ in attended.events] == ["RolledBack"]


@jumping
async def test_a_turn_that_takes_no_time_excuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    attended, excused = demoting_without_end(), list[float]()
    monkeypatch.setattr(attended.loop.cache, "excuse", lambda seconds, *_, **__: excused.append(seconds))
    async with at_work(attended.loop.run()):
        await asyncio.sleep(20)
    assert len(attended.reads) > 1
    assert excused == []


@jumping
async def test_a_step_that_is_left_to_others_is_still_seen_as_waiting() -> None:
    """A peer that comes first changes nothing about when a deadline is over."""
    attended = demoting_without_end()
    peer_before(attended)
    await rolled_back(attended, not_before=30, by=32)


@jumping
async def test_a_peers_federation_is_read_seldom() -> None:
    waiting = federation("passive passive", switchover=bootstrap(), workers=0, live=0)
    attended = Attended(QuietHub(described(waiting)))
    peer = peer_before(attended)
    for n in range(12):  # it stays alive
        after(50 * n, lambda: attended.roster.found("ns", {peer: f"{peer}/{CLOCK.boot()}"}))
    await attended.run(600)
    assert 2 <= len(attended.reads) <= 3


@jumping
async def test_when_a_peer_dies_its_federations_are_read_as_often_as_others() -> None:
    waiting = federation("passive passive", switchover=bootstrap(), workers=0, live=0)
    attended = Attended(QuietHub(described(waiting)))
    peer_before(attended)  # it gives no sign of life any more
    await attended.run(140)
    assert 66 < attended.reads[0] < 127
    assert len(attended.reads) > 1


@jumping
async def test_a_step_that_is_due_is_taken_without_reading_first() -> None:
    """A write shows by itself whether what was read is outdated."""
    attended = Attended(QuietHub(TO_NOBODY, ONE, TWO))
    attended.loop._refresh_at = -math.inf
    attended.knows()
    await attended.loop._have_a_turn()
    assert attended.hub.asked[0] == "status"


@jumping
async def test_a_step_without_effect_does_not_make_the_next_reading_due_at_once() -> None:
    """Else the loop would go round and round without a pause."""
    attended = Attended(QuietHub(TO_NOBODY, ONE, TWO))
    attended.loop._refresh_at = -math.inf
    attended.knows()
    attended.hub.troubles["status"] = [errors.ConflictError("another version")]
    with pytest.raises(errors.ConflictError):
        await attended.loop._have_a_turn()
    assert attended.loop._refresh_at > CLOCK.boot()


@jumping
async def test_whoever_took_a_step_of_a_switchover_takes_the_next_one() -> None:
    """Even if the peer that comes first otherwise has woken up meanwhile."""
    attended = Attended(QuietHub(TO_NOBODY, ONE, TWO))
    peer = peer_before(attended)
    after(1.9, lambda: attended.roster.acted("ns", peer))
    after(2, lambda: attended.renew(replace(ONE, acknowledged=Acknowledgement(IDLE.uid, TERM + 1))))
    await attended.run(5)
    written = [moment - AFTERWARDS for _, moment in attended.events]
    assert written == pytest.approx([0.5, 2], abs=0.01)


@jumping
async def test_a_switchover_that_a_peer_is_in_the_middle_of_is_left_to_it() -> None:
    """Although this operator comes first otherwise."""
    assert WAITING.status
    peer = "peer-4"
    about = replace(WAITING, status=replace(WAITING.status, operator=peer))
    attended = Attended(QuietHub(described(about), BEHIND, TWO))
    attended.roster.found("ns", {peer: "peer-4/1"})
    assert attended.roster.before("ns", "shop", "") == []
    after(2, lambda: attended.renew(replace(BEHIND, acknowledged=Acknowledgement(IDLE.uid, TERM))))
    await attended.run(5)
    (written,) = (moment - AFTERWARDS for _, moment in attended.events)
    assert written == pytest.approx(2.5, abs=0.01)


@jumping
async def test_a_dead_peers_federation_does_not_queue_behind_own_work() -> None:
    """However many others wait for a turn: it has waited longest."""
    attended = Attended(QuietHub(TO_NOBODY, ONE, TWO))
    peer_before(attended)
    attended.knows()
    turns = attended.loop._turns

    async def others() -> None:
        while True:
            async with turns.turn(Rank(of_peers=False, rests=True, priority=0, since=CLOCK.boot())):
                await asyncio.sleep(1)

    async with at_work(others()), at_work(others()), at_work(others()), at_work(attended.loop.run()):
        await asyncio.sleep(3.5)
    assert attended.events[0][0] == "Demoting"


@pytest.mark.parametrize("force", [False, True])
@jumping
async def test_a_request_from_before_an_outage_is_not_carried_out_after_it(*, force: bool) -> None:
    """Nobody waits for it any more. Only the operator's own queue makes a request no older."""
    attended = Attended(QuietHub(IDLE, ONE, TWO))
    attended.knows()
    down: list[Exception] = [errors.UnreachableError("connection refused")] * 5000

    def place() -> None:
        assert IDLE.status
        asked = attended.hub.edit(status=replace(IDLE.status, switchover=request("c1", "c2", force=force)))
        attended.hub.troubles |= dict.fromkeys(("get", "list", "status"), down)
        attended.sees(asked)

    after(1, place)
    after(3600, down.clear)
    for seconds in range(3595, 3630, 5):
        after(seconds, lambda: attended.renew(TWO))
        after(seconds, lambda: attended.renew(ONE))
    async with at_work(attended.loop.run()):
        await asyncio.sleep(3640)
    assert attended.hub.about
    assert attended.hub.about.status
    assert attended.hub.about.status.history[0].outcome == "Expired"


@jumping
async def test_a_request_from_before_the_process_was_stopped_is_not_carried_out_after_it() -> None:
    attended = Attended(QuietHub(IDLE, ONE, TWO))
    attended.knows()

    def place() -> None:
        assert IDLE.status
        attended.sees(attended.hub.edit(status=replace(IDLE.status, switchover=request("c1", "c2"))))
        stall(300)

    after(1, place)
    for seconds in range(0, 330, 5):
        after(seconds, lambda: attended.renew(TWO))
        after(seconds, lambda: attended.renew(ONE))
    async with at_work(attended.loop.run()):
        await asyncio.sleep(330)
    assert attended.hub.about
    assert attended.hub.about.status
    assert attended.hub.about.status.history[0].outcome == "Expired"


@jumping
async def test_a_request_that_has_waited_for_its_turn_is_carried_out() -> None:
    attended = Attended(QuietHub(TO_NOBODY, ONE, TWO))
    attended.knows()
    for seconds in range(0, 300, 5):
        after(seconds, lambda: attended.renew(TWO))
        after(seconds, lambda: attended.renew(ONE))
    async with attended.loop._turns.turn(Rank(of_peers=False, rests=False, priority=0, since=0.0)):
        running = asyncio.create_task(attended.loop.run())
        await asyncio.sleep(200)
    await asyncio.sleep(1)
    running.cancel()
    assert attended.events[0][0] == "Demoting"


@jumping
async def test_whoever_has_waited_until_peers_come_first_queues_again_behind_own_work() -> None:
    attended = Attended(QuietHub(TO_NOBODY, ONE, TWO))
    attended.knows()
    attended.loop.look_again()
    turns, seen = attended.loop._turns, list[list[str]]()

    async def other() -> None:
        async with turns.turn(Rank(of_peers=False, rests=True, priority=0, since=CLOCK.boot())):
            seen.append(list(attended.hub.asked))

    async with at_work(attended.loop.run()):
        async with turns.turn(Rank(of_peers=False, rests=False, priority=0, since=0.0)):
            await asyncio.sleep(0.1)
            waiting = asyncio.create_task(other())
            await asyncio.sleep(0.1)
            peer_before(attended)
        await waiting
        assert seen == [[]], "it came first in the queue, and let the other one by"
        await asyncio.sleep(1)
        assert "get" in attended.hub.asked


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, (False, True, 0), id="at rest"),
        pytest.param({"priority": 7}, (False, True, -7), id="urgent"),
    ],
)
@jumping
async def test_whose_turn_it_is(change: dict[str, int], expected: tuple[bool, bool, int]) -> None:
    about = replace(IDLE, spec=replace(IDLE.spec, failover=replace(IDLE.spec.failover, **change)))  # type: ignore[arg-type]
    attended = Attended(QuietHub(about, ONE, TWO))
    attended.knows()
    assert attended.loop._rank()[:3] == expected
    attended.sees(attended.hub.edit(status=WAITING.status))
    assert attended.loop._rank().rests is False
    peer_before(attended)
    rank = attended.loop._rank()
    assert rank.of_peers
    assert rank.since == -CLOCK.boot()


@jumping
async def test_what_is_not_there_is_as_urgent_as_most() -> None:
    assert Attended(QuietHub(None)).loop._rank().priority == 0


@jumping
async def test_whoever_wrote_the_status_of_a_federation_at_rest_does_not_come_first() -> None:
    assert TO_NOBODY.status
    about = replace(TO_NOBODY, status=replace(TO_NOBODY.status, operator="peer-4"))
    attended = Attended(QuietHub(about, ONE, TWO))
    attended.roster.found("ns", {"peer-4": "peer-4/1"})
    assert attended.roster.before("ns", "shop", "peer-4") == ["peer-4"]
    assert attended.roster.before("ns", "shop", "") == []
    await attended.run(0.1)
    assert [reason for reason, _ in attended.events] == ["Demoting"]


@jumping
async def test_a_peers_federation_is_read_at_once_when_the_watches_have_begun_again() -> None:
    attended = Attended(QuietHub(described(IDLE), ONE, TWO))
    peer_before(attended)
    after(5, attended.loop.look_again)
    await attended.run(10)
    assert attended.reads == [5]


@jumping
async def test_that_is_so_if_a_step_is_left_to_the_peer_as_well() -> None:
    attended = Attended(QuietHub(TO_NOBODY, ONE, TWO))
    peer_before(attended)
    after(0.1, attended.loop.look_again)
    await attended.run(0.2)
    assert attended.hub.asked == ["get", "list"]


@jumping
async def test_a_step_in_the_place_of_a_peer_is_taken_after_reading() -> None:
    """The peer may have taken it just now."""
    attended = Attended(QuietHub(TO_NOBODY, ONE, TWO))
    peer_before(attended)
    attended.loop._refresh_at = -math.inf
    attended.knows()
    await attended.loop._have_a_turn()
    assert attended.hub.asked[0] == "get"


@jumping
async def test_conflicts_are_counted() -> None:
    attended = Attended(QuietHub(TO_NOBODY, ONE, TWO))
    attended.hub.troubles["status"] = [errors.ConflictError("another version")]
    await attended.run(1)
    assert [reason for reason, _ in attended.events] == ["Demoting"]
    assert attended.loop.cache.tally.conflicts == 1


@jumping
async def test_work_lasts_from_the_first_step_until_the_federation_is_at_rest() -> None:
    """Who has waited longest comes first, and a step that was left to peers is not forgotten meanwhile."""
    attended = Attended(QuietHub(TO_NOBODY, ONE, TWO))
    async with at_work(attended.loop.run()):
        attended.knows()
        attended.loop.wake.set()
        await asyncio.sleep(1)
        assert [reason for reason, _ in attended.events] == ["Demoting"]
        work = attended.loop._work
        assert work, "it waits for a worker"
        await asyncio.sleep(1)
        attended.renew(replace(ONE, acknowledged=Acknowledgement(IDLE.uid, TERM + 1)))
        await asyncio.sleep(1)
        assert [reason for reason, _ in attended.events] == ["Demoting", "Demoted"]
        assert attended.loop._work is None
        since = attended.loop._rank().since
        assert since == CLOCK.boot() > work.since


@jumping
async def test_every_decision_is_counted_once() -> None:
    attended = Attended(QuietHub(described(IDLE), ONE, TWO))
    await attended.run(0.1)
    assert attended.loop.cache.tally.decisions == 1
