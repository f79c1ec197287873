"""What one coordinator remembers of a federation between two decisions, on its own clock.

A Lease's renewTime is written by a clock that nobody here trusts. Silence is therefore counted from
the moment at which *this* process received that version of the Lease: later than it was written, so
that a verdict of "silent" is never early. Nothing here is stored anywhere; a coordinator that
restarts begins with an empty memory and knows nobody to be dead until it has watched a full period.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from tcf.core.model import Federation, WorkerLease


@dataclass(frozen=True, slots=True)
class Sighting:
    """One version of a Lease, received first at `at` (boot seconds).

    `renewed`: it replaced one that had been received shortly before, so it cannot be old itself. What
    comes in after a stop of this process, or of its watch, may have been written long ago.
    """

    resource_version: str
    at: float
    renewed: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """A request and the table it met, first seen at `at` (boot seconds): what deadlines count from."""

    request: str
    uid: str
    term: int
    at: float


@dataclass(frozen=True, slots=True)
class Memory:
    sightings: Mapping[str, Sighting] = field(default_factory=lambda: MappingProxyType({}))
    stage: Stage | None = None

    def see_lease(self, lease: WorkerLease, now: float) -> Memory:
        """Remember a version of one Lease, received now; a version already known changes nothing."""
        known = self.sightings.get(lease.uid)
        if known is not None and known.resource_version == lease.resource_version:
            return self
        renewed = known is not None and now - known.at <= lease.duration / 2
        sighting = Sighting(lease.resource_version, now, renewed=renewed)
        return replace(self, sightings={**self.sightings, lease.uid: sighting})

    def see_leases(self, leases: Iterable[WorkerLease], now: float) -> Memory:
        """Remember a complete list, received now: what it lacks is forgotten."""
        memory = self
        uids = set()
        for lease in leases:
            memory = memory.see_lease(lease, now)
            uids.add(lease.uid)
        kept = {uid: s for uid, s in memory.sightings.items() if uid in uids}
        return replace(memory, sightings=kept)

    def see_federation(self, federation: Federation | None, now: float) -> Memory:
        """Remember since when the present request has met the present table."""
        status = federation.status if federation else None
        if federation is None or status is None or status.switchover is None:
            return replace(self, stage=None) if self.stage else self
        key = (status.switchover.id, federation.uid, status.term)
        if self.stage and (self.stage.request, self.stage.uid, self.stage.term) == key:
            return self
        return replace(self, stage=Stage(*key, at=now))

    def age(self, lease: WorkerLease, now: float) -> float:
        """Seconds since this very version of the Lease was received; 0 for one not seen before."""
        sighting = self.sightings.get(lease.uid)
        if sighting is None or sighting.resource_version != lease.resource_version:
            return 0.0
        return now - sighting.at

    def renewed(self, lease: WorkerLease) -> bool:
        """Has this coordinator seen the Lease change when it did, rather than only found it there?"""
        sighting = self.sightings.get(lease.uid)
        return sighting is not None and sighting.renewed
