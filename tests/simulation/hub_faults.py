"""Edits of the federation by its owner, and losses of what the hub keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from simulation.injector import Inject, Injector
from simulation.schedule import MEMBERS, PASSIVE, Fault
from simulation.testbed import Testbed, members
from tcf.core.annotations import ANNOTATION_LAST_ACTIVE
from tcf.core.model import Spec


def _edit(injector: Injector, fault: Fault) -> None:
    what, value = fault.value
    done = injector.bed.hub.edit(lambda spec: _edited(spec, what, value))
    injector.bed.world.note("FAULT", "the edit is %s", "taken" if done else "refused")


def _lose_status(injector: Injector, _: Fault) -> None:
    injector.bed.hub.lose_status()


def _recreate(injector: Injector, fault: Fault) -> None:
    """Delete the federation; after a while somebody applies it again, from a backup or from a file."""
    bed, hub = injector.bed, injector.bed.hub
    present = hub.federation
    if present is None:
        return
    names, annotated, active = fault.value
    if active == PASSIVE:
        active = bed.programs[injector.worker_with(PASSIVE)].member
    if names in {"", PASSIVE}:
        engaged = present.status.engaged if present.status else None
        left = engaged.id if engaged and names else ""
        names = "".join(m for m in MEMBERS[: bed.schedule.members] if m != left)
    hub.delete()
    spec = replace(
        present.spec,
        clusters=members(names),
        active_cluster=active if active in names else None,
    )
    note = present.annotations.get(ANNOTATION_LAST_ACTIVE)
    annotations = {ANNOTATION_LAST_ACTIVE: note} if annotated and note else {}

    def again() -> None:
        if hub.federation is None and not hub.kind_is_gone:
            hub.create(spec, annotations)

    _before_calm(bed, fault.seconds, again)


def _restore(injector: Injector, fault: Fault) -> None:
    """The hub is set back; `fault.value`: versions go on above those that were lost."""
    bed = injector.bed
    backup = bed.hub.backup(fault.seconds)
    bed.checker.forget(for_good=bed.schedule.may_keep_role)
    bed.hub.restore(backup, bump=fault.value)
    bed.reports.restored(bed.hub.leases.values())
    bed.network.break_watches()


def _remove_crd(injector: Injector, fault: Fault) -> None:
    """With everything of that kind; it comes back, and somebody applies the federation again."""
    bed, hub = injector.bed, injector.bed.hub
    present = hub.federation
    if present is None:
        return
    hub.delete()
    hub.kind_is_gone = True
    bed.network.break_watches()

    def back() -> None:
        hub.kind_is_gone = False
        if hub.federation is None:
            hub.create(present.spec, {})

    _before_calm(bed, fault.seconds, back)


def _before_calm(bed: Testbed, delay: float, act: Callable[[], None]) -> None:
    """Act after a while, at the end of all faults at the latest."""
    bed.world.after(min(delay, bed.schedule.length - bed.world.now), act)


def _edited(spec: Spec, what: str, value: Any) -> Spec:
    part, _, field = what.partition(".")
    match part:
        case "active_cluster":
            known = value is None or spec.member(value)
            return replace(spec, active_cluster=value) if known else spec
        case "clusters":
            spec = replace(spec, clusters=members(value))
            wanted = spec.active_cluster
            return replace(spec, active_cluster=wanted if wanted and spec.member(wanted) else None)
        case "member":
            who, content = value
            changed = (replace(m, **{field: content}) if m.id == who else m for m in spec.clusters)
            return replace(spec, clusters=tuple(changed))
        case "failover":
            return replace(spec, failover=replace(spec.failover, **{field: value}))
    return replace(spec, **{what: value})


HUB_FAULTS: Mapping[str, Inject] = {
    "edit": _edit,
    "lose status": _lose_status,
    "recreate": _recreate,
    "restore": _restore,
    "remove crd": _remove_crd,
}
