"""The course of an evacuation on a hub that is slow, busy or gone, and with others who move roles, too."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from tcf.core import claims
from tcf.core.admission import Command, Kind
from tcf.core.history import ended
from tcf.core.model import Failover, Federation, Principal
from tcf.core.plan import command_for
from tcf.core.reasons import Outcome
from tcf.ctl.evacuation_course import EvacuationCourse
from tcf.ctl.evacuation_plan import EvacuationPlan, evacuation_of
from tcf.ctl.evacuation_report import Report, report_of
from tcf.ctl.terminal import Terminal
from tcf.hub import errors
from unit.build import TERM, TIMEOUT, at, federation, request
from unit.fleet_server import ANSWER_SECONDS, STEP_SECONDS, FleetServer
from unit.jumping_loop import CLOCK, after, jumping
from unit.turns import at_work

SILENT = Terminal.of(io.StringIO())
WITHDRAWS = 1.1 * TIMEOUT + 1
BUSY = errors.UnreachableError("the hub is overloaded (429)")
LOST = errors.UnreachableError("the connection broke", ambiguous=True)


def fleet(number: int, **more: Any) -> list[Federation]:
    return [federation("active passive", name=f"f{n:03}", **more) for n in range(number)]


def planned(federations: Iterable[Federation]) -> EvacuationPlan:
    def command_of(about: Federation) -> Command:
        return command_for(about, Kind.PROMOTE, "c2", id_=f"new-{about.name}", principal=Principal("anna"))

    return evacuation_of(federations, "", "c2", command_of, at())


class Evacuated:
    """An evacuation to c2, and the hub on which it happens."""

    def __init__(self, federations: Iterable[Federation]) -> None:
        every = list(federations)
        self.plan = planned(every)
        self.hub = FleetServer(every)
        self.course = EvacuationCourse(self.plan.moves)

    async def run(self, patience: int | None = None, *, others: int = 0) -> Report:
        """Leaves no task behind but the test's own, and `others`."""
        await self.course.run(self.hub.as_hub, "ns", patience, SILENT)
        assert len(asyncio.all_tasks()) == 1 + others
        return self.report

    @property
    def report(self) -> Report:
        return report_of(self.plan, self.course.moves, self.course.seconds)


def names(report: Report) -> list[str]:
    return [plan.federation.name for plan, _ in report.moved]


def why(report: Report) -> list[tuple[str, str]]:
    return [(end.refusal.reason, end.refusal.message) for _, end in report.failed if end.refusal]


@jumping
async def test_all_move_a_few_at_a_time_with_one_watch() -> None:
    evacuated = Evacuated(fleet(100))
    report = await evacuated.run()
    assert len(report.moved) == 100
    assert report.status == 0
    assert evacuated.hub.most_at_once == 16
    assert (evacuated.hub.watches, evacuated.hub.lists) == (1, 0)
    assert [gap for gap, _ in report.gaps] == pytest.approx([2 * STEP_SECONDS] * 100)
    _, ending = report.moved[0]
    assert (ending.request, ending.active, ending.term) == ("new-f000", "c2", TERM + 3)
    turns = 7  # of 16 each, which all take longer than a turn lasts
    assert report.seconds == pytest.approx(turns * 2 * ANSWER_SECONDS + (turns - 1) * 1 + 3 * STEP_SECONDS)


@jumping
async def test_moves_that_are_soon_over_do_not_run_at_the_same_time() -> None:
    evacuated = Evacuated(fleet(100))
    evacuated.hub.operator = lambda name: evacuated.hub.moves(name, 0.1)
    under_way: list[int] = []

    async def count() -> None:
        while True:
            moves = evacuated.course.moves
            under_way.append(sum(move.placed and move.ending is None for move in moves))
            await asyncio.sleep(0.01)

    async with at_work(count()):
        report = await evacuated.run(others=1)
    assert len(report.moved) == 100
    assert max(under_way) <= 16


