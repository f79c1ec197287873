"""What kubectl tcf concludes: plans, steps, verdicts, findings."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from tcf.core.admission import Accepted, Joined, Kind, Unchanged
from tcf.core.model import (
    PROTOCOL,
    Application,
    Failover,
    FailoverMode,
    Federation,
    Follows,
    Principal,
    Refusal,
    Trigger,
    Unfenceable,
    WorkerLease,
)
from tcf.core.plan import Plan, command_for, plan_of, told
from tcf.core.role_changes import awaited, steps
from tcf.core.takeover import failover_state, verdicts
from tcf.ctl import findings
from tcf.ctl.check_command import with_operator
from tcf.ctl.findings import POLICIES, Finding, Level, Need
from tcf.ctl.operator_sign import OperatorSign
from tcf.hub.server_facts import KnownFields
from unit.build import (
    STAMP,
    TERM,
    WALL,
    at,
    bootstrap,
    described,
    entry,
    federation,
    kept,
    lease,
    request,
    rows,
    status,
)

BEAT = lease("", name="tcf-operator-heartbeat", holder="op-1", duration=60, renewed_at=STAMP)
ALIVE, NONE = OperatorSign("ns", BEAT), OperatorSign("ns")
UNKNOWN = OperatorSign("ns", unknown="it may not be read")


# --- plans ---------------------------------------------------------------------------------------------


def planned(about: Federation, kind: Kind, member: str | None = None, **more: Any) -> Plan:
    return plan_of(
        about, command_for(about, kind, member, id_="new", principal=Principal("anna"), **more), at()
    )


def test_the_principal_is_the_user_alone() -> None:
    verdict = planned(federation(), Kind.TOGGLE, reason="why").verdict
    assert isinstance(verdict, Accepted)
    placed = verdict.status.switchover
    assert placed
    assert (placed.requested_by, placed.trigger, placed.reason) == ("anna", Trigger.API, "why")
    assert (placed.id, placed.from_, placed.to) == ("new", "c1", "c2")


@pytest.mark.parametrize(
    ("about", "kind", "member", "verdict", "words"),
    [
        (federation(), Kind.TOGGLE, None, Accepted, ["c1 stops being active", "then c2 becomes active"]),
        (federation(), Kind.PROMOTE, "c2", Accepted, ["c1 stops being active", "then c2 becomes active"]),
        (
            federation("passive passive"),
            Kind.PROMOTE,
            "c2",
            Accepted,
            ["c2 becomes active; nobody is active now"],
        ),
        (federation(), Kind.DEMOTE, None, Accepted, ["c1 stops being active", "nobody is active after that"]),
        (federation(), Kind.DEMOTE, "c2", Unchanged, ["nothing to do: c1 is active"]),
        (federation("passive passive"), Kind.DEMOTE, None, Unchanged, ["nothing to do: nobody is active"]),
        (federation(), Kind.PROMOTE, "c1", Unchanged, ["nothing to do: c1 is active"]),
        (
            federation(switchover=request()),
            Kind.PROMOTE,
            "c2",
            Joined,
            ["a switchover to c2 is under way already"],
        ),
        (
            federation(switchover=request()),
            Kind.TOGGLE,
            None,
            Refusal,
            ["refused: a switchover from c1 to c2"],
        ),
        (
            federation("passive passive passive"),
            Kind.TOGGLE,
            None,
            Refusal,
            ["refused: toggle needs exactly two"],
        ),
        (
            federation(None),
            Kind.TOGGLE,
            None,
            Refusal,
            ["refused: no operator has given ns/shop its first roles"],
        ),
    ],
)
def test_what_will_happen(
    about: Federation, kind: Kind, member: str | None, verdict: type, words: list[str]
) -> None:
    plan = planned(about, kind, member)
    assert isinstance(plan.verdict, verdict)
    said = list(told(plan))
    assert len(said) == len(words)
    for line, word in zip(said, words, strict=True):
        assert word in line


def test_what_the_operator_would_object_to_is_foreseen() -> None:
    plan = planned(federation(live=0), Kind.PROMOTE, "c2")
    assert plan.objection
    assert plan.objection.reason == "NoLiveWorker"
    assert plan.refusal == plan.objection
    assert "will most likely refuse that: no worker of c2 is alive" in list(told(plan))[-1]


def test_force_says_what_it_risks() -> None:
    about = federation()
    assert about.status
    risky = replace(about, status=replace(about.status, unfenceable=(Unfenceable("c1", "host-1"),)))
    assert planned(risky, Kind.PROMOTE, "c2").objection
    plan = planned(risky, Kind.PROMOTE, "c2", force=True)
    assert plan.objection is None
    assert "you vouch that these workers are dead: host-1 (c1)" in list(told(plan))[-1]
    assert (
        "even if it has no live worker"
        in list(told(planned(federation(live=0), Kind.PROMOTE, "c2", force=True)))[-1]
    )


def test_force_says_nothing_of_the_target_and_nothing_where_it_does_not_help() -> None:
    about = federation()
    assert about.status
    own = replace(about, status=replace(about.status, unfenceable=(Unfenceable("c2", "host-2"),)))
    assert "you vouch" not in list(told(planned(own, Kind.PROMOTE, "c2", force=True)))[-1]
    refused = list(told(planned(about, Kind.PROMOTE, "c9", force=True)))
    assert len(refused) == 1
    assert refused[0].startswith("refused")


def test_what_a_person_has_agreed_to_is_pinned_to_the_table() -> None:
    assert planned(federation(), Kind.TOGGLE).pinned().command.expected_term == TERM
    assert planned(federation(), Kind.TOGGLE, expected_term=TERM).pinned().command.expected_term == TERM
    joined = planned(federation(switchover=request()), Kind.PROMOTE, "c2")
    assert joined.pinned().command.expected_term is None


def test_where_nobody_is_active_a_demotion_without_a_name_is_that_of_the_first() -> None:
    for about in (federation("passive passive"), federation(None)):
        command = command_for(about, Kind.DEMOTE, None, id_="x", principal=Principal("anna"))
        assert command.cluster == "c1"


# --- steps ---------------------------------------------------------------------------------------------


def test_every_step_of_a_switchover_is_told() -> None:
    asked = request(requested_by="anna")
    tables = [
        status("active passive"),
        status("active passive", switchover=asked),
        status("demoting passive", switchover=asked),
        status("passive promoting", switchover=asked),
        status("passive active", history=(entry("r1"),)),
    ]
    said = [list(steps(before, after)) for before, after in pairwise(tables)]
    assert said == [
        ["requested by anna: from c1 to c2"],
        ["c1 gives up its role: its workers stop answering active"],
        [
            "c1 is passive: none of its workers can answer active any more",
            "c2 takes over: one of its workers has to learn of it",
        ],
        ["c2 is active", "ended: Succeeded"],
    ]


def test_versions_that_were_missed_leave_out_steps_only() -> None:
    over = status("passive active", history=(entry("r1"), entry("r0")))
    assert list(steps(status("active passive", history=(entry("r0"),)), over)) == [
        "c1 is passive: none of its workers can answer active any more",
        "c2 is active",
        "ended: Succeeded",
    ]


def test_a_status_that_goes_and_one_that_comes() -> None:
    assert "the status is gone" in next(iter(steps(status("active passive"), None)))
    assert list(steps(None, None)) == []
    assert list(steps(None, status("active passive", history=(entry(),)))) == []


def test_a_request_that_takes_the_place_of_another_one_is_told() -> None:
    before = status("active passive", switchover=request(requested_by="anna"))
    after = status("active passive", switchover=request(id="r2", requested_by="bob"))
    assert list(steps(before, after)) == ["requested by bob: from c1 to c2"]
    assert list(steps(before, before)) == []


def test_a_rollback_says_why() -> None:
    over = status("active passive", history=(entry("r1", outcome="RolledBack", message="too slow"),))
    assert list(steps(status("active passive"), over)) == ["ended: RolledBack (too slow)"]


@pytest.mark.parametrize(
    ("roles", "leases", "names"),
    [
        ("active passive", [lease("c1", ack=1)], ""),
        ("demoting passive", [lease("c1")], ""),
        ("demoting passive", [lease("c1", ack=1)], "host-c1 of c1"),
        (
            "demoting passive",
            [lease("c1", ack=1, held_by="pg-0")],
            "host-c1 of c1 (its holders have to let go: pg-0)",
        ),
        ("demoting passive", [], ""),
        ("passive promoting", [], "a worker of c2: none has a Lease"),
        ("passive promoting", [lease("c2", ack=1)], "host-c2 of c2"),
        ("passive promoting", [lease("c2", ack=1), lease("c2", name="other")], ""),
        ("passive promoting", [lease("c2", ack=1), lease("c1")], "host-c2 of c2"),
        ("demoting passive", [lease("c1", ack=1), lease("c1", name="other")], "host-c1 of c1"),
        ("passive passive", [lease("c1", ack=1)], ""),
        (None, [lease("c1", ack=1)], ""),
    ],
)
def test_whom_a_step_waits_for(roles: str | None, leases: list[WorkerLease], names: str) -> None:
    assert awaited(federation(roles), leases) == names


# --- check ---------------------------------------------------------------------------------------------


def checked(about: Federation, sign: OperatorSign = ALIVE) -> dict[str, list[str]]:
    found = (with_operator(each, sign, at()) for each in verdicts(about, at()))
    return {each.member: [one.reason for one in each.obstacles] for each in found}


def with_rows(about: Federation, *changed: Any) -> Federation:
    assert about.status
    return replace(about, status=replace(about.status, clusters=tuple(changed)))


def test_both_could() -> None:
    found = verdicts(federation(), at())
    assert [(each.member, each.active, each.able) for each in found] == [
        ("c1", True, True),
        ("c2", False, True),
    ]
    assert checked(federation(), UNKNOWN) == {"c1": [], "c2": []}


def test_a_switchover_under_way_makes_no_member_able() -> None:
    """Nobody is active, because the member that is to take over has no worker."""
    waiting = federation("passive passive", switchover=bootstrap())
    one, two = rows("passive passive")
    found = checked(with_rows(waiting, replace(one, live_workers=0), replace(two, live_workers=0)))
    assert found == {"c1": ["NoLiveWorker"], "c2": ["NoLiveWorker"]}


def test_each_rule_says_no_for_the_member_that_it_concerns() -> None:
    one, two = rows("active passive")
    assert checked(with_rows(federation(), one, replace(two, live_workers=0))) == {
        "c1": [],
        "c2": ["NoLiveWorker"],
    }
    following = federation(failover=Failover(follows=Follows.APPLICATIONS))
    healthy = with_rows(following, replace(one, application=Application.HEALTHY), two)
    assert checked(healthy) == {"c1": [], "c2": ["ApplicationUnhealthy"]}


def test_the_active_member_is_judged_by_whether_it_can_act() -> None:
    one, two = rows("active passive")
    assert checked(with_rows(federation(), replace(one, live_workers=0), two)) == {
        "c1": ["NoLiveWorker"],
        "c2": [],
    }


def test_all_rules_that_say_no_are_named() -> None:
    one, two = rows("active passive")
    about = with_rows(federation(), one, replace(two, live_workers=0))
    assert about.status
    blocked = replace(about, status=replace(about.status, unfenceable=(Unfenceable("c1", "host-1"),)))
    assert checked(blocked) == {"c1": [], "c2": ["NoLiveWorker", "CannotFence"]}


def test_a_switchover_under_way_stops_all_but_its_target() -> None:
    about = federation("active passive passive", switchover=request())
    assert checked(about) == {"c1": [], "c2": [], "c3": ["SwitchoverInProgress"]}
    begins = federation("passive passive", switchover=bootstrap("c1"))
    assert checked(begins) == {"c1": [], "c2": []}


def test_without_an_operator_or_a_status_nobody_could() -> None:
    assert checked(federation(), NONE) == {"c1": ["NoCoordinator"], "c2": ["NoCoordinator"]}
    assert checked(federation(None)) == {"c1": ["NotBootstrapped"], "c2": ["NotBootstrapped"]}


def test_a_table_that_cannot_be_used_is_the_only_obstacle() -> None:
    about = federation("active passive", live=0)
    assert about.status
    other = replace(about, status=replace(about.status, protocol=PROTOCOL + 1))
    assert checked(other) == {"c1": ["UnknownProtocol"], "c2": ["UnknownProtocol"]}
    absurd = replace(about, status=replace(about.status, term=10**17))
    assert checked(absurd) == {"c1": ["ImplausibleTerm"], "c2": ["ImplausibleTerm"]}


def test_nobody_has_to_be_fenced_for_the_member_that_has_the_role() -> None:
    about = federation("active passive")
    assert about.status
    blocked = replace(about, status=replace(about.status, unfenceable=(Unfenceable("c2", "host-2"),)))
    assert checked(blocked)["c1"] == []


JUST_OVER = entry(finished_at="2026-11-23T11:59:00Z")
LONG_OVER = entry(finished_at="2026-11-23T11:50:00Z")


@pytest.mark.parametrize(
    ("about", "state"),
    [
        (federation(), "Manual"),
        (federation(failover=Failover(mode=FailoverMode.AUTOMATIC)), "Ready"),
        (federation(failover=Failover(mode=FailoverMode.AUTOMATIC), paused=True), "Paused"),
        (federation("passive passive", failover=Failover(mode=FailoverMode.AUTOMATIC)), "Idle"),
        (federation(failover=Failover(mode=FailoverMode.AUTOMATIC), history=(entry(),)), "Cooldown"),
        (
            federation(failover=Failover(mode=FailoverMode.AUTOMATIC, cooldown=60), history=(LONG_OVER,)),
            "Ready",
        ),
        (
            federation(failover=Failover(mode=FailoverMode.AUTOMATIC, cooldown=60), history=(JUST_OVER,)),
            "Ready",
        ),
        (federation(None, failover=Failover(mode=FailoverMode.AUTOMATIC)), "Ready"),
    ],
)
def test_whether_the_operator_would_fail_over(about: Federation, state: str) -> None:
    assert failover_state(about, at())[0] == state


# --- doctor --------------------------------------------------------------------------------------------


def bad(*found: Finding) -> list[str]:
    return [each.message for each in found if each.level is Level.BAD]


@pytest.mark.parametrize(
    ("version", "level"),
    [("v1.37.2", Level.GOOD), ("v1.30.0-eks-1", Level.GOOD), ("v1.29.9", Level.BAD), ("odd", Level.GOOD)],
)
def test_versions_of_the_hub(version: str, level: Level) -> None:
    assert findings.of_version(version).level is level


@pytest.mark.parametrize(
    ("ahead", "level", "words"),
    [
        (0, Level.GOOD, "agree"),
        (5, Level.GOOD, "agree"),
        (-6, Level.BAD, "is 6s ahead of that of the hub"),
        (600, Level.BAD, "is 10m behind that of the hub"),
    ],
)
def test_clocks(ahead: int, level: Level, words: str) -> None:
    found = findings.of_clocks(WALL + timedelta(seconds=ahead), at())
    assert found.level is level
    assert words in found.message
    assert findings.of_clocks(None, at()).level is Level.NOTE


@pytest.mark.parametrize(
    ("fields", "level"),
    [
        (KnownFields((), ()), Level.GOOD),
        (KnownFields(("spec.new",), ()), Level.BAD),
        (KnownFields((), ("spec.newer",)), Level.NOTE),
        (KnownFields(("spec.new",), ("spec.newer",)), Level.BAD),
    ],
)
def test_the_crd(fields: KnownFields, level: Level) -> None:
    assert findings.of_fields(fields).level is level


def test_a_right_that_only_some_need_is_no_fault_if_it_is_missing() -> None:
    look, move = Need("get", "x", "look", everybody=True), Need("create", "y", "move")
    (fine,) = findings.of_rights({look: True, move: True}, "anna", "shop")
    assert (fine.level, fine.message) == (Level.GOOD, "for shop, anna may look, move")
    found = list(findings.of_rights({look: False, move: False}, "anna", ""))
    assert [each.level for each in found] == [Level.BAD, Level.NOTE]
    assert "grant get x" in found[0].mend


def test_policies_count_only_with_their_bindings() -> None:
    assert findings.of_policies(POLICIES, POLICIES).level is Level.GOOD
    assert "status.tcf.dev" in findings.of_policies(POLICIES, POLICIES[:2]).message
    assert findings.of_policies((), ()).level is Level.BAD


def test_the_operator() -> None:
    assert [findings.of_operator(sign, at()).level for sign in (ALIVE, NONE, UNKNOWN)] == [
        Level.GOOD,
        Level.BAD,
        Level.NOTE,
    ]
    assert "check that tcf-operator runs" in findings.of_operator(NONE, at()).mend


def examined(about: Federation, *leases: WorkerLease, sign: OperatorSign = ALIVE) -> list[Finding]:
    return list(findings.of_federation(about, leases, sign, at()))


def test_a_federation_that_is_well_has_one_line() -> None:
    fresh = [lease(member, renewed_at=STAMP) for member in ("c1", "c2")]
    (found,) = examined(described(federation()), *fresh)
    assert (found.level, found.message) == (
        Level.GOOD,
        "c1 is active, 2 workers renew and have acknowledged the roles",
    )


@pytest.mark.parametrize(
    ("about", "leases", "words"),
    [
        (federation(None), [], "NotBootstrapped"),
        (replace(federation(), status=replace(status("active passive"), protocol=2)), [], "UnknownProtocol"),
        (described(federation(live=0)), [], "Ready is False: NoLiveWorker"),
        (
            federation(),
            [lease("c1", renewed_at="2026-11-23T11:59:00Z")],
            "worker host-c1 of c1 (Lease lease-c1) has not",
        ),
        (federation(), [kept("c1", renewed_at="")], "has not renewed for -"),
        (federation(), [lease("c1", renewed_at="2026-11-23T12:01:00Z")], "the clock of worker host-c1 of c1"),
    ],
)
def test_what_is_wrong_with_a_federation(about: Federation, leases: list[WorkerLease], words: str) -> None:
    assert any(words in message for message in bad(*examined(about, *leases)))


def test_what_may_mend_itself_is_a_note() -> None:
    behind = lease("c1", ack=TERM - 1, renewed_at=STAMP, held_by="pg-0")
    (good, note) = examined(federation(), behind)
    assert (good.level, note.level) == (Level.GOOD, Level.NOTE)
    assert "has not acknowledged term 100: it waits for pg-0 to let go" in note.message
    assert len(examined(federation(switchover=request()), behind)) == 1
    assert len(examined(federation(), behind, sign=NONE)) == 1  # nobody would move anything anyway


def test_leases_that_may_not_be_listed_are_a_note() -> None:
    found = list(findings.of_federation(described(federation(paused=True)), None, ALIVE, at()))
    assert [each.level for each in found] == [Level.GOOD, Level.NOTE, Level.NOTE]
