"""`decide`: what comes first, what a decision may rest on, and what is written besides."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tcf.core.annotations import ANNOTATION_LAST_ACTIVE, ANNOTATION_LONGEST_LEASE, LastActive
from tcf.core.decide import AFTERWARDS, Decision, Observation, decide
from tcf.core.fencing import COLLECT_FACTOR
from tcf.core.model import (
    HISTORY_LENGTH,
    LONGEST_LEASE,
    PLAUSIBLE_LEAD,
    PROTOCOL,
    Application,
    Failover,
    Federation,
    Follows,
    Isolation,
    Member,
    Status,
    Stranger,
    Switchover,
    Trigger,
    Unfenceable,
)
from tcf.core.reasons import Outcome
from tcf.core.sightings import Sightings
from unit.build import (
    BEHIND,
    BOOT,
    DOUBT,
    FROM_NOBODY,
    ONE,
    SILENCE,
    SILENT_SINCE,
    STAMP,
    TERM,
    THREE,
    TIMEOUT,
    TO_C2,
    TWO,
    UID,
    UNIX,
    D,
    Leases,
    after,
    at,
    begun,
    bootstrap,
    decided,
    described,
    entry,
    federation,
    kept,
    lease,
    observed,
    request,
    roles_of,
    settled,
    spec,
    status,
    written,
)

FORGOTTEN = tuple(entry(f"r{n}", outcome="NoLiveWorker") for n in range(HISTORY_LENGTH))
"""So many refusals that nobody knows what was before."""


MIRRORED = {ANNOTATION_LAST_ACTIVE: f"c1/{TERM}", ANNOTATION_LONGEST_LEASE: str(D)}
CENTURY = UNIX + 100 * 365 * 86_400_000
C1_BEFORE = {ANNOTATION_LAST_ACTIVE: f"c1/{TERM - 4}"}
TO_C2_AND_DEMOTED = (
    entry("r3", from_="", to="c1", outcome="TimedOut"),
    entry("r2", from_="c2", to=""),
    entry("r1", from_="c1", to="c2"),
)
"""A demotion that began before the annotation could tell of the promotion."""


# --- a restored hub -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "roles", ["active passive", "demoting passive", "passive promoting", "passive passive"]
)
def test_a_hub_that_was_restored(roles: str) -> None:
    asked = None if roles == "active passive" else TO_C2
    about = federation(roles, switchover=asked)
    ahead = lease("c2", ack=TERM + 7)
    assert decided(about, (ONE, ahead), confirmed=False) == Decision(confirm=True, reread=True)
    listed = replace(observed(about, (ONE, ahead)), reread=False)
    assert decide(listed, at()) == Decision(confirm=True, reread=True)
    assert decide(replace(listed, listed=None, reread=True), at()) == Decision(confirm=True)
    result = written(decided(about, (ONE, ahead, lease("c1", name="old", uid="uid-0", ack=9999))))
    assert (roles_of(result), result.term) == ("passive passive", UNIX)
    assert result.switchover
    assert result.switchover.trigger is Trigger.BOOTSTRAP
    assert result.switchover.to == "c1"
    assert [(past.id, past.outcome) for past in result.history] == [
        ("r1" if asked else "restored-1", Outcome.HUB_RESTORED)
    ]


def test_after_a_restore_the_last_active_member_is_chosen() -> None:
    ahead = lease("c2", ack=TERM + 7)
    nobody = federation("passive passive", annotations={ANNOTATION_LAST_ACTIVE: f"c2/{TERM}"})
    demoted = federation("passive passive", history=TO_C2_AND_DEMOTED, annotations=C1_BEFORE)
    for before in (nobody, demoted, federation("passive active", annotations=C1_BEFORE)):
        result = written(decided(before, (ahead,)))
        assert result.switchover
        assert result.switchover.to == "c2"


def test_what_workers_know_of_another_object_is_no_loss() -> None:
    about = federation("active passive", annotations=MIRRORED)
    result = after(about, decided(about, (ONE, TWO, lease("c1", name="old", uid="uid-0", ack=UNIX + 5000))))
    assert (roles_of(result), result.in_doubt) == ("active passive", None)


def test_without_any_acknowledgement_nothing_is_lost() -> None:
    about = federation("active passive", term=0)
    assert roles_of(after(about, decided(about))) == "active passive"


@pytest.mark.parametrize("absurd", [10**17, CENTURY + 1])
def test_an_absurd_term_is_not_outdone(absurd: int) -> None:
    """Whoever may write a Lease could else drive the term beyond what anybody can read."""
    forged = lease("c2", ack=absurd)
    result = after(federation(), decided(federation(), (ONE, forged)))
    assert (roles_of(result), result.term) == ("active passive", TERM)
    lowest = federation(term=0)
    assert after(lowest, decided(lowest, (forged,))).term == 0
    assert begun(forged, last=f"c1/{absurd}").term == UNIX


def test_a_term_forged_at_the_very_bound_makes_no_later_one_implausible() -> None:
    highest = lease("c2", ack=CENTURY)
    result = written(decided(federation(), (ONE, highest)))
    assert result.term == CENTURY + 1
    later = replace(federation(), status=replace(result, term=TERM))  # restored once more, a moment later
    own = lease("c1", ack=result.term)
    assert written(decide(observed(later, (own,)), at(BOOT + 0.01))).term == result.term + 1


def test_a_restored_hub_is_told() -> None:
    (event,) = decided(federation(), (ONE, lease("c2", ack=TERM + 7))).events
    assert (event.reason, event.warning, event.term) == ("HubRestored", True, UNIX)
    assert str(TERM + 7) in event.message


@pytest.mark.parametrize("asked", [bootstrap("c2"), FROM_NOBODY], ids=["bootstrap", "request"])
@pytest.mark.parametrize("leases", [(), (TWO,), (ONE, TWO)], ids=["none known", "one", "all acknowledged"])
def test_after_a_restore_nobody_is_promoted_before_lost_answers_have_run_out(
    leases: Leases, asked: Switchover
) -> None:
    """A worker may answer active by a term that is on no Lease, because its own Lease is lost."""
    about = federation("passive passive", switchover=asked, in_doubt=DOUBT)
    early = decided(about, leases, waited=DOUBT.seconds - 0.2)
    assert (roles_of(after(about, early)), early.events) == ("passive passive", ())
    settled_on = replace(about, status=after(about, early))
    assert decided(settled_on, leases, waited=DOUBT.seconds - 0.2).wake_at == pytest.approx(BOOT + 0.2)
    late = decided(about, (ONE, TWO), waited=DOUBT.seconds)
    assert roles_of(written(late)) == "passive promoting"


@pytest.mark.parametrize(
    ("about", "leases"),
    [
        (federation("passive passive"), (TWO, lease("c1", duration=3 * D, ack=TERM + 7))),
        (federation("passive passive", lease_duration=3 * D), (lease("c1", ack=TERM + 7),)),
        (federation("passive passive", longest_lease_seconds=3 * D), (lease("c1", ack=TERM + 7),)),
        (
            federation(
                None, annotations={ANNOTATION_LAST_ACTIVE: "c1/7", ANNOTATION_LONGEST_LEASE: str(3 * D)}
            ),
            (),
        ),
    ],
    ids=["a Lease", "the spec", "the status", "the annotation"],
)
def test_lost_answers_may_last_as_long_as_the_longest_lease_that_is_known(
    about: Federation, leases: Leases
) -> None:
    lost = written(decided(about, leases))
    assert lost.in_doubt
    assert lost.in_doubt.seconds == math.ceil(3.3 * D + 0.1)


@pytest.mark.parametrize("noted", ["", "0", "301", "9" * 30, "-5", "a day", "²"])
def test_a_longest_lease_that_nobody_has_written_is_bounded(noted: str) -> None:
    about = federation(annotations={ANNOTATION_LONGEST_LEASE: noted})
    longest = described(about).status
    assert longest
    assert longest.longest_lease_seconds == (LONGEST_LEASE if noted == "301" else D)


def test_the_longest_lease_is_noted_and_outlives_a_shorter_one() -> None:
    long = replace(federation(lease_duration=60))
    noted = written(decided(long, (ONE, TWO)))
    assert noted.longest_lease_seconds == 60
    shorter = replace(long, spec=replace(long.spec, lease_duration=1), status=noted)
    assert after(shorter, decided(shorter, (ONE, TWO))).longest_lease_seconds == 60


def test_neither_an_edit_nor_a_full_history_shortens_the_doubt() -> None:
    """Withdrawn requests push the record of the loss out of the history; the doubt stays."""
    lost = written(decided(federation("passive passive", lease_duration=60), (lease("c2", ack=TERM + 7),)))
    withdrawn = tuple(entry(f"w{n}", outcome=Outcome.NO_COORDINATOR) for n in range(HISTORY_LENGTH))
    about = federation("passive passive", lease_duration=1)
    about = replace(about, status=replace(lost, history=withdrawn))
    leases = (lease("c1", duration=1, ack=lost.term), lease("c2", duration=1, ack=lost.term))
    assert roles_of(after(about, decided(about, leases, waited=66.0))) == "passive passive"
    assert roles_of(after(about, decided(about, leases, waited=67.0))) == "promoting passive"


def test_the_doubt_ends_when_somebody_has_become_active() -> None:
    about = federation("passive promoting", switchover=FROM_NOBODY, in_doubt=DOUBT)
    assert written(decided(about, (TWO,))).in_doubt is None
    failed = federation("passive promoting", switchover=request("", "c1"), in_doubt=DOUBT)
    assert written(decided(failed, (TWO,))).in_doubt == DOUBT


def test_a_table_seen_before_it_was_lost_does_not_begin_the_wait_for_one_of_the_same_term() -> None:
    before = federation("passive passive", switchover=FROM_NOBODY)
    about = federation("passive passive", switchover=FROM_NOBODY, in_doubt=DOUBT, resource_version="2")
    sightings = Sightings().see_federation(before, BOOT - 100).see_federation(about, BOOT)
    sightings = sightings.see_leases((ONE, TWO), BOOT)
    decision = decide(Observation(about, (ONE, TWO), sightings, listed=BOOT, reread=True), at())
    assert roles_of(after(about, decision)) == "passive passive"
    again = sightings.see_federation(replace(about, resource_version="3"), BOOT + 5)
    assert again.doubt == sightings.doubt


def test_a_term_that_was_seen_here_and_is_not_there_any_more_is_a_loss() -> None:
    """No Lease need tell of it. It is concluded from a fresh read only."""
    about = federation(term=TERM)
    sightings = Sightings().see_federation(federation(term=TERM + 5), BOOT - 9).see_federation(about, BOOT)
    sightings = sightings.see_leases((ONE, TWO), BOOT)
    first = decide(Observation(about, (ONE, TWO), sightings, listed=BOOT, reread=False), at())
    assert (first.confirm, first.reread) == (True, True)
    lost = written(decide(Observation(about, (ONE, TWO), sightings, listed=BOOT, reread=True), at()))
    assert lost.term > TERM + 5
    assert lost.in_doubt
    assert roles_of(lost) == "passive passive"
    absurd = Sightings().see_federation(federation(term=10**17), BOOT - 9).see_federation(about, BOOT)
    absurd = absurd.see_leases((ONE, TWO), BOOT)
    assert not decide(Observation(about, (ONE, TWO), absurd, listed=BOOT, reread=False), at()).reread


def test_a_doubt_outlives_the_object() -> None:
    doubtful = federation("passive passive", switchover=FROM_NOBODY, in_doubt=DOUBT)
    again = federation(None, uid="uid-2")
    for waited, left in ((0, DOUBT), (DOUBT.seconds, None)):
        sightings = Sightings().see_federation(doubtful, BOOT - waited).see_federation(None, BOOT)
        sightings = sightings.see_federation(again, BOOT)
        first = written(decide(Observation(again, (), sightings, listed=BOOT, reread=True), at()))
        assert first.in_doubt == left


def test_a_status_that_was_seen_here_and_is_gone_is_a_loss() -> None:
    bare = federation(None)
    ahead = at().term + 500
    sightings = Sightings().see_federation(federation(term=ahead), BOOT - 9).see_federation(bare, BOOT)
    first = written(decide(Observation(bare, (), sightings, listed=BOOT, reread=True), at()))
    assert first.in_doubt
    assert first.term == ahead + 1


def test_a_lease_that_no_worker_can_have_written_is_named() -> None:
    about = federation()
    foreign = lease("c1", name="mine", problem="leaseDurationSeconds is 9999, not 1 to 300")
    result = written(decided(about, (ONE, TWO, foreign)))
    assert result.strangers == (Stranger("mine", "c1", "leaseDurationSeconds is 9999, not 1 to 300"),)
    degraded = result.condition("Degraded")
    assert degraded
    assert (degraded.status, degraded.reason) == ("True", "StrangeLease")
    assert "mine" in degraded.message
    assert "9999" in degraded.message


@pytest.mark.parametrize(
    ("last", "uid", "past"),
    [
        ("", "uid-0", []),
        ("", UID, [Outcome.HUB_RESTORED]),
        ("c1/7", "uid-0", [Outcome.HUB_RESTORED]),
    ],
    ids=["another object's", "its own", "annotation"],
)
def test_a_bootstrap_after_a_loss_is_told_from_a_first_one(last: str, uid: str, past: list[str]) -> None:
    result = begun(lease("c1", ack=7, uid=uid), last=last)
    assert [ended.outcome for ended in result.history] == past
    assert (result.switchover and result.switchover.trigger) is Trigger.BOOTSTRAP


@pytest.mark.parametrize("left", ["c1", "c2", "c3"])
def test_after_a_restore_the_members_are_those_of_the_spec(left: str) -> None:
    """Whichever member the old table has engaged, all are passive and fenced again."""
    old = federation("active passive passive", annotations={ANNOTATION_LAST_ACTIVE: f"{left}/5"})
    names = [name for name in ("c1", "c2", "c3", "c4") if name != left]
    result = written(decided(members(old, *names), (lease("c1", ack=TERM + 7),)))
    assert [m.id for m in result.clusters] == names
    assert (result.switchover and result.switchover.to) in names
    assert result.term > TERM + 7


# --- spec.activeCluster is an edge trigger ------------------------------------------------------------


def edged(roles: str = "active passive", wants: str | None = "c2", seen: str = "c1", **more: Any) -> Status:
    about = federation(roles, wants=wants, observed_active_cluster=seen, generation=7, **more)
    return written(decided(about, (ONE, TWO)))


def test_a_change_is_a_request_and_the_first_step_at_once() -> None:
    result = edged()
    assert (roles_of(result), result.observed_active_cluster) == ("demoting passive", "c2")
    assert result.switchover == Switchover(
        id="spec-7",
        from_="c1",
        to="c2",
        trigger=Trigger.SPEC,
        requested_by="spec.activeCluster",
        requested_at=STAMP,
    )


@pytest.mark.parametrize("wants", [None, "c2"])
def test_no_change_is_no_request(wants: str | None) -> None:
    assert roles_of(edged(wants=wants, seen=wants or "")) == "active passive"


def test_an_absent_field_is_no_request() -> None:
    result = edged(wants=None)
    assert (roles_of(result), result.observed_active_cluster) == ("active passive", "")
    assert result.switchover is None


def test_the_active_member_is_noted_only() -> None:
    result = edged(wants="c1", seen="c2")
    assert (result.observed_active_cluster, result.switchover, result.history) == ("c1", None, ())


def test_it_waits_for_what_is_under_way() -> None:
    about = federation("demoting passive", wants="c1", observed_active_cluster="c2", switchover=TO_C2)
    result = after(about, decided(about, (BEHIND, TWO)))
    assert (result.observed_active_cluster, result.switchover) == ("c2", TO_C2)


def test_the_bootstrap_yields_to_it() -> None:
    result = edged("passive passive", switchover=bootstrap())
    assert roles_of(result) == "passive promoting"
    assert [(past.id, past.outcome) for past in result.history] == [("bootstrap-99", "Superseded")]


def test_the_bootstrap_towards_the_same_member_goes_on() -> None:
    result = edged("promoting passive", wants="c1", seen="c2", switchover=bootstrap())
    assert (result.observed_active_cluster, result.history[0].id) == ("c1", "bootstrap-99")


def test_a_refusal_is_recorded_and_not_repeated() -> None:
    about = federation(wants="c2", observed_active_cluster="c1", generation=7)
    result = written(decided(about, (ONE,)))
    assert (result.observed_active_cluster, result.switchover) == ("c2", None)
    assert [(past.id, past.outcome) for past in result.history] == [("spec-7", "NoLiveWorker")]
    again = decided(replace(about, status=result), (ONE,))
    assert again.status is None


def test_a_member_that_is_none_is_refused_where_the_crd_did_not() -> None:
    result = edged(wants="c9")
    assert (result.observed_active_cluster, result.switchover) == ("c9", None)
    assert [(past.id, past.outcome, past.to) for past in result.history] == [
        ("spec-7", "UnknownCluster", "c9")
    ]


# --- members come and go ------------------------------------------------------------------------------


def members(about: Federation, *names: str) -> Federation:
    clusters = tuple(Member(name, f"name-{name}") for name in names)
    return replace(about, spec=replace(about.spec, clusters=clusters))


@pytest.mark.parametrize(
    ("names", "rows", "term"),
    [
        pytest.param(("c1", "c2", "c3"), ["c1", "c2", "c3"], TERM + 1, id="joins"),
        pytest.param(("c1", "c3"), ["c1", "c3"], TERM + 1, id="another id is another member"),
        pytest.param(("c2", "c1"), ["c2", "c1"], TERM, id="order"),
        pytest.param(("c2", "c3"), ["c2", "c3", "c1"], TERM + 1, id="the active one is held"),
    ],
)
def test_membership(names: tuple[str, ...], rows: list[str], term: int) -> None:
    result = written(decided(members(federation(), *names), (ONE, TWO)))
    assert [m.id for m in result.clusters] == rows
    assert (result.term, result.active_cluster) == (term, "c1")


def test_the_role_is_not_given_back_to_who_has_left() -> None:
    about = federation("passive promoting", switchover=TO_C2)
    about = replace(members(about, "c2"), status=about.status)
    rolled_back = after(about, decided(about, (ONE,), waited=TIMEOUT))
    about = replace(about, status=rolled_back)
    result = after(about, decided(about, (ONE,), waited=TIMEOUT))
    assert (result.active_cluster, result.switchover) == ("", None)


def test_members_of_the_running_request_are_held() -> None:
    about = members(federation("demoting passive passive", switchover=TO_C2), "c1", "c3")
    result = after(about, decided(about, (BEHIND, TWO, THREE)))
    assert [m.id for m in result.clusters] == ["c1", "c3", "c2"]
    over = replace(about, status=replace(result, switchover=None))
    assert [m.id for m in written(decided(over, (BEHIND, TWO, THREE))).clusters] == ["c1", "c3"]


def test_a_new_name_does_not_raise_the_term() -> None:
    about = federation()
    renamed = replace(about.spec.clusters[1], name="new")
    result = written(
        decided(replace(about, spec=replace(about.spec, clusters=(about.spec.clusters[0], renamed))))
    )
    assert (result.term, result.clusters[1].name) == (TERM, "new")


# --- counts, descriptions, the annotation -------------------------------------------------------------


def test_counts_are_written_from_a_confirmed_list_only() -> None:
    about = settled(observed(federation(), (ONE, TWO)))
    one_more = observed(about.federation, (ONE, lease("c1", name="b"), TWO), confirmed=False)
    assert decide(one_more, at()) == Decision(confirm=True)
    result = written(decide(replace(one_more, listed=BOOT), at()))
    assert [(m.workers, m.live_workers) for m in result.clusters] == [(2, 2), (1, 1)]


def test_with_nothing_to_do_nothing_is_written() -> None:
    for confirmed in (True, False):
        about = settled(observed(federation(annotations=MIRRORED), (ONE, TWO)))
        decision = decide(replace(about, listed=BOOT if confirmed else None), at(BOOT + 1))
        assert decision == Decision(wake_at=decision.wake_at)


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        (federation(), f"c1/{TERM}"),
        (federation(annotations=MIRRORED), None),
        (federation(annotations={ANNOTATION_LAST_ACTIVE: f"c1/{TERM}"}), f"c1/{TERM}"),
        (federation(annotations={**MIRRORED, ANNOTATION_LONGEST_LEASE: "9"}), f"c1/{TERM}"),
        (federation(annotations={ANNOTATION_LAST_ACTIVE: f"c1/{TERM - 1}"}), f"c1/{TERM}"),
        (federation(annotations={ANNOTATION_LAST_ACTIVE: "nonsense"}), f"c1/{TERM}"),
        (federation("passive passive"), None),
        (
            federation("passive passive", history=FORGOTTEN, annotations={ANNOTATION_LAST_ACTIVE: "c2/7"}),
            f"c2/{TERM}",
        ),
        (federation("passive passive", switchover=bootstrap("c2")), None),
        (federation("passive passive", history=TO_C2_AND_DEMOTED, annotations=C1_BEFORE), f"c2/{TERM}"),
        (federation("passive passive", history=(entry(from_="c2", to=""),)), f"c2/{TERM}"),
    ],
)
def test_the_last_active_member_is_mirrored(about: Federation, expected: str | None) -> None:
    now = settled(observed(about, (ONE,)))
    decision = decide(replace(now, sightings=Sightings().see_federation(about, BOOT - 1)), at())
    wanted = {ANNOTATION_LAST_ACTIVE: expected, ANNOTATION_LONGEST_LEASE: str(D)} if expected else {}
    assert decision.annotations == wanted
    assert decision.wake_at is None or decision.wake_at > BOOT


def test_it_is_mirrored_when_the_switchover_is_over_for_the_workers_too() -> None:
    decision = decide(settled(observed(federation(), (ONE,))), at())
    assert decision == Decision(wake_at=BOOT + AFTERWARDS)
    assert decide(settled(observed(federation(), (ONE,))), at(BOOT + AFTERWARDS)).annotations


def test_who_cannot_be_fenced_is_written_down() -> None:
    result = written(decided(federation(), (ONE, TWO), (kept("c2", name="old"),)))
    assert result.unfenceable == (Unfenceable("c2", "host-c2"),)


def test_another_protocol_is_left_alone() -> None:
    ours = federation(switchover=TO_C2)
    theirs = replace(ours, status=replace(status("active passive"), protocol=PROTOCOL + 1, switchover=TO_C2))
    old = Observation(theirs, (ONE,), Sightings().see_lease(ONE, BOOT - 1e6), listed=BOOT, reread=False)
    decision = decide(old, at())
    assert "protocol 2" in decision.obstacle
    assert decision == Decision(obstacle=decision.obstacle)


def test_a_table_that_nobody_can_have_written_is_left_alone_and_named() -> None:
    """Not even requested changes are made: the term could not rise for long, or not at all."""
    highest = UNIX + 2 * PLAUSIBLE_LEAD
    absurd = highest + 5000
    about = federation("active passive", term=absurd, switchover=TO_C2)
    result = written(decided(about, (ONE, TWO)))
    assert (roles_of(result), result.term, result.switchover) == ("active passive", absurd, TO_C2)
    degraded = result.condition("Degraded")
    assert degraded
    assert (degraded.status, degraded.reason) == ("True", "ImplausibleTerm")
    assert "patch cfed shop --subresource=status" in degraded.message
    quiet = decide(observed(replace(about, status=result), (ONE, TWO)), at(BOOT + 1))
    assert (quiet.status, dict(quiet.annotations)) == (None, {})
    assert "clock" in quiet.obstacle
    allowed = federation("active passive", term=highest, switchover=TO_C2)
    assert roles_of(written(decided(allowed, (ONE, TWO)))) == "demoting passive"


# --- leftovers ----------------------------------------------------------------------------------------

COLLECTED_AT = COLLECT_FACTOR * SILENCE


@pytest.mark.parametrize("about", [None, federation("passive passive")])
def test_leftovers_are_collected(about: Federation | None) -> None:
    keeper = lease("c2", isolation=Isolation.KEEP_ROLE)
    old = Observation(
        about, (ONE, keeper), Sightings().see_leases((ONE, keeper), BOOT), listed=BOOT, reread=False
    )
    due = at(BOOT + COLLECTED_AT + 0.01)
    if about:
        described = decide(old, due).status
        old = replace(old, federation=replace(about, status=described))
    early = decide(old, at(BOOT + COLLECTED_AT - 0.01))
    assert early.delete == ()
    if about is None:
        assert early.wake_at == pytest.approx(BOOT + COLLECTED_AT, abs=0.01)
    assert decide(old, due).delete == (ONE,)
    assert decide(old, due).wake_at is None


def test_it_wakes_for_the_first_of_several_leftovers() -> None:
    sightings = Sightings().see_lease(ONE, BOOT - 5).see_lease(TWO, BOOT)
    decision = decide(Observation(None, (ONE, TWO), sightings, listed=BOOT, reread=False), at())
    assert decision.wake_at == pytest.approx(BOOT - 5 + COLLECTED_AT, abs=0.01)


def test_without_anything_there_is_nothing_to_do() -> None:
    assert decided(None) == Decision()


def test_silence_counts_from_the_lists_receipt() -> None:
    """`observed` puts the silent well past the fence and well before collection."""
    assert SILENCE < BOOT - SILENT_SINCE < COLLECTED_AT
    assert pytest.approx(1.1 * D + 0.1) == SILENCE


Change = Callable[[Federation], Federation]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda f: replace(f, spec=spec(3)), id="members"),
        pytest.param(lambda f: replace(f, spec=replace(f.spec, active_cluster="c2")), id="activeCluster"),
        pytest.param(lambda f: replace(f, uid="uid-2", status=None), id="created again"),
        pytest.param(lambda f: replace(f, status=replace(f.status, switchover=TO_C2)), id="request"),
        pytest.param(lambda f: f, id="nothing"),
    ],
)
def test_decisions_are_pure(change: Change) -> None:
    about = observed(change(federation()), (ONE, TWO))
    assert decide(about, at()) == decide(about, at())


def test_history_is_kept() -> None:
    about = federation("passive promoting", switchover=TO_C2, history=(entry("older"),))
    assert [past.id for past in written(decided(about, (ONE, TWO))).history] == ["r1", "older"]
    assert about.uid == UID


def test_a_worker_of_no_member_is_named_and_the_member_that_may_be_meant() -> None:
    mistyped = lease("C-1", name="wrong")
    result = written(decided(federation(), (ONE, TWO, mistyped, lease("", name="bare"))))
    assert result.strangers == (Stranger("bare", "", ""), Stranger("wrong", "C-1", ""))
    degraded = result.condition("Degraded")
    assert degraded
    assert (degraded.status, degraded.reason) == ("True", "UnknownMember")
    for words in ("C-1 has a worker (Lease wrong) but is not a member", "the Lease bare names no member"):
        assert words in degraded.message


def test_a_federation_that_is_made_again_says_that_the_role_stays_where_it_was() -> None:
    left = lease("c1", uid="uid-0", last_active=LastActive("c2", TERM))
    decision = decided(federation(None, wants="c1"), (left,))
    (event,) = decision.events
    assert (event.reason, event.warning) == ("RoleKept", True)
    assert "c2 becomes active first" in event.message
    for wants in ("c2", None):
        assert decided(federation(None, wants=wants), (left,)).events == ()
    assert decided(federation(None, wants="c9")).events == (), "nobody was active before"


IN_OTHER_WORDS: dict[str, Any] = {"reason": "InOtherWords", "message": "in other words"}


@pytest.mark.parametrize(
    ("other", "waits"),
    [
        ({"conditions": IN_OTHER_WORDS}, True),
        ({"conditions": {"status": "Unknown"}}, True),
        ({"longest_lease_seconds": None}, True),
        ({"strangers": (Stranger("gone", "c1", "odd"),)}, True),
        ({"observed_generation": 0}, False),
        ({"clusters": {"live_workers": 0}}, False),
        ({"clusters": {"application": Application.HEALTHY}}, False),
    ],
    ids=str,
)
def test_what_another_release_says_in_other_words_is_written_over_now_and_then(
    other: dict[str, Any], *, waits: bool
) -> None:
    about = described(federation())
    assert about.status
    change: dict[str, Any] = {
        field: tuple(replace(each, **edit) for each in getattr(about.status, field))
        if isinstance(edit, dict)
        else edit
        for field, edit in other.items()
    }
    edited = replace(about, status=replace(about.status, **change), resource_version="77")
    alive = Sightings().see_leases((ONE, TWO), BOOT)
    for since, written_now in ((BOOT - 9.9, not waits), (BOOT - 10, True)):
        sightings = alive.see_federation(edited, since).see_federation(edited, BOOT)
        decision = decide(Observation(edited, (ONE, TWO), sightings, listed=BOOT, reread=False), at())
        assert (decision.status is not None) == written_now
        if not written_now:
            assert decision.wake_at == pytest.approx(BOOT + 0.1)


@pytest.mark.parametrize(
    ("follows", "shown", "waits"),
    [
        (Follows.WORKERS, None, True),
        (Follows.APPLICATIONS, None, False),
        (Follows.APPLICATIONS, Application.UNHEALTHY, False),
        (Follows.APPLICATIONS, Application.HEALTHY, None),
    ],
)
def test_what_another_release_drops_is_written_again_now_and_then(
    follows: Follows,
    shown: Application | None,
    *,
    waits: bool | None,
) -> None:
    """It does not know how an application is. Where roles follow applications, it must not be at work."""
    about = federation(failover=Failover(follows=follows))
    assert about.status
    well = tuple(replace(each, application=Application.HEALTHY) for each in (ONE, TWO))
    rows = tuple(replace(row, application=shown) for row in about.status.clusters)
    about = described(replace(about, status=replace(about.status, clusters=rows)))
    for since, written_now in ((BOOT - 9.9, waits is False), (BOOT - 10, waits is not None)):
        sightings = observed(about, well).sightings
        sightings = replace(sightings, status=about.status, status_at=since)
        decision = decide(Observation(about, well, sightings, listed=BOOT, reread=False), at())
        assert (decision.status is not None) == written_now
        if decision.status:
            assert {row.application for row in decision.status.clusters} == {Application.HEALTHY}
            ready = decision.status.condition("Ready")
            assert ready
            assert ready.status == "True"


@pytest.mark.parametrize(
    ("decision", "acts"),
    [
        (Decision(wake_at=BOOT), False),
        (Decision(confirm=True), True),
        (Decision(delete=(ONE,)), True),
        (Decision(status=federation().status), True),
        (Decision(annotations={"a": "b"}), True),
    ],
)
def test_what_is_more_than_waiting(decision: Decision, *, acts: bool) -> None:
    assert decision.acts == acts


def test_what_is_said_in_other_words_may_be_about_healthy_applications() -> None:
    well = tuple(replace(each, application=Application.HEALTHY) for each in (ONE, TWO))
    about = federation()
    assert about.status
    rows = tuple(replace(row, application=Application.HEALTHY) for row in about.status.clusters)
    about = described(replace(about, status=replace(about.status, clusters=rows)))
    assert about.status
    words = tuple(replace(each, **IN_OTHER_WORDS) for each in about.status.conditions)
    edited = replace(about, status=replace(about.status, conditions=words), resource_version="77")
    sightings = Sightings().see_leases(well, BOOT).see_federation(edited, BOOT)
    assert decide(Observation(edited, well, sightings, listed=BOOT, reread=False), at()).status is None
