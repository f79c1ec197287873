"""What a coordinator does next with one federation: `decide(observation, now) -> Decision`.

It is pure and level-triggered: it looks at the present state, never at what has happened before. So any
number of coordinators may run it at once, and any of them may stop between two steps. Each decision contains
at most one write of the status, under the resourceVersion that was observed.

This module has the order of precedence: the first table (or the table after a loss), members that joined or
left, a change of `spec.activeCluster`, and then the switchover itself, for which `steps` has the rules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from tcf.core.admission import Accepted, Command, Kind, admit, request_of, unbelievable, unusable
from tcf.core.bootstrap import bootstrapped, longest_lease, mirror, restored
from tcf.core.conditions import conditions
from tcf.core.fencing import collect_after, collectable
from tcf.core.history import ended
from tcf.core.liveness import Workers
from tcf.core.model import (
    SPEC,
    Event,
    Federation,
    Follows,
    Isolation,
    MemberStatus,
    Now,
    Refusal,
    Role,
    Spec,
    Status,
    Trigger,
    WorkerLease,
)
from tcf.core.reasons import EventReason
from tcf.core.sightings import Sightings
from tcf.core.steps import Case, Step, Wait, event_of, progress
from tcf.core.transitions import with_members

_DESCRIPTION_SECONDS = 10.0
"""A status has to be this old before a coordinator writes it again only because of the wording. During an
update, operators of two releases would otherwise overwrite each other as fast as they can."""
AFTERWARDS = 0.2
"""Seconds from a step to the writes that can wait: the annotation and the Events. If they were written at
once, they would delay the programs that still have to read or renew before the switchover ends."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that a decision depends on.

    Attributes:
        federation: the object as last read or written; None if there is none.
        leases: the Leases with its label, whichever member they name.
        sightings: those of this coordinator, up to date with both.
        listed: boot seconds at which the coordinator sent for the list of these Leases. It was a consistent
            list, sent for after the coordinator had seen this table. None if there was no such list.
        reread: the federation was read again after a Lease was found to be ahead of it.
    """

    federation: Federation | None
    leases: tuple[WorkerLease, ...]
    sightings: Sightings
    listed: float | None
    reread: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, in this order: list if `confirm` (and decide again), delete, write, report.

    Attributes:
        confirm: the decision depends on Leases, which have to be listed first. Then only `reread` may be set.
        reread: it depends on the federation as well, which has to be read before the Leases are listed.
        delete: Leases to delete, with their uid and resourceVersion as preconditions. If `status` is set, it
            may be written only when each of these Leases is gone.
        status: the status to write; None if nothing has to be written.
        annotations: those that outlive the status and have to be written now.
        events: those to write after the write of the status has succeeded.
        wake_at: boot seconds at which to decide again even if nothing happens; None for never.
        obstacle: what the federation is waiting for, for a person to read; "" if for nothing.
    """

    confirm: bool = False
    reread: bool = False
    delete: tuple[WorkerLease, ...] = ()
    status: Status | None = None
    annotations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    events: tuple[Event, ...] = ()
    wake_at: float | None = None
    obstacle: str = ""

    @property
    def acts(self) -> bool:
        """Is there anything to do but wait?"""
        return bool(self.confirm or self.delete or self.status is not None or self.annotations)


def decide(observation: Observation, now: Now) -> Decision:
    """The next thing to do about a federation, or when to look again."""
    federation = observation.federation
    workers = Workers(observation.leases, observation.sightings, now.boot, observation.listed)
    if federation is None:
        leftovers, collect_at = _leftovers(workers)
        return Decision(delete=leftovers, wake_at=collect_at)
    if federation.status and (refusal := unusable(federation)):
        return Decision(obstacle=refusal.message)
    refusal = unbelievable(federation, now)
    step = Wait(obstacle=refusal.message) if refusal else _next_step(federation, workers, now)
    if isinstance(step, Step):
        return _take(step, federation, workers, now, reread=observation.reread)
    assert federation.status is not None  # noqa: S101 - without one, the step is the bootstrap
    return _meanwhile(step, federation, federation.status, workers, now, believed=refusal is None)


def _take(step: Step, federation: Federation, workers: Workers, now: Now, *, reread: bool) -> Decision:
    """Write the step, once everything that it depends on is confirmed."""
    confirmed = workers.listed is not None
    if step.on_loss and not reread:
        return Decision(confirm=True, reread=True)
    if step.on_leases and not confirmed:
        return Decision(confirm=True)
    # The status is written only when the Leases in `delete` are gone.
    status = _counted(step.status, workers.without(step.delete), now) if confirmed else step.status
    return Decision(
        delete=step.delete,
        status=_described(federation, status, now),
        events=(step.event,) if step.event else (),
    )


def _meanwhile(
    wait: Wait, federation: Federation, status: Status, workers: Workers, now: Now, *, believed: bool
) -> Decision:
    """What to do while no step can be taken: update the description, collect Leases, write notes, or wait."""
    described = _described(federation, _counted(status, workers, now), now)
    described_at = None
    if described != status:
        if _differ_in_description_only(federation.spec, described, status):
            described_at = workers.sightings.status_at + _DESCRIPTION_SECONDS
        if described_at is None or now.boot >= described_at:
            # Counts from an unconfirmed list may be outdated, and would undo another coordinator's write.
            return Decision(confirm=True) if workers.listed is None else Decision(status=described)
    mirrored = mirror(federation, status) if believed else {}
    stage = workers.sightings.stage
    mirror_at = (stage.at if stage else -math.inf) + AFTERWARDS
    early = now.boot < mirror_at
    leftovers, collect_at = _leftovers(workers)
    times = (
        wait.until,
        collect_at,
        workers.next_silence(),
        mirror_at if mirrored and early else None,
        described_at,
    )
    return Decision(
        delete=leftovers,
        annotations={} if early else mirrored,
        wake_at=min((t for t in times if t is not None), default=None),
        obstacle=wait.obstacle,
    )


