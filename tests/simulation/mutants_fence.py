"""Breaks of the fence, and of how coordinators write."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import tcf.core.decide
import tcf.core.failover
import tcf.core.fencing
import tcf.core.liveness
import tcf.core.steps
from simulation import profiles
from simulation.mutant import Mutant, Patch, changed
from simulation.mutants_terms import no_doubt
from simulation.sim_hub import SimHub
from simulation.stand_ins import SimLeases
from tcf.coordinator.cache import FederationCache
from tcf.core.annotations import Acknowledgement
from tcf.core.decide import Observation
from tcf.core.fencing import Fence
from tcf.core.model import Federation, Status, WorkerLease
from tcf.core.steps import Case


def _no_delete() -> Iterable[Patch]:
    async def pretend(
        original: Any, leases: SimLeases, *args: Any, any_version: bool = False, **more: Any
    ) -> None:
        if any_version:  # a worker's own, at its clean stop
            await original(leases, *args, any_version=True, **more)

    yield changed(SimLeases, "delete", pretend)


def _no_list() -> Iterable[Patch]:
    def listed(original: Callable[..., Observation], view: FederationCache, **_: Any) -> Observation:
        return original(view, listed=math.inf, reread=True)

    yield changed(FederationCache, "observation", listed)


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

    yield changed(Case, "fence", judged)


def _no_uid() -> Iterable[Patch]:
    def change(lease: WorkerLease, case: Case) -> WorkerLease:
        old = lease.acknowledged
        return replace(lease, acknowledged=old and Acknowledgement(case.federation.uid, old.term))

    yield from _fenced_as_if(change)
    yield from no_doubt()  # which would do alone, as the uid does without it


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
        yield Patch(module, "silence_needed", float)


def _early_sight() -> Iterable[Patch]:
    def read(original: Any, view: FederationCache, leases: Any, *, asked: float, now: float) -> None:
        del now
        original(view, leases, asked=asked, now=asked)

    yield changed(FederationCache, "read_leases", read)


def _blind_delete() -> Iterable[Patch]:
    def delete(original: Any, hub: SimHub, seen: WorkerLease, *, any_version: bool) -> None:
        del any_version
        original(hub, seen, any_version=True)

    yield changed(SimHub, "delete_lease", delete)


def _no_cas() -> Iterable[Patch]:
    def write(original: Any, hub: SimHub, seen: Federation, status: Status) -> Federation:
        del seen
        result: Federation = original(hub, hub.get(), status)
        return result

    yield changed(SimHub, "write_status", write)


FENCE_MUTANTS = (
    Mutant("no delete", "silent Leases are not deleted before a promotion", _no_delete, profiles.STALLS),
    Mutant("no list", "Leases are not listed after the demoting write", _no_list, profiles.NEWCOMERS),
    Mutant(
        "no uid",
        "an acknowledgement counts whatever object it is about",
        _no_uid,
        profiles.RECREATED_ONCE_ACTIVE,
    ),
    Mutant("any acknowledgement", "any acknowledgement will do", _any_acknowledgement, profiles.UNHEARD),
    Mutant("members only", "only the spec's members are fenced", _members_only, profiles.EXPELLED),
    Mutant("spec's duration", "silence counts with the spec's duration", _spec_duration, profiles.SHORTER),
    Mutant(
        "spec's isolation",
        "a silent Lease is judged by the spec's isolation",
        _spec_isolation,
        profiles.STRICTER,
    ),
    Mutant(
        "no margin", "silence is the duration, without a margin for clock rates", _no_margin, profiles.SLEWED
    ),
    Mutant("early sight", "silence counts from before the LIST", _early_sight, profiles.SLOW_LISTS),
    Mutant(
        "blind delete", "Leases are deleted whatever their version", _blind_delete, profiles.STALLS_SLOWLY
    ),
    Mutant("no CAS", "a status is written over any version", _no_cas, profiles.RACES),
)
