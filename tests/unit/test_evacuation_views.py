"""What an evacuation shows to people and to programs: the plan, the progress and the report."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from tcf.core.admission import Command, Kind
from tcf.core.model import Federation, Principal, Refusal
from tcf.core.plan import command_for
from tcf.ctl.evacuation_move import Move
from tcf.ctl.evacuation_plan import EvacuationPlan, Names, dry_run_json, evacuation_of, told
from tcf.ctl.evacuation_progress import Stage, show_progress
from tcf.ctl.evacuation_report import report_json, report_lines, report_of, stop_of
from tcf.ctl.exits import Exit
from tcf.ctl.switch_course import Ending
from tcf.ctl.terminal import Terminal
from tcf.runtime.waiting import within
from unit.build import TERM, at, federation, request, spec
from unit.jumping_loop import jumping, passed

PLAIN = Terminal.of(io.StringIO())
LOOK = "kubectl tcf -n ns list"


def named(name: str, about: Federation) -> Federation:
    return replace(about, name=name)


MOVES = named("moves", federation("active passive"))
BEGINS = named("begins", federation("passive passive"))
JOINS = named("joins", federation("active passive", switchover=request()))
THERE = named("there", federation("passive active"))
DEAD = named("dead", federation("active passive", live=0))
GRAVE = named("grave", federation("active passive", live=0))
NEW = named("new", federation(None))
BUSY = named("busy", federation("active passive passive", switchover=request(to="c3")))
PAUSED = named("paused", federation("active passive", paused=True))
ALONE = named("alone", federation("active", spec=spec(1)))


def planned(*federations: Federation, from_: str = "") -> EvacuationPlan:
    def command_of(about: Federation) -> Command:
        return command_for(about, Kind.PROMOTE, "c2", id_=f"new-{about.name}", principal=Principal("anna"))

    return evacuation_of(federations, from_, "c2", command_of, at())


EVERY = planned(MOVES, BEGINS, JOINS, THERE, DEAD, GRAVE, NEW, BUSY, PAUSED, ALONE)


def of(plans: Iterable[Any]) -> list[str]:
    return [getattr(each, "federation", each).name for each in plans]


def test_each_federation_is_judged_as_by_a_single_promote() -> None:
    assert of(EVERY.moves) == ["begins", "joins", "moves", "paused"]
    assert of(EVERY.unchanged) == ["there"]
    assert of(EVERY.refused) == ["busy", "dead", "grave", "new"]
    assert of(EVERY.others) == ["alone"]


def test_only_what_is_active_in_one_site_moves() -> None:
    """Also if a switchover is taking it away already, in whichever step."""
    third = named("third", federation("passive passive active"))
    leaves = named("leaves", federation("demoting passive passive", switchover=request("c1", "c3")))
    left = named("left", federation("passive passive passive", switchover=request("c1", "c3")))
    comes = named("comes", federation("passive passive promoting", switchover=request("c1", "c3")))
    plan = planned(MOVES, BEGINS, THERE, NEW, ALONE, third, leaves, left, comes, from_="c1")
    assert of(plan.moves) == ["moves"]
    assert of(plan.unchanged) == ["there"]
    assert of(plan.refused) == ["leaves", "left"]
    assert of(plan.elsewhere) == ["begins", "comes", "new", "third"]
    assert of(plan.others) == ["alone"]
    assert "c1 is not active in 4 federations, which stay as they are" in list(told(plan, Names()))
    found = dry_run_json(plan)
    assert (found["from"], [each["federation"] for each in found["elsewhere"]]) == ("c1", of(plan.elsewhere))
    assert dry_run_json(EVERY)["from"] is None


def test_each_move_is_for_the_table_that_the_person_was_told_of() -> None:
    assert [move.command.expected_term for move in EVERY.moves] == [TERM, None, TERM, TERM]


def test_the_plan_in_words() -> None:
    lines = list(told(EVERY, Names()))
    assert lines[:5] == [
        "c1 stops being active in 3 federations, and its applications have to stop there",
        "nobody is active now in 1 federation",
        "then c2 becomes active in 4 federations",
        "a switchover to c2 is under way already in 1 of these",
        "c2 is active already in 1 federation",
    ]
    assert lines[5].startswith("refused in 2 federations: NoLiveWorker: no worker of c2 is alive")
    assert lines[6] == "    dead, grave"
    assert lines[7].startswith("refused in 1 federation: SwitchoverInProgress: a switchover from c1 to c3")
    assert lines[-2:] == ["c2 is not a member of 1 federation, which stay as they are", "    alone"]


def test_names() -> None:
    many = [named(f"f{n}", MOVES) for n in range(13)]
    assert Names(most=10).listed(many) == ["    f0, f1, f2, f3, f4, f5, f6, f7, f8, f9 and 3 more"]
    assert Names(namespaces=True, most=1).listed(many[:1]) == ["    ns/f0"]
    every = Names().listed([named(f"federation-{n}", MOVES) for n in range(100)])
    assert all(len(line) <= 104 for line in every)
    assert "".join(every).count("federation-") == 100


def test_a_dry_run_for_programs() -> None:
    found = dry_run_json(EVERY)
    json.dumps(found)
    assert found["dryRun"] is True
    assert [(one["federation"], one["outcome"]) for one in found["moved"]] == [
        ("begins", "Accepted"),
        ("joins", "Joined"),
        ("moves", "Accepted"),
        ("paused", "Accepted"),
    ]
    assert found["failed"][1]["reason"] == "NoLiveWorker"
    assert found["notMember"] == [{"namespace": "ns", "federation": "alone"}]


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        (Stage(0, 0, 0, 0.0), f"[{30 * '#'}] 0 moved, 0 failed, 0 waiting, 0 s"),
        (Stage(2, 1, 3, 12.4), f"[{15 * '#'}{15 * '.'}] 2 moved, 1 failed, 3 waiting, 12 s"),
        (
            Stage(0, 0, 9, 1, "no answer"),
            f"[{30 * '.'}] 0 moved, 0 failed, 9 waiting, 1 s; trying again: no answer",
        ),
    ],
)
def test_the_progress(stage: Stage, line: str) -> None:
    assert stage.told() == line


@jumping
async def test_the_progress_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    await within(12, show_progress(PLAIN, lambda: Stage(1, 0, 1, passed())))
    assert [line.split(", ")[-1] for line in capsys.readouterr().err.splitlines()] == ["5 s", "10 s"]


@jumping
async def test_the_progress_at_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is never wider than the terminal, is written only when it changes, and is gone in the end."""
    monkeypatch.setenv("COLUMNS", "40")
    live = Terminal(colours=False, unicode=True, live=True)
    await within(3.2, show_progress(live, lambda: Stage(1, 0, 1, passed())))
    *lines, last = capsys.readouterr().err.split("\r\x1b[K")[1:]
    assert last == ""
    assert len(lines) == 1  # the seconds do not fit
    assert len(lines[0]) == 39
    monkeypatch.setenv("COLUMNS", "100")
    await within(3.2, show_progress(live, lambda: Stage(round(passed() * 100), 0, 1, passed())))
    *lines, last = capsys.readouterr().err.split("\r\x1b[K")[1:]
    assert 30 <= len(lines) <= 33


