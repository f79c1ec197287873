"""The admission of requests: what a worker may write into the status on behalf of a client.

A worker writes one thing only, `status.switchover` (and takes back its own). Moving roles is for the
coordinator. The same admission serves a change of `spec.activeCluster`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from tcf.core.model import (
    HISTORY_LENGTH,
    LONGEST_MESSAGE,
    PLAUSIBLE_LEAD,
    PROTOCOL,
    Federation,
    HistoryEntry,
    MemberStatus,
    Now,
    Outcome,
    Refusal,
    Role,
    Status,
    Switchover,
    Trigger,
)
from tcf.core.policies import (
    Policy,
    Proposal,
    cannot_fence,
    first_refusal,
    no_active_cluster,
    no_live_worker,
    not_two_clusters,
    term_mismatch,
    unknown_cluster,
)


class Kind(StrEnum):
    TOGGLE = "toggle"
    PROMOTE = "promote"
    DEMOTE = "demote"


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody asks of the member `cluster`. `id` is fresh and names the request for ever."""

    kind: Kind
    cluster: str
    id: str
    trigger: Trigger = Trigger.API
    requested_by: str = ""
    reason: str = ""
    expected_term: int | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The roles are already as asked."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A request towards the same outcome is under way: wait for that one."""

    request: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """Write this status (under the resourceVersion that was read) to make the request."""

    status: Status
    request: str


Admission = Refusal | Unchanged | Joined | Accepted

_TOGGLE: tuple[Policy, ...] = (not_two_clusters.check, no_active_cluster.check)


def admit(federation: Federation, command: Command, now: Now) -> Admission:
    """Judge `command` against the federation as read. Pure; nothing is written here."""
    status = federation.status
    if refusal := unanswerable(federation, command.cluster) or unbelievable(federation, now):
        return refusal
    assert status is not None  # noqa: S101 - `unanswerable` has refused it
    target = _target(status, command)
    proposal = Proposal(
        spec=federation.spec,
        status=status,
        cluster=command.cluster,
        target=target,
        expected_term=command.expected_term,
        force=command.force,
    )
    refusal = first_refusal((unknown_cluster.check, term_mismatch.check), proposal)
    if refusal:
        return refusal
    if command.kind is Kind.DEMOTE and _already(status, command):
        return Unchanged()  # a bystander, whatever is under way between others
    running = status.switchover
    if running and (running.trigger is not Trigger.BOOTSTRAP or _same(running, command, target)):
        return _meet(running, command, target)
    if command.kind is Kind.TOGGLE and (refusal := first_refusal(_TOGGLE, proposal)):
        return refusal
    if _already(status, command):
        return Unchanged()
    return Accepted(_with_request(status, command, target, now), command.id)


def foreseen(federation: Federation, command: Command) -> Refusal | None:
    """What a coordinator would most likely refuse an accepted command for: the verdict of a dry run.

    For the real thing the coordinator judges alone, by the Leases. What the status says of them lags
    behind, and a worker that has only just registered would be refused for no reason.
    """
    status = federation.status
    if status is None:
        return None
    target = _target(status, command)
    member = status.member(target)
    proposal = Proposal(
        spec=federation.spec,
        status=status,
        cluster=command.cluster,
        target=target,
        live_workers=member.live_workers if member else 0,
        unfenceable=tuple(
            who
            for who in status.unfenceable
            if (who.cluster != target if target else who.cluster == status.active_cluster)
        ),
        force=command.force,
    )
    return first_refusal((no_live_worker.check, cannot_fence.check), proposal)


def unanswerable(federation: Federation, cluster: str) -> Refusal | None:
    """Why a worker of this cluster has no roles to answer from; None if there are some.

    That the cluster is no member is known before there are roles, and more to the point.
    """
    if federation.status is None and not federation.spec.member(cluster):
        return not_a_member(federation, cluster)
    return unusable(federation)


def not_a_member(federation: Federation, cluster: str) -> Refusal:
    """What to tell a worker whose cluster the spec lacks."""
    members = ", ".join(member.id for member in federation.spec.clusters)
    return Refusal(
        "UnknownCluster",
        f"{cluster} is not a member of {federation.namespace}/{federation.name} (its members: {members});"
        " add it to spec.clusters or correct --cluster",
    )


def unusable(federation: Federation) -> Refusal | None:
    """Why this federation's roles can't be used at all, by anybody; None if they can."""
    where = f"{federation.namespace}/{federation.name}"
    if federation.status is None:
        return Refusal(
            "NotBootstrapped",
            f"no operator has given {where} its first roles yet; is tcf-operator running and watching"
            f" namespace {federation.namespace}?",
        )
    if federation.status.protocol != PROTOCOL:
        return Refusal(
            "UnknownProtocol",
            f"{where} is kept under role protocol {federation.status.protocol}, this program knows"
            f" {PROTOCOL}; upgrade it",
        )
    return None


