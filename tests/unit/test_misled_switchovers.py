"""What a client hears when the hub's answers mislead: faults of the network that are not easily made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

import pytest

from tcf.core.admission import Kind
from tcf.core.history import ended
from tcf.core.model import HISTORY_LENGTH, Federation, MemberRef, Principal, Refusal, Role, Status
from tcf.core.reading import Reading
from tcf.core.reasons import Outcome
from tcf.hub import errors
from tcf.hub.federations import Federations
from tcf.worker.knowledge import Knowledge
from tcf.worker.switchovers import Course, Switchovers, Wish
from unit.build import BOOT, LOST, TERM, ClockAt, at, entry, federation, request, status

SOMEBODY = Principal("10.0.0.9", "c2")

Write = Callable[[Federation, Status], Federation]


class FakeFederations:
    """A hub that takes the first write, and answers each write as given."""

    def __init__(self, *answers: errors.HubError | None, then: Federation | None) -> None:
        self.present: Federation | None = federation("active passive")
        self.writes: list[Status] = []
        self._answers: Iterator[errors.HubError | None] = iter(answers)
        self._then = then
        self.made_of_it: Federation | None = None

    async def get(self, *_: object, **__: object) -> Federation:
        if self.present is None:
            raise errors.NotFoundError("no such federation")
        return self.present

    async def write_status(self, seen: Federation, status: Status, **_: object) -> Federation:
        if not self.writes:
            self.present = self.made_of_it or (
                self._then and replace(self._then, status=ended(status, Outcome.ROLLED_BACK, "why", at()))
            )
        self.writes.append(status)
        if error := next(self._answers):
            raise error
        return seen


def knowledge(boot: Callable[[], float] = lambda: BOOT) -> Knowledge:
    return Knowledge(MemberRef("ns", "shop", "c2"), clock=ClockAt(boot))


def switchovers(known: Knowledge, hub: FakeFederations) -> Switchovers:
    return Switchovers(known, cast("Federations", hub))


def give_reading(known: Knowledge, about: Federation) -> None:
    """As if a cycle had just read this federation."""
    cycle = known.state.begin(at(BOOT))
    renewal = known.state.observe(cycle, about)
    assert renewal
    known.state.renewed(cycle, renewal)


async def ask(hub: FakeFederations) -> Reading | Refusal:
    known = knowledge()
    give_reading(known, federation("active passive", term=TERM))
    if hub.present:
        known.latest = replace(hub.present, status=None)
    original = hub.get

    async def seen(*args: object, **more: object) -> Federation:
        known.latest = await original(*args, **more)
        return known.latest

    hub.get = seen  # type: ignore[method-assign]
    return await switchovers(known, hub).ask(Wish(Kind.PROMOTE), SOMEBODY, Course("mine"))


async def test_a_write_that_was_repeated_on_the_way_is_one_request() -> None:
    """The answer is that of the repetition: a conflict, with what the first one has written."""
    hub = FakeFederations(errors.ConflictError("another version"), then=federation("active passive"))
    result = await ask(hub)
    assert isinstance(result, Refusal)
    assert (result.reason, len(hub.writes)) == (Outcome.ROLLED_BACK, 1)


@pytest.mark.parametrize(
    "lost", [(), (errors.UnreachableError("no answer", ambiguous=True),)], ids=["at once", "after a timeout"]
)
async def test_a_federation_that_is_deleted_while_it_is_written_leaves_it_open(
    lost: tuple[errors.HubError, ...],
) -> None:
    """Also at once: that answer, too, may be one to a repetition on the way."""
    hub = FakeFederations(*lost, errors.NotFoundError("no such federation"), then=None)
    result = await ask(hub)
    assert isinstance(result, Refusal)
    assert result.reason == "OutcomeUnknown"
    assert "deleted meanwhile" in result.message


@pytest.mark.parametrize(
    "after",
    [
        federation("active passive", uid="uid-2", resource_version="9"),
        replace(federation("active passive", resource_version="9"), status=None),
        federation("active passive", term=TERM - 1, resource_version="9"),
        federation("passive passive", term=TERM + 9, resource_version="9", history=(LOST,)),
    ],
    ids=["created again", "without a status", "restored", "begun again"],
)
async def test_a_conflict_with_what_knows_nothing_of_the_request_leaves_it_open(after: Federation) -> None:
    """An earlier attempt, or one that was repeated on the way, may have been carried out before."""
    hub = FakeFederations(errors.ConflictError("another version"), then=None)
    hub.made_of_it = after
    result = await ask(hub)
    assert isinstance(result, Refusal)
    assert (result.reason, len(hub.writes)) == ("OutcomeUnknown", 1)


async def test_a_worker_that_has_not_heard_of_a_new_federation_yet_waits_for_it() -> None:
    """Its latest is of the one before, which is older news, not newer."""
    hub = FakeFederations(None, then=None)
    hub.present = federation("passive active", uid="uid-2", resource_version="9")
    known = knowledge()
    known.latest = federation("active passive", resource_version="3")
    asked = asyncio.create_task(switchovers(known, hub).ask(Wish(Kind.PROMOTE), SOMEBODY, Course("mine")))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not asked.done()
    give_reading(known, hub.present)
    known.latest = hub.present
    known.announce()
    reading = await asked
    assert isinstance(reading, Reading)
    assert reading.uid == "uid-2"


async def test_what_a_restored_hub_has_lost_is_not_called_undone() -> None:
    """It was carried out at a term that this worker has seen; the hub shows it as if nobody had acted."""
    now = BOOT
    hub = FakeFederations(None, then=None)
    known = knowledge(lambda: now)
    placed = hub.present = federation("active passive", resource_version="3")
    asked = asyncio.create_task(switchovers(known, hub).ask(Wish(Kind.PROMOTE), SOMEBODY, Course("mine")))
    for _ in range(5):
        await asyncio.sleep(0)
    give_reading(known, federation("demoting passive", term=TERM + 1, resource_version="5"))
    hub.present = replace(placed, status=hub.writes[0], resource_version="4")
    now += 1000
    known.announce()
    result = await asked
    assert isinstance(result, Refusal)
    assert result.reason == "OutcomeUnknown"
    assert "restored" in result.message
    assert len(hub.writes) == 1


@pytest.mark.parametrize("kind", [Kind.DEMOTE, Kind.PROMOTE])
async def test_a_success_carries_the_table_of_its_own_outcome(kind: Kind) -> None:
    """Somebody else has moved the roles again before this worker has caught up."""
    already = "active passive" if kind is Kind.DEMOTE else "passive active"
    since = "passive active" if kind is Kind.DEMOTE else "active passive"
    hub = FakeFederations(then=None)
    hub.present = federation(already, resource_version="9")
    known = knowledge()
    later = federation(since, term=TERM + 3, resource_version="12")
    asked = asyncio.create_task(switchovers(known, hub).ask(Wish(kind), SOMEBODY, Course("mine")))
    for _ in range(5):
        await asyncio.sleep(0)
    known.latest = later
    give_reading(known, later)
    known.announce()
    result = await asked
    assert isinstance(result, Reading)
    assert (result.term, " ".join(row.role for row in result.clusters)) == (TERM, already)
    assert result.role is (Role.PASSIVE if kind is Kind.DEMOTE else Role.ACTIVE)
    assert result.valid_for(BOOT) == 0


async def test_a_table_that_was_edited_by_hand_is_not_answered_by_an_older_reading_of_the_same_term() -> None:
    """A 200 must not show the member as passive that it is about."""
    hub = FakeFederations(then=None)
    hub.present = federation("passive active", resource_version="9")
    known = knowledge()
    give_reading(known, federation("active passive", resource_version="8"))
    asked = asyncio.create_task(switchovers(known, hub).ask(Wish(Kind.PROMOTE), SOMEBODY, Course("mine")))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not asked.done()
    give_reading(known, hub.present)
    known.announce()
    result = await asked
    assert isinstance(result, Reading)
    assert [row.role for row in result.clusters] == [Role.PASSIVE, Role.ACTIVE]


async def test_a_request_that_so_many_others_followed_that_none_before_is_remembered_is_left_open() -> None:
    """It may have been carried out, and its record pushed out of the history."""
    many = tuple(entry(f"r{n}") for n in range(HISTORY_LENGTH))
    hub = FakeFederations(errors.ConflictError("another version"), then=None)
    hub.made_of_it = federation("active passive", term=TERM + 60, resource_version="9", history=many)
    result = await ask(hub)
    assert isinstance(result, Refusal)
    assert (result.reason, len(hub.writes)) == ("OutcomeUnknown", 1)


async def test_nothing_is_asked_of_a_hub_that_shows_less_than_was_seen_before() -> None:
    """What is under way there has ended already, as far as this worker knows: in a table that is lost."""
    running = federation("demoting passive", term=TERM + 1, switchover=request())
    over = ended(status("passive active", term=TERM + 3, switchover=request()), Outcome.SUCCEEDED, "", at())
    hub = FakeFederations(then=None)
    known = knowledge()
    known.latest = replace(running, status=over, resource_version="9")
    give_reading(known, known.latest)
    hub.present = running
    result = await switchovers(known, hub).ask(Wish(Kind.PROMOTE), SOMEBODY, Course("mine"))
    assert isinstance(result, Refusal)
    assert result.reason == "HubRestored"
    assert hub.writes == []
