"""What a coordinator does next with one federation: `decide(observation, now) -> Decision`.

Pure and level-triggered: it looks at what is, never at what happened, so that any number of
coordinators may run it at once and any of them may stop between two steps. Each decision holds at
most one status write, made under the resourceVersion that was observed. Role changes are the rows of
`transitions`; this module says when each may be taken:

    ===================  ==============================================  ====================
    table                when                                            row
    ===================  ==============================================  ====================
    E active             a request for X or for nobody, or failover      DEMOTE
    E demoting           fenced                                          HAND_OVER / RETIRE
    E demoting           deadline passed, X has no live worker any more,  KEEP
                         or nobody asks for it
    all passive          a request for X, fenced, and not in doubt       PROMOTE
    X promoting          a worker of X has acknowledged the table        COMPLETE
    X promoting          the request is for somebody else by now         YIELD
    X promoting          deadline passed                                 GIVE_BACK / YIELD
    ===================  ==============================================  ====================

and besides: no status at all (bootstrap), a bootstrap that failed requests had pushed aside, a worker
that knows a higher term (the hub was restored), members that came or went, a change of
`spec.activeCluster`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from tcf.core.admission import Accepted, Command, Kind, admit, ended, unbelievable, unusable
from tcf.core.bootstrap import bootstrapped, chosen_first, longest_lease, mirror, restored, resumed
from tcf.core.conditions import conditions
from tcf.core.failover import Standby, failover, first_instead, unheard, without_active
from tcf.core.fencing import Fence, collect_after, collectable, fence
from tcf.core.liveness import Workers, named
from tcf.core.model import (
    Acknowledgement,
    Federation,
    Isolation,
    MemberStatus,
    Now,
    Outcome,
    Refusal,
    Role,
    Spec,
    Status,
    Switchover,
    Trigger,
    WorkerLease,
)
from tcf.core.policies import (
    Proposal,
    cannot_fence,
    first_refusal,
    no_live_worker,
    unknown_cluster,
)
from tcf.core.sightings import Sightings
from tcf.core.silence import silence_needed
from tcf.core.transitions import Row, move, with_members

_DESCRIPTION_SECONDS = 10.0
"""For how long a status has to stand until nothing but its description is written again. During an update,
operators of two releases would else write over each other as fast as they can."""
AFTERWARDS = 0.2
"""Seconds after a step at which that is written which is only for later: the annotation and Events. At once,
it would hold up those who still have to read and to renew before the switchover has ended."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything a decision rests on.

    Attributes:
        federation: the object as last read or written; None if there is none.
        leases: the Leases with its label, whatever member they name.
        sightings: this coordinator's own, up to date with both.
        listed: boot seconds at which the list was sent for that the Leases come from: a consistent one, sent
            for after this table was seen. None if there was none.
        reread: the federation was read again since a Lease was known to be ahead of it.
    """

    federation: Federation | None
    leases: tuple[WorkerLease, ...]
    sightings: Sightings
    listed: float | None
    reread: bool


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event on the object. (request, term) names it, so that replicas don't double it."""

    request: str
    term: int
    trigger: Trigger | None
    reason: str
    message: str
    warning: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, in this order: list if `confirm` (and decide again), `delete`, write, tell.

    Attributes:
        confirm: the answer rests on Leases that have to be listed first; only `reread` may be set then.
        reread: it rests on the federation as well, which has to be read before them.
        delete: Leases to delete with their uid and resourceVersion as preconditions. If `status` is
            set, it may be written only when each of these was deleted or gone already.
        status: the one write, None if nothing is to be written.
        annotations: those that outlive the status and have to be written now.
        events: to be told after the write succeeded.
        wake_at: boot seconds at which to decide again although nothing happened; None for never.
        obstacle: what stands in the way of going on, for a person to read; "" when nothing does.
    """

    confirm: bool = False
    reread: bool = False
    delete: tuple[WorkerLease, ...] = ()
    status: Status | None = None
    annotations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    events: tuple[Event, ...] = ()
    wake_at: float | None = None
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class _Step:
    """A change of the status. `on_leases`: it rests on Leases, so they have to be confirmed.

    `on_loss`: it rests on that the hub has lost a table, which only a read can tell. A remembered version
    may be from before the loss, and a hub that was restored may have given its number to another one.
    """

    status: Status
    on_leases: bool = False
    on_loss: bool = False
    delete: tuple[WorkerLease, ...] = ()
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class _Wait:
    """Nothing to change before boot time `until` (None: before something happens), because of `obstacle`."""

    until: float | None = None
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class _Case:
    """One federation with a status, as the rules below look at it."""

    federation: Federation
    status: Status
    workers: Workers
    now: Now

    @property
    def request(self) -> Switchover | None:
        return self.status.switchover

    @property
    def table(self) -> Acknowledgement:
        """What a worker has to acknowledge to count as out of the way, or as ready to take over."""
        return Acknowledgement(self.federation.uid, self.status.term)

    def deadline(self, request: Switchover) -> float:
        """Boot time until which the request may stay at this table, on the coordinator's own clock."""
        stage = self.workers.sightings.stage
        since = stage.met if stage and stage.request == request.id else self.now.boot
        return since + self.federation.spec.switchover_timeout

    def doubtful_until(self) -> float:
        """Boot time at which all answers have run out that were given by a status that is lost."""
        known = self.workers.sightings.doubt
        return known.until if known else -math.inf

    def fence(self, request: Switchover, leases: Iterable[WorkerLease]) -> Fence:
        sightings, now = self.workers.sightings, self.now.boot
        return fence(leases, sightings, self.table, now, force=request.force)


