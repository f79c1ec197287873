"""What kubectl tcf shows of a federation: the JSON, the columns, and what it advises."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tcf.core.model import Application, Federation, Refusal, Status, Unfenceable, WorkerLease, age_of
from tcf.core.reasons import Reason
from tcf.ctl.advice import after_refusal, next_steps
from tcf.ctl.federation_view import details
from tcf.ctl.operator_sign import OperatorSign, last_act, spoken
from tcf.ctl.output import fitting
from tcf.ctl.status_text import history_rows, list_rows, status_lines
from tcf.ctl.terminal import Cell, Colour, Sign, Terminal
from tcf.hub.federation_json import history, summary
from unit.build import STAMP, TERM, WALL, at, described, entry, federation, kept, lease, request

PLAIN = Terminal(colours=False, unicode=True, live=False)
ASCII = Terminal(colours=False, unicode=False, live=False)
COLOURED = Terminal(colours=True, unicode=True, live=True)
BEAT = lease("", name="tcf-operator-heartbeat", holder="op-1", duration=60, renewed_at=STAMP)
ALIVE = OperatorSign("ns", BEAT)
DEAD = OperatorSign("ns", replace(BEAT, renewed_at="2026-11-23T11:50:00Z"))
NONE = OperatorSign("ns")
UNKNOWN = OperatorSign("ns", unknown="the hub refuses")


def fresh(cluster: str, **more: Any) -> WorkerLease:
    return lease(cluster, **{"renewed_at": STAMP, **more})


# --- the operator --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sign", "alive", "told"),
    [
        (
            ALIVE,
            True,
            "an operator is at work (op-1): the Lease tcf-operator-heartbeat in namespace ns was renewed",
        ),
        (
            DEAD,
            False,
            "was renewed 10m ago, by the clock of this machine (at 2026-11-23T11:50:00Z, by op-1);",
        ),
        (
            NONE,
            False,
            "no operator looks after namespace ns: the Lease tcf-operator-heartbeat in namespace ns does not",
        ),
        (UNKNOWN, None, "cannot be read (the hub refuses)"),
        (OperatorSign("ns", replace(BEAT, renewed_at="")), False, "has never been renewed"),
        (OperatorSign("ns", acted_at=STAMP), True, "an operator is at work: it ended a request 0s ago"),
        (replace(UNKNOWN, acted_at=STAMP), True, "an operator is at work: it ended a request 0s ago"),
        (OperatorSign("ns", acted_at="2026-11-23T11:50:00Z"), False, "does not exist"),
    ],
)
def test_whether_an_operator_is_at_work(sign: OperatorSign, alive: bool | None, told: str) -> None:  # noqa: FBT001
    assert sign.alive(WALL) is alive
    assert told in sign.told(WALL)


def test_who_has_ended_a_request() -> None:
    """An operator, unless whoever placed it has withdrawn or replaced it."""
    by_others = [
        entry("r3", finished_at="2026-11-23T13:00:00Z", outcome=outcome)
        for outcome in ("NoCoordinator", "Superseded")
    ]
    own = entry("r1", finished_at="2026-11-23T11:00:00Z", outcome="RolledBack")
    assert last_act([federation(history=(*by_others, own)), federation(None)]) == "2026-11-23T11:00:00Z"
    assert last_act([federation()]) == ""


def test_a_heartbeat_counts_for_as_long_as_for_workers() -> None:
    assert ALIVE.alive(WALL + timedelta(seconds=66))
    assert not ALIVE.alive(WALL + timedelta(seconds=67))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (7199, "119m"),
        (7200, "2h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (None, "-"),
    ],
)
def test_time_spans(seconds: float | None, text: str) -> None:
    assert spoken(seconds) == text


def test_ages() -> None:
    assert age_of("2026-11-23T11:59:00Z", WALL) == 60
    assert age_of("2026-11-23T12:01:00Z", WALL) == 0  # the clock of somebody else is ahead
    assert age_of("", WALL) is None


# --- the JSON ------------------------------------------------------------------------------------------


def test_the_summary() -> None:
    history_ = (entry("r2", outcome="RolledBack"), entry("r1", finished_at="2026-11-23T11:00:00Z"))
    about = described(federation("active passive", history=history_, switchover=request()))
    assert summary(about) == {
        "namespace": "ns",
        "name": "shop",
        "active": "c1",
        "term": TERM,
        "ready": True,
        "switching": True,
        "degraded": False,
        "paused": False,
        "lastChange": "2026-11-23T11:00:00Z",
    }


def test_the_summary_of_what_has_no_status_yet() -> None:
    found = summary(federation(None))
    unknown = {"active", "term", "ready", "degraded", "lastChange"}
    assert {name for name, value in found.items() if value is None} == unknown
    assert not found["switching"]


def test_the_details() -> None:
    leases = [
        fresh("c1", application=Application.HEALTHY),
        fresh("c2", ack=TERM - 1, renewed_at="2026-11-23T11:59:00Z", held_by="pg-0"),
        fresh("c9", name="stray"),
    ]
    view = details(described(federation()), leases, {"host-c1": "node-1"}, ALIVE, at())
    one, two = view["members"]
    assert (one["id"], one["role"], one["liveWorkers"]) == ("c1", "active", 1)
    assert one["workerDetails"] == [
        {
            "name": "host-c1",
            "lease": "lease-c1",
            "node": "node-1",
            "renewed": STAMP,
            "late": False,
            "acknowledgedTerm": TERM,
            "upToDate": True,
            "isolation": "Fence",
            "leaseSeconds": 10,
            "application": "Healthy",
            "heldBy": None,
            "problem": None,
        }
    ]
    (behind,) = two["workerDetails"]
    assert (behind["late"], behind["upToDate"], behind["acknowledgedTerm"]) == (True, False, TERM - 1)
    assert (behind["node"], behind["heldBy"]) == (None, "pg-0")
    assert view["otherLeases"] == ["stray"]
    assert view["operator"]["alive"] is True
    assert [each["type"] for each in view["conditions"]] == ["Ready", "Switching", "SpecAligned", "Degraded"]
    json.dumps(view)


def test_an_acknowledgement_of_another_object_counts_for_nothing() -> None:
    view = details(federation(), [fresh("c1", uid="another")], {}, ALIVE, at())
    worker = view["members"][0]["workerDetails"][0]
    assert (worker["acknowledgedTerm"], worker["upToDate"]) == (None, False)


def test_leases_that_may_not_be_listed_are_not_the_same_as_none() -> None:
    assert details(federation(), None, {}, ALIVE, at())["members"][0]["workerDetails"] is None
    assert details(federation(), [], {}, ALIVE, at())["members"][0]["workerDetails"] == []


def test_members_without_a_role_and_members_that_have_left_are_shown() -> None:
    about = federation("active passive passive")
    assert about.status
    fewer = replace(about, spec=replace(about.spec, clusters=about.spec.clusters[:2]))
    rows = details(fewer, [], {}, ALIVE, at())["members"]
    assert [(row["id"], row["role"]) for row in rows] == [
        ("c1", "active"),
        ("c2", "passive"),
        ("c3", "passive"),
    ]
    assert details(federation(None), [], {}, ALIVE, at())["members"][0]["role"] is None


def test_a_status_that_cannot_be_used_is_named() -> None:
    assert (
        "no operator has given ns/shop its first roles"
        in details(federation(None), [], {}, NONE, at())["trouble"]
    )
    assert (
        "upgrade this program" in details(status_of(federation(), protocol=2), [], {}, ALIVE, at())["trouble"]
    )


# --- for people ----------------------------------------------------------------------------------------


def shown(
    about: Federation, *leases: WorkerLease, sign: OperatorSign = ALIVE, terminal: Terminal = PLAIN
) -> str:
    view = details(about, leases, {}, sign, at())
    return "\n".join(status_lines(view, next_steps(about, sign, WALL), WALL, terminal))


def test_a_federation_that_is_well() -> None:
    text = shown(described(federation(history=(entry(),))), fresh("c1"), fresh("c2"))
    assert text.startswith("ns/shop: c1 is active\n")
    assert "operator  at work, heartbeat 0s ago" in text
    assert f"host-c1  c1      -     0s ago   {TERM} ✓" in text
    assert "0s ago  c1 → c2  Succeeded  <1s   api      -   -" in text
    assert text.endswith("✓ There is nothing to do.")


def test_without_unicode_nothing_is_lost() -> None:
    text = shown(described(federation(history=(entry(),))), fresh("c1"), terminal=ASCII)
    assert text.isascii()
    assert "c1 -> c2" in text
    assert text.endswith("ok There is nothing to do.")


def test_nothing_from_the_hub_acts_on_the_terminal() -> None:
    evil = described(federation(switchover=request(reason="\x1b]0;boo\x07", requested_by="a\nb")))
    text = shown(evil, fresh("c1", holder="\x1b[2J"))
    assert "\x1b" not in text
    assert "\\x1b[2J" in text
    assert "by a b" in text


def test_colours_only_where_they_are_shown() -> None:
    assert "\x1b[32mc1\x1b[0m is active" in shown(described(federation()), terminal=COLOURED)
    assert "\x1b" not in shown(described(federation()))


def test_columns_are_aligned_whatever_colours_they_have() -> None:
    rows: list[list[Cell | str]] = [
        ["a", Cell("long", Colour.GOOD), "x"],
        ["longer", Cell("b", Colour.BAD), "y"],
        ["日本", "c"],
    ]
    assert PLAIN.table(rows) == ["a       long  x", "longer  b     y", "日本    c"]
    assert COLOURED.table(rows)[0] == "a       \x1b[32mlong\x1b[0m  x"
    assert PLAIN.table([]) == []


def test_a_list() -> None:
    items = [summary(federation()), summary(federation("passive passive", name="other"))]
    assert PLAIN.table(list_rows(items, WALL, namespaces=True)) == [
        "NAMESPACE  NAME   ACTIVE  TERM  READY  SWITCHING  LAST CHANGE",
        "ns         shop   c1      100   -      False      -",
        "ns         other  nobody  100   -      False      -",
    ]


def test_a_history() -> None:
    entries = [
        entry("r2", outcome="RolledBack", message="too slow", requested_by="anna", to=""),
        entry("r1", started_at="2026-11-23T11:59:30Z", reason="patch day"),
    ]
    assert PLAIN.table(history_rows(history(entries), WALL, PLAIN)) == [
        "ENDED   CHANGE       OUTCOME     TOOK  TRIGGER  BY    REASON",
        "0s ago  c1 → nobody  RolledBack  <1s   api      anna  too slow",
        "0s ago  c1 → c2      Succeeded   30s   api      -     patch day",
    ]


@pytest.mark.parametrize(
    ("environment", "encoding", "tty", "expected"),
    [
        ({}, "utf-8", True, (True, True, True)),
        ({}, "utf-8", False, (False, True, False)),
        ({"NO_COLOR": "1"}, "utf-8", True, (False, True, True)),
        ({"NO_COLOR": ""}, "utf-8", True, (True, True, True)),
        ({"TERM": "dumb"}, "utf-8", True, (False, True, False)),
        ({}, "ascii", True, (True, False, True)),
        ({}, "iso-8859-1", True, (True, False, True)),
    ],
)
def test_what_a_terminal_can_do(
    environment: dict[str, str],
    encoding: str,
    tty: bool,  # noqa: FBT001
    expected: tuple[bool, bool, bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(stream, "isatty", lambda: tty, raising=False)
    found = Terminal.of(stream)
    assert (found.colours, found.unicode, found.live) == expected
    assert ASCII.sign(Sign.YES).text == "ok"


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        (5, ["a", "\x1b[1mbb\x1b[0m", "x" * 12]),
        (4, ["a", "\x1b[1mbb\x1b[0m", "..."]),
        (3, ["a", "..."]),
        (1, ["..."]),
    ],
)
def test_a_window_shows_what_fits(rows: int, shown: list[str]) -> None:
    found = fitting(["a", "\x1b[1mbb\x1b[0m", "x" * 12], 10, rows)
    assert [line.partition(" (make")[0] for line in found] == shown


# --- advice --------------------------------------------------------------------------------------------


def advised(about: Federation, sign: OperatorSign = ALIVE) -> str:
    return "\n".join(next_steps(about, sign, WALL))


def status_of(about: Federation, **changes: Any) -> Federation:
    assert about.status
    changed: Status = replace(about.status, **changes)
    return replace(about, status=changed)


@pytest.mark.parametrize(
    ("about", "sign", "advice"),
    [
        (described(federation()), ALIVE, ""),
        (described(federation()), UNKNOWN, ""),
        (described(federation()), DEAD, "no operator looks after namespace ns"),
        (federation(None), NONE, "no operator looks after namespace ns"),
        (described(federation("passive passive")), ALIVE, "kubectl tcf -n ns promote shop c1|c2"),
        (federation(switchover=request()), ALIVE, "kubectl tcf -n ns status shop --watch"),
        (federation(paused=True), ALIVE, "kubectl tcf -n ns resume shop"),
        (
            described(federation(live=0)),
            ALIVE,
            "Ready is False (NoLiveWorker): c1 is active, but it has no live",
        ),
        (described(federation(wants="c2")), ALIVE, "SpecAligned is False (Diverged)"),
        (
            described(status_of(federation(), unfenceable=(Unfenceable("c1", "host-1"),))),
            ALIVE,
            "make sure that these workers are dead, or reconnect them: host-1 (c1)",
        ),
    ],
)
def test_what_to_do_next(about: Federation, sign: OperatorSign, advice: str) -> None:
    found = advised(about, sign)
    assert advice in found
    assert bool(advice) is bool(found)


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        (Reason.NOT_TWO_CLUSTERS, "kubectl tcf -n ns promote shop c1|c2"),
        (Reason.NO_LIVE_WORKER, "kubectl tcf -n ns promote shop c2 --force"),
        (Reason.CANNOT_FENCE, "kubectl tcf -n ns check shop"),
        (Reason.SWITCHOVER_IN_PROGRESS, "kubectl tcf -n ns status shop --watch"),
        ("NoCoordinator", "kubectl tcf -n ns doctor"),
        (Reason.TERM_MISMATCH, "kubectl tcf -n ns status shop"),
    ],
)
def test_what_to_do_after_a_refusal(reason: str, advice: str) -> None:
    assert advice in "\n".join(after_refusal(federation(), Refusal(reason, "why"), "c2"))


def test_a_worker_that_keeps_its_role_is_late_like_any_other() -> None:
    view = details(federation(), [kept("c1", renewed_at="2026-11-23T11:00:00Z")], {}, ALIVE, at())
    worker = view["members"][0]["workerDetails"][0]
    assert (worker["isolation"], worker["late"]) == ("KeepRole", True)
