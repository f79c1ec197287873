"""The history: how requests end, and what the roles were when one had succeeded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tcf.core.history import ended, table_after, untouched, withdrawn
from tcf.core.model import HISTORY_LENGTH, LONGEST_MESSAGE, Status
from tcf.core.reasons import Outcome
from unit.build import TERM, at, bootstrap, entry, request, status

TAKE_OVER, STOP = request("c1", "c2"), request("c1", "")


def test_ended_moves_the_request_to_history() -> None:
    running = replace(TAKE_OVER, requested_by="me", reason="why")
    over = ended(status("passive active", switchover=running), Outcome.SUCCEEDED, "fine", at())
    assert over.switchover is None
    assert over.history == (
        entry("r1", term=TERM, requested_by="me", reason="why", outcome="Succeeded", message="fine"),
    )


def test_ended_without_a_request_changes_nothing() -> None:
    table = status("active passive")
    assert ended(table, "X", "", at()) is table


def test_a_refused_request_is_recorded_beside_the_running_one() -> None:
    table = status("passive passive", switchover=bootstrap())
    over = ended(table, "UnknownCluster", "", at(), request=request(id="spec-2"))
    assert over.switchover == bootstrap()
    assert [past.id for past in over.history] == ["spec-2"]


def test_a_message_fits_into_the_schema() -> None:
    table = status("active passive", switchover=TAKE_OVER)
    assert len(ended(table, "X", "x" * 5000, at()).history[0].message) == LONGEST_MESSAGE


def test_history_is_newest_first_and_keeps_twenty() -> None:
    table = status("active passive")
    for n in range(HISTORY_LENGTH + 2):
        table = ended(replace(table, switchover=request(id=f"r{n}")), Outcome.SUCCEEDED, "", at())
    assert [past.id for past in table.history] == [f"r{n}" for n in range(HISTORY_LENGTH + 1, 1, -1)]
    assert HISTORY_LENGTH == 20


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ("active passive", True),
        ("passive passive", True),
        ("demoting passive", False),
        ("passive promoting", False),
    ],
)
def test_untouched(roles: str, expected: bool) -> None:  # noqa: FBT001 - a column of the table
    table = status(roles, switchover=TAKE_OVER)
    assert untouched(table) is expected
    assert (withdrawn(table, "r1", at()) is not None) is expected


def test_a_request_that_came_before_a_bootstrap_that_had_begun_is_untouched() -> None:
    """Its first step takes the role back from the bootstrap's member, which nobody has done."""
    table = status("promoting passive", switchover=request("", "c2"))
    assert untouched(table)
    over = withdrawn(table, "r1", at())
    assert over
    assert (over.switchover, over.history[0].outcome) == (None, "NoCoordinator")


def test_withdrawn_says_that_nobody_acted() -> None:
    over = withdrawn(status("active passive", switchover=TAKE_OVER), "r1", at())
    assert over
    assert over.switchover is None
    assert over.history[0].outcome == "NoCoordinator"
    assert "tcf-operator" in over.history[0].message
    assert over.term == TERM


@pytest.mark.parametrize("table", [status("active passive"), status("active passive", switchover=STOP)])
def test_only_ones_own_request_can_be_withdrawn(table: Status) -> None:
    assert withdrawn(table, "another", at()) is None


@pytest.mark.parametrize(("to", "roles"), [("c2", "passive active passive"), ("", "passive passive passive")])
@pytest.mark.parametrize("before", ["active passive passive", "demoting passive passive"])
def test_the_table_with_which_a_request_has_succeeded(before: str, to: str, roles: str) -> None:
    table = status(before)
    after = table_after(entry(to=to), table.clusters)
    assert " ".join(row.role for row in after) == roles
    assert [row.id for row in after] == [row.id for row in table.clusters]


def test_a_promotion_without_its_request_is_not_untouched() -> None:
    assert not untouched(status("passive promoting"))