def decide(observation: Observation, now: Now) -> Decision:
    """The next thing to do about a federation, or when to look again."""
    federation = observation.federation
    workers = Workers(observation.leases, observation.sightings, now.boot, observation.listed)
    leftovers, collect_at = _leftovers(workers)
    if federation is None:
        return Decision(delete=leftovers, wake_at=collect_at)
    if federation.status and (refusal := unusable(federation)):
        return Decision(obstacle=refusal.message)
    confirmed = observation.listed is not None
    refusal = unbelievable(federation, now)
    step = _Wait(obstacle=refusal.message) if refusal else _next_step(federation, workers, now)
    if isinstance(step, _Step):
        if step.on_loss and not observation.reread:
            return Decision(confirm=True, reread=True)
        if step.on_leases and not confirmed:
            return Decision(confirm=True)
        status = _counted(step.status, workers, now) if confirmed else step.status
        return Decision(
            delete=step.delete,
            status=_described(federation, status, now),
            events=(step.event,) if step.event else (),
        )
    assert federation.status is not None  # noqa: S101 - without one, the step is the bootstrap
    described = _described(federation, _counted(federation.status, workers, now), now)
    described_at = None
    if described != federation.status:
        if _undescribed(described) == _undescribed(federation.status):
            described_at = observation.sightings.status_at + _DESCRIPTION_SECONDS
        if described_at is None or now.boot >= described_at:
            # Counts of an unconfirmed list may be old news, and another replica's write be undone by it.
            return Decision(status=described) if confirmed else Decision(confirm=True)
    mirrored = {} if refusal else mirror(federation, federation.status)
    stage = observation.sightings.stage
    mirror_at = (stage.at if stage else -math.inf) + AFTERWARDS
    early = now.boot < mirror_at
    times = (
        step.until,
        collect_at,
        workers.next_silence(),
        mirror_at if mirrored and early else None,
        described_at,
    )
    return Decision(
        delete=leftovers,
        annotations={} if early else mirrored,
        wake_at=min((t for t in times if t is not None), default=None),
        obstacle=step.obstacle,
    )


# --- what to change, in order of precedence ---------------------------------------------------------


