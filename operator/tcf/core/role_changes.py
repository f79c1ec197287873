"""What happens in a federation, step by step, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tcf.core.annotations import Acknowledgement
from tcf.core.history import newly_ended
from tcf.core.model import Federation, Role, Status, WorkerLease

_STEPS = {
    Role.DEMOTING: "{} gives up its role: its workers stop answering active",
    Role.PASSIVE: "{} is passive: none of its workers can answer active any more",
    Role.PROMOTING: "{} takes over: one of its workers has to learn of it",
    Role.ACTIVE: "{} is active",
}


def steps(before: Status | None, after: Status | None) -> Iterator[str]:
    """What has happened between two versions of a status."""
    if after is None:
        if before is not None:
            yield "the status is gone: somebody has removed it, or the hub was restored"
        return
    was = before.switchover if before else None
    if (running := after.switchover) and (was is None or was.id != running.id):
        by = f" by {running.requested_by}" if running.requested_by else ""
        why = f": {running.reason}" if running.reason else ""
        yield f"requested{by}: from {running.from_ or 'nobody'} to {running.to or 'nobody'}{why}"
    roles = {row.id: row.role for row in before.clusters} if before else {}
    for row in after.clusters:
        if roles.get(row.id, row.role) is not row.role:
            yield _STEPS[row.role].format(row.id)
    for past in reversed(newly_ended(before, after)) if before else ():
        yield f"ended: {past.outcome}" + (f" ({past.message})" if not past.succeeded else "")


def awaited(federation: Federation, leases: Iterable[WorkerLease]) -> str:
    """Whom the present step of a switchover waits for; "" if that is only the operator.

    While a member gives up its role, every worker that may answer active has to acknowledge the table. While
    one takes over, a worker of its own has to.
    """
    status = federation.status
    if status is None or (engaged := status.engaged) is None or engaged.role is Role.ACTIVE:
        return ""
    table = Acknowledgement(federation.uid, status.term)
    own = [lease for lease in leases if lease.cluster == engaged.id]
    behind = [lease for lease in own if lease.acknowledged != table]
    if engaged.role is Role.PROMOTING and len(behind) < len(own):
        return ""
    if not own:
        return f"a worker of {engaged.id}: none has a Lease" if engaged.role is Role.PROMOTING else ""
    return ", ".join(f"{lease.holder} of {engaged.id}{_why(lease)}" for lease in behind)


def _why(lease: WorkerLease) -> str:
    return f" (its holders have to let go: {lease.held_by})" if lease.held_by else ""