# --- the report ----------------------------------------------------------------------------------------


def ended(plan: EvacuationPlan, **endings: Ending | bool | None) -> list[Move]:
    """The moves of a plan. For each name: how it has ended, or whether its request is certainly there."""
    moves = [Move(each) for each in plan.moves]
    for move in moves:
        ending = endings.get(move.plan.federation.name)
        if isinstance(ending, Ending):
            move.ending = ending
        elif ending is not None:
            move.sent, move.placed = True, ending
    return moves


def success(about: Federation, gap: float | None = 0.5, request_: str = "r1") -> Ending:
    return Ending(request_, about, 1.25, term=TERM + 3, active="c2", gap=gap)


def failure(about: Federation) -> Ending:
    return Ending("r1", about, 1.0, refusal=Refusal("RolledBack", "too slow"), term=TERM, active="c1")


def test_a_report_of_a_success() -> None:
    plan = planned(MOVES, BEGINS, THERE, ALONE)
    report = report_of(plan, ended(plan, moves=success(MOVES, 1.5), begins=success(BEGINS, None)), 2.0)
    assert (report.status, stop_of(report, LOOK, interrupted=False)) == (Exit.DONE, None)
    assert list(report_lines(report, Names(), PLAIN)) == [
        "c2 became active in 2 federations in 2.0 s; it was active already in 1 federation",
        "nobody was active for 1.5 s in the median, and for 1.5 s at most (moves)",
        "c2 is not a member of 1 federation, which stay as they are",
        "    alone",
    ]
    found = report_json(report)
    assert [one["withoutActiveSeconds"] for one in found["moved"]] == [None, 1.5]
    assert found["withoutActiveSeconds"] == {"median": 1.5, "longest": 1.5}
    assert (found["to"], found["seconds"], found["failed"]) == ("c2", 2.0, [])


