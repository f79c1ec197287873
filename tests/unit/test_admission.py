"""Admission: every kind of command, in every shape of the role table, beside every running request."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tcf.core.admission import Accepted, Admission, Command, Joined, Kind, Unchanged, admit, foreseen
from tcf.core.model import (
    PLAUSIBLE_LEAD,
    PROTOCOL,
    Application,
    Failover,
    Federation,
    Follows,
    Principal,
    Switchover,
    Trigger,
    Unfenceable,
)
from tcf.core.reasons import Outcome
from unit.build import STAMP, TERM, UNIX, at, bootstrap, entry, federation, request, spec, status

TOGGLE, PROMOTE, DEMOTE = Kind.TOGGLE, Kind.PROMOTE, Kind.DEMOTE
TAKE_OVER, STOP = request("c1", "c2"), request("c1", "")
ME = Principal("me", via="c1")


def command(kind: Kind, cluster: str, **more: Any) -> Command:
    return Command(kind, cluster, id="new", principal=ME, **more)


def verdict(admission: Admission) -> str:
    """What became of a command, in one word: the target, or why not."""
    match admission:
        case Accepted():
            assert admission.status.switchover
            return f"to {admission.status.switchover.to}"
        case Joined():
            return f"joins {admission.request}"
        case Unchanged():
            return "already"
        case _:
            return admission.reason


def ask(about: Federation, kind: Kind, cluster: str, **more: Any) -> str:
    return verdict(admit(about, command(kind, cluster, **more), at()))


# Nothing is under way.
@pytest.mark.parametrize(
    ("roles", "toggle", "promote", "demote"),
    [  # for each member
        ("active passive", "to c2, to c2", "already, to c2", "to , already"),
        ("passive active", "to c1, to c1", "to c1, already", "already, to "),
        ("passive passive", "NoActiveCluster, NoActiveCluster", "to c1, to c2", "already, already"),
        (
            "active passive passive",
            "NotTwoClusters, NotTwoClusters, NotTwoClusters",
            "already, to c2, to c3",
            "to , already, already",
        ),
    ],
)
def test_without_a_running_request(roles: str, toggle: str, promote: str, demote: str) -> None:
    about = federation(roles)
    assert about.status
    for kind, expected in ((TOGGLE, toggle), (PROMOTE, promote), (DEMOTE, demote)):
        assert ", ".join(ask(about, kind, member.id) for member in about.status.clusters) == expected


BUSY = "SwitchoverInProgress"


@pytest.mark.parametrize(
    ("running", "shapes", "expected"),
    [
        pytest.param(
            TAKE_OVER,
            ["active passive", "demoting passive", "passive promoting"],
            {"promote c1": BUSY, "promote c2": "joins r1", "demote c1": BUSY, "demote c2": BUSY},
            id="c1 to c2",
        ),
        pytest.param(
            STOP,
            ["active passive", "demoting passive"],
            {"promote c1": BUSY, "promote c2": BUSY, "demote c1": "joins r1", "demote c2": "already"},
            id="c1 to nobody",
        ),
        pytest.param(
            request("", "c2"),
            ["passive passive", "passive promoting"],
            {"promote c1": BUSY, "promote c2": "joins r1", "demote c1": "already", "demote c2": BUSY},
            id="nobody to c2",
        ),
    ],
)
def test_beside_a_running_request(running: Switchover, shapes: list[str], expected: dict[str, str]) -> None:
    for roles in shapes:
        about = federation(roles, switchover=running)
        got = {asked: ask(about, Kind(asked.split()[0]), asked.split()[1]) for asked in expected}
        assert got == expected, roles


@pytest.mark.parametrize("running", [TAKE_OVER, STOP])
@pytest.mark.parametrize("roles", ["active passive", "demoting passive", "passive promoting"])
def test_a_toggle_never_joins(roles: str, running: Switchover) -> None:
    about = federation(roles, switchover=running)
    assert ask(about, TOGGLE, "c1") == ask(about, TOGGLE, "c2") == BUSY


def test_only_the_member_that_is_demoted_may_join_its_demotion() -> None:
    about = federation("demoting passive passive", switchover=STOP)
    assert ask(about, DEMOTE, "c1") == "joins r1"
    assert not ask(about, DEMOTE, "c2").startswith("joins")


@pytest.mark.parametrize("running", [STOP, TAKE_OVER])
def test_a_bystander_is_as_it_is_asked_to_be(running: Switchover) -> None:
    about = federation("demoting passive passive", switchover=running)
    assert ask(about, DEMOTE, "c3") == "already"


def test_whoever_may_be_given_the_role_back_is_no_bystander() -> None:
    assert ask(federation("passive promoting", switchover=TAKE_OVER), DEMOTE, "c1") == BUSY


@pytest.mark.parametrize(
    ("running", "expected"),
    [
        (TAKE_OVER, "SwitchoverInProgress"),
        (replace(TAKE_OVER, force=True), "joins r1"),
        (bootstrap("c2"), "to c2"),
    ],
)
def test_force_is_not_lost_by_joining(running: Switchover, expected: str) -> None:
    about = federation("passive passive", switchover=running)
    asked = replace(command(PROMOTE, "c2"), force=True)
    assert verdict(admit(about, asked, at())) == expected


def test_force_is_said_to_have_come_too_late() -> None:
    asked = replace(command(PROMOTE, "c2"), force=True)
    refusal = admit(federation("demoting passive", switchover=TAKE_OVER), asked, at())
    assert "force" in getattr(refusal, "message", "")


def test_a_busy_federation_says_what_is_under_way() -> None:
    refusal = admit(federation("demoting passive", switchover=STOP), command(PROMOTE, "c2"), at())
    assert "from c1 to nobody" in getattr(refusal, "message", "")
    assert "force" not in getattr(refusal, "message", "")


@pytest.mark.parametrize(
    ("roles", "asked", "expected"),
    [
        ("passive passive", (PROMOTE, "c1"), "joins bootstrap-99"),
        ("passive passive", (PROMOTE, "c2"), "to c2"),
        ("passive passive", (DEMOTE, "c1"), "to "),
        ("passive passive", (DEMOTE, "c2"), "already"),
        ("promoting passive", (PROMOTE, "c1"), "joins bootstrap-99"),
        ("promoting passive", (PROMOTE, "c2"), "to c2"),
        ("promoting passive", (DEMOTE, "c1"), "to "),
        ("promoting passive", (DEMOTE, "c2"), "already"),
        ("passive passive", (TOGGLE, "c1"), "NoActiveCluster"),
        ("promoting passive", (TOGGLE, "c1"), "NoActiveCluster"),
    ],
)
def test_the_bootstrap_yields(roles: str, asked: tuple[Kind, str], expected: str) -> None:
    about = federation(roles, switchover=bootstrap("c1"))
    admission = admit(about, command(*asked), at())
    assert verdict(admission) == expected
    if isinstance(admission, Accepted):
        assert [(past.id, past.outcome) for past in admission.status.history] == [
            ("bootstrap-99", Outcome.SUPERSEDED)
        ]


def test_what_is_written_for_an_accepted_command() -> None:
    about = federation("active passive", history=(entry(),))
    assert about.status
    asked = command(TOGGLE, "c1", reason="why", force=True)
    assert admit(about, asked, at()) == Accepted(
        replace(
            about.status,
            switchover=Switchover(
                id="new",
                from_="c1",
                to="c2",
                trigger=Trigger.API,
                requested_by="me via c1",
                reason="why",
                force=True,
                requested_at=STAMP,
            ),
        ),
        "new",
    )


@pytest.mark.parametrize(
    ("about", "asked", "reason"),
    [
        (federation(None), command(PROMOTE, "c1"), "NotBootstrapped"),
        (
            replace(federation(), status=replace(status("active passive"), protocol=PROTOCOL + 1)),
            command(PROMOTE, "c2"),
            "UnknownProtocol",
        ),
        (federation(term=UNIX + 3 * PLAUSIBLE_LEAD), command(PROMOTE, "c2"), "ImplausibleTerm"),
        (federation(), command(PROMOTE, "c9"), "UnknownCluster"),
        (federation(None), command(PROMOTE, "c9"), "UnknownCluster"),
        (federation(None), command(PROMOTE, "c2"), "NotBootstrapped"),
        (federation(), command(DEMOTE, "c9"), "UnknownCluster"),
        (federation(), command(TOGGLE, "c9"), "UnknownCluster"),
        (federation("active passive", members=1), command(PROMOTE, "c2"), "UnknownCluster"),
        (federation("active passive", members=3), command(PROMOTE, "c3"), "NoRoleYet"),
        (federation(), command(PROMOTE, "c2", expected_term=TERM - 1), "TermMismatch"),
        (federation(), command(PROMOTE, "c1", expected_term=TERM + 1), "TermMismatch"),
        (
            federation("demoting passive", switchover=TAKE_OVER),
            command(TOGGLE, "c1", expected_term=TERM - 1),
            "TermMismatch",
        ),
    ],
)
def test_refused(about: Federation, asked: Command, reason: str) -> None:
    assert verdict(admit(about, asked, at())) == reason


@pytest.mark.parametrize("kind", Kind)
def test_the_expected_term_is_accepted(kind: Kind) -> None:
    assert ask(federation("active passive"), kind, "c1", expected_term=TERM) != "TermMismatch"


@pytest.mark.parametrize(
    ("roles", "asked", "live", "reason"),
    [
        ("active passive", command(TOGGLE, "c1"), 0, "NoLiveWorker"),
        ("active passive", command(TOGGLE, "c1"), 1, None),
        ("active passive", command(TOGGLE, "c1", force=True), 0, None),
        ("active passive", command(PROMOTE, "c2"), 0, "NoLiveWorker"),
        ("active passive", command(DEMOTE, "c1"), 0, None),
        ("active passive", command(PROMOTE, "c9"), 1, "NoLiveWorker"),
    ],
)
def test_foreseen(roles: str, asked: Command, live: int, reason: str | None) -> None:
    refusal = foreseen(federation(roles, live=live), asked)
    assert (refusal.reason if refusal else None) == reason


@pytest.mark.parametrize(
    ("asked", "application", "reason"),
    [
        (command(TOGGLE, "c1"), Application.UNHEALTHY, "ApplicationUnhealthy"),
        (command(PROMOTE, "c2"), Application.UNHEALTHY, "ApplicationUnhealthy"),
        (command(PROMOTE, "c2"), None, "ApplicationUnhealthy"),
        (command(PROMOTE, "c2"), Application.HEALTHY, None),
        (command(PROMOTE, "c2", force=True), Application.UNHEALTHY, None),
        (command(DEMOTE, "c1"), Application.UNHEALTHY, None),
    ],
)
def test_an_unhealthy_target_is_foreseen(
    asked: Command, application: Application | None, reason: str | None
) -> None:
    for follows in Follows:
        about = federation("active passive", failover=Failover(follows=follows))
        assert about.status
        rows = tuple(replace(row, application=application) for row in about.status.clusters)
        refusal = foreseen(replace(about, status=replace(about.status, clusters=rows)), asked)
        expected = reason if follows is Follows.APPLICATIONS else None
        assert (refusal.reason if refusal else None) == expected


@pytest.mark.parametrize(
    ("asked", "silent", "reason"),
    [
        (command(PROMOTE, "c2"), "c1", "CannotFence"),
        (command(PROMOTE, "c2"), "c3", "CannotFence"),
        (command(PROMOTE, "c2"), "gone", "CannotFence"),
        (command(PROMOTE, "c2"), "c2", None),
        (command(PROMOTE, "c2", force=True), "c1", None),
        (command(DEMOTE, "c1"), "c1", "CannotFence"),
        (command(DEMOTE, "c1"), "c2", None),
    ],
)
def test_who_cannot_be_fenced_is_foreseen(asked: Command, silent: str, reason: str | None) -> None:
    who = (Unfenceable(silent, "pod-1"),)
    refusal = foreseen(federation("active passive passive", unfenceable=who), asked)
    assert (refusal.reason if refusal else None) == reason
    if refusal:
        assert f"pod-1 ({silent})" in refusal.message


def test_nothing_is_foreseen_without_a_status() -> None:
    assert foreseen(federation(None), command(PROMOTE, "c1")) is None


def test_the_command_may_name_a_member_that_only_the_spec_lacks() -> None:
    about = replace(federation("active passive passive"), spec=spec(2))
    assert ask(about, PROMOTE, "c2") == "to c2"
    assert ask(about, PROMOTE, "c3") == "UnknownCluster"
