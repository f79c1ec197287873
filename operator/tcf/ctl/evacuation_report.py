"""What has become of an evacuation, for people and for programs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tcf.core.model import Federation, Refusal
from tcf.core.plan import Plan
from tcf.ctl.advice import after_refusal, command
from tcf.ctl.evacuation_move import Move
from tcf.ctl.evacuation_plan import (
    EvacuationPlan,
    Names,
    counted,
    others_told,
    refused_json,
    where_json,
)
from tcf.ctl.exits import Exit, StopError
from tcf.ctl.status_text import title
from tcf.ctl.switch_course import Ending
from tcf.ctl.switch_view import ending_json, plan_json, unchanged_json
from tcf.ctl.terminal import Cell, Colour, Terminal
from tcf.hub.answers import Json
from tcf.hub.federation_json import refusal_json

_GOES_ON = "the request had not ended when this command did, and goes on without it"
_MAY_GO_ON = "the request may be on the hub, and then goes on without this command"


Ended = tuple[Plan, Ending]
Open = tuple[Plan, str, str]


@dataclass(frozen=True, slots=True)
class Report:
    """All federations by what has become of them.

    Attributes:
        settled: the member became active there without a request of this command.
        unknown: nobody knows what has become of these. With the id of the request, and the reason.
        going_on: how many of these are certainly on the hub, and go on.
        not_asked: they got no request before the command ended.
    """

    plan: EvacuationPlan
    seconds: float
    moved: tuple[Ended, ...] = ()
    settled: tuple[Ended, ...] = ()
    failed: tuple[Ended, ...] = ()
    unknown: tuple[Open, ...] = ()
    going_on: int = 0
    not_asked: tuple[Plan, ...] = ()

    @property
    def status(self) -> Exit:
        if self.unknown:
            return Exit.UNKNOWN
        return Exit.REFUSED if self.left_behind else Exit.DONE

    @property
    def left_behind(self) -> int:
        """In how many federations the member has not become active by this command."""
        plan = self.plan
        return len(self.failed) + len(plan.refused) + len(plan.unreadable) + len(self.not_asked)

    @property
    def gaps(self) -> list[tuple[float, Federation]]:
        """For how long nobody was active where, the longest first."""
        found = [(end.gap, plan.federation) for plan, end in self.moved if end.gap is not None]
        return sorted(found, key=lambda gap: -gap[0])


def report_of(plan: EvacuationPlan, moves: Sequence[Move], seconds: float) -> Report:
    ended = [(move.plan, move.ending) for move in moves if move.ending]
    open_ = [move for move in moves if move.ending is None and move.sent]
    known = [each for each in ended if not each[1].unknown]
    succeeded = [each for each in known if not each[1].refusal]
    return Report(
        plan,
        seconds,
        moved=tuple(each for each in succeeded if each[1].request),
        settled=tuple(each for each in succeeded if not each[1].request),
        failed=tuple(each for each in known if each[1].refusal),
        unknown=(
            *((plan, ending.request, ending.unknown) for plan, ending in ended if ending.unknown),
            *((move.plan, move.request, _GOES_ON if move.placed else _MAY_GO_ON) for move in open_),
        ),
        going_on=sum(move.placed for move in open_),
        not_asked=tuple(move.plan for move in moves if move.ending is None and not move.sent),
    )


def stop_of(report: Report, look: str, *, interrupted: bool) -> StopError | None:
    """The error with which the command ends; None if the member is active everywhere. `look`: a command."""
    to, again = report.plan.to, "run the same command again: it acts only where the member is not active"
    if report.status is Exit.UNKNOWN:
        message = ("interrupted: " if interrupted else "") + _told_open(report)
        return StopError(message, f"find out how they end: {look}", f"then {again}", status=report.status)
    if report.status is Exit.REFUSED:
        message = f"{to} did not become active in {counted(report.left_behind)}"
        return StopError(message, f"mend what the report names, then {again}", status=report.status)
    return None


def _told_open(report: Report) -> str:
    on, more = report.going_on, len(report.unknown) - report.going_on
    verbs = "is on the hub and goes" if on == 1 else "are on the hub and go"
    goes_on = f"{counted(on, 'request')} {verbs} on without this command"
    lost = f"nobody knows yet what has become of {counted(more, 'more request' if on else 'request')}"
    return "; ".join(text for text, number in ((goes_on, on), (lost, more)) if number)


# --- for programs --------------------------------------------------------------------------------------


def report_json(report: Report) -> Json:
    plan, gaps = report.plan, [gap for gap, _ in report.gaps]
    return {
        "from": plan.from_ or None,
        "to": plan.to,
        "moved": [ending_json(*each) for each in report.moved],
        "unchanged": [
            *(unchanged_json(each) for each in plan.unchanged),
            *({**ending_json(*each), "request": None, "outcome": "Unchanged"} for each in report.settled),
        ],
        "notMember": [where_json(each) for each in plan.others],
        "elsewhere": [where_json(each) for each in plan.elsewhere],
        "failed": [
            *(refused_json(each) for each in plan.refused),
            *({**ending_json(*each), **refusal_json(_refused(each[1]))} for each in report.failed),
        ],
        "unknown": [
            {**plan_json(each), "request": request, "outcome": None, "message": why}
            for each, request, why in report.unknown
        ],
        "notAsked": [where_json(each.federation) for each in report.not_asked],
        "unreadable": list(plan.unreadable),
        "seconds": round(report.seconds, 3),
        "withoutActiveSeconds": {
            "median": round(statistics.median(gaps), 3) if gaps else None,
            "longest": round(gaps[0], 3) if gaps else None,
        },
    }


# --- for people ----------------------------------------------------------------------------------------


def report_lines(report: Report, names: Names, terminal: Terminal) -> Iterator[str]:
    plan = report.plan
    there = len(plan.unchanged) + len(report.settled)
    also = f"; it was active already in {counted(there)}" if there else ""
    yield f"{plan.to} became active in {counted(len(report.moved))} in {report.seconds:.1f} s{also}"
    if gaps := report.gaps:
        longest, where = gaps[0]
        median = statistics.median(gap for gap, _ in gaps)
        most = f"{longest:.1f} s at most ({names.of(where)})"
        yield f"nobody was active for {median:.1f} s in the median, and for {most}"
    yield from map(terminal.indented, others_told(plan, names))
    if rows := list(_rows(report, names)):
        yield ""
        heading = title("FEDERATION", "REASON", "WHAT HELPS", "MESSAGE")
        yield from terminal.table([heading, *rows])


def _rows(report: Report, names: Names) -> Iterator[list[Cell | str]]:
    to = report.plan.to
    refused = [(each.federation, each.refusal) for each in report.plan.refused if each.refusal]
    failed = [(ending.federation, _refused(ending)) for _, ending in report.failed]
    for federation, refusal in (*refused, *failed):
        advice = after_refusal(federation, refusal, to)[0]
        reason = Cell(refusal.reason, Colour.BAD)
        yield [names.of(federation), reason, _command_in(advice), refusal.message]
    for plan, request, why in report.unknown:
        reason, find_out = Cell("unknown", Colour.WARNING), command(plan.federation, "history")
        yield [names.of(plan.federation), reason, find_out, f"request {request}: {why}"]
    for plan in report.not_asked:
        again = "run the same command again"
        yield [names.of(plan.federation), Cell("not asked", Colour.WARNING), again, "it got no request"]


def _refused(ending: Ending) -> Refusal:
    assert ending.refusal  # noqa: S101 - only endings with one are in `failed`
    return ending.refusal


def _command_in(advice: str) -> str:
    """The command of an advice such as "look again: kubectl tcf status"."""
    return advice.partition(": ")[2] or advice
