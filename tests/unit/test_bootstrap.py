"""How a federation begins, with what is left of an earlier life."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tcf.core.annotations import ANNOTATION_LAST_ACTIVE, ANNOTATION_LONGEST_LEASE, LastActive
from tcf.core.bootstrap import bootstrapped, longest_lease, mirror, restored, resumed
from tcf.core.model import HISTORY_LENGTH, LONGEST_LEASE, Federation, HistoryEntry, Trigger, WorkerLease
from tcf.core.reasons import Outcome
from unit.build import TERM, D, at, entry, federation, lease, request

DEMOTED = entry("demoted", from_="c1", to="")
BEGUN = entry("begun", from_="", to="c1", trigger=Trigger.BOOTSTRAP)
REFUSALS = tuple(entry(f"r{n}", outcome="NoLiveWorker") for n in range(HISTORY_LENGTH))


def resumed_for(*past: HistoryEntry) -> str | None:
    """Whom the bootstrap is for that begins again; None if it does not."""
    about = federation("passive passive", history=past, wants="c2")
    assert about.status
    status = resumed(about, about.status, at())
    return status.switchover.to if status and status.switchover else None


@pytest.mark.parametrize(
    ("past", "first"),
    [
        ((DEMOTED,), None),
        ((DEMOTED, BEGUN), None),
        ((REFUSALS[0], DEMOTED, BEGUN), None),
        ((entry("r2", from_="c1", to="c2"), DEMOTED), "c2"),
        ((), "c2"),
        (REFUSALS[1:], "c2"),
        (REFUSALS, None),
        ((*REFUSALS[2:], replace(BEGUN, outcome=Outcome.SUPERSEDED)), "c2"),
        ((*REFUSALS[1:], replace(BEGUN, outcome=Outcome.SUPERSEDED)), "c2"),
        ((*REFUSALS[1:], entry("r", from_="c2", to="c1")), "c1"),
        ((*REFUSALS[1:], DEMOTED), None),
    ],
    ids=[
        "on purpose",
        "on purpose, after the first",
        "on purpose, and refused since",
        "promoted since",
        "no request ever",
        "only refusals",
        "perhaps on purpose, and forgotten",
        "the bootstrap gave way",
        "and the history is full",
        "a promotion that is still remembered",
        "a demotion that is still remembered",
    ],
)
def test_nobody_active_is_trusted_only_if_it_was_asked_for(
    past: tuple[HistoryEntry, ...], first: str | None
) -> None:
    assert resumed_for(*past) == first


@pytest.mark.parametrize(
    ("about", "longest"),
    [
        (federation(), D),
        (federation(longest_lease_seconds=3 * D), 3 * D),
        (federation(annotations={ANNOTATION_LONGEST_LEASE: str(3 * D)}), 3 * D),
        (federation(annotations={ANNOTATION_LONGEST_LEASE: "300"}), 300),
        (federation(annotations={ANNOTATION_LONGEST_LEASE: "301"}), LONGEST_LEASE),
        (federation(longest_lease_seconds=3 * D, annotations={ANNOTATION_LONGEST_LEASE: "20"}), 3 * D),
        *((federation(annotations={ANNOTATION_LONGEST_LEASE: odd}), D) for odd in ("", "9" * 30, "-99", "²")),
    ],
)
def test_the_longest_lease_that_is_known(about: Federation, longest: int) -> None:
    assert about.status
    assert longest_lease(about, about.status) == longest


NOTED = {ANNOTATION_LAST_ACTIVE: f"c1/{TERM}", ANNOTATION_LONGEST_LEASE: str(D)}


@pytest.mark.parametrize(
    ("about", "written"),
    [
        (federation(), NOTED),
        (federation(annotations=NOTED), {}),
        (federation(annotations={**NOTED, "other": "thing"}), {}),
        (federation(annotations={**NOTED, ANNOTATION_LONGEST_LEASE: "9"}), NOTED),
        (federation(annotations={**NOTED, ANNOTATION_LAST_ACTIVE: "c1/7"}), NOTED),
        (federation(switchover=request()), {}),
        (federation("passive passive"), {}),
    ],
    ids=[
        "nothing yet",
        "as it is",
        "beside others",
        "too short",
        "older",
        "while something is under way",
        "nobody",
    ],
)
def test_what_outlives_the_status(about: Federation, written: dict[str, str]) -> None:
    assert about.status
    assert dict(mirror(about, about.status)) == written


def noted(*notes: str) -> tuple[WorkerLease, ...]:
    """Leases of workers of an earlier object, each with such a note."""
    return tuple(
        lease("c1", uid="uid-0", name=str(number), last_active=LastActive.parse(note))
        for number, note in enumerate(notes)
    )


@pytest.mark.parametrize(
    ("annotation", "notes", "first", "kept"),
    [
        (None, (), "c1", False),
        (None, ("c2/7",), "c2", True),
        (None, ("c1/6", "c2/7"), "c2", True),
        (None, ("c2/6", "c1/7"), "c1", True),
        (None, ("c9/8", "c2/7"), "c2", True),
        (None, ("c9/8",), "c1", False),
        (None, ("c2/999999999999999999",), "c1", False),
        (None, ("c2/6", "-/7"), "c1", False),
        (None, ("c2/8", "-/7"), "c2", True),
        ("c2/8", ("c1/7",), "c2", False),
        ("c2/8", ("c1/9",), "c1", False),
    ],
)
def test_a_new_object_begins_with_whom_the_latest_note_names(
    annotation: str | None, notes: tuple[str, ...], first: str, *, kept: bool
) -> None:
    annotations = {ANNOTATION_LAST_ACTIVE: annotation} if annotation else {}
    status = bootstrapped(federation(None, wants="c1", annotations=annotations), noted(*notes), at())
    assert status.switchover
    assert status.switchover.to == first
    assert ("earlier object" in status.switchover.reason) == kept


def test_after_a_restore_a_note_that_is_newer_than_the_backup_decides() -> None:
    about = federation("active passive")
    assert about.status
    for term, first in ((TERM - 1, "c1"), (TERM, "c1"), (TERM + 1, "c2")):
        status = restored(about, about.status, noted(f"c2/{term}"), TERM + 9, at())
        assert status.switchover
        assert status.switchover.to == first
