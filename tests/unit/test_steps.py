"""How a switchover moves on: every row of the table, every refusal, and what a step may rest on."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pytest

from tcf.core import steps
from tcf.core.decide import Decision, decide
from tcf.core.liveness import Workers
from tcf.core.model import (
    Application,
    Failover,
    Federation,
    Follows,
    Isolation,
    Switchover,
    Trigger,
    WorkerLease,
)
from tcf.core.sightings import Sightings, Stage
from unit.build import (
    BEHIND,
    BOOT,
    DEMOTED,
    DOUBT,
    FROM_NOBODY,
    ONE,
    TERM,
    TIMEOUT,
    TO_C2,
    TO_NOBODY,
    TWO,
    UID,
    Leases,
    after,
    at,
    bootstrap,
    decided,
    federation,
    kept,
    lease,
    observed,
    request,
    roles_of,
    settled,
    written,
)

FORCED = replace(TO_C2, force=True)
EXPIRED = replace(TO_C2, requested_at="2026-11-23T11:57:59Z")  # 2 x 30 s + 60 s and one more ago


@dataclass(frozen=True)
class Case:
    """A line of the table below."""

    roles: str
    asked: Switchover | None
    alive: Leases
    silent: Leases
    waited: float
    then: str
    ends: str
    event: str
    deleted: frozenset[WorkerLease]
    follows: Follows = Follows.WORKERS


REQUESTS = {
    ".": None,
    "c1>c2": TO_C2,
    "c1>c2!": FORCED,
    "c1>": TO_NOBODY,
    ">c2": FROM_NOBODY,
    ">c1": request("", "c1"),
    ">": request("", ""),
    "c1>c9": request("c1", "c9"),
    ">c9": request("", "c9"),
    "c9>c2": request("c9", "c2"),
    "boot>c1": bootstrap(),
}
TABLE = """
active passive    | .       | c1 c2        |      | .                 |              |
active passive    | c1>c2   | c1 c2        |      | demoting passive  |              | Demoting
active passive    | c1>     | c1 c2        |      | demoting passive  |              | Demoting
active passive    | c1>     |              |      | demoting passive  |              | Demoting
active passive    | >c1     | c1 c2        |      | .                 | Succeeded    |
active passive    | c1>c2   | c1           |      | .                 | NoLiveWorker |
active passive    | c1>c2   | c1 c2~       |      | .                 | NoLiveWorker |
active passive    | c1>c2   | c1 c2 c2~    |      | demoting passive  |              | Demoting
active passive    | c1>c2!  | c1 c2~       |      | demoting passive  |              | Demoting
active passive    | c1>c9   | c1 c2        |      | .                 | UnknownCluster |
active passive    | c1>c2   | c1k~ c2      |      | .                 | CannotFence  |
active passive    | c1>     | c1k~ c2      |      | .                 | CannotFence  |
active passive    | c1>     | c1 c2k~      |      | demoting passive  |              | Demoting
active passive    | c1>c2!  | c1k~ c2      |      | demoting passive  |              | Demoting
active passive    | c1>c2   | c1k c2       |      | demoting passive  |              | Demoting
demoting passive  | c1>c2   | c1 c2        |      | passive promoting |              | Promoting
demoting passive  | c1>c2   | c1k c2       |      | passive promoting |              | Promoting
demoting passive  | c1>c2   | c2           |      | passive promoting |              | Promoting
demoting passive  | c1>c2   | c1 c2-       |      | passive promoting |              | Promoting
demoting passive  | c1>c2   | c1- c2       |      | .                 |              |
demoting passive  | c1>c2   | c1o c2       |      | .                 |              |
demoting passive  | c1>c2   | c1 c1- c2    |      | .                 |              |
demoting passive  | c1>c2   | c1 ?- c2     |      | .                 |              |
demoting passive  | c1>c2   | c1 c9- c2    |      | .                 |              |
demoting passive passive | c1>c2 | c1 c2 c3- |    | .                 |              |
demoting passive  | c1>c2   | c1-~x c2     |      | passive promoting |              | Promoting
demoting passive  | c1>c2   | c1o~x c2     |      | passive promoting |              | Promoting
demoting passive  | c1>c2   | c1~ c2       |      | passive promoting |              | Promoting
demoting passive  | c1>c2   | c1-~x c1-~x c2 |    | passive promoting |              | Promoting
demoting passive  | c1>c2   | c1-~ c1- c2  |      | .                 |              |
demoting passive  | c1>c2   | c1 ?-~x c2   |      | passive promoting |              | Promoting
demoting passive  | c1>c2   | c1 c9-~x c2  |      | passive promoting |              | Promoting
demoting passive  | c1>c2   | c1k-~ c2     |      | .                 |              |
demoting passive  | c1>c2!  | c1k-~x c2    |      | passive promoting |              | Promoting
demoting passive  | c1>c2!  | c1k- c2      |      | .                 |              |
demoting passive  | c1>c2!  | c1- c2       |      | .                 |              |
demoting passive  | c1>c2   | c1- c2       | near | .                 |              |
demoting passive  | c1>c2   | c1- c2       | late | active passive    | RolledBack   | RolledBack
demoting passive  | c1>c2   | c1k-~ c2     | late | active passive    | RolledBack   | RolledBack
demoting passive  | c1>c2   | c1 c2        | late | passive promoting |              | Promoting
demoting passive  | c1>c2   | c1           |      | active passive    | RolledBack   | RolledBack
demoting passive  | c1>c2   | c1 c2~       |      | active passive    | RolledBack   | RolledBack
demoting passive  | c1>c2   | c1 c2 c2~    |      | passive promoting |              | Promoting
demoting passive  | c1>c2!  | c1           |      | passive promoting |              | Promoting
demoting passive  | c1>     | c1 c2        |      | passive passive   | Succeeded    | Demoted
demoting passive  | c1>     | c1 c2- ?-    |      | passive passive   | Succeeded    | Demoted
demoting passive  | c1>     | c1-~x c2-~   |      | passive passive   | Succeeded    | Demoted
demoting passive  | c1>     | c1- c2       |      | .                 |              |
demoting passive  | c1>     | c1- c2       | late | active passive    | RolledBack   | RolledBack
demoting passive  | .       | c1- c2       |      | active passive    |              | Kept
demoting passive  | >c1     | c1 c2        |      | active passive    | Succeeded    | Kept
passive passive   | .       | c1 c2        |      | .                 |              |
passive passive   | >c2     | c1 c2-       |      | passive promoting |              | Promoting
passive passive   | >c2     | c1- c2       |      | .                 |              |
passive passive   | >c2     | c1-~x c2     |      | passive promoting |              | Promoting
passive passive   | >       | c1- c2       |      | .                 | Succeeded    |
passive passive   | >c2     | c1- c2       | late | .                 | TimedOut     |
passive passive   | >c2     | c1           |      | .                 | NoLiveWorker |
passive passive   | >c9     | c1 c2        |      | .                 | UnknownCluster |
passive passive   | >c2     | c1k-~ c2     |      | .                 | CannotFence  |
passive promoting | c1>c2   | c1 c2        |      | passive active    | Succeeded    | Active
passive promoting | c1>c2   | c1- c2- c2   |      | passive active    | Succeeded    | Active
passive promoting | c1>c2   | c1 c2        | late | passive active    | Succeeded    | Active
passive promoting | c1>c2   | c1 c2-       |      | .                 |              |
passive promoting | c1>c2   | c1 c2o       |      | .                 |              |
passive promoting | c1>c2   | c1           |      | .                 |              |
passive promoting | c1>c2!  | c1 c2-~      |      | passive active    | Succeeded    | Active
passive promoting | c1>c2!  | c1 c2-       |      | .                 |              |
passive promoting | c1>c2   | c1 c2-       | near | .                 |              |
passive promoting | c1>c2   | c1 c2-       | late | active passive    | RolledBack   | RolledBack
passive promoting | >c2     | c1 c2-       | late | passive passive   | RolledBack   | RolledBack
passive promoting | c9>c2   | c1 c2-       | late | passive passive   | RolledBack   | RolledBack
promoting passive | >c2     | c1 c2        |      | passive passive   |              | Yielded
promoting passive | >       | c1 c2        |      | passive passive   |              | Yielded
promoting passive | .       | c1 c2        |      | passive passive   |              | Yielded
passive passive   | boot>c1 | c1 c2        |      | promoting passive |              | Promoting
passive passive   | boot>c1 | c1 c2-~x     |      | promoting passive |              | Promoting
passive passive   | boot>c1 | c2           |      | .                 |              |
passive passive   | boot>c1 | c1~ c2       |      | .                 |              |
passive passive   | boot>c1 | c1 c2-       |      | .                 |              |
passive passive   | boot>c1 | c1 c2-       | late | .                 |              |
passive passive   | boot>c1 | c1 c2k-~     | late | .                 |              |
promoting passive | boot>c1 | c1- c2       | late | .                 |              |
promoting passive | boot>c1 | c1 c2        |      | active passive    | Succeeded    | Active
"""
WHERE_ROLES_FOLLOW_APPLICATIONS = """
active passive    | c1>c2   | c1 c2+       |      | demoting passive  |              | Demoting
active passive    | c1>c2   | c1+ c2       |      | .                 | ApplicationUnhealthy |
active passive    | c1>c2   | c1+ c2!      |      | .                 | ApplicationUnhealthy |
active passive    | c1>c2   | c1+ c2! c2+~ |      | .                 | ApplicationUnhealthy |
active passive    | c1>c2   | c1+ c2! c2+  |      | demoting passive  |              | Demoting
active passive    | c1>c2   | c1+ c2+~     |      | .                 | NoLiveWorker |
active passive    | c1>c2!  | c1+ c2!      |      | demoting passive  |              | Demoting
active passive    | c1>     | c1 c2!       |      | demoting passive  |              | Demoting
demoting passive  | c1>c2   | c1 c2+       |      | passive promoting |              | Promoting
demoting passive  | c1>c2   | c1 c2!       |      | active passive    | RolledBack   | RolledBack
demoting passive  | c1>c2   | c1- c2       |      | active passive    | RolledBack   | RolledBack
demoting passive  | c1>c2!  | c1 c2!       |      | passive promoting |              | Promoting
demoting passive  | c1>     | c1 c2!       |      | passive passive   | Succeeded    | Demoted
passive passive   | >c2     | c1 c2!       |      | .                 | ApplicationUnhealthy |
passive passive   | >c2     | c1 c2+       |      | passive promoting |              | Promoting
passive passive   | boot>c1 | c1! c2+      |      | .                 |              |
passive passive   | boot>c1 | c1+ c2       |      | promoting passive |              | Promoting
passive promoting | c1>c2   | c1 c2!       |      | passive active    | Succeeded    | Active
passive promoting | c1>c2!  | c1 c2!-      |      | .                 |              |
"""
"""Table, request (! forced), Leases, time: roles then (. as before), how the request ends, the Event.