def _next_step(federation: Federation, workers: Workers, now: Now) -> _Step | _Wait:
    status = federation.status
    if status is None:
        sightings = workers.sightings
        seen, doubt = _believed(sightings.known_term(federation.uid), now), sightings.doubtful(now.boot)
        first = bootstrapped(federation, workers.leases, now, seen=seen, doubt=doubt)
        request = first.switchover
        event = None
        if first.history:
            event = _event(first, None, "HubRestored", first.history[0].message, warning=True)
        elif request and request.reason and federation.spec.active_cluster not in {None, request.to}:
            message = f"{request.to} is to become active first"
            event = _event(first, request, "RoleKept", message, warning=True)
        return _Step(first, on_leases=True, event=event)
    known = _highest_term(workers, federation.uid, now)
    if known > status.term:
        after = restored(federation, status, workers.leases, known, now)
        message = f"all members are passive: the hub has lost term {known}, which has been seen already"
        event = _event(after, None, "HubRestored", message, warning=True)
        return _Step(after, on_leases=True, on_loss=True, event=event)
    members = _members(federation.spec, status)
    if members != status.clusters:
        return _Step(with_members(status, members))
    status = _with_spec_request(federation, status, now)
    step = _progress(_Case(federation, status, workers, now))
    if isinstance(step, _Wait) and status != federation.status:
        return _Step(status)
    return step


def _highest_term(workers: Workers, uid: str, now: Now) -> int:
    """The highest term of this object that a worker has acknowledged, or that has been seen here."""
    acknowledged = (lease.acknowledged for lease in workers.leases)
    terms = (a.term for a in acknowledged if a and a.uid == uid)
    return max(_believed(term, now) for term in (*terms, workers.sightings.known_term(uid)))


def _believed(term: int, now: Now) -> int:
    """0 instead of a term that no operator can have written."""
    return term if now.plausible(term) else 0


def _members(spec: Spec, status: Status) -> tuple[MemberStatus, ...]:
    """The rows of the table for the members of the spec, in its order.

    A member that is engaged, or that the request names, stays although the spec has lost it: the CRD
    refuses such an edit, but a role must not vanish where the CRD's rules were not in force.
    """
    rows = {m.id: m for m in status.clusters}
    wanted = tuple(
        replace(rows[m.id], name=m.name) if m.id in rows else MemberStatus(m.id, m.name, Role.PASSIVE)
        for m in spec.clusters
    )
    named = {status.switchover.from_, status.switchover.to} if status.switchover else set()
    held = tuple(m for m in status.clusters if not spec.member(m.id) and (m.role.engaged or m.id in named))
    return wanted + held


def _with_spec_request(federation: Federation, status: Status, now: Now) -> Status:
    """Act on `spec.activeCluster` when it has changed: a request, or the record of its refusal."""
    wanted = federation.spec.active_cluster
    running = status.switchover
    if not wanted:
        return replace(status, observed_active_cluster="")
    if wanted == status.observed_active_cluster:
        return status
    if running and running.trigger is not Trigger.BOOTSTRAP:
        return status
    command = Command(
        Kind.PROMOTE,
        wanted,
        id=f"spec-{federation.generation}",
        trigger=Trigger.SPEC,
        requested_by="spec.activeCluster",
    )
    verdict = admit(replace(federation, status=status), command, now)
    observed = replace(status, observed_active_cluster=wanted)
    match verdict:
        case Accepted():
            return replace(verdict.status, observed_active_cluster=wanted)
        case Refusal():
            refused = Switchover(
                id=command.id,
                from_=status.active_cluster,
                to=wanted,
                trigger=command.trigger,
                requested_by=command.requested_by,
                requested_at=now.stamp(),
            )
            return ended(observed, verdict.reason, verdict.message, now, request=refused)
        case _:
            return observed


def _progress(case: _Case) -> _Step | _Wait:
    engaged = case.status.engaged
    if engaged is None:
        return _when_nobody(case)
    rules = {
        Role.ACTIVE: _when_active,
        Role.DEMOTING: _when_demoting,
        Role.PROMOTING: _when_promoting,
    }
    return rules[engaged.role](case, engaged.id)


