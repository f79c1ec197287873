"""The worker's state machine: what makes a "yes" trustworthy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tcf.core.annotations import Acknowledgement, LastActive
from tcf.core.holds import HoldRequest
from tcf.core.lease_content import IDLE_DURATION, Renewal
from tcf.core.model import PLAUSIBLE_LEAD, PROTOCOL, Federation, Isolation, Refusal, Role
from tcf.core.reading import STOPPING, Cycle, Reading, WorkerState, not_ready
from unit.build import TERM, UID, D, at, federation, lease, machine_of, request

T0 = 1000.0
ACTIVE, PASSIVE = federation("active passive"), federation("passive active")
C1_WAS = LastActive("c1", TERM)
NOBODY_ACTIVE = federation("passive passive", term=TERM + 6)
DEMOTING = federation("demoting passive", term=TERM + 1)
LOWER = federation("active passive", term=TERM - 5)
UNKNOWN = replace(ACTIVE, status=replace(ACTIVE.status, protocol=PROTOCOL + 1))  # type: ignore[type-var]
KEEPING = federation("active passive", isolation=Isolation.KEEP_ROLE)
REBORN = federation("passive active", uid="uid-2", term=TERM + 50)
GONE = Refusal("LeaseLost", "it has been deleted")
DOWN = Refusal("Unreachable", "cannot reach the hub")
SOON = T0 + 0.1


def cycle(machine: WorkerState, about: Federation | None, t0: float = T0) -> Renewal | None:
    """A whole cycle; the Lease write, if there is one, succeeds."""
    begun = machine.begin(at(t0))
    renewal = machine.observe(begun, about)
    if renewal:
        machine.renewed(begun, renewal)
    return renewal


def machine_at(about: Federation, t0: float = T0) -> WorkerState:
    machine = machine_of("c1")
    cycle(machine, about, t0)
    return machine


def says(machine: WorkerState, now: float = SOON) -> str:
    """The role, or the reason why there is none."""
    answer = machine.answer(now)
    return str(answer.role) if isinstance(answer, Reading) else answer.reason


def half_way(machine: WorkerState, about: Federation | None, t0: float = T0) -> tuple[Cycle, Renewal]:
    """A cycle that has yet to write its Lease."""
    begun = machine.begin(at(t0))
    renewal = machine.observe(begun, about)
    assert renewal
    return begun, renewal


# --- a reading ----------------------------------------------------------------------------------------


def test_it_starts_without_an_answer() -> None:
    machine = machine_of("c1")
    assert says(machine) == machine.why.reason == "Starting"
    assert machine.period == IDLE_DURATION / 3
    assert machine.pending is None


@pytest.mark.parametrize("role", ["active", "passive", "promoting", "demoting"])
def test_a_reading_is_the_table(role: str) -> None:
    about = federation(f"{role} passive")
    answer = machine_at(about).answer(SOON)
    assert about.status
    assert answer == Reading(UID, TERM, Role(role), about.status.clusters, T0 + D, keep=False)


def test_there_is_a_reading_only_after_the_write() -> None:
    machine = machine_of("c1")
    begun, renewal = half_way(machine, ACTIVE)
    assert says(machine) == "Starting"
    assert renewal == Renewal(Acknowledgement(UID, TERM), Isolation.FENCE, D, C1_WAS)
    machine.renewed(begun, renewal)
    assert says(machine) == "active"


def test_it_expires_counted_from_before_the_read() -> None:
    machine = machine_of("c1")
    begun, renewal = half_way(machine, ACTIVE)
    machine.renewed(begun, renewal)  # however late that is
    assert says(machine, T0 + D - 0.001) == "active"
    assert says(machine, T0 + D) == "ReadingExpired"


def test_an_expired_reading_tells_how_old_it_is_and_why() -> None:
    machine = machine_at(ACTIVE)
    machine.failed(DOWN)
    assert says(machine) == "active"
    assert machine.answer(T0 + D + 2) == Refusal(
        "Unreachable", f"this worker's reading (term {TERM}) expired 2.0 s ago: cannot reach the hub"
    )


def test_a_write_that_fails_extends_nothing() -> None:
    machine = machine_at(ACTIVE)
    half_way(machine, ACTIVE, T0 + 3)
    machine.failed(DOWN)
    assert says(machine, T0 + D - 0.1) == "active"
    assert says(machine, T0 + D) == "Unreachable"
    begun = machine.begin(at(T0 + D))  # the next cycle doesn't find the candidate of the last
    machine.renewed(begun, Renewal(Acknowledgement(UID, TERM), Isolation.FENCE, D, C1_WAS))
    assert says(machine, T0 + D) == "Unreachable"


def test_valid_for_counts_down_to_zero() -> None:
    answer = machine_at(ACTIVE).answer(T0)
    assert isinstance(answer, Reading)
    assert [answer.valid_for(T0 + n) for n in (0, 4, D, D + 1)] == [D, D - 4, 0, 0]


def test_the_period_is_a_third_of_the_duration() -> None:
    assert machine_at(federation(lease_duration=30)).period == 10
    assert machine_at(federation(None, lease_duration=3)).period == 1


# --- lowering -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("about", "answer"),
    [
        pytest.param(DEMOTING, "demoting", id="demoting"),
        pytest.param(federation("passive active", term=TERM + 1), "passive", id="passive"),
        pytest.param(federation("promoting passive", term=TERM + 1), "promoting", id="promoting"),
        pytest.param(None, "FederationNotFound", id="deleted"),
        pytest.param(federation(None), "NotBootstrapped", id="no status"),
        pytest.param(federation(None, uid="uid-2"), "NotBootstrapped", id="created again"),
        pytest.param(REBORN, "passive", id="created again, with roles"),
        pytest.param(UNKNOWN, "UnknownProtocol", id="unknown protocol"),
    ],
)
def test_lowering_waits_for_nothing(about: Federation | None, answer: str) -> None:
    read = machine_at(ACTIVE)
    read.observe(read.begin(at(T0 + 1)), about)
    assert says(read, T0 + 1) == answer
    watched = machine_at(ACTIVE)
    watched.watched(about, SOON)
    assert says(watched, T0 + 1) == answer


def test_a_member_that_has_left_stops_at_once_and_goes_on_acknowledging() -> None:
    left = federation("active", members=1, term=TERM + 1)
    for machine in (machine_of("c2"), machine_of("c3")):
        cycle(machine, PASSIVE)
        begun, renewal = half_way(machine, left, T0 + 1)
        answer = machine.answer(T0 + 1)
        assert isinstance(answer, Refusal)
        assert answer.reason == "UnknownCluster"
        assert "spec.clusters" in answer.message
        assert "--cluster" in answer.message
        assert renewal.acknowledged == Acknowledgement(UID, TERM + 1)
        machine.renewed(begun, renewal)
        assert says(machine, T0 + 1) == "UnknownCluster"


def test_watching_never_raises() -> None:
    machine = machine_at(PASSIVE)
    assert machine.watched(federation("active passive", term=TERM + 1), SOON)
    assert says(machine) == "passive"
    assert machine.pending is None

    fresh = machine_of("c1")
    assert fresh.watched(ACTIVE, SOON)
    assert says(fresh) == "Starting"


def test_a_watched_lowering_extends_nothing() -> None:
    machine = machine_at(ACTIVE)
    machine.watched(DEMOTING, SOON)
    assert machine.pending
    machine.written(machine.pending)
    assert says(machine, T0 + D - 0.1) == "demoting"
    assert says(machine, T0 + D) == "ReadingExpired"


def test_old_events_are_ignored() -> None:
    machine = machine_at(DEMOTING)
    assert not machine.watched(ACTIVE, SOON)
    assert not machine.watched(LOWER, SOON)
    assert not machine.watched(DEMOTING, SOON)
    assert says(machine) == "demoting"
    assert machine.pending is None


def test_only_news_is_worth_a_cycle() -> None:
    machine = machine_at(ACTIVE)
    assert not machine.watched(ACTIVE, SOON)
    assert not machine.watched(replace(ACTIVE, resource_version="9"), SOON)
    assert machine.watched(replace(ACTIVE, generation=2), SOON)
    assert machine.watched(federation("active passive passive", term=TERM + 1), SOON)
    assert machine.watched(None, SOON)


# --- what overtakes a cycle ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "news",
    [
        pytest.param(DEMOTING, id="lowered"),
        pytest.param(federation("promoting passive", term=TERM + 1), id="promoting"),
        pytest.param(federation("active passive passive", term=TERM + 1), id="a higher term"),
        pytest.param(None, id="deleted"),
        pytest.param(REBORN, id="another object"),
        pytest.param(UNKNOWN, id="unknown protocol"),
    ],
)
@pytest.mark.parametrize("began", ["before the read", "before the write"])
def test_news_in_between_voids_the_cycle(news: Federation | None, began: str) -> None:
    machine = machine_at(ACTIVE)
    begun = machine.begin(at(T0 + 3))
    if began == "before the read":
        machine.watched(news, SOON)
    renewal = machine.observe(begun, ACTIVE)
    if began == "before the write":
        machine.watched(news, SOON)
    assert renewal
    machine.renewed(begun, renewal)
    assert says(machine, T0 + D) != "active"


def test_a_lost_lease_voids_the_cycle() -> None:
    machine = machine_at(ACTIVE)
    begun, renewal = half_way(machine, ACTIVE, T0 + 3)
    machine.lost(GONE)
    assert says(machine) == "LeaseLost"
    machine.renewed(begun, renewal)
    assert says(machine) == "LeaseLost"
    cycle(machine, ACTIVE, T0 + 4)
    assert says(machine) == "active"


def test_a_lease_lost_during_the_read_voids_the_cycle() -> None:
    machine = machine_at(ACTIVE)
    begun = machine.begin(at(T0 + 3))
    machine.lost(GONE)
    renewal = machine.observe(begun, ACTIVE)
    assert renewal
    machine.renewed(begun, renewal)
    assert says(machine) == "LeaseLost"


def test_an_answer_about_the_deleted_object_cannot_undo_a_lowering_for_its_successor() -> None:
    machine = machine_of("c1")
    begun = machine.begin(at(T0))
    machine.watched(None, SOON)
    machine.watched(REBORN, SOON)
    assert machine.pending
    assert machine.pending.acknowledged == Acknowledgement("uid-2", TERM + 50)
    renewal = machine.observe(begun, ACTIVE)
    assert renewal
    machine.renewed(begun, renewal)
    assert says(machine) != "active"
    cycle(machine, REBORN, T0 + 1)
    assert says(machine) == "passive"


# --- acknowledging ------------------------------------------------------------------------------------


def test_a_role_that_comes_back_ends_the_lowering_that_was_to_be_acknowledged() -> None:
    """Otherwise the worker would acknowledge that first, and answer "active" only after its next cycle."""
    machine = machine_at(ACTIVE)
    machine.watched(federation("demoting passive", term=TERM + 1), SOON)
    assert machine.pending
    assert machine.watched(federation("active passive", term=TERM + 2), SOON)
    assert machine.pending is None


def test_a_watched_lowering_is_pending_until_it_is_written() -> None:
    machine = machine_at(ACTIVE)
    assert machine.watched(DEMOTING, SOON)
    pending = machine.pending
    assert pending == Renewal(Acknowledgement(UID, TERM + 1), Isolation.FENCE, D, C1_WAS)

    machine.watched(federation("passive promoting", term=TERM + 2), SOON)  # while it is being written
    machine.written(pending)
    assert machine.pending
    assert machine.pending.acknowledged == Acknowledgement(UID, TERM + 2)
    machine.written(machine.pending)
    assert machine.pending is None


def test_a_role_that_comes_back_leaves_nothing_to_acknowledge_without_a_cycle() -> None:
    machine = machine_at(ACTIVE)
    machine.watched(DEMOTING, SOON)
    assert machine.watched(federation("active passive", term=TERM + 2), SOON)
    assert machine.pending is None
    cycle(machine, federation("active passive", term=TERM + 2), T0 + 1)
    assert says(machine, T0 + 1) == "active"


def test_a_cycle_settles_what_is_pending() -> None:
    machine = machine_at(ACTIVE)
    machine.watched(DEMOTING, SOON)
    cycle(machine, DEMOTING, T0 + 1)
    assert machine.pending is None
    assert says(machine, T0 + D + 0.5) == "demoting"


def test_a_stale_read_acknowledges_the_newest_table_seen() -> None:
    machine = machine_at(ACTIVE)
    begun = machine.begin(at(T0 + 3))
    machine.watched(DEMOTING, SOON)
    renewal = machine.observe(begun, ACTIVE)
    assert renewal
    assert renewal.acknowledged == Acknowledgement(UID, TERM + 1)
    machine.renewed(begun, renewal)
    assert machine.pending is None
    assert says(machine, T0 + 3) == "demoting"


def test_promoting_may_be_acknowledged_from_the_watch() -> None:
    machine = machine_at(PASSIVE)
    assert machine.watched(federation("promoting passive", term=TERM + 1), SOON)
    assert machine.pending
    assert says(machine) == "promoting"


def test_without_an_object_the_last_acknowledgement_stays() -> None:
    machine = machine_at(ACTIVE)
    kept = Renewal(Acknowledgement(UID, TERM), Isolation.FENCE, IDLE_DURATION, C1_WAS)
    assert cycle(machine, None, T0 + 1) == kept
    assert cycle(machine_of("c1"), None) == Renewal(None, Isolation.FENCE, IDLE_DURATION)


def test_who_was_active_last_is_noted_in_the_lease_beyond_the_object() -> None:
    machine = machine_at(ACTIVE)
    later = federation("passive active", term=TERM + 3)
    for about in (later, federation("passive demoting", term=TERM + 4), None):
        renewal = cycle(machine, about, T0 + 1)
        assert renewal
        assert renewal.last_active == LastActive("c2", TERM + 3)
    waiting = federation("passive passive", term=TERM + 5, switchover=request())
    for about, note in ((waiting, LastActive("c2", TERM + 3)), (NOBODY_ACTIVE, LastActive("-", TERM + 6))):
        renewal = cycle(machine, about, T0 + 1)
        assert renewal
        assert renewal.last_active == note
    overtaken = machine_at(ACTIVE)
    begun = overtaken.begin(at(T0 + 1))
    overtaken.watched(later, SOON)
    renewal = overtaken.observe(begun, ACTIVE)
    assert renewal
    assert renewal.last_active == LastActive("c2", TERM + 3)


def test_without_roles_only_the_lease_is_kept() -> None:
    machine = machine_of("c1")
    assert cycle(machine, federation(None)) == Renewal(None, Isolation.FENCE, D)
    answer = machine.answer(SOON)
    assert isinstance(answer, Refusal)
    assert answer.reason == "NotBootstrapped"
    assert "tcf-operator" in answer.message


def test_an_unknown_protocol_is_not_answered_with_a_write() -> None:
    machine = machine_of("c1")
    assert machine.observe(machine.begin(at(T0)), UNKNOWN) is None
    assert says(machine) == "UnknownProtocol"
    cycle(machine, ACTIVE, T0 + 1)
    assert says(machine) == "active"


# --- changes of duration and isolation ----------------------------------------------------------------


def test_a_shorter_duration_caps_the_reading_before_the_write() -> None:
    machine = machine_at(federation(lease_duration=100))
    half_way(machine, federation(lease_duration=5), T0 + 20)
    assert says(machine, T0 + 24.9) == "active"
    assert says(machine, T0 + 25) == "ReadingExpired"


def test_a_longer_duration_counts_after_the_write_only() -> None:
    machine = machine_at(ACTIVE)
    begun, renewal = half_way(machine, federation(lease_duration=100), T0 + 3)
    assert renewal.duration == 100
    assert says(machine, T0 + D) == "ReadingExpired"
    machine.renewed(begun, renewal)
    assert says(machine, T0 + 102) == "active"


def test_keep_role_answers_for_ever() -> None:
    machine = machine_at(KEEPING)
    answer = machine.answer(T0 + 1e9)
    assert isinstance(answer, Reading)
    assert answer.role is Role.ACTIVE
    assert answer.valid_for(T0 + 1e9) == 0


def test_keep_role_is_dropped_before_the_write() -> None:
    machine = machine_at(KEEPING)
    _, renewal = half_way(machine, ACTIVE, T0 + 3)
    assert renewal.isolation is Isolation.FENCE
    assert says(machine, T0 + D) == "ReadingExpired"


def test_keep_role_begins_after_the_write() -> None:
    machine = machine_at(ACTIVE)
    begun, renewal = half_way(machine, KEEPING, T0 + 3)
    assert renewal.isolation is Isolation.KEEP_ROLE
    assert says(machine, T0 + D) == "ReadingExpired"
    machine.renewed(begun, renewal)
    assert says(machine, T0 + 1e9) == "active"


def test_the_very_first_keep_role_is_in_the_lease_before_it_is_answered() -> None:
    _, renewal = half_way(machine_of("c1"), KEEPING)
    assert renewal.isolation is Isolation.KEEP_ROLE


@pytest.mark.parametrize("about", [None, federation("demoting passive", term=TERM + 1)])
def test_keep_role_is_lowered_like_any_other(about: Federation | None) -> None:
    machine = machine_at(KEEPING)
    machine.watched(about, SOON)
    assert says(machine, T0 + 1e9) != "active"


@pytest.mark.parametrize("roles", ["passive active", "demoting passive", "promoting passive"])
def test_whoever_is_not_active_keeps_its_role_in_nobodys_way(roles: str) -> None:
    """It answers its role for ever, and can be fenced all the same: its Lease does not say KeepRole."""
    about = federation(roles, isolation=Isolation.KEEP_ROLE)
    machine = machine_of("c1")
    renewal = cycle(machine, about)
    assert renewal
    assert renewal.isolation is Isolation.FENCE
    assert says(machine, T0 + 1e9) == roles.split(maxsplit=1)[0]


def test_a_lease_says_fence_only_when_the_answer_is_no_longer_active() -> None:
    machine = machine_at(KEEPING)
    _, renewal = half_way(machine, replace(LOWER, spec=KEEPING.spec), T0 + 3)  # a restored hub
    assert says(machine, T0 + 1e9) == "active"
    assert renewal.isolation is Isolation.KEEP_ROLE
    machine.watched(federation("demoting passive", term=TERM + 1, isolation=Isolation.KEEP_ROLE), SOON)
    assert says(machine, T0 + 1e9) == "demoting"
    assert machine.pending
    assert machine.pending.isolation is Isolation.FENCE


def test_a_lost_lease_ends_keep_role() -> None:
    machine = machine_at(KEEPING)
    machine.lost(GONE)
    assert says(machine) == "LeaseLost"


# --- a restored hub -----------------------------------------------------------------------------------


def test_a_lower_term_extends_nothing_and_shows_the_coordinator_the_higher() -> None:
    machine = machine_at(ACTIVE)
    renewal = cycle(machine, LOWER, T0 + 3)
    assert renewal
    assert renewal.acknowledged == Acknowledgement(UID, TERM)
    assert says(machine, T0 + D - 0.1) == "active"
    assert says(machine, T0 + D) == "HubRestored"


def test_a_lower_term_never_raises() -> None:
    machine = machine_at(PASSIVE)
    cycle(machine, LOWER, T0 + 3)
    assert says(machine, T0 + 3) != "active"


def test_a_lower_term_in_which_the_member_is_not_active_lowers_at_once() -> None:
    machine = machine_at(ACTIVE)
    half_way(machine, federation("passive active", term=TERM - 5), T0 + 3)
    assert says(machine, T0 + 3) == "HubRestored"


def test_a_term_that_nobody_can_have_written_proves_no_loss() -> None:
    """Somebody edited the status and removed it. No operator outdoes such a term."""
    absurd = at(T0).term + PLAUSIBLE_LEAD + 10_000
    machine = machine_at(federation("passive active", term=absurd))
    cycle(machine, ACTIVE, T0 + 3)
    assert says(machine, T0 + 3) == "active"
    lowest = machine_at(federation("passive active", term=absurd - 10_000))
    cycle(lowest, ACTIVE, T0 + 3)
    assert says(lowest, T0 + 3) == "passive"


def test_above_the_lost_term_it_goes_on() -> None:
    machine = machine_at(ACTIVE)
    cycle(machine, LOWER, T0 + 3)
    cycle(machine, federation("active passive", term=TERM + 1), T0 + 4)
    assert says(machine, T0 + D + 3) == "active"


def test_another_object_may_have_any_term() -> None:
    machine = machine_at(ACTIVE)
    cycle(machine, federation("active passive", uid="uid-2", term=1), T0 + 3)
    answer = machine.answer(T0 + D + 1)
    assert isinstance(answer, Reading)
    assert (answer.uid, answer.term) == ("uid-2", 1)


def test_a_read_that_the_watch_overtook_is_no_sign_of_a_restored_hub() -> None:
    machine = machine_of("c1")
    first = machine.begin(at(1000))
    renewal = machine.observe(first, federation("passive active"))
    assert renewal
    machine.renewed(first, renewal)

    cycle = machine.begin(at(1003))
    machine.watched(federation("promoting passive", term=TERM + 2), SOON)
    machine.observe(cycle, federation("passive demoting", term=TERM + 1))

    answer = machine.answer(1003)
    assert isinstance(answer, Reading)
    assert (answer.role, answer.term) == (Role.PROMOTING, TERM + 2)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: m.failed(DOWN),
        lambda m: m.watched(DEMOTING, SOON),
        lambda m: m.watched(None, SOON),
        lambda m: m.lost(GONE),
        lambda m: cycle(m, ACTIVE, T0 + 4),
    ],
    ids=["failed", "voided", "deleted", "lost", "over"],
)
def test_nothing_rises_after_a_cycle(spoil: Callable[[WorkerState], object]) -> None:
    machine = machine_at(ACTIVE)
    half_way(machine, ACTIVE, T0 + 3)
    spoil(machine)
    assert not machine.rising


def test_an_older_event_lowers_nothing() -> None:
    machine = machine_at(ACTIVE)
    assert not machine.watched(federation("passive active", term=TERM - 5), SOON)
    assert says(machine) == "active"


@pytest.mark.parametrize("term", [TERM - 5, TERM, TERM + 50])
def test_an_event_of_another_object_counts_whatever_its_term(term: int) -> None:
    machine = machine_at(ACTIVE)
    other = federation("passive active", uid="uid-2", term=term)
    assert machine.watched(other, SOON)
    answer = machine.answer(SOON)
    assert isinstance(answer, Reading)
    assert other.status
    assert (answer.uid, answer.term, answer.clusters) == ("uid-2", term, other.status.clusters)


@pytest.mark.parametrize("known", [None, ACTIVE, federation("passive active", term=TERM - 1)])
@pytest.mark.parametrize("uid", [UID, "uid-2"])
def test_a_read_that_the_watch_has_overtaken_changes_nothing(known: Federation | None, uid: str) -> None:
    """It shows what was there when it was sent for, which is no sign of a restored hub."""
    machine = machine_of("c1")
    if known:
        cycle(machine, known)
    begun = machine.begin(at(T0 + 3))
    machine.watched(federation("passive active", uid=uid, term=TERM + 3), SOON)
    before = machine.answer(T0 + 3)
    renewal = machine.observe(begun, federation("passive active", uid=uid, term=TERM))
    assert renewal
    assert renewal.acknowledged == Acknowledgement(uid, TERM + 3)
    assert machine.answer(T0 + 3) == before


def test_a_read_of_another_object_is_no_sign_of_a_restored_hub() -> None:
    machine = machine_at(ACTIVE)
    begun = machine.begin(at(T0 + 3))
    machine.watched(federation("passive active", uid="uid-2", term=TERM - 20), SOON)
    machine.observe(begun, federation("passive active", uid="uid-2", term=TERM - 30))
    assert says(machine) == "passive"


@pytest.mark.parametrize(("about", "rises"), [(ACTIVE, True), (PASSIVE, False)])
def test_only_the_active_role_is_a_rise(about: Federation, rises: bool) -> None:  # noqa: FBT001
    machine = machine_of("c1")
    assert not machine.rising
    half_way(machine, about)
    assert machine.rising is rises


def test_a_table_that_is_older_than_known_is_no_rise() -> None:
    """Else a worker would acknowledge the newer one, in which it is not active, before it is ready to."""
    machine = machine_at(PASSIVE)
    half_way(machine, LOWER, T0 + 3)
    assert not machine.rising


@pytest.mark.parametrize("trouble", [None, "the Pod has not been marked yet"])
@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (Reading(UID, TERM, Role.PASSIVE, (), T0, keep=False), True),
        (Refusal("FederationNotFound", "there is none"), True),
        (Refusal("NotBootstrapped", "no roles"), True),
        (Refusal("NoRoleYet", "no role"), True),
        (Refusal("Starting", "it has just started"), False),
        (Refusal("HubUnreachable", "it is down"), False),
    ],
    ids=lambda value: getattr(value, "reason", ""),
)
def test_a_worker_is_ready_if_it_answers_or_waits_for_a_federation(
    answer: Reading | Refusal, trouble: str | None, *, ready: bool
) -> None:
    """A rollout that waits for workers could else never get to the point of creating one."""
    why = not_ready(answer, trouble)
    if ready:
        assert why == trouble
    else:
        assert isinstance(answer, Refusal)
        assert why == answer.message


def test_what_a_cycle_before_has_read_is_no_reading_of_this_one() -> None:
    """Its Lease write failed; this one's succeeds, but it has read of a table that is older than known."""
    machine = machine_at(ACTIVE)
    half_way(machine, ACTIVE, T0 + 3)
    begun, renewal = half_way(machine, LOWER, T0 + 4)
    machine.renewed(begun, renewal)
    assert says(machine, T0 + D - 0.1) == "active"
    assert says(machine, T0 + D) == "HubRestored"