def unbelievable(federation: Federation, now: Now) -> Refusal | None:
    """Why the table of this federation can't have been written by an operator; None if it can."""
    # Twice as far ahead as a Lease is believed: what an operator writes after such a Lease is believed, too.
    if federation.status is None or now.plausible(federation.status.term - PLAUSIBLE_LEAD):
        return None
    return Refusal(
        "ImplausibleTerm",
        f"term {federation.status.term} is more than two hundred years ahead of the clock of this machine:"
        " somebody has edited the status, or the clock is wrong. Set the clock; or remove the status"
        f" (kubectl -n {federation.namespace} patch cfed {federation.name} --subresource=status --type=merge"
        """ -p '{"status":null}'), and the operator begins again""",
    )


def ended(
    status: Status, outcome: str, message: str, now: Now, *, request: Switchover | None = None
) -> Status:
    """`status` with its request (or the given one) moved to history; other requests stay."""
    over = request or status.switchover
    if over is None:
        return status
    entry = HistoryEntry(
        id=over.id,
        term=status.term,
        from_=over.from_,
        to=over.to,
        trigger=over.trigger,
        requested_by=over.requested_by,
        reason=over.reason,
        started_at=over.requested_at,
        finished_at=now.stamp(),
        outcome=outcome,
        message=message[:LONGEST_MESSAGE],
        silent_since=over.silent_since,
    )
    return replace(
        status,
        switchover=None if over == status.switchover else status.switchover,
        history=(entry, *status.history)[:HISTORY_LENGTH],
    )


def table_after(entry: HistoryEntry, rows: Iterable[MemberStatus]) -> tuple[MemberStatus, ...]:
    """The rows of another table of the same members, as they were when the request had just succeeded.

    Whoever was asked for is active then, and everybody else passive.
    """
    return tuple(replace(row, role=Role.ACTIVE if row.id == entry.to else Role.PASSIVE) for row in rows)


def withdrawn(status: Status, request: str, now: Now) -> Status | None:
    """`status` without the request, if it is still there and nobody has acted on it; else None."""
    running = status.switchover
    if running is None or running.id != request or not untouched(status):
        return None
    return ended(
        status,
        Outcome.WITHDRAWN,
        "no operator decided on the request in time, so it was withdrawn and no role has changed;"
        " is tcf-operator running, and what does its log say?",
        now,
    )


def untouched(status: Status) -> bool:
    """Has no role moved for the request yet? (The first move makes its target promoting, others demoting.)"""
    engaged, running = status.engaged, status.switchover
    if engaged is None or engaged.role is Role.ACTIVE:
        return True
    # A bootstrap's target stays promoting until somebody acts on the request that came first.
    return engaged.role is Role.PROMOTING and running is not None and running.to != engaged.id


def _target(status: Status, command: Command) -> str:
    if command.kind is Kind.PROMOTE:
        return command.cluster
    if command.kind is Kind.DEMOTE:
        return ""
    others = [m.id for m in status.clusters if m.id != status.active_cluster]
    return others[0] if others else ""


def _same(running: Switchover, command: Command, target: str) -> bool:
    if command.kind is Kind.TOGGLE or running.to != target or command.force > running.force:
        return False
    return command.kind is Kind.PROMOTE or running.from_ == command.cluster


def _meet(running: Switchover, command: Command, target: str) -> Joined | Refusal:
    if _same(running, command, target):
        return Joined(running.id)
    return Refusal(
        "SwitchoverInProgress",
        f"a switchover from {running.from_ or 'nobody'} to {running.to or 'nobody'} is under way"
        f" (trigger {running.trigger}); wait until it has ended and decide again"
        + (", force cannot be added to it" if command.force > running.force else ""),
    )


def _already(status: Status, command: Command) -> bool:
    if command.kind is Kind.TOGGLE:
        return False
    if command.kind is Kind.PROMOTE:
        return status.active_cluster == command.cluster
    # Whoever is about to get the role, or may be given it back, is passive, but will not stay so.
    running = status.switchover
    bound = running is not None and command.cluster in {running.from_, running.to}
    return not bound and not any(m.id == command.cluster and m.role.engaged for m in status.clusters)


def _with_request(status: Status, command: Command, target: str, now: Now) -> Status:
    request = Switchover(
        id=command.id,
        from_=status.active_cluster,
        to=target,
        trigger=command.trigger,
        requested_by=command.requested_by,
        reason=command.reason,
        force=command.force,
        requested_at=now.stamp(),
    )
    if status.switchover:
        status = ended(status, Outcome.SUPERSEDED, f"superseded by request {command.id}", now)
    return replace(status, switchover=request)