def _when_active(case: _Case, active: str) -> _Step | _Wait:
    request = case.request
    if request is None:
        return _unasked(case, active)
    if request.to == active:
        return _end(case.status, Outcome.SUCCEEDED, f"{active} was active already", case.now)
    if refusal := _refusal(case, request):
        return _end(case.status, refusal.reason, refusal.message, case.now, on_leases=True)
    after = move(case.status, Row.DEMOTE, {active: Role.DEMOTING})
    return _Step(after, event=_event(after, request, "Demoting", f"{active} gives up its role"))


def _unasked(case: _Case, active: str) -> _Step | _Wait:
    """Nobody asks for anything; a dead member may have to be replaced."""
    verdict = failover(case.federation, case.status, active, case.workers, case.now)
    if isinstance(verdict, Standby):
        return _Wait(verdict.until, verdict.obstacle)
    after = move(replace(case.status, switchover=verdict), Row.DEMOTE, {active: Role.DEMOTING})
    event = _event(after, verdict, "FailingOver", f"{verdict.to} is to replace {active}", warning=True)
    return _Step(after, on_leases=True, event=event)


def _when_demoting(case: _Case, old: str) -> _Step | _Wait:
    status, request, now = case.status, case.request, case.now
    if request is None or request.to == old:
        message = f"{old} stays active: nobody else is to be"
        after = move(status, Row.KEEP, {old: Role.ACTIVE})
        event = _event(after, request, "Kept", message)
        return _Step(ended(after, Outcome.SUCCEEDED, message, now), event=event)
    if request.to and not request.force and not case.workers.alive(case.workers.of(request.to)):
        after = move(status, Row.KEEP, {old: Role.ACTIVE})
        message = (
            f"{old} stays active: no worker of {request.to} is alive any more, so nothing would answer for it"
        )
        return _rolled_back(after, request, message, now)
    # With nobody to promote, it is enough that the old member has stopped; who is promoted later is
    # fenced against everybody then.
    verdict = case.fence(request, case.workers.others(request.to) if request.to else case.workers.of(old))
    if verdict.closed and request.to:
        message = f"{old} is passive, {request.to} takes over"
        after = move(status, Row.HAND_OVER, {old: Role.PASSIVE, request.to: Role.PROMOTING})
        return _fenced(after, request, "Promoting", message, verdict)
    if verdict.closed:
        message = f"{old} is passive, nobody is active"
        after = move(status, Row.RETIRE, {old: Role.PASSIVE})
        step = _fenced(after, request, "Demoted", message, verdict)
        return replace(step, status=ended(after, Outcome.SUCCEEDED, message + _forced(request), now))
    deadline = case.deadline(request)
    if now.boot >= deadline:
        after = move(status, Row.KEEP, {old: Role.ACTIVE})
        return _rolled_back(after, request, f"{old} stays active: {_blocked_by(case, verdict)}", now)
    return _waiting(verdict, deadline)


def _when_nobody(case: _Case) -> _Step | _Wait:
    request = case.request
    if request is None:
        again = resumed(case.federation, case.status, case.now)
        return _Step(again) if again else _Wait()
    if not request.to:
        return _end(case.status, Outcome.SUCCEEDED, "nobody is active", case.now)
    if case.now.boot < (until := case.doubtful_until()):
        return _Wait(until, f"{request.to} waits until all answers by the lost table have run out")
    return _to_be_promoted(case, request)


def _to_be_promoted(case: _Case, request: Switchover) -> _Step | _Wait:
    bootstrap = request.trigger is Trigger.BOOTSTRAP
    if bootstrap and not case.workers.alive(case.workers.of(request.to)):
        return _first_instead(case, request, f"no worker of {request.to} is alive")
    if not bootstrap and (refusal := _refusal(case, request)):
        return _end(case.status, refusal.reason, refusal.message, case.now, on_leases=True)
    verdict = case.fence(request, case.workers.others(request.to))
    if verdict.closed:
        after = move(case.status, Row.PROMOTE, {request.to: Role.PROMOTING})
        return _fenced(after, request, "Promoting", f"{request.to} takes the active role", verdict)
    if bootstrap:
        return _waiting(verdict)
    deadline = case.deadline(request)
    if case.now.boot >= deadline:
        message = f"nobody became active: {_blocked_by(case, verdict)}"
        return _end(case.status, Outcome.TIMED_OUT, message, case.now, on_leases=True)
    return _waiting(verdict, deadline)