def test_the_highest_term_it_knows_is_of_the_present_object() -> None:
    machine = machine_of("c1")
    assert machine.known_term(UID) == 0
    cycle(machine, ACTIVE)
    assert (machine.known_term(UID), machine.known_term("uid-2")) == (TERM, 0)
    machine.watched(DEMOTING, SOON)
    assert machine.known_term(UID) == TERM + 1
    machine.watched(REBORN, SOON)
    assert (machine.known_term(UID), machine.known_term("uid-2")) == (0, TERM + 50)


def test_a_member_that_is_not_in_the_spec_is_unknown_before_there_is_a_status() -> None:
    bare = federation(None)
    for cluster, reason in (("c1", "NotBootstrapped"), ("c9", "UnknownCluster")):
        machine = machine_of(cluster)
        cycle(machine, bare)
        assert says(machine) == reason


ASKS = HoldRequest("pg-0", "x", 3.0)


def holding(about: Federation = ACTIVE) -> WorkerState:
    """An active worker with a holder."""
    machine = machine_at(about)
    machine.cover.sending(Renewal(Acknowledgement(UID, TERM), Isolation.FENCE, D), T0)
    machine.cover.written()
    assert machine.hold(ASKS, SOON)
    return machine


def test_what_is_withheld_for_a_holder_is_not_acknowledged_by_an_old_acknowledgement() -> None:
    """After a restore, the acknowledgement in the Lease may happen to be that of the table."""
    machine = holding()
    machine.watched(DEMOTING, SOON)
    table = Acknowledgement(UID, TERM + 1)
    content = machine.composed(
        Renewal(table, Isolation.FENCE, D), lease("c1", ack=TERM + 1), SOON, concluded=False
    )
    assert content.acknowledged is None


def test_when_the_lease_is_lost_nobody_gets_more_time_to_drain() -> None:
    machine = holding()
    machine.lost(GONE)
    before = machine.cover.holds.end(SOON)
    machine.hold(replace(ASKS, seconds=8.0, draining=True), SOON)
    assert machine.cover.holds.end(SOON) == before


def test_a_cycle_that_was_under_way_when_the_worker_stopped_does_not_make_it_answer() -> None:
    machine = machine_at(PASSIVE)
    begun, renewal = half_way(machine, federation("passive active", term=TERM + 3))
    machine.stop()
    machine.renewed(begun, renewal)
    assert says(machine) == STOPPING.reason


def test_a_read_that_was_under_way_when_the_worker_stopped_does_not_make_it_answer() -> None:
    machine = machine_at(ACTIVE)
    begun = machine.begin(at(T0))
    machine.stop()
    renewal = machine.observe(begun, ACTIVE)
    assert renewal
    machine.renewed(begun, renewal)
    assert says(machine) == STOPPING.reason