A Lease is its member (? none) and: `-` behind, `o` of another object, `k` KeepRole, `~` silent, `x` and
is to be deleted, `+` with a healthy application, `!` with an unhealthy one; without a mark it is alive, has
acknowledged the table, and reports nothing.
"""
REPORTS = {"+": Application.HEALTHY, "!": Application.UNHEALTHY}
WAITED = {"": 0.0, "near": TIMEOUT - 0.1, "late": float(TIMEOUT)}
RESTS_ON_LEASES = (
    {"Promoting", "Demoted", "RolledBack"},
    {"NoLiveWorker", "ApplicationUnhealthy", "CannotFence", "UnknownCluster", "TimedOut"},
)
"""Events, and how requests end."""


def parsed(line: str) -> Case:
    roles, asked, leases, waited, then, ends, event = (part.strip() for part in line.split("|"))
    alive: Leases = ()
    silent: Leases = ()
    deleted = set()
    for n, word in enumerate(leases.split()):
        found = re.fullmatch(r"(c\d|\?)([-ok~x+!]*)", word)
        assert found
        member, marks = found[1].strip("?"), found[2]
        one = lease(
            member,
            name=f"lease-{n}",
            ack=TERM - ("-" in marks),
            uid="uid-0" if "o" in marks else UID,
            isolation=Isolation.KEEP_ROLE if "k" in marks else Isolation.FENCE,
            application=next((word for mark, word in REPORTS.items() if mark in marks), None),
        )
        if "~" in marks:
            silent += (one,)
        else:
            alive += (one,)
        if "x" in marks:
            deleted.add(one)
    then = "" if then == "." else then
    return Case(roles, REQUESTS[asked], alive, silent, WAITED[waited], then, ends, event, frozenset(deleted))


def lines(table: str) -> list[str]:
    return [" ".join(line.split()) for line in table.strip().splitlines()]


each_case = pytest.mark.parametrize(
    "case",
    [
        *(pytest.param(parsed(line), id=line) for line in lines(TABLE)),
        *(
            pytest.param(replace(parsed(line), follows=Follows.APPLICATIONS), id=f"following: {line}")
            for line in lines(WHERE_ROLES_FOLLOW_APPLICATIONS)
        ),
    ],
)


def about_case(case: Case) -> Federation:
    on_purpose = () if case.asked or "passive" not in case.roles.split()[0] else (DEMOTED,)
    rules = Failover(follows=case.follows)
    return federation(case.roles, switchover=case.asked, history=on_purpose, failover=rules)


@each_case
def test_the_table(case: Case) -> None:
    about = about_case(case)
    decision = decided(about, case.alive, case.silent, waited=case.waited)
    result = after(about, decision)

    assert roles_of(result) == (case.then or case.roles)
    assert result.term == TERM + bool(case.then)
    assert set(decision.delete) == case.deleted
    assert [event.reason for event in decision.events] == ([case.event] if case.event else [])
    if case.ends:
        assert case.asked
        assert result.switchover is None
        assert [(past.id, past.outcome, past.term) for past in result.history] == [
            (case.asked.id, case.ends, result.term)
        ]
    else:
        assert about.status
        assert (result.switchover, result.history) == (case.asked, about.status.history)


@each_case
def test_what_rests_on_leases_is_confirmed_first_and_nothing_else_is(case: Case) -> None:
    """Without a list that was issued after this table was seen nobody is promoted, nothing is deleted."""
    decision = decided(about_case(case), case.alive, case.silent, waited=case.waited, confirmed=False)
    events, ends = RESTS_ON_LEASES
    if case.event in events or case.ends in ends:
        assert decision == Decision(confirm=True)
    elif case.then or case.ends:
        assert roles_of(written(decision)) == (case.then or case.roles)
    assert not decision.delete


@each_case
def test_whoever_waits_knows_until_when(case: Case) -> None:
    """With nothing left to write it looks again in the future, and not later than the deadline."""
    about = about_case(case)
    quiet = settled(observed(about, case.alive, silent=case.silent, waited=case.waited))
    decision = decide(quiet, at())
    assert quiet.federation
    assert quiet.federation.status
    asked = quiet.federation.status.switchover
    if decision.status is None and asked:
        assert not case.then
        assert decision.wake_at is not None
        assert decision.wake_at > BOOT
        if asked.trigger is not Trigger.BOOTSTRAP:
            assert decision.wake_at <= BOOT - case.waited + TIMEOUT


def test_it_wakes_when_a_lease_may_have_become_silent() -> None:
    about = federation("demoting passive", switchover=TO_C2)
    quick = lease("c1", ack=1, duration=2)
    decision = decide(settled(observed(about, (quick, TWO))), at())
    assert decision.wake_at == pytest.approx(BOOT + 2.3, abs=0.01)


def test_it_wakes_at_the_deadline() -> None:
    about = federation("demoting passive", switchover=TO_C2)
    keeper = kept("c1", ack=1)
    decision = decide(settled(observed(about, (TWO,), silent=(keeper,), waited=TIMEOUT - 5)), at())
    assert decision.wake_at == pytest.approx(BOOT + 5)


@pytest.mark.parametrize(
    ("blocking", "told"),
    [
        (lease("c1", ack=1, duration=100), "host-c1 (c1)"),
        (lease("c1", ack=1, duration=100), "; check that they can reach the hub"),
        (lease("c1", ack=1, duration=100), "if they are dead, their readings expire in 111 s"),
        (lease("", ack=1), "host- (of no member)"),
        (kept("c1", ack=1), "with force=true"),
    ],
)
def test_what_was_waited_for_in_vain_is_told(blocking: WorkerLease, told: str) -> None:
    about = federation("demoting passive", switchover=TO_C2)
    for more in ((), (lease("c1", name="another", ack=1, duration=50),)):
        result = after(about, decided(about, (blocking, *more, TWO), waited=TIMEOUT))
        assert told.removesuffix("; check that they can reach the hub") in result.history[0].message


HOLDING = lease("c1", ack=1, held_by='"pg-0" (draining)')


def test_holders_that_keep_a_switchover_waiting_are_named() -> None:
    about = federation("demoting passive", switchover=TO_C2)
    waiting = decide(settled(observed(about, (HOLDING, TWO))), at())
    assert waiting.obstacle == 'waiting for "pg-0" (draining) of c1 to let go'
    both = decide(settled(observed(about, (HOLDING, lease("c1", name="other", ack=1), TWO))), at())
    assert both.obstacle == f"{waiting.obstacle}; these workers may still answer active: host-c1 (c1)"


def test_holders_that_were_waited_for_in_vain_are_named() -> None:
    about = federation("demoting passive", switchover=TO_C2)
    for leases, advice in (
        ((HOLDING,), "look at their logs"),
        ((HOLDING, lease("c1", name="other", ack=1)), "reach the hub"),
    ):
        result = after(about, decided(about, (*leases, TWO), waited=TIMEOUT))
        message = result.history[0].message
        assert 'waiting for "pg-0" (draining) of c1 to let go' in message
        assert advice in message


@pytest.mark.parametrize(
    ("asked", "told"), [(FROM_NOBODY, "the request is for another member now"), (None, "the request is gone")]
)
def test_why_it_yields_is_told(asked: Switchover | None, told: str) -> None:
    about = federation("promoting passive", switchover=asked)
    assert told in decided(about, (ONE, TWO)).events[0].message


def test_who_cannot_be_fenced_is_named_with_the_member() -> None:
    about = federation("active passive", switchover=TO_C2)
    result = after(about, decided(about, (TWO,), (kept("c1"),)))
    assert "host-c1 (c1)" in result.history[0].message


def test_a_new_coordinator_counts_the_deadline_from_its_own_first_sight() -> None:
    about = federation("demoting passive", switchover=TO_C2)
    seen = replace(observed(about, (BEHIND, TWO), waited=0), sightings=Sightings())
    assert roles_of(after(about, decide(seen, at(BOOT + 1e6)))) == "demoting passive"


def test_a_request_by_the_spec_has_all_of_its_time() -> None:
    """However long this coordinator has known the table that the request meets."""
    about = federation("passive passive", wants="c2", observed_active_cluster="", history=(DEMOTED,))
    result = written(decided(about, (BEHIND, TWO), waited=2 * TIMEOUT))
    assert (result.switchover and result.switchover.to) == "c2"
    assert result.history == (DEMOTED,)


def test_the_deadline_is_the_specs() -> None:
    about = federation("demoting passive", switchover=TO_C2, switchover_timeout=100)
    assert roles_of(after(about, decided(about, (BEHIND, TWO), waited=99))) == "demoting passive"
    assert roles_of(after(about, decided(about, (BEHIND, TWO), waited=100))) == "active passive"


@pytest.mark.parametrize(
    ("requested_at", "ends"),
    [
        ("2026-11-23T11:58:00Z", False),
        ("2026-11-23T11:57:59Z", True),
        ("2026-11-23T12:57:59+01:00", True),
        ("2036-01-01T00:00:00Z", False),
        ("2020-01-01T00:00:00", False),  # whose time?
        ("yesterday", False),
        ("", False),
    ],
)
def test_a_request_expires_by_the_wall_clock(requested_at: str, ends: bool) -> None:  # noqa: FBT001
    about = federation(switchover=replace(TO_C2, requested_at=requested_at))
    result = written(decided(about, (ONE, TWO)))
    assert [past.outcome for past in result.history] == (["Expired"] if ends else [])


def test_a_request_may_wait_for_a_doubt_besides() -> None:
    asked = replace(FROM_NOBODY, requested_at="2026-11-23T11:57:50Z")  # 130 s ago
    about = federation("passive passive", switchover=asked, in_doubt=DOUBT)
    assert roles_of(written(decided(about, (ONE, TWO), waited=DOUBT.seconds))) == "passive promoting"
    sooner = replace(asked, requested_at="2026-11-23T11:57:47Z")
    about = federation("passive passive", switchover=sooner, in_doubt=DOUBT)
    assert written(decided(about, (ONE, TWO), waited=DOUBT.seconds)).history[0].outcome == "Expired"


def test_a_request_for_a_federation_without_active_member_expires_too() -> None:
    about = federation("passive passive", switchover=replace(EXPIRED, from_=""))
    assert written(decided(about, (ONE, TWO))).history[0].outcome == "Expired"


def test_a_bootstrap_never_expires() -> None:
    about = federation("passive passive", switchover=replace(EXPIRED, from_="", trigger=Trigger.BOOTSTRAP))
    assert roles_of(written(decided(about, (ONE, TWO)))) == "passive promoting"


def test_once_a_role_has_moved_a_request_does_not_expire() -> None:
    about = federation("demoting passive", switchover=EXPIRED)
    assert roles_of(written(decided(about, (ONE, TWO)))) == "passive promoting"


# --- messages and events ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roles", "asked", "alive", "silent", "says"),
    [
        ("demoting passive", TO_C2, (BEHIND, TWO), (), ["reach the hub"]),
        ("demoting passive", TO_C2, (TWO,), (kept("c1", ack=1),), ["host-c1 (c1)", "force=true"]),
        ("active passive", TO_C2, (ONE,), (), ["c2", "tcf-worker", "force=true"]),
        ("active passive", TO_C2, (TWO,), (kept("c1"),), ["host-c1", "KeepRole", "force=true"]),
        ("active passive", request("c1", "c9"), (ONE,), (), ["c9", "c1, c2"]),
        ("active passive", EXPIRED, (ONE, TWO), (), ["11:57:59", "ask again", "clocks"]),
        ("demoting passive", TO_C2, (BEHIND, TWO), (), ["c1 stays active", "host-c1 (c1)"]),
        ("passive passive", FROM_NOBODY, (BEHIND, TWO), (), ["nobody became active", "host-c1 (c1)"]),
        ("passive promoting", TO_C2, (ONE,), (), ["c1 is active again", "no worker of c2"]),
        ("passive promoting", FROM_NOBODY, (ONE,), (), ["nobody is active", "no worker of c2"]),
    ],
)
def test_the_record_says_why(
    roles: str, asked: Switchover, alive: Leases, silent: Leases, says: list[str]
) -> None:
    result = written(decided(federation(roles, switchover=asked), alive, silent, waited=TIMEOUT))
    for words in says:
        assert words in result.history[0].message


def test_an_event_names_request_term_and_author() -> None:
    asked = replace(TO_C2, requested_by="me", reason="maintenance")
    (event,) = decided(federation(switchover=asked), (ONE, TWO)).events
    assert (event.request, event.term, event.reason, event.warning) == ("r1", TERM + 1, "Demoting", False)
    assert event.message == (
        f"c1 gives up its role (term {TERM + 1}, request r1, trigger api, requested by me, maintenance)"
    )


@pytest.mark.parametrize(
    ("roles", "asked", "warning"), [("demoting passive", TO_C2, True), ("passive promoting", FORCED, True)]
)
def test_what_should_worry_somebody_is_a_warning(roles: str, asked: Switchover, warning: bool) -> None:  # noqa: FBT001
    (event,) = decided(federation(roles, switchover=asked), (BEHIND,), waited=TIMEOUT).events
    assert event.warning is warning


def test_force_says_so() -> None:
    decision = decided(federation("passive promoting", switchover=FORCED), (ONE,))
    assert "by force" in written(decision).history[0].message
    assert "by force" in decision.events[0].message
    ordinary = decided(federation("passive promoting", switchover=FORCED), (ONE, TWO))
    assert "force" in written(ordinary).history[0].message


@pytest.mark.parametrize(
    ("roles", "asked"),
    [
        ("demoting passive", FORCED),
        ("demoting passive", replace(TO_NOBODY, force=True)),
        ("passive passive", replace(FROM_NOBODY, force=True)),
    ],
)
def test_whom_force_overrode_is_told(roles: str, asked: Switchover) -> None:
    keeper = kept("c1", ack=1)
    (event,) = decided(federation(roles, switchover=asked), (TWO,), (keeper,)).events
    assert "by force" in event.message
    assert "host-c1 (c1)" in event.message
    assert event.warning


def test_where_there_was_nothing_to_override_no_event_worries_anybody() -> None:
    dead = lease("c1", ack=1)
    (event,) = decided(federation("demoting passive", switchover=FORCED), (TWO,), (dead,)).events
    assert "force" not in event.message
    assert not event.warning


@pytest.mark.parametrize(
    ("roles", "from_"), [("active passive", "c1"), ("passive passive", "")], ids=["active", "nobody"]
)
def test_a_refusal_for_want_of_workers_is_confirmed_first(roles: str, from_: str) -> None:
    """The watches of federations and of Leases are not in step: the worker may be there already."""
    about = federation(roles, switchover=request(from_, "c2"))
    assert decide(observed(about, (lease("c1"),), confirmed=False), at()).confirm


# --- what stands in the way ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roles", "asked", "alive", "silent", "says"),
    [
        ("demoting passive", TO_C2, (BEHIND, TWO), (), "host-c1 (c1)"),
        ("passive passive", FROM_NOBODY, (BEHIND, TWO), (), "host-c1 (c1)"),
        ("passive passive", bootstrap(), (ONE,), (kept("c2", ack=1),), "host-c2 (c2)"),
        ("passive passive", bootstrap(), (), (), "no worker of c1"),
        ("passive promoting", TO_C2, (ONE,), (), "no worker of c2"),
        ("active passive", None, (ONE, TWO), (), ""),
    ],
)
def test_what_it_waits_for_is_told(
    roles: str, asked: Switchover | None, alive: Leases, silent: Leases, says: str
) -> None:
    decision = decide(settled(observed(federation(roles, switchover=asked), alive, silent=silent)), at())
    assert decision.status is None
    assert says in decision.obstacle
    assert bool(decision.obstacle) == bool(says)


@pytest.mark.parametrize(
    ("stage", "deadline", "queued"),
    [
        (Stage(UID, TERM, 0, TO_C2.id, BOOT - 10, excused=4, queued=3), BOOT - 6 + TIMEOUT, 3),
        (Stage(UID, TERM, 0, TO_C2.id, BOOT - 10, excused=4, queued=1e6), BOOT - 6 + TIMEOUT, 600),
        (Stage(UID, TERM, 0, "another", BOOT - 10, excused=4, queued=3), BOOT + TIMEOUT, 0),
        (None, BOOT + TIMEOUT, 0),
    ],
)
def test_what_counts_against_a_request_is_its_own_time(
    stage: Stage | None, deadline: float, queued: float
) -> None:
    about = federation("demoting passive", switchover=TO_C2)
    assert about.status
    case = steps.Case(about, about.status, Workers((), Sightings(stage=stage), BOOT), at())
    assert (case.deadline(TO_C2), case.queued(TO_C2)) == (deadline, queued)
