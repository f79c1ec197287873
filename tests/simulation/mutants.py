"""Breaks of the protocol, each with the kind of schedule that shows it.

A simulation that does not notice them would prove nothing. Each is the product's code with one rule
broken; `tests/simulation/test_mutants.py` demands that it is caught.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import tcf.core.bootstrap
import tcf.core.decide
import tcf.core.failover
import tcf.core.fencing
import tcf.core.liveness
import tcf.core.steps
import tcf.worker.lease_keeper
from simulation import profiles
from simulation.schedule import Profile
from simulation.sim_hub import SimHub, renewed
from simulation.stand_ins import SimLeases
from simulation.world import Process
from tcf.coordinator.cache import FederationCache
from tcf.core.annotations import Acknowledgement
from tcf.core.claims import Claim
from tcf.core.decide import Observation
from tcf.core.fencing import Fence
from tcf.core.model import Federation, Now, Refusal, Role, Status, WorkerLease
from tcf.core.reading import Cycle, Reading, Renewal, WorkerState
from tcf.core.sightings import Sightings
from tcf.core.steps import Case
from tcf.hub import answers, errors
from tcf.worker.knowledge import Knowledge
from tcf.worker.switchovers import Switchovers

Patch = AbstractContextManager[object]


@dataclass(frozen=True)
class Mutant:
    """`what` is broken, how (`patches`), and the directed profile that has to show it."""

    what: str
    patches: Callable[[], Iterable[Patch]]
    profile: Profile

    @contextmanager
    def applied(self) -> Any:
        with ExitStack() as stack:
            for patch in self.patches():
                stack.enter_context(patch)
            yield


def _changed(owner: Any, name: str, change: Callable[..., Any]) -> Patch:
    """`owner.name` replaced by `change(original, *args)`."""
    original = getattr(owner, name)

    def changed(*args: Any, **kwargs: Any) -> Any:
        return change(original, *args, **kwargs)

    return mock.patch.object(owner, name, changed)


# --- the fence ------------------------------------------------------------------------------------------


def _no_delete() -> Iterable[Patch]:
    async def pretend(
        original: Any, leases: SimLeases, *args: Any, any_version: bool = False, **more: Any
    ) -> None:
        if any_version:  # a worker's own, at its clean stop
            await original(leases, *args, any_version=True, **more)

    yield _changed(SimLeases, "delete", pretend)


def _no_list() -> Iterable[Patch]:
    def listed(original: Callable[..., Observation], view: FederationCache, **_: Any) -> Observation:
        return original(view, listed=math.inf, reread=True)

    yield _changed(FederationCache, "observation", listed)


def _fenced_as_if(change: Callable[[WorkerLease, Case], WorkerLease | None]) -> Iterable[Patch]:
    """A fence that takes Leases for something else; what it deletes are the real ones."""

    def judged(original: Any, case: Case, request: Any, leases: Iterable[WorkerLease]) -> Fence:
        real = {lease.uid: lease for lease in leases}
        taken = [seen for lease in real.values() if (seen := change(lease, case))]
        verdict: Fence = original(case, request, taken)
        return replace(
            verdict,
            waiting=tuple(real[lease.uid] for lease in verdict.waiting),
            silent=tuple(real[lease.uid] for lease in verdict.silent),
        )

    yield _changed(Case, "fence", judged)


def _no_uid() -> Iterable[Patch]:
    def change(lease: WorkerLease, case: Case) -> WorkerLease:
        old = lease.acknowledged
        return replace(lease, acknowledged=old and Acknowledgement(case.federation.uid, old.term))

    yield from _fenced_as_if(change)
    yield from _no_doubt()  # which would do alone, as the uid does without it


def _any_acknowledgement() -> Iterable[Patch]:
    return _fenced_as_if(lambda lease, case: replace(lease, acknowledged=lease.acknowledged and case.table))


def _members_only() -> Iterable[Patch]:
    return _fenced_as_if(lambda lease, case: lease if case.federation.spec.member(lease.cluster) else None)


def _spec_duration() -> Iterable[Patch]:
    return _fenced_as_if(lambda lease, case: replace(lease, duration=case.federation.spec.lease_duration))


def _spec_isolation() -> Iterable[Patch]:
    return _fenced_as_if(lambda lease, case: replace(lease, isolation=case.federation.spec.isolation))


def _no_margin() -> Iterable[Patch]:
    for module in (tcf.core.steps, tcf.core.failover, tcf.core.fencing, tcf.core.liveness):
        yield mock.patch.object(module, "silence_needed", float)


def _early_sight() -> Iterable[Patch]:
    def read(original: Any, view: FederationCache, leases: Any, *, asked: float, now: float) -> None:
        del now
        original(view, leases, asked=asked, now=asked)

    yield _changed(FederationCache, "read_leases", read)


def _blind_delete() -> Iterable[Patch]:
    def delete(original: Any, hub: SimHub, seen: WorkerLease, *, any_version: bool) -> None:
        del any_version
        original(hub, seen, any_version=True)

    yield _changed(SimHub, "delete_lease", delete)


def _no_cas() -> Iterable[Patch]:
    def write(original: Any, hub: SimHub, seen: Federation, status: Status) -> Federation:
        del seen
        result: Federation = original(hub, hub.get(), status)
        return result

    yield _changed(SimHub, "write_status", write)


def _low_terms() -> Iterable[Patch]:
    def begun(original: Any, federation: Federation, *args: Any) -> Status:
        status: Status = original(federation, *args)
        return replace(status, term=1)

    yield _changed(tcf.core.decide, "bootstrapped", begun)


def _no_doubt() -> Iterable[Patch]:
    yield _changed(Case, "doubtful_until", lambda *_: -math.inf)


def _doubt_by_the_spec() -> Iterable[Patch]:
    yield _changed(
        tcf.core.bootstrap, "longest_lease", lambda _, federation, __: federation.spec.lease_duration
    )


def _doubt_of_one_object() -> Iterable[Patch]:
    def see(original: Any, sightings: Sightings, federation: Federation | None, now: float) -> Sightings:
        same = (
            federation is not None and sightings.newest is not None and sightings.newest.uid == federation.uid
        )
        result: Sightings = original(sightings if same else replace(sightings, doubt=None), federation, now)
        return result

    yield _changed(Sightings, "see_federation", see)


def _doubt_of_a_lost_table() -> Iterable[Patch]:
    def until(original: Any, case: Case) -> float:
        stage, doubt = case.workers.sightings.stage, case.status.in_doubt
        if doubt and stage and Acknowledgement(stage.uid, stage.term) == case.table:
            return stage.at + doubt.seconds
        result: float = original(case)
        return result

    yield _changed(Case, "doubtful_until", until)


def _terms_in_seconds() -> Iterable[Patch]:
    def first(_: Any, known: Iterable[int], now: Now) -> int:
        return max(now.term // 1000, max(known, default=0) + 1)

    yield _changed(tcf.core.bootstrap, "first_term", first)


def _absurd_terms() -> Iterable[Patch]:
    yield _changed(Now, "plausible", lambda *_: True)


# --- the worker -----------------------------------------------------------------------------------------


def _late_expiry() -> Iterable[Patch]:
    granted: dict[Knowledge, float] = {}

    def announce(original: Any, knowledge: Knowledge) -> None:
        state, reading = knowledge.state, knowledge.state.reading
        if reading and reading.valid_until > granted.get(knowledge, 0):
            granted[knowledge] = knowledge.clock.boot() + 3 * state.period
            state.reading = replace(reading, valid_until=granted[knowledge])
        original(knowledge)

    yield _changed(Knowledge, "announce", announce)


def _late_lowering() -> Iterable[Patch]:
    held: dict[int, Reading | None] = {}

    def observe(
        original: Any, machine: WorkerState, cycle: Cycle, about: Federation | None
    ) -> Renewal | None:
        before = machine.reading
        result: Renewal | None = original(machine, cycle, about)
        if before and before.role is Role.ACTIVE:
            held[id(machine)] = machine.reading
            machine.reading = before
        return result

    def done(original: Any, machine: WorkerState, cycle: Cycle, renewal: Renewal) -> None:
        if id(machine) in held:
            machine.reading = held.pop(id(machine))
        original(machine, cycle, renewal)

    yield _changed(WorkerState, "observe", observe)
    yield _changed(WorkerState, "renewed", done)


def _no_cap() -> Iterable[Patch]:
    def observe(
        original: Any, machine: WorkerState, cycle: Cycle, about: Federation | None
    ) -> Renewal | None:
        before = machine.reading
        result: Renewal | None = original(machine, cycle, about)
        after = machine.reading
        if before and after and before.term == after.term:
            machine.reading = replace(after, valid_until=before.valid_until, keep=before.keep)
        return result

    yield _changed(WorkerState, "observe", observe)


def _yes_from_the_watch() -> Iterable[Patch]:
    def watched(original: Any, knowledge: Knowledge, federation: Federation) -> None:
        original(knowledge, federation)
        status = federation.status
        own = status.member(knowledge.member.cluster) if status else None
        if status and own and own.role is Role.ACTIVE:
            until = knowledge.clock.boot() + federation.spec.lease_duration
            knowledge.state.reading = Reading(
                federation.uid, status.term, own.role, status.clusters, until, keep=False
            )

    yield _changed(Knowledge, "watched", watched)


def _cycle_not_voided() -> Iterable[Patch]:
    def watched(original: Any, machine: WorkerState, federation: Federation | None) -> bool:
        candidate = machine.candidate
        result: bool = original(machine, federation)
        machine.candidate = candidate
        return result

    def done(original: Any, machine: WorkerState, cycle: Cycle, renewal: Renewal) -> None:
        candidate = machine.candidate
        original(machine, cycle, renewal)
        machine.reading = candidate or machine.reading

    yield _changed(WorkerState, "watched", watched)
    yield _changed(WorkerState, "renewed", done)


def _put() -> Iterable[Patch]:
    def renew(original: Any, hub: SimHub, seen: WorkerLease, renewal: Renewal) -> WorkerLease:
        try:
            result: WorkerLease = original(hub, seen, renewal)
        except errors.NotFoundError:
            anew = hub.create_lease(seen.name, seen.cluster, seen.holder)
            return hub.put_lease(renewed(anew, renewal))
        return result

    yield _changed(SimHub, "renew_lease", renew)


def _lost_and_going_on() -> Iterable[Patch]:
    yield _changed(WorkerState, "lost", lambda *_: None)


def _whosever_lease() -> Iterable[Patch]:
    yield _changed(tcf.worker.lease_keeper, "counts", lambda *_: True)


def _stopped_clock() -> Iterable[Patch]:
    def stop(original: Any, process: Process, seconds: float) -> None:
        original(process, seconds)
        process.machine.stand_still(seconds)

    yield _changed(Process, "stop_for", stop)


# --- its clients -----------------------------------------------------------------------------------------


def _always_200() -> Iterable[Patch]:
    async def ask(original: Any, asking: Switchovers, *args: Any) -> Any:
        result = await original(asking, *args)
        answer = asking.knowledge.answer()
        return answer if isinstance(answer, Reading) else result

    yield _changed(Switchovers, "ask", ask)


def _lies_believed() -> Iterable[Patch]:
    def refusal(original: Any, *args: Any) -> errors.HubError:
        error: errors.HubError = original(*args)
        error.ambiguous = False
        return error

    yield _changed(answers, "refusal", refusal)


def _present_answer() -> Iterable[Patch]:
    def met_by(original: Any, claim: Claim, answer: Reading | Refusal) -> Reading | Refusal | None:
        return answer if original(claim, answer) else None

    yield _changed(Claim, "met_by", met_by)


# --- failover -------------------------------------------------------------------------------------------


def _no_proof() -> Iterable[Patch]:
    def since(original: Any, sightings: Sightings, lease: WorkerLease, now: float) -> float | None:
        del original, now
        return 0.0 if lease.uid in sightings.leases else None

    yield _changed(Sightings, "renewing_since", since)


def _paused_ignored() -> Iterable[Patch]:
    yield mock.patch.object(tcf.core.failover, "TO_REPLACE", ())


def _cooldown_ignored() -> Iterable[Patch]:
    yield _changed(tcf.core.failover, "rests_until", lambda *_: None)


def _timeout_ignored() -> Iterable[Patch]:
    def judged(original: Any, federation: Federation, *args: Any) -> Any:
        spec = federation.spec
        hasty = replace(spec, failover=replace(spec.failover, timeout=0))
        return original(replace(federation, spec=hasty), *args)

    yield _changed(tcf.core.steps, "failover", judged)


def _hasty_first() -> Iterable[Patch]:
    def instead(_: Any, *args: Any) -> Any:
        return tcf.core.failover.best_candidate(*args)

    yield _changed(tcf.core.steps, "first_instead", instead)


MUTANTS: Mapping[str, Mutant] = {
    name: Mutant(what, patches, profile)
    for name, what, patches, profile in (
        ("no delete", "silent Leases are not deleted before a promotion", _no_delete, profiles.STALLS),
        ("no list", "Leases are not listed after the demoting write", _no_list, profiles.NEWCOMERS),
        (
            "no uid",
            "an acknowledgement counts whatever object it is about",
            _no_uid,
            profiles.ANEW_ONCE_ACTIVE,
        ),
        ("any acknowledgement", "any acknowledgement will do", _any_acknowledgement, profiles.UNHEARD),
        ("members only", "only the spec's members are fenced", _members_only, profiles.EXPELLED),
        ("spec's duration", "silence counts with the spec's duration", _spec_duration, profiles.SHORTER),
        (
            "spec's isolation",
            "a silent Lease is judged by the spec's isolation",
            _spec_isolation,
            profiles.STRICTER,
        ),
        (
            "no margin",
            "silence is the duration, without a margin for clock rates",
            _no_margin,
            profiles.SLEWED,
        ),
        ("early sight", "silence counts from before the LIST", _early_sight, profiles.SLOW_LISTS),
        ("blind delete", "Leases are deleted whatever their version", _blind_delete, profiles.STALLS_SLOWLY),
        ("no CAS", "a status is written over any version", _no_cas, profiles.RACES),
        ("no doubt", "a table that begins anew after a loss is not in doubt", _no_doubt, profiles.SET_BACK),
        (
            "doubt by the spec",
            "the doubt lasts for the present leaseDuration",
            _doubt_by_the_spec,
            profiles.SET_BACK_WITHOUT_LEASE,
        ),
        (
            "doubt of one object",
            "a doubt ends when the federation is deleted and created again",
            _doubt_of_one_object,
            profiles.SET_BACK_AND_RECREATED,
        ),
        (
            "doubt of a lost table",
            "the doubt counts from when a table of that number was seen",
            _doubt_of_a_lost_table,
            profiles.SET_BACK_AND_SEEN,
        ),
        ("terms in seconds", "terms begin at Unix seconds", _terms_in_seconds, profiles.OUTRUN),
        ("absurd terms", "any acknowledged term is believed", _absurd_terms, profiles.FORGED),
        ("low terms", "a bootstrap begins at term 1", _low_terms, profiles.ANEW),
        ("late expiry", "a reading is good from the renewal's response on", _late_expiry, profiles.FADED),
        ("late lowering", "an answer is lowered after the renewal", _late_lowering, profiles.UNANSWERED),
        ("no cap", "a shorter duration does not cap the present reading", _no_cap, profiles.SHORTER),
        ("yes from the watch", "a watch event makes a reading", _yes_from_the_watch, profiles.FROZEN),
        (
            "cycle not voided",
            "a lowering does not void the cycle in flight",
            _cycle_not_voided,
            profiles.ANSWERED_LATE,
        ),
        ("PUT", "a renewal creates the Lease anew if it is gone", _put, profiles.STALLS),
        (
            "lost and going on",
            "a worker goes on answering although its Lease is lost",
            _lost_and_going_on,
            profiles.ROBBED,
        ),
        ("whosever Lease", "a Lease without the labels is renewed", _whosever_lease, profiles.ROBBED),
        (
            "stopped clock",
            "the clock stands still while a process is stopped",
            _stopped_clock,
            profiles.FROZEN,
        ),
        ("always 200", "a POST is answered 200 though it is refused", _always_200, profiles.RACES),
        ("lies believed", "a refusal by a proxy counts as certain", _lies_believed, profiles.LIES),
        (
            "present answer",
            "a 200 carries the roles of the moment, not of its outcome",
            _present_answer,
            profiles.RACES,
        ),
        (
            "hasty first",
            "another member begins although the chosen one is not silent for long enough",
            _hasty_first,
            profiles.BEGINNINGS,
        ),
        ("no proof", "a member is taken for dead without a witness", _no_proof, profiles.OUTAGES),
        ("paused ignored", "a failover begins while paused", _paused_ignored, profiles.FAILOVERS),
        ("cooldown ignored", "one begins during the cooldown", _cooldown_ignored, profiles.FAILOVERS),
        ("timeout ignored", "one begins before failover.timeout", _timeout_ignored, profiles.FAILOVERS),
    )
}