@jumping
async def test_those_with_a_higher_priority_move_first() -> None:
    """Those with the same priority move in the order of their names."""
    priorities = [n % 3 for n in range(60)]
    every = [
        replace(one, spec=replace(one.spec, failover=Failover(priority=priority)))
        for one, priority in zip(fleet(60), priorities, strict=True)
    ]
    evacuated = Evacuated(every)
    await evacuated.run()
    order = [each.name for n in (2, 1, 0) for each in every[n::3]]
    assert [plan.federation.name for plan in evacuated.plan.moves] == order
    assert evacuated.hub.asked == order


@jumping
async def test_a_hub_that_refuses_for_a_while_is_no_failure() -> None:
    evacuated = Evacuated(fleet(20))
    evacuated.hub.troubles = {
        "get": [BUSY] * 40,
        "write_status": [BUSY, errors.ConflictError("changed"), LOST] * 5,
        "watch_all": [BUSY] * 3,
    }
    report = await evacuated.run()
    assert len(report.moved) == 20


@jumping
async def test_a_hub_that_is_gone_for_minutes_is_waited_for() -> None:
    evacuated = Evacuated(fleet(40))
    after(0.35, evacuated.hub.go_down)
    after(300, evacuated.hub.come_back)
    report = await evacuated.run()
    assert len(report.moved) == 40
    assert 300 < report.seconds < 330


@jumping
async def test_a_request_whose_answer_was_lost_is_found() -> None:
    """The hub is gone for longer than an attempt lasts, and meanwhile an operator has acted."""
    evacuated = Evacuated(fleet(1))
    evacuated.hub.lost_answer = "f000"
    report = await evacuated.run()
    assert names(report) == ["f000"]
    assert evacuated.hub.placed == ["f000"]


@jumping
async def test_what_the_hub_refuses_to_a_person_is_a_failure_of_its_own() -> None:
    evacuated = Evacuated(fleet(3))
    evacuated.hub.troubles = {"write_status": [errors.ForbiddenError("no", policy="you may not")]}
    report = await evacuated.run()
    assert len(report.moved) == 2
    assert why(report) == [("HubForbidden", "an admission policy of the hub refuses this: you may not")]
    assert report.status == 1


@jumping
async def test_what_an_operator_refuses_has_failed() -> None:
    evacuated = Evacuated(fleet(2))
    evacuated.hub.operator = evacuated.hub.refuses
    report = await evacuated.run()
    assert why(report) == [("NoLiveWorker", "why")] * 2
    assert report.status == 1


@jumping
async def test_a_federation_that_somebody_else_moves_there_is_there() -> None:
    """Before it is its turn, or meanwhile."""
    moved, moving, elsewhere = fleet(3)
    evacuated = Evacuated([moved, moving, elsewhere])
    hub = evacuated.hub
    assert moving.status
    assert elsewhere.status
    after_it = federation("passive active", term=TERM + 3)
    hub.put(replace(moved, status=after_it.status))
    asked = replace(moving.status, term=TERM + 1, switchover=request(id="theirs"))
    hub.put(replace(moving, status=asked))
    hub.moves("f001")
    hub.put(replace(elsewhere, status=replace(elsewhere.status, term=TERM + 6)))
    report = await evacuated.run()
    assert [plan.federation.name for plan, _ in report.settled] == ["f000"]
    assert [(plan.federation.name, end.request) for plan, end in report.moved] == [("f001", "theirs")]
    assert [reason for reason, _ in why(report)] == ["TermMismatch"]
    assert hub.placed == []


@jumping
async def test_a_request_that_is_under_way_already_is_waited_for() -> None:
    evacuated = Evacuated(fleet(1, switchover=request(id="theirs")))
    evacuated.hub.moves("f000")
    report = await evacuated.run()
    assert [end.request for _, end in report.moved] == ["theirs"]
    assert evacuated.hub.placed == []


@jumping
async def test_what_has_superseded_a_request_is_named() -> None:
    evacuated = Evacuated(fleet(2))
    hub = evacuated.hub

    def superseded(name: str) -> None:
        status = hub.there[name].status
        assert status
        over = ended(status, Outcome.SUPERSEDED, "superseded by request other", at())
        other = request(id="other", to="c2" if name == "f000" else "", requested_by="bob")
        hub.put(replace(hub.there[name], status=replace(over, switchover=other)))
        if name == "f000":
            hub.moves(name)

    hub.operator = lambda name: after(2, lambda: superseded(name))
    report = await evacuated.run()
    assert [(plan.federation.name, end.request) for plan, end in report.moved] == [("f000", "other")]
    assert why(report) == [
        ("Superseded", "superseded by request other (from c1 to nobody, requested by bob)"),
    ]