def _first_instead(case: _Case, request: Switchover, obstacle: str) -> _Step | _Wait:
    """Choose another member to become active first, if the one that was chosen is dead; else wait for it."""
    chosen = first_instead(case.federation, case.status, request.to, case.workers)
    if isinstance(chosen, Standby):
        return _Wait(chosen.until, chosen.obstacle or obstacle)
    message = (
        f"{unheard(request.to, case.workers, case.now)}; {chosen.id} is to become active first in its stead"
    )
    over = ended(case.status, Outcome.SUPERSEDED, message, case.now)
    after = chosen_first(case.federation, over, chosen.id, case.now)
    event = _event(after, after.switchover, "ChosenInstead", message, warning=True)
    return _Step(after, on_leases=True, event=event)


def _when_promoting(case: _Case, new: str) -> _Step | _Wait:
    status, request, now = case.status, case.request, case.now
    if request is None or request.to != new:
        after = move(status, Row.YIELD, {new: Role.PASSIVE})
        why = "another request came first" if request else "nobody asks for it"
        message = f"{new} is passive again: {why}"
        return _Step(after, event=_event(after, request, "Yielded", message))
    own = case.workers.of(new)
    ready = any(lease.acknowledged == case.table for lease in own)
    if ready or (request.force and not case.workers.alive(own)):
        message = f"{new} is active" + ("" if ready else " by force, without a live worker")
        if request.trigger is Trigger.FAILOVER:
            message += f"; nobody was for {without_active(request, now)} s, as far as is known"
        after = replace(move(status, Row.COMPLETE, {new: Role.ACTIVE}), in_doubt=None)
        event = _event(after, request, "Active", message, warning=not ready)
        message += _forced(request) if ready else ""
        return _Step(ended(after, Outcome.SUCCEEDED, message, now), event=event)
    obstacle = f"no worker of {new} has taken over yet"
    if request.trigger is Trigger.BOOTSTRAP:
        return _first_instead(case, request, obstacle)
    deadline = case.deadline(request)
    if now.boot < deadline:
        return _Wait(deadline, obstacle)
    why = f"no worker of {new} took over in time; see that one is running and reaches the hub, then ask again"
    former = request.from_
    if case.federation.spec.member(former):
        after = move(status, Row.GIVE_BACK, {new: Role.PASSIVE, former: Role.ACTIVE})
        message = f"{former} is active again: {why}"
    else:
        after = move(status, Row.YIELD, {new: Role.PASSIVE})
        message = f"nobody is active: {why}"
    return _rolled_back(after, request, message, now)


# --- what the rules rest on -------------------------------------------------------------------------


def _refusal(case: _Case, request: Switchover) -> Refusal | None:
    """Why a request that nobody has acted on must not, or no longer, be acted on."""
    if _expired(case, request):
        return Refusal(
            Outcome.EXPIRED,
            f"requested at {request.requested_at}, too long ago to be acted on now: ask again"
            " (if that was just now, the clocks of the worker and of the operator differ)",
        )
    workers = case.workers
    in_the_way = workers.others(request.to) if request.to else workers.of(request.from_)
    proposal = Proposal(
        spec=case.federation.spec,
        status=case.status,
        cluster=request.to,
        target=request.to,
        live_workers=workers.alive(workers.of(request.to)),
        unfenceable=workers.unfenceable(in_the_way),
        force=request.force,
    )
    checks = (unknown_cluster.check, no_live_worker.check, cannot_fence.check)
    return first_refusal(checks, proposal)


def _expired(case: _Case, request: Switchover) -> bool:
    """Made so long ago (wall clock) that its author can no longer be waiting for it."""
    spec, doubt, now = case.federation.spec, case.status.in_doubt, case.now
    try:
        made = datetime.fromisoformat(request.requested_at)
    except ValueError:
        return False
    limit = timedelta(seconds=2 * spec.switchover_timeout + 60 + (doubt.seconds if doubt else 0))
    return made.tzinfo is not None and now.wall - made > limit


