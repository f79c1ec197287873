"""A request from start to end: what the worker writes, how long it waits, and what it answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from tcf.core.admission import Kind
from tcf.core.history import ended
from tcf.core.model import Federation, MemberRef, Principal, Refusal, Role, Status, Trigger
from tcf.core.reading import Reading
from tcf.core.reasons import Outcome
from tcf.hub import errors
from tcf.worker.knowledge import Knowledge
from tcf.worker.switchovers import Course, Effect, Switchovers, Wish
from unit.build import TERM, TIMEOUT, at, federation, request, rows, status
from unit.jumping_loop import CLOCK, jumping, passed
from unit.role_server import RoleServer

SOMEBODY = Principal("10.0.0.9", "c2")
PROMOTE, DEMOTE, TOGGLE = Wish(Kind.PROMOTE), Wish(Kind.DEMOTE), Wish(Kind.TOGGLE)
UNANSWERED = errors.UnreachableError("no answer", ambiguous=True)
DOWN = errors.UnreachableError("connection refused")
GIVES_UP = 10.0
"""Seconds for which a write of unknown fate is repeated, and a reading waited for."""
WITHDRAWS = 1.1 * TIMEOUT + 1
TOO_LONG = 3 * TIMEOUT + 10


class Desk:
    """A worker of c2 that is asked, and its hub. What the hub has is seen at once, by a reading as well."""

    def __init__(self, about: Federation | None = None, *, blind: bool = False) -> None:
        self.known = Knowledge(MemberRef("ns", "shop", "c2"), clock=CLOCK)
        self.hub = RoleServer(about or federation("active passive"))
        self.switchovers = Switchovers(self.known, self.hub.as_federations)
        self.blind = blind
        """Whether its own reading stays behind."""
        self.see()

    def see(self, *, watched: bool = True) -> None:
        """As a watch and a cycle of renewal do."""
        if self.hub.about:
            if watched:
                self.known.watched(self.hub.about)
            if not self.blind:
                cycle = self.known.state.begin(at(CLOCK.boot()))
                renewal = self.known.state.observe(cycle, self.hub.about)
                assert renewal
                self.known.state.renewed(cycle, renewal)
        self.known.announce()

    def move(self, change: Callable[[Status], Status], *, seen: bool = True) -> None:
        """An operator writes the status."""
        about = self.hub.about
        assert about
        assert about.status
        self.hub.put(replace(about, status=change(about.status)))
        if seen:
            self.see()

    @contextlib.asynccontextmanager
    async def asked(self, wish: Wish = PROMOTE) -> AsyncIterator[asyncio.Task[Reading | Refusal]]:
        """A request that has been written and is waited for."""
        task = asyncio.create_task(self.switchovers.ask(wish, SOMEBODY, Course("mine")))
        await asyncio.sleep(0.001)
        yield task
        task.cancel()

    async def ask(self, wish: Wish = PROMOTE) -> Reading | Refusal:
        return await self.switchovers.ask(wish, SOMEBODY, Course("mine"))

    @property
    def written(self) -> Status:
        return self.hub.writes[-1]


def succeeds(roles: str, term: int = TERM + 3) -> Callable[[Status], Status]:
    """The request ends well, at a table of these roles."""

    def change(before: Status) -> Status:
        after = status(roles, term=term, switchover=before.switchover, history=before.history)
        return ended(after, Outcome.SUCCEEDED, "", at())

    return change


def fails(outcome: str, why: str, term: int = TERM + 2) -> Callable[[Status], Status]:
    def change(before: Status) -> Status:
        return ended(replace(before, term=term), outcome, why, at())

    return change


def acts(before: Status) -> Status:
    """An operator moves the first role."""
    return status("demoting passive", term=TERM + 1, switchover=before.switchover, history=before.history)


def pauses(moments: list[float]) -> list[float]:
    return [later - sooner for sooner, later in pairwise(moments)]


def reason_of(result: Reading | Refusal) -> str:
    return result.reason if isinstance(result, Refusal) else f"done, {result.role}"


def message_of(result: Reading | Refusal) -> str:
    assert isinstance(result, Refusal)
    return result.message


# --- done, or refused ---------------------------------------------------------------------------------


@jumping
async def test_a_request_is_written_and_its_outcome_answered(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    desk = Desk()
    wish = Wish(Kind.PROMOTE, reason="maintenance", expected_term=TERM, force=True)
    async with desk.asked(wish) as task:
        asked = desk.written.switchover
        assert asked
        assert (asked.from_, asked.to, asked.trigger) == ("c1", "c2", Trigger.API)
        assert (asked.requested_by, asked.reason, asked.force) == ("10.0.0.9 via c2", "maintenance", True)
        assert not task.done()
        desk.move(succeeds("passive active"))
        result = await task
    assert isinstance(result, Reading)
    assert (result.term, result.role, result.clusters) == (TERM + 3, Role.ACTIVE, rows("passive active"))
    first, last = caplog.records
    assert (first.getMessage(), last.getMessage()) == ("promote requested", "promote done")
    assert vars(first)["request"] == vars(last)["request"] == asked.id
    assert (vars(last)["term"], vars(last)["by"]) == (TERM + 3, "10.0.0.9 via c2")
    assert desk.hub.deadlines == {5}


@pytest.mark.parametrize(
    ("about", "wish", "reason"),
    [
        (federation("active passive"), Wish(Kind.PROMOTE, expected_term=TERM - 1), "TermMismatch"),
        (federation("active passive passive"), TOGGLE, "NotTwoClusters"),
        (federation(None), PROMOTE, "NotBootstrapped"),
        (federation("demoting passive", switchover=request(to="")), PROMOTE, "SwitchoverInProgress"),
    ],
    ids=["another term", "a toggle of three", "no roles yet", "another one is under way"],
)
@jumping
async def test_what_is_not_admitted_is_not_written(
    about: Federation, wish: Wish, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    desk = Desk(about)
    assert reason_of(await desk.ask(wish)) == reason
    assert desk.hub.writes == []
    (record,) = caplog.records
    assert (record.levelname, vars(record)["reason"]) == ("WARNING", reason)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.NotFoundError("no such federation"), "FederationNotFound"),
        (DOWN, "HubUnreachable"),
        (errors.ForbiddenError("no rights"), "HubForbidden"),
    ],
    ids=["no federation", "the hub is down", "no rights"],
)
@pytest.mark.parametrize("method", ["get", "status"])
@jumping
async def test_trouble_before_anything_was_written_is_a_certain_refusal(
    method: str, error: errors.HubError, reason: str
) -> None:
    """Except that a federation which is gone when it is written may have taken the request before."""
    desk = Desk()
    desk.hub.troubles[method] = [error]
    result = await desk.ask()
    if (method, reason) == ("status", "FederationNotFound"):
        assert reason_of(result) == "OutcomeUnknown"
    else:
        assert reason_of(result) == reason
        assert message_of(result).startswith("nothing was changed: ")
    assert passed() == 0


@jumping
async def test_what_is_so_already_is_done() -> None:
    desk = Desk(federation("passive active"))
    assert reason_of(await desk.ask()) == "done, active"
    assert desk.hub.writes == []


@jumping
async def test_a_failed_request_is_answered_when_this_worker_knows_its_table() -> None:
    desk = Desk(blind=True)
    async with desk.asked() as task:
        desk.move(fails("NoLiveWorker", "no worker of c2 is alive"))
        await asyncio.sleep(1)
        assert not task.done(), "else its answers would contradict this one"
        desk.blind = False
        desk.see()
        result = await task
    assert (reason_of(result), message_of(result)) == ("NoLiveWorker", "no worker of c2 is alive")


@jumping
async def test_a_success_that_this_worker_cannot_answer_for_in_time_is_none() -> None:
    """Its next answer would contradict a 200."""
    desk = Desk(blind=True)
    async with desk.asked() as task:
        desk.move(succeeds("passive active"))
        began = passed()
        result = await task
    assert passed() - began == pytest.approx(GIVES_UP, abs=0.01)
    assert reason_of(result) == "Starting"
    assert f"the roles are as asked (term {TERM + 3})" in message_of(result)


@jumping
async def test_a_member_that_came_meanwhile_is_in_the_table() -> None:
    desk = Desk()
    async with desk.asked() as task:
        desk.move(succeeds("passive active passive"))
        result = await task
    assert isinstance(result, Reading)
    assert result.clusters == rows("passive active passive")


@pytest.mark.parametrize("latest", ["none", "another", "bare"])
@jumping
async def test_a_success_that_a_read_has_found_is_about_the_members_at_the_time(latest: str) -> None:
    """This worker's watch is behind: it knows nothing of the federation, one of an earlier life, or no roles.

    And the roles have moved on since.
    """
    desk = Desk()
    async with desk.asked() as task:
        about = desk.hub.about
        assert about
        old = {"none": None, "another": replace(about, uid="uid-0", resource_version="0")}
        desk.known.latest = old.get(latest, replace(about, status=None))
        desk.known.announce()
        desk.move(succeeds("passive active"), seen=False)
        await asyncio.sleep(WITHDRAWS + 0.1)
        assert not task.done()
        desk.hub.put(federation("active passive", term=TERM + 6))
        desk.see(watched=False)
        result = await task
    assert isinstance(result, Reading)
    assert (result.term, result.clusters) == (TERM + 3, rows("passive active"))


@jumping
async def test_a_success_counts_until_the_last_moment() -> None:
    desk = Desk(blind=True)
    async with desk.asked() as task:
        desk.move(succeeds("passive active"))
        await asyncio.sleep(GIVES_UP - 0.5)
        desk.known.announce()
        await asyncio.sleep(0.3)
        desk.blind = False
        desk.see()
        assert reason_of(await task) == "done, active"


@jumping
async def test_a_success_that_was_watched_needs_no_read() -> None:
    desk = Desk()
    async with desk.asked() as task:
        desk.hub.troubles["get"] = [DOWN] * 1000
        desk.move(succeeds("passive active"))
        assert reason_of(await task) == "done, active"


@jumping
async def test_a_worker_that_has_seen_nothing_yet_may_be_asked() -> None:
    desk = Desk()
    desk.known.latest = None
    async with desk.asked():
        assert desk.written.switchover


@jumping
async def test_a_federation_of_another_life_may_have_a_lower_term() -> None:
    desk = Desk()
    desk.hub.about = federation("active passive", uid="uid-2", term=7, resource_version="9")
    async with desk.asked():
        assert desk.written.term == 7


# --- a dry run ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("about", "wish", "says"),
    [
        (federation("active passive"), PROMOTE, "done, passive"),
        (federation("active passive", live=0), PROMOTE, "NoLiveWorker"),
        (federation("active passive", live=0), Wish(Kind.PROMOTE, force=True), "done, passive"),
        (federation("passive active", live=0), PROMOTE, "done, active"),
        (federation("demoting passive", live=0, switchover=request()), PROMOTE, "done, passive"),
        (federation("active passive passive"), TOGGLE, "NotTwoClusters"),
    ],
    ids=["admitted", "to be refused", "by force", "so already", "one to join", "not admitted"],
)
@jumping
async def test_a_dry_run_foresees_and_changes_nothing(
    about: Federation, wish: Wish, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    desk = Desk(about)
    assert reason_of(await desk.ask(replace(wish, dry_run=True))) == says
    assert desk.hub.writes == []
    assert not [record for record in caplog.records if "done" in record.getMessage()]


@pytest.mark.parametrize(
    ("about", "dry_run", "effect"),
    [
        (federation(), True, Effect.DRY_RUN),
        (federation("passive active"), False, Effect.UNCHANGED),
        (federation(), False, Effect.CHANGED),
    ],
)
@jumping
async def test_what_a_wish_has_done_is_noted_for_the_audit(
    about: Federation, effect: Effect, *, dry_run: bool
) -> None:
    desk, course = Desk(about), Course("mine")
    asking = asyncio.create_task(desk.switchovers.ask(replace(PROMOTE, dry_run=dry_run), SOMEBODY, course))
    await asyncio.sleep(0.001)
    assert course.effect is effect
    asking.cancel()


# --- writing it ---------------------------------------------------------------------------------------


@jumping
async def test_after_a_conflict_it_is_written_again() -> None:
    desk = Desk()
    desk.hub.troubles["status"] = [errors.ConflictError("another version")] * 3
    async with desk.asked() as task:
        await asyncio.sleep(0.2)
        assert len(desk.hub.writes) == 4
        desk.move(succeeds("passive active"))
        assert reason_of(await task) == "done, active"


@jumping
async def test_however_many_conflicts_there_are_it_tries_again_within_a_second() -> None:
    desk = Desk()
    desk.hub.troubles["status"] = [errors.ConflictError("another version")] * 1000
    async with desk.asked():
        await asyncio.sleep(30)
    between = pauses(desk.hub.written)
    assert between[0] <= 0.01
    assert 0.8 < max(between) <= 1


@jumping
async def test_after_a_conflict_it_is_judged_again() -> None:
    desk = Desk()
    desk.hub.troubles["status"] = [errors.ConflictError("another version")]
    async with desk.asked() as task:
        desk.move(lambda before: replace(before, switchover=request(to="", id="another")))
        assert reason_of(await task) == "SwitchoverInProgress"


@jumping
async def test_a_write_of_unknown_fate_is_repeated_as_it_was() -> None:
    desk = Desk()
    desk.hub.troubles["status"] = [UNANSWERED, DOWN, UNANSWERED]
    async with desk.asked() as task:
        await asyncio.sleep(1)
        assert len(desk.hub.writes) == 4
        assert all(write == desk.written for write in desk.hub.writes)
        desk.move(succeeds("passive active"))
        assert reason_of(await task) == "done, active"


@jumping
async def test_a_write_of_unknown_fate_is_given_up_after_ten_seconds() -> None:
    desk = Desk()
    desk.hub.troubles["status"] = [UNANSWERED] * 1000
    result = await desk.ask()
    assert reason_of(result) == "OutcomeUnknown"
    assert "while the request was being written" in message_of(result)
    assert GIVES_UP <= passed() < GIVES_UP + 1
    between = pauses(desk.hub.written)
    assert between[0] <= 0.02
    assert 0.5 < max(between) <= 1


# --- waiting ------------------------------------------------------------------------------------------


@jumping
async def test_a_request_that_nobody_acts_on_is_taken_back() -> None:
    desk = Desk()
    async with desk.asked() as task:
        await asyncio.sleep(WITHDRAWS - 1)
        desk.see()
        assert not task.done()
        assert reason_of(await task) == "NoCoordinator"
    assert passed() == pytest.approx(WITHDRAWS, abs=0.01)
    assert desk.hub.about
    assert desk.hub.about.status
    assert desk.hub.about.status.switchover is None
    assert [past.outcome for past in desk.hub.about.status.history] == ["NoCoordinator"]


@jumping
async def test_it_is_taken_back_also_after_a_conflict_and_a_moment_without_the_hub() -> None:
    desk = Desk()
    async with desk.asked() as task:
        await asyncio.sleep(1)
        desk.hub.troubles["get"] = [DOWN] * 3
        desk.hub.troubles["status"] = [errors.ConflictError("another version")]
        assert reason_of(await task) == "NoCoordinator"


@pytest.mark.parametrize(
    ("error", "says"),
    [(DOWN, "stopped answering after the request was sent"), (errors.NotFoundError("gone"), "deleted")],
    ids=["down", "deleted"],
)
@jumping
async def test_a_hub_that_is_not_there_when_it_is_to_be_taken_back_leaves_it_open(
    error: errors.HubError, says: str
) -> None:
    desk = Desk()
    async with desk.asked() as task:
        desk.hub.troubles["get"] = [error] * 1000
        result = await task
    assert reason_of(result) == "OutcomeUnknown"
    assert says in message_of(result)
    expected = WITHDRAWS + (GIVES_UP if error is DOWN else 0)
    assert expected <= passed() < expected + 1
    between = pauses(desk.hub.reads[1:])
    if error is DOWN:
        assert between[0] <= 0.05
        assert 0.5 < max(between) <= 1


@jumping
async def test_a_request_that_somebody_acts_on_is_not_taken_back() -> None:
    desk = Desk()
    async with desk.asked() as task:
        desk.move(acts, seen=False)
        await asyncio.sleep(WITHDRAWS + 1)
        assert len(desk.hub.writes) == 1
        desk.move(succeeds("passive active"))
        assert reason_of(await task) == "done, active"


@jumping
async def test_one_that_goes_on_for_longer_than_it_may_is_left_open() -> None:
    desk = Desk()
    async with desk.asked() as task:
        desk.move(acts)
        result = await task
    assert reason_of(result) == "OutcomeUnknown"
    assert "still under way" in message_of(result)
    assert passed() == pytest.approx(TOO_LONG, abs=0.01)


@jumping
async def test_the_request_of_somebody_else_is_joined_and_never_taken_back() -> None:
    desk = Desk(federation("active passive", switchover=request(id="another")))
    async with desk.asked() as task:
        await asyncio.sleep(WITHDRAWS + 1)
        assert desk.hub.writes == []
        assert not task.done()
        desk.move(succeeds("passive active"))
        assert reason_of(await task) == "done, active"


@jumping
async def test_one_that_has_ended_when_it_is_to_be_taken_back_is_answered() -> None:
    desk = Desk()
    async with desk.asked() as task:
        desk.move(succeeds("passive active"), seen=False)
        await asyncio.sleep(WITHDRAWS + 0.1)
        assert not task.done()
        desk.see()
        assert reason_of(await task) == "done, active"
    assert len(desk.hub.writes) == 1


@jumping
async def test_a_status_that_is_gone_for_a_while_is_waited_for() -> None:
    desk = Desk()
    async with desk.asked() as task:
        latest = desk.known.latest
        assert latest
        desk.known.latest = replace(latest, status=None)
        desk.known.announce()
        await asyncio.sleep(1)
        desk.move(succeeds("passive active"))
        assert reason_of(await task) == "done, active"


@jumping
async def test_one_that_somebody_has_removed_by_hand_is_left_open() -> None:
    desk = Desk()
    async with desk.asked() as task:
        desk.move(lambda before: replace(before, switchover=None))
        result = await task
    assert reason_of(result) == "OutcomeUnknown"
    assert "somebody has removed the request" in message_of(result)


@jumping
async def test_a_worker_that_is_stopped_leaves_it_open_at_once() -> None:
    desk = Desk()
    async with desk.asked() as task:
        desk.known.stopped = True
        desk.known.announce()
        result = await task
    assert reason_of(result) == "OutcomeUnknown"
    assert "this worker is being stopped" in message_of(result)
    assert passed() < 1


@pytest.mark.parametrize("blind", [False, True], ids=["while it runs", "when it has ended"])
@jumping
async def test_a_federation_that_is_created_again_leaves_it_open(*, blind: bool) -> None:
    desk = Desk(blind=blind)
    async with desk.asked() as task:
        if blind:
            desk.move(succeeds("passive active"))
            await asyncio.sleep(0.1)
        desk.hub.put(federation("active passive", uid="uid-2"))
        desk.see()
        result = await task
    assert reason_of(result) == "OutcomeUnknown"
    assert "created again" in message_of(result)
    assert passed() < 1