@jumping
async def test_without_an_operator_all_requests_are_withdrawn() -> None:
    evacuated = Evacuated(fleet(3))
    evacuated.hub.operator = None
    report = await evacuated.run()
    assert [reason for reason, _ in why(report)] == ["NoCoordinator"] * 3
    assert report.seconds == pytest.approx(WITHDRAWS, abs=2)
    assert all(one.status and not one.status.switchover for one in evacuated.hub.there.values())


@jumping
async def test_an_operator_that_has_much_to_do_is_waited_for() -> None:
    """Each request begins when the one before has ended, so most of them wait for long."""
    evacuated = Evacuated(fleet(10))
    turn = iter(range(10))
    evacuated.hub.operator = lambda name: after(5 + 20 * next(turn), lambda: evacuated.hub.moves(name))
    report = await evacuated.run()
    assert len(report.moved) == 10
    assert report.seconds > 5 * WITHDRAWS


@jumping
async def test_an_operator_that_dies_in_the_middle_is_not_waited_for_forever() -> None:
    evacuated = Evacuated(fleet(1))
    hub = evacuated.hub
    hub.operator = lambda name: after(1, lambda: hub._step(name, "demoting passive"))
    report = await evacuated.run()
    ((_, request_, said),) = report.unknown
    assert (request_, report.status) == ("new-f000", 3)
    assert "has taken longer than it may" in said


@jumping
async def test_a_federation_that_is_deleted_meanwhile() -> None:
    evacuated = Evacuated(fleet(2))
    hub = evacuated.hub
    hub.operator = lambda name: after(2, lambda: hub.delete(name) if name == "f000" else hub.moves(name))
    report = await evacuated.run()
    assert names(report) == ["f001"]
    ((plan, _, said),) = report.unknown
    assert (plan.federation.name, said) == ("f000", claims.DELETED)


@jumping
async def test_a_deletion_that_no_watch_shows_is_noticed() -> None:
    evacuated = Evacuated(fleet(1))
    hub = evacuated.hub
    hub.operator = None

    def delete_unseen() -> None:
        hub._deliver(errors.UnreachableError("the watch broke"))
        del hub.there["f000"]

    after(2, delete_unseen)
    report = await evacuated.run()
    assert "was deleted meanwhile" in report.unknown[0][2]
    assert report.seconds < 5


@jumping
async def test_what_cannot_be_read_counts_as_there() -> None:
    """An object that does not fit the schema is in no list. It may be the one that is missing."""
    evacuated = Evacuated(fleet(1))
    hub = evacuated.hub
    hub.operator, hub.malformed = None, ("something is wrong with an object",)

    def become_malformed() -> None:
        hub._deliver(errors.UnreachableError("the watch broke"))
        known = hub.there.pop("f000")
        after(10, lambda: hub.put(known))
        after(11, lambda: hub.moves("f000"))

    after(2, become_malformed)
    report = await evacuated.run()
    assert names(report) == ["f000"]


@jumping
async def test_when_the_time_is_over() -> None:
    """Those that are under way go on, and those whose turn has not come get no request."""
    evacuated = Evacuated(fleet(40))
    evacuated.hub.operator = None
    started = CLOCK.boot()
    after(0.25, evacuated.hub.go_down)
    report = await evacuated.run(patience=3)
    assert CLOCK.boot() - started == pytest.approx(3, abs=0.2)
    assert (len(report.unknown), report.going_on, len(report.not_asked)) == (16, 16, 24)
    assert report.status == 3
    assert all("goes on without it" in said for _, _, said in report.unknown)


@jumping
async def test_ctrl_c_before_anything_was_sent() -> None:
    evacuated = Evacuated(fleet(2))
    evacuated.hub.go_down()
    task = asyncio.create_task(evacuated.run())
    await asyncio.sleep(5)
    assert not evacuated.course.sent
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(evacuated.report.not_asked) == 2
    assert evacuated.report.seconds == pytest.approx(5)