# --- what to change, in order of precedence ---------------------------------------------------------


def _next_step(federation: Federation, workers: Workers, now: Now) -> Step | Wait:
    status = federation.status
    if status is None:
        return _first_step(federation, workers, now)
    known = _highest_term(workers, federation.uid, now)
    if known > status.term:
        after = restored(federation, status, workers.leases, known, now)
        message = f"all members are passive: the hub has lost term {known}, which a program has seen already"
        event = event_of(after, None, EventReason.HUB_RESTORED, message, warning=True)
        return Step(after, on_leases=True, on_loss=True, event=event)
    members = _members(federation.spec, status)
    if members != status.clusters:
        return Step(with_members(status, members))
    status = _with_spec_request(federation, status, now)
    step = progress(Case(federation, status, workers, now))
    if isinstance(step, Wait) and status != federation.status:
        return Step(status)
    return step


def _first_step(federation: Federation, workers: Workers, now: Now) -> Step:
    """The first table, or the first one after the whole status was lost."""
    sightings = workers.sightings
    seen, doubt = _believed(sightings.known_term(federation.uid), now), sightings.doubtful(now.boot)
    first = bootstrapped(federation, workers.leases, now, seen=seen, doubt=doubt)
    request, event = first.switchover, None
    if first.history:
        event = event_of(first, None, EventReason.HUB_RESTORED, first.history[0].message, warning=True)
    elif request and request.reason and federation.spec.active_cluster not in {None, request.to}:
        message = f"{request.to} becomes active first"
        event = event_of(first, request, EventReason.ROLE_KEPT, message, warning=True)
    return Step(first, on_leases=True, event=event)


def _highest_term(workers: Workers, uid: str, now: Now) -> int:
    """The highest term of this object that a worker has acknowledged or that this coordinator has seen."""
    acknowledged = (lease.acknowledged for lease in workers.leases)
    terms = (a.term for a in acknowledged if a and a.uid == uid)
    return max(_believed(term, now) for term in (*terms, workers.sightings.known_term(uid)))


def _believed(term: int, now: Now) -> int:
    """The term, or 0 if no operator can have written it."""
    return term if now.plausible(term) else 0


def _members(spec: Spec, status: Status) -> tuple[MemberStatus, ...]:
    """The rows of the table for the members of the spec, in the order of the spec.

    A member that is engaged, or that the request names, stays in the table even if it has left the spec. The
    CRD refuses such an edit. But if the rules of the CRD were not in force, a role must not disappear.
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
    """Act on a change of `spec.activeCluster`: place a request, or record why it is refused."""
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
        principal=SPEC,
    )
    verdict = admit(replace(federation, status=status), command, now)
    observed = replace(status, observed_active_cluster=wanted)
    match verdict:
        case Accepted():
            return replace(verdict.status, observed_active_cluster=wanted)
        case Refusal():
            refused = request_of(command, status, wanted, now)
            return ended(observed, verdict.reason, verdict.message, now, request=refused)
        case _:
            return observed


# --- Leases that nobody needs any more --------------------------------------------------------------


def _leftovers(workers: Workers) -> tuple[tuple[WorkerLease, ...], float | None]:
    """The old Leases that may be collected now, and the boot time at which the next one may be."""
    due = [x for x in workers.leases if collectable(x, workers.sightings.age, workers.now)]
    times = [
        workers.silent_at(lease, collect_after(lease))
        for lease in workers.leases
        if lease.isolation is Isolation.FENCE and lease not in due
    ]
    return tuple(due), min(times, default=None)


# --- what is written --------------------------------------------------------------------------------


def _counted(status: Status, workers: Workers, now: Now) -> Status:
    return replace(
        status,
        clusters=tuple(workers.counted(member, now) for member in status.clusters),
        unfenceable=workers.noted(status.unfenceable),
        strangers=workers.strangers(member.id for member in status.clusters),
    )


def _differ_in_description_only(spec: Spec, described: Status, status: Status) -> bool:
    """Do they differ only in what another release may word differently, or not know and drop?

    Where roles follow applications, requests are judged by what the status says of these. A release that does
    not know them must not be at work there.
    """
    follows = spec.failover.follows is Follows.APPLICATIONS
    dropped = {row.id for row in status.clusters if row.application is None and not follows}
    rows = tuple(replace(row, application=None) if row.id in dropped else row for row in described.clusters)
    return _without_description(replace(described, clusters=rows)) == _without_description(status)


def _without_description(status: Status) -> Status:
    return replace(status, conditions=(), strangers=(), longest_lease_seconds=None)


def _described(federation: Federation, status: Status, now: Now) -> Status:
    status = replace(
        status,
        observed_generation=federation.generation,
        longest_lease_seconds=longest_lease(federation, status),
    )
    return replace(status, conditions=conditions(federation, status, now))