def _waiting(verdict: Fence, deadline: float | None = None) -> _Wait:
    until = min((t for t in (deadline, verdict.retry_at) if t is not None), default=None)
    return _Wait(until, f"these workers may still answer active: {named(verdict.waiting)}")


def _blocked_by(case: _Case, verdict: Fence) -> str:
    """What to do about a fence that did not close in time."""
    workers, waiting = case.workers, verdict.waiting
    message = (
        f"these workers might still have answered active: {named(waiting)};"
        " see that they reach the hub, or stop them, then ask again"
    )
    if any(lease.isolation is Isolation.KEEP_ROLE for lease in waiting):
        return message + " (under KeepRole, for workers that are dead for certain, with force=true)"
    silent_at = max(workers.silent_at(lease, silence_needed(lease.duration)) for lease in waiting)
    return message + f" (those that are dead have run out in {math.ceil(silent_at - workers.now)} s)"


def _leftovers(workers: Workers) -> tuple[tuple[WorkerLease, ...], float | None]:
    """The old Leases that may be collected now, and the boot time of the next that might be."""
    due = [x for x in workers.leases if collectable(x, workers.sightings, workers.now)]
    times = [
        workers.silent_at(lease, collect_after(lease))
        for lease in workers.leases
        if lease.isolation is Isolation.FENCE and lease not in due
    ]
    return tuple(due), min(times, default=None)


# --- what is written and told -----------------------------------------------------------------------


def _counted(status: Status, workers: Workers, now: Now) -> Status:
    return replace(
        status,
        clusters=tuple(workers.counted(member, now) for member in status.clusters),
        unfenceable=workers.noted(status.unfenceable),
        strangers=workers.strangers(member.id for member in status.clusters),
    )


def _undescribed(status: Status) -> Status:
    """The status without what another release puts in other words, or does not know and drops."""
    plain = (replace(condition, reason="", message="") for condition in status.conditions)
    return replace(status, conditions=tuple(plain), strangers=(), longest_lease_seconds=None)


def _described(federation: Federation, status: Status, now: Now) -> Status:
    status = replace(
        status,
        observed_generation=federation.generation,
        longest_lease_seconds=longest_lease(federation, status),
    )
    return replace(status, conditions=conditions(federation, status, now))


def _end(status: Status, outcome: str, message: str, now: Now, *, on_leases: bool = False) -> _Step:
    return _Step(ended(status, outcome, message, now), on_leases=on_leases)


def _fenced(after: Status, request: Switchover, reason: str, message: str, verdict: Fence) -> _Step:
    """What a closed fence permits. Whoever was taken for dead at a person's word is named."""
    overridden = [lease for lease in verdict.silent if lease.isolation is Isolation.KEEP_ROLE]
    if overridden:
        message += f", by force over silent workers under KeepRole: {named(overridden)}"
    event = _event(after, request, reason, message, warning=bool(overridden))
    return _Step(after, on_leases=True, delete=verdict.silent, event=event)


def _forced(request: Switchover) -> str:
    return " (asked for with force=true)" if request.force else ""


def _rolled_back(after: Status, request: Switchover, message: str, now: Now) -> _Step:
    event = _event(after, request, "RolledBack", message, warning=True)
    return _Step(ended(after, Outcome.ROLLED_BACK, message, now), on_leases=True, event=event)


def _event(
    after: Status, request: Switchover | None, reason: str, message: str, *, warning: bool = False
) -> Event:
    parts = [f"term {after.term}"]
    if request:
        parts += [f"trigger {request.trigger}", f"requested by {request.requested_by or 'unknown'}"]
        parts += [request.reason] if request.reason else []
    text = f"{message} ({', '.join(parts)})"
    trigger = request.trigger if request else None
    return Event(request.id if request else "repair", after.term, trigger, reason, text, warning)
