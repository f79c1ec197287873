"""The admission of requests: what a worker may write into the status on behalf of a client.

A worker writes only `status.switchover` (and may withdraw a request of its own). Only the coordinator moves
roles. A change of `spec.activeCluster` passes the same admission.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from tcf.core.history import ended
from tcf.core.model import (
    PLAUSIBLE_LEAD,
    PROTOCOL,
    Federation,
    Now,
    Principal,
    Refusal,
    Status,
    Switchover,
    Trigger,
)
from tcf.core.reasons import Outcome, Reason
from tcf.core.refusals import TO_ADMIT, TO_ADMIT_TOGGLE, TO_FORESEE, Proposal, first_refusal


class Kind(StrEnum):
    TOGGLE = "toggle"
    PROMOTE = "promote"
    DEMOTE = "demote"


@dataclass(frozen=True, slots=True)
class Command:
    """What a principal asks of the member `cluster`. `id` is new: no other request ever has it."""

    kind: Kind
    cluster: str
    id: str
    principal: Principal
    trigger: Trigger = Trigger.API
    reason: str = ""
    expected_term: int | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The roles are already as asked."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A request for the same outcome is already under way: wait for that one."""

    request: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The request is made by writing this status, under the resourceVersion that was read."""

    status: Status
    request: str


Admission = Refusal | Unchanged | Joined | Accepted


def admit(federation: Federation, command: Command, now: Now) -> Admission:
    """Judge `command` against the federation as read. This function is pure: it writes nothing."""
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
    refusal = first_refusal(TO_ADMIT, proposal)
    if refusal:
        return refusal
    if command.kind is Kind.DEMOTE and _already(status, command):
        return Unchanged()  # this member is not involved in any request that is under way
    running = status.switchover
    if running and (running.trigger is not Trigger.BOOTSTRAP or _same(running, command, target)):
        return _meet(running, command, target)
    if command.kind is Kind.TOGGLE and (refusal := first_refusal(TO_ADMIT_TOGGLE, proposal)):
        return refusal
    if _already(status, command):
        return Unchanged()
    return Accepted(_with_request(status, command, target, now), command.id)


def foreseen(federation: Federation, command: Command) -> Refusal | None:
    """Why a coordinator would most likely refuse an accepted command: the verdict of a dry run.

    Only a dry run uses this. For a real request the coordinator decides, by the Leases. The counts in the
    status lag behind them: a request for a member whose worker has just registered would be refused for no
    reason.
    """
    return next(iter(objections(federation, command)), None)


def objections(federation: Federation, command: Command) -> tuple[Refusal, ...]:
    """The same, with everything that a coordinator would object to."""
    status = federation.status
    if status is None:
        return ()
    target = _target(status, command)
    member = status.member(target)
    proposal = Proposal(
        spec=federation.spec,
        status=status,
        cluster=command.cluster,
        target=target,
        live_workers=member.live_workers if member else 0,
        application=member.application if member else None,
        unfenceable=tuple(
            worker
            for worker in status.unfenceable
            if (worker.cluster != target if target else worker.cluster == status.active_cluster)
        ),
        force=command.force,
    )
    return tuple(refusal for policy in TO_FORESEE if (refusal := policy(proposal)))


def unanswerable(federation: Federation, cluster: str) -> Refusal | None:
    """Why a worker of this cluster has no role table to answer by; None if it has one.

    If the cluster is not even a member, that is the better answer, and it is known before there are roles.
    """
    if federation.status is None and not federation.spec.member(cluster):
        return not_a_member(federation, cluster)
    return unusable(federation)


def not_a_member(federation: Federation, cluster: str) -> Refusal:
    """The refusal for a worker whose cluster is not in the spec."""
    members = ", ".join(member.id for member in federation.spec.clusters)
    return Refusal(
        Reason.UNKNOWN_CLUSTER,
        f"{cluster} is not a member of {federation.namespace}/{federation.name} (its members: {members});"
        " add it to spec.clusters or correct --cluster",
    )


def unusable(federation: Federation) -> Refusal | None:
    """Why no program can use the roles of this federation; None if they can be used."""
    where = f"{federation.namespace}/{federation.name}"
    if federation.status is None:
        return Refusal(
            Reason.NOT_BOOTSTRAPPED,
            f"no operator has given {where} its first roles yet: check that tcf-operator is running and looks"
            f" after namespace {federation.namespace}",
        )
    if federation.status.protocol != PROTOCOL:
        return Refusal(
            Reason.UNKNOWN_PROTOCOL,
            f"{where} uses role protocol {federation.status.protocol}, but this program knows only"
            f" {PROTOCOL}: upgrade this program",
        )
    return None


def unbelievable(federation: Federation, now: Now) -> Refusal | None:
    """Why no operator can have written the table of this federation; None if one can."""
    # This bound is twice the one for Leases. So a term that an operator began above such a Lease is believed.
    if federation.status is None or now.plausible(federation.status.term - PLAUSIBLE_LEAD):
        return None
    return Refusal(
        Reason.IMPLAUSIBLE_TERM,
        f"term {federation.status.term} is more than two hundred years ahead of the clock of this machine:"
        " somebody has edited the status, or the clock is wrong. Set the clock, or remove the status; the"
        f" operator then begins again (kubectl -n {federation.namespace} patch cfed {federation.name}"
        """ --subresource=status --type=merge -p '{"status":null}'; if an admission policy refuses"""
        " that, act as the operator)",
    )


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
        Reason.SWITCHOVER_IN_PROGRESS,
        f"a switchover from {running.from_ or 'nobody'} to {running.to or 'nobody'} is under way"
        f" (trigger {running.trigger}); wait until it has ended, then decide again"
        + (" (force cannot be added to it)" if command.force > running.force else ""),
    )


def _already(status: Status, command: Command) -> bool:
    if command.kind is Kind.TOGGLE:
        return False
    if command.kind is Kind.PROMOTE:
        return status.active_cluster == command.cluster
    # A member that is about to get the role, or may get it back, is passive at present but will not stay so.
    running = status.switchover
    involved = running is not None and command.cluster in {running.from_, running.to}
    return not involved and not any(m.id == command.cluster and m.role.engaged for m in status.clusters)


def request_of(command: Command, status: Status, target: str, now: Now) -> Switchover:
    """The request that `command` makes in `status`."""
    return Switchover(
        id=command.id,
        from_=status.active_cluster,
        to=target,
        trigger=command.trigger,
        requested_by=str(command.principal),
        reason=command.reason,
        force=command.force,
        requested_at=now.stamp(),
    )


def _with_request(status: Status, command: Command, target: str, now: Now) -> Status:
    request = request_of(command, status, target, now)
    if status.switchover:
        status = ended(status, Outcome.SUPERSEDED, f"superseded by request {command.id}", now)
    return replace(status, switchover=request)
