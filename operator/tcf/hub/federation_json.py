"""What people and programs are shown of a federation, as JSON: by `kubectl tcf`, and by the console.

This shape is part of the API (docs/kubectl-tcf.md).
"""

from __future__ import annotations

from collections.abc import Iterable

from tcf.core.admission import unbelievable, unusable
from tcf.core.annotations import Acknowledgement
from tcf.core.model import Federation, HistoryEntry, MemberStatus, Now, Refusal, Status, WorkerLease
from tcf.hub.answers import Json
from tcf.hub.records import status_json


def summary(federation: Federation) -> Json:
    """A federation in a line."""
    status = federation.status
    changes = (past.finished_at for past in (status.history if status else ()) if past.succeeded)
    return {
        "namespace": federation.namespace,
        "name": federation.name,
        "active": (status.active_cluster if status else "") or None,
        "term": status.term if status else None,
        "ready": _condition(status, "Ready"),
        "switching": status.switchover is not None if status else False,
        "degraded": _condition(status, "Degraded"),
        "paused": federation.spec.paused,
        "lastChange": next(changes, None),
    }


def body(federation: Federation, now: Now) -> Json:
    """All that the object itself says of a federation, apart from its members."""
    status, spec = federation.status, federation.spec
    return {
        **summary(federation),
        "failover": {"mode": spec.failover.mode.value, "follows": spec.failover.follows.value},
        "isolation": spec.isolation.value,
        "leaseSeconds": spec.lease_duration,
        "trouble": _trouble(federation, now),
        "switchover": status_json(status)["switchover"] if status and status.switchover else None,
        "conditions": conditions(status),
        "history": history(status.history if status else ()),
    }


def members(federation: Federation) -> list[Json]:
    """A row for each member of the spec, and for each that has left it and still has a role."""
    status = federation.status
    rows = {row.id: row for row in status.clusters} if status else {}
    known = {member.id: member.name for member in federation.spec.clusters}
    known |= {row.id: row.name for row in rows.values()}
    return [_member(id_, name, rows.get(id_)) for id_, name in known.items()]


def conditions(status: Status | None) -> list[Json]:
    return [
        {
            "type": each.type,
            "status": each.status,
            "reason": each.reason,
            "message": each.message,
            "since": each.last_transition_time,
        }
        for each in (status.conditions if status else ())
    ]


def history(entries: Iterable[HistoryEntry]) -> list[Json]:
    """How requests have ended, the latest first."""
    return [
        {
            "id": past.id,
            "finishedAt": past.finished_at,
            "startedAt": past.started_at or None,
            "from": past.from_ or None,
            "to": past.to or None,
            "trigger": past.trigger.value,
            "outcome": past.outcome,
            "term": past.term,
            "requestedBy": past.requested_by or None,
            "reason": past.reason or None,
            "message": past.message or None,
        }
        for past in entries
    ]


def refusal_json(refusal: Refusal) -> Json:
    return {"reason": refusal.reason, "message": refusal.message}


def _member(id_: str, name: str, row: MemberStatus | None) -> Json:
    return {
        "id": id_,
        "name": name,
        "role": row.role.value if row else None,
        "workers": row.workers if row else 0,
        "liveWorkers": row.live_workers if row else 0,
        "application": row.application.value if row and row.application else None,
        "silentSince": row.silent_since if row else None,
        "heldBy": row.held_by if row else None,
    }


def worker(lease: WorkerLease, federation: Federation) -> Json:
    """What a Lease says of a worker."""
    acknowledged = lease.acknowledged
    own = acknowledged is not None and acknowledged.uid == federation.uid
    status = federation.status
    table = Acknowledgement(federation.uid, status.term) if status else None
    return {
        "name": lease.holder,
        "lease": lease.name,
        "renewed": lease.renewed_at or None,
        "acknowledgedTerm": acknowledged.term if acknowledged and own else None,
        "upToDate": table is not None and acknowledged == table,
        "isolation": lease.isolation.value,
        "leaseSeconds": lease.duration,
        "application": lease.application.value if lease.application else None,
        "heldBy": lease.held_by or None,
        "problem": lease.problem or None,
    }


def _condition(status: Status | None, type_: str) -> bool | None:
    found = status.condition(type_) if status else None
    return found.status == "True" if found else None


def _trouble(federation: Federation, now: Now) -> str | None:
    """Why the status cannot be used; None if it can."""
    refusal = unusable(federation) or unbelievable(federation, now)
    return refusal.message if refusal else None
