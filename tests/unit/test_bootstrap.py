"""How a federation begins, with what is left of an earlier life."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tcf.core.annotations import ANNOTATION_LAST_ACTIVE, ANNOTATION_LONGEST_LEASE, LastActive
from tcf.core.bootstrap import bootstrapped, longest_lease, mirror, restored, resumed
from tcf.core.decide import Decision
from tcf.core.model import (
    HISTORY_LENGTH,
    LONGEST_LEASE,
    PROTOCOL,
    Federation,
    HistoryEntry,
    Member,
    Switchover,
    Trigger,
    WorkerLease,
)
from tcf.core.reasons import Outcome
from unit.build import (
    DEMOTED,
    FROM_NOBODY,
    ONE,
    STAMP,
    TERM,
    TWO,
    UNIX,
    D,
    after,
    at,
    begun,
    bootstrap,
    decided,
    entry,
    federation,
    lease,
    request,
    roles_of,
    written,
)

BEGUN = entry("begun", from_="", to="c1", trigger=Trigger.BOOTSTRAP)
REFUSALS = tuple(entry(f"r{n}", outcome="NoLiveWorker") for n in range(HISTORY_LENGTH))


def test_a_first_table_has_no_past() -> None:
    assert bootstrapped(federation(None), (), at(), seen=0).history == ()


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
    status = bootstrapped(federation(None, wants="c1", annotations=annotations), noted(*notes), at(), seen=0)
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


# --- the beginning ------------------------------------------------------------------------------------


def test_bootstrap() -> None:
    result = begun(wants="c2")
    assert roles_of(result) == "passive passive"
    assert (result.protocol, result.term, result.active_cluster) == (PROTOCOL, UNIX, "")
    assert (result.observed_generation, result.observed_active_cluster) == (1, "c2")
    assert result.switchover == Switchover(
        id="bootstrap-1",
        from_="",
        to="c2",
        trigger=Trigger.BOOTSTRAP,
        requested_by="coordinator",
        requested_at=STAMP,
    )
    assert [c.type for c in result.conditions] == ["Ready", "Switching", "SpecAligned", "Degraded"]


def test_bootstrap_looks_at_the_leases_first() -> None:
    assert decided(federation(None), confirmed=False) == Decision(confirm=True)


def test_only_a_bootstrap_after_a_loss_is_an_event() -> None:
    assert decided(federation(None)).events == ()
    (event,) = decided(federation(None, annotations={ANNOTATION_LAST_ACTIVE: "c1/7"})).events
    assert (event.reason, event.warning) == ("HubRestored", True)
    assert "the hub has lost the status" in event.message


HIGH = UNIX + 5000


@pytest.mark.parametrize(
    ("last", "acked", "term"),
    [
        ("", None, UNIX),
        ("c1/7", 7, UNIX),
        (f"c1/{UNIX}", None, UNIX + 1),
        (f"c1/{HIGH}", None, HIGH + 1),
        ("", HIGH, HIGH + 1),
        (f"c1/{HIGH}", HIGH + 5, HIGH + 6),
        (f"c1/{HIGH + 5}", HIGH, HIGH + 6),
        ("nonsense", None, UNIX),
    ],
)
def test_no_older_life_has_had_a_higher_term(last: str, acked: int | None, term: int) -> None:
    assert begun(lease("c1", ack=acked, uid="uid-0"), last=last).term == term


PRIORITIES = (Member("c1", "one", 1), Member("c2", "two", 5), Member("c3", "three", 5))


@pytest.mark.parametrize(
    ("last", "wants", "chosen"),
    [
        ("c3/7", "c2", "c3"),  # who was it last
        ("c9/7", "c3", "c3"),  # a member no more
        ("nonsense", "c3", "c3"),
        ("", "c1", "c1"),
        ("", None, "c2"),  # by priority, then by order
    ],
)
def test_who_is_chosen(last: str, wants: str | None, chosen: str) -> None:
    result = begun(last=last, wants=wants, clusters=PRIORITIES)
    assert result.switchover
    assert result.switchover.to == chosen
    assert result.observed_active_cluster == (wants or "")


@pytest.mark.parametrize(
    "asked",
    [FROM_NOBODY, replace(FROM_NOBODY, requested_at="2026-11-23T11:00:00Z")],
    ids=["refused", "expired"],
)
def test_a_request_that_fails_gives_way_to_the_bootstrap_again(asked: Switchover) -> None:
    """Else nobody would ever become active because somebody was too early."""
    superseded = entry("bootstrap-99", trigger=Trigger.BOOTSTRAP, to="c1", outcome=Outcome.SUPERSEDED)
    about = federation("passive passive", wants="c1", switchover=asked, history=(superseded,))
    failed = replace(about, status=written(decided(about, (ONE,))), resource_version="77")
    assert failed.status
    assert failed.status.switchover is None

    result = written(decided(failed, (ONE,)))

    assert (result.switchover and result.switchover.to) == "c1"
    assert (result.switchover and result.switchover.trigger) is Trigger.BOOTSTRAP
    assert (result.switchover and result.switchover.id) not in {past.id for past in result.history}
    assert result.term == failed.status.term


@pytest.mark.parametrize(
    "past",
    [
        (DEMOTED,),
        (DEMOTED, entry("b", trigger=Trigger.BOOTSTRAP, outcome="Superseded")),
        (entry("r1", outcome="NoLiveWorker"), DEMOTED, entry("b", trigger=Trigger.BOOTSTRAP)),
        REFUSALS,
    ],
    ids=["wanted so", "before anybody was", "and refused since", "perhaps, and forgotten"],
)
def test_with_nobody_active_on_purpose_nobody_becomes_active(past: tuple[HistoryEntry, ...]) -> None:
    about = federation("passive passive", history=past)
    result = after(about, decided(about, (ONE, TWO)))
    assert (result.switchover, roles_of(result)) == (None, "passive passive")


@pytest.mark.parametrize(
    ("past", "first"),
    [
        ((), "c1"),
        ((entry("r0", outcome="NoLiveWorker"),), "c1"),
        ((entry("r0", to="c2"), DEMOTED), "c2"),
        ((entry("r0", outcome="TimedOut"), entry("b", trigger=Trigger.BOOTSTRAP)), "c2"),
    ],
    ids=["no request ever", "refused", "a role was taken away by hand", "so was the first one"],
)
def test_with_nobody_active_for_no_reason_it_begins_again(past: tuple[HistoryEntry, ...], first: str) -> None:
    about = federation("passive passive", history=past)
    result = written(decided(about, (ONE, TWO)))
    assert result.switchover
    assert (result.switchover.trigger, result.switchover.to) == (Trigger.BOOTSTRAP, first)


def test_spec_may_change_its_mind_before_any_worker_has_come() -> None:
    """The bootstrap waits for whom the spec names by now."""
    about = federation("passive passive", wants="c2", observed_active_cluster="c1", switchover=bootstrap())
    for version in ("2", "3", "4"):
        decision = decided(about)
        about = replace(about, status=after(about, decision), resource_version=version)
    assert about.status
    assert (about.status.switchover and about.status.switchover.to) == "c2"
    assert roles_of(after(about, decided(about, (ONE, TWO)))) == "passive promoting"


def test_a_bootstrap_waits_for_the_workers_of_an_older_life() -> None:
    """They have acknowledged terms of another object, and may still answer "active" by it."""
    about = federation("passive passive", switchover=bootstrap())
    old = lease("c2", uid="uid-0")
    assert roles_of(after(about, decided(about, (ONE, old)))) == "passive passive"
    decision = decided(about, (ONE,), (old,))
    assert roles_of(written(decision)) == "promoting passive"
    assert decision.delete == (old,)