def test_a_report_of_failures() -> None:
    plan = planned(MOVES, BEGINS, DEAD)
    report = report_of(plan, ended(plan, moves=failure(MOVES), begins=success(BEGINS, request_="")), 2.0)
    stop = stop_of(report, LOOK, interrupted=False)
    assert stop
    assert (str(stop), stop.status) == ("c2 did not become active in 2 federations", Exit.REFUSED)
    lines = list(report_lines(report, Names(), PLAIN))
    assert lines[0] == "c2 became active in 0 federations in 2.0 s; it was active already in 1 federation"
    assert lines[2].split() == ["FEDERATION", "REASON", "WHAT", "HELPS", "MESSAGE"]
    assert lines[3].startswith("dead        NoLiveWorker  kubectl tcf -n ns check dead")
    assert lines[4].startswith("moves       RolledBack    kubectl tcf -n ns status moves")
    assert lines[4].endswith("too slow")
    found = report_json(report)
    assert [(one["federation"], one["reason"], one["request"]) for one in found["failed"]] == [
        ("dead", "NoLiveWorker", None),
        ("moves", "RolledBack", "r1"),
    ]
    assert found["unchanged"][0]["outcome"] == "Unchanged"


def test_a_report_of_what_nobody_knows() -> None:
    plan = planned(MOVES, BEGINS, PAUSED)
    report = report_of(plan, ended(plan, moves=True, begins=False), 2.0)
    stop = stop_of(report, LOOK, interrupted=True)
    assert stop
    assert str(stop) == (
        "interrupted: 1 request is on the hub and goes on without this command;"
        " nobody knows yet what has become of 1 more request"
    )
    assert (stop.status, stop.hint[0]) == (Exit.UNKNOWN, f"find out how they end: {LOOK}")
    rows = list(report_lines(report, Names(), PLAIN))[-3:]
    assert [row.split()[0] for row in rows] == ["begins", "moves", "paused"]
    assert "kubectl tcf -n ns history moves" in rows[1]
    found = report_json(report)
    assert [one["request"] for one in found["unknown"]] == ["new-begins", "new-moves"]
    assert found["notAsked"] == [{"namespace": "ns", "federation": "paused"}]
    json.dumps(found)


def test_what_cannot_be_read_is_left_behind() -> None:
    """Nobody knows whether it has the member."""
    plan = replace(planned(THERE), unreadable=("ns/odd does not fit the schema",))
    report = report_of(plan, [], 0.0)
    assert (plan.complete, report.status) == (False, Exit.REFUSED)
    assert "left out, because it cannot be read: ns/odd does not fit the schema" in told(plan, Names())
    assert "left out, because it cannot be read" in "\n".join(report_lines(report, Names(), PLAIN))
    assert report_json(report)["unreadable"] == dry_run_json(plan)["unreadable"] == [*plan.unreadable]


def test_nothing_is_unknown_of_what_was_not_asked() -> None:
    plan = planned(MOVES)
    report = report_of(plan, ended(plan), 2.0)
    assert (report.status, report.left_behind) == (Exit.REFUSED, 1)
