"""Federations in words and columns, for a terminal. What is shown comes from `federation_view`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from tcf.core.model import age_of
from tcf.ctl.operator_sign import spoken
from tcf.ctl.terminal import Cell, Colour, Sign, Terminal
from tcf.hub.answers import Json

Row = Sequence[Cell | str]

_ROLES = {"active": Colour.GOOD, "passive": None, "promoting": Colour.WARNING, "demoting": Colour.WARNING}
_NOTHING = Cell("-", Colour.QUIET)
_FEW = 5
"""How many entries of the history are shown with a federation."""


def title(*words: str) -> Row:
    return [Cell(word, Colour.STRONG) for word in words]


def list_rows(items: Iterable[Json], wall: datetime, *, namespaces: bool) -> Iterator[Row]:
    """A title and a row for each summary. `namespaces`: show them, too."""
    yield title(*(["NAMESPACE"] * namespaces), "NAME", "ACTIVE", "TERM", "READY", "SWITCHING", "LAST CHANGE")
    yield from (list_row(item, wall, namespaces=namespaces) for item in items)


def list_row(item: Json, wall: datetime, *, namespaces: bool) -> Row:
    return [
        *([item["namespace"]] * namespaces),
        item["name"],
        Cell(item["active"], Colour.GOOD) if item["active"] else Cell("nobody", Colour.BAD),
        str(item["term"] or "-"),
        _yes_no(item["ready"], good=True),
        _yes_no(item["switching"], good=None),
        _ago(item["lastChange"], wall),
    ]


def status_lines(view: Json, advice: Sequence[str], wall: datetime, terminal: Terminal) -> Iterator[str]:
    """All about a federation. `advice`: what to do next."""
    paint = terminal.paint
    active = paint(Cell(view["active"], Colour.GOOD) if view["active"] else Cell("nobody", Colour.BAD))
    yield f"{paint(Cell(view['namespace'] + '/' + view['name'], Colour.STRONG))}: {active} is active"
    yield from terminal.table(_facts(view, wall))
    yield ""
    yield from terminal.table(_members(view))
    if worker_rows := list(_workers(view, wall, terminal)):
        yield ""
        yield from terminal.table(worker_rows)
    elif any(member["workerDetails"] is None for member in view["members"]):
        why = "The workers are not shown: you may not list Leases in this namespace."
        yield paint(Cell(why, Colour.QUIET))
    if view["conditions"]:
        yield ""
        yield from terminal.table(_conditions(view["conditions"]))
    if view["history"]:
        yield ""
        yield from terminal.table(history_rows(view["history"][:_FEW], wall, terminal))
    yield ""
    if not advice:
        yield f"{paint(terminal.sign(Sign.YES))} There is nothing to do."
        return
    yield paint(Cell("What to do next:", Colour.STRONG))
    yield from (f"  {paint(terminal.sign(Sign.TO))} {paint(step)}" for step in advice)


def _facts(view: Json, wall: datetime) -> Iterator[Row]:
    yield ["term", str(view["term"] or "-")]
    failover = view["failover"]["mode"] + (" (paused)" if view["paused"] else "")
    yield ["failover", Cell(failover, Colour.WARNING if view["paused"] else None)]
    operator = view["operator"]
    heartbeat = f", heartbeat {_ago(operator['heartbeat'], wall).text}" if operator["heartbeat"] else ""
    shown = {
        True: Cell(f"at work{heartbeat}", Colour.GOOD),
        False: Cell(f"none at work{heartbeat}", Colour.BAD),
        None: Cell("not known", Colour.QUIET),
    }
    yield ["operator", shown[operator["alive"]]]
    if running := view["switchover"]:
        to, from_ = running["to"] or "nobody", running["from"] or "nobody"
        told = f"from {from_} to {to}, by {running.get('requestedBy') or '-'}"
        yield ["switchover", Cell(told, Colour.WARNING)]
    if view["trouble"]:
        yield ["trouble", Cell(view["trouble"], Colour.BAD)]
    if view["otherLeases"]:
        yield ["other Leases", Cell(", ".join(view["otherLeases"]), Colour.WARNING)]


def _members(view: Json) -> Iterator[Row]:
    yield title("MEMBER", "ROLE", "WORKERS", "APPLICATION", "REMARK")
    for member in view["members"]:
        live, total, role = member["liveWorkers"], member["workers"], member["role"]
        colour = Colour.GOOD if live == total > 0 else Colour.WARNING if live else Colour.BAD
        yield [
            member["id"],
            Cell(role, _ROLES[role]) if role else Cell("no role yet", Colour.QUIET),
            Cell(f"{live}/{total} live", colour),
            _application(member["application"]),
            _remark(member),
        ]


def _remark(member: Json) -> str:
    remarks = [
        f"silent since {member['silentSince']}" if member["silentSince"] else "",
        f"waits for {member['heldBy']} to let go" if member["heldBy"] else "",
    ]
    return "; ".join(filter(None, remarks))


def _workers(view: Json, wall: datetime, terminal: Terminal) -> Iterator[Row]:
    workers = [(m["id"], each) for m in view["members"] for each in m["workerDetails"] or ()]
    if workers:
        yield title("WORKER", "MEMBER", "NODE", "RENEWED", "ACKNOWLEDGED", "APPLICATION", "HELD BY")
    for member, each in workers:
        current = Sign.YES if each["upToDate"] else Sign.NO
        yield [
            each["name"],
            member,
            each["node"] or _NOTHING,
            Cell(_ago(each["renewed"], wall).text, Colour.BAD if each["late"] else None),
            Cell(f"{each['acknowledgedTerm'] or '-'} {terminal.sign(current).text}", current.value[2]),
            _application(each["application"]),
            Cell(each["heldBy"] or "-", Colour.WARNING if each["heldBy"] else Colour.QUIET),
        ]


def _conditions(conditions: Iterable[Json]) -> Iterator[Row]:
    yield title("CONDITION", "STATUS", "REASON", "MESSAGE")
    for each in conditions:
        fine = (each["status"] == "True") == (each["type"] in {"Ready", "SpecAligned"})
        worry = Colour.WARNING if each["type"] == "Switching" else Colour.BAD
        shown = Cell(each["status"], Colour.GOOD if fine else worry)
        yield [each["type"], shown, each["reason"], each["message"]]


def history_rows(entries: Iterable[Json], wall: datetime, terminal: Terminal) -> Iterator[Row]:
    yield title("ENDED", "CHANGE", "OUTCOME", "TOOK", "TRIGGER", "BY", "REASON")
    to = terminal.sign(Sign.TO).text
    for past in entries:
        good = past["outcome"] == "Succeeded"
        yield [
            _ago(past["finishedAt"], wall),
            f"{past['from'] or 'nobody'} {to} {past['to'] or 'nobody'}",
            Cell(past["outcome"], Colour.GOOD if good else Colour.BAD),
            _took(past),
            past["trigger"],
            past["requestedBy"] or _NOTHING,
            past["reason"] or (_NOTHING if good else past["message"] or _NOTHING),
        ]


def _took(past: Json) -> Cell:
    """How long a request took. The hub stores whole seconds."""
    try:
        began, ended = (datetime.fromisoformat(past[key] or "") for key in ("startedAt", "finishedAt"))
    except ValueError:
        return _NOTHING
    seconds = (ended - began).total_seconds()
    return Cell(spoken(seconds) if seconds >= 1 else "<1s")


def _application(report: str | None) -> Cell:
    return Cell(report, Colour.GOOD if report == "Healthy" else Colour.BAD) if report else _NOTHING


def _yes_no(value: bool | None, *, good: bool | None) -> Cell:  # noqa: FBT001 - it is a value, not an option
    if value is None:
        return _NOTHING
    colour = None if good is None else Colour.GOOD if value is good else Colour.BAD
    return Cell("True" if value else "False", colour)


def _ago(moment: str | None, wall: datetime) -> Cell:
    age = age_of(moment or "", wall)
    return Cell(f"{spoken(age)} ago") if age is not None else _NOTHING
