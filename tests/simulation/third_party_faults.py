"""What somebody does by hand to Leases and to the status, which are for the programs to write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from simulation.injector import Inject, Injector
from simulation.schedule import DURATIONS, MEMBERS, Fault
from simulation.sim_hub import NAME
from simulation.testbed import Testbed
from tcf.core.annotations import Acknowledgement
from tcf.core.model import Isolation, Role, Status, WorkerLease


def _lease_of(bed: Testbed, worker: str) -> WorkerLease | None:
    """The newest Lease of a worker."""
    held = [lease for lease in bed.hub.leases.values() if lease.holder == worker]
    return max(held, key=lambda lease: int(lease.resource_version), default=None)


def _touch_lease(injector: Injector, fault: Fault) -> None:
    """None of this makes anybody be fenced too early."""
    changes: dict[str, dict[str, Any]] = {
        "annotation": {},
        "forget": {"acknowledged": None},
        "keep role": {"isolation": Isolation.KEEP_ROLE},
        "longer": {"duration": max(DURATIONS)},
    }
    if lease := _lease_of(injector.bed, fault.target):
        injector.bed.hub.edit_lease(lease.name, **changes[fault.value])


def _rob_lease(injector: Injector, fault: Fault) -> None:
    """A worker's answers are not counted any more: no promise until they end."""
    bed, hub = injector.bed, injector.bed.hub
    lease = _lease_of(bed, fault.target)
    if lease is None:
        return
    bed.checker.excuse(for_good=bed.schedule.may_keep_role)
    match fault.value:
        case "delete":
            hub.drop_lease(lease.name)
        case "replace":
            hub.drop_lease(lease.name)
            hub.forge_lease(lease)
        case "relabel":
            other = next(member for member in MEMBERS if member != lease.cluster)
            hub.edit_lease(lease.name, cluster=other)
        case "unlabel":
            hub.edit_lease(lease.name, federation="")
        case "shorter":
            hub.edit_lease(lease.name, duration=1)
        case "forge":
            hub.edit_lease(lease.name, acknowledged=_present_table(bed))


def _foreign_lease(injector: Injector, fault: Fault) -> None:
    bed = injector.bed
    whose, acknowledges = fault.value
    table = _present_table(bed) or Acknowledgement("uid-0", 1)
    said = {
        "": None,
        "present": table,
        "other object": Acknowledgement("uid-0", table.term + 1000),
        "ahead": replace(table, term=table.term + 50),
        "absurd": replace(table, term=10**17),
    }[acknowledges]
    if acknowledges == "ahead":
        bed.checker.forged()
    name = f"foreign-{bed.number()}"
    bed.hub.forge_lease(
        WorkerLease(name, "", "", NAME, whose, "somebody", said, Isolation.FENCE, int(fault.seconds))
    )


def _present_table(bed: Testbed) -> Acknowledgement | None:
    present = bed.hub.federation
    return Acknowledgement(present.uid, present.status.term) if present and present.status else None


def _touch_status(injector: Injector, fault: Fault) -> None:
    hub = injector.bed.hub
    match fault.value:
        case "history":
            # With nobody active, the history is what says whether that is on purpose.
            hub.edit_status(lambda s: replace(s, history=()) if s.active_cluster else s)
        case "request":
            hub.edit_status(lambda s: replace(s, switchover=None))
        case "conditions":
            hub.edit_status(lambda s: replace(s, conditions=()))
        case "counts":
            hub.edit_status(
                lambda s: replace(
                    s, clusters=tuple(replace(c, workers=9, live_workers=0) for c in s.clusters)
                )
            )


def _rewrite_roles(injector: Injector, fault: Fault) -> None:
    """Roles that no coordinator has moved: no promise until all answers by others have run out."""
    bed, chance = injector.bed, injector.bed.world.random
    present = bed.hub.federation
    if present is None or present.status is None:
        return
    bed.checker.excuse(for_good=bed.schedule.may_keep_role)
    ids = [row.id for row in present.status.clusters if present.spec.member(row.id)]
    chosen = chance.choice(ids)
    role = {
        "swap": Role.ACTIVE,
        "nobody": Role.PASSIVE,
        "demoting": Role.DEMOTING,
        "promoting": Role.PROMOTING,
    }[fault.value]
    raised = chance.choice((0, 1, 5))

    def rewritten(status: Status) -> Status:
        rows = tuple(replace(row, role=role if row.id == chosen else Role.PASSIVE) for row in status.clusters)
        active = chosen if role is Role.ACTIVE else ""
        return replace(status, clusters=rows, term=status.term + raised, active_cluster=active)

    bed.hub.edit_status(rewritten)


THIRD_PARTY_FAULTS: Mapping[str, Inject] = {
    "touch lease": _touch_lease,
    "rob lease": _rob_lease,
    "foreign lease": _foreign_lease,
    "touch status": _touch_status,
    "rewrite roles": _rewrite_roles,
}
