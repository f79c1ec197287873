"""What one coordinator remembers of a federation between two decisions, on its own clock.

A Lease's renewTime is written by a clock that nobody here trusts. Silence is therefore counted from
the moment at which *this* process received that version of the Lease: later than it was written, so
that a verdict of "silent" is never early. Nothing here is stored anywhere; a coordinator that
restarts begins with an empty sightings and knows nobody to be dead until it has watched a full period.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from tcf.core.annotations import Acknowledgement
from tcf.core.fencing import silence_needed
from tcf.core.model import Doubt, Federation, Role, Status, WorkerLease

_SETTLED = 1 / 4
"""The part of its duration that a Lease has to last until its versions are signs of life. A worker renews
at once when it has registered, and then after a third: one that crashes right after its start gives none."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One version of a Lease of `duration` seconds, received first at `at` (boot seconds).

    `found`: when the first version of this Lease was received; long ago if it had been renewed before that.
    `since`: when the first was received of an unbroken row of versions, each at most half a duration
    after the one before. What comes in after a stop of this process, of its watch or of the hub breaks
    the row: it may have been written long ago, or may only now have become possible to write. So does a
    shorter duration, for the gaps before it were judged by the longer.
    """

    cluster: str
    resource_version: str
    duration: int
    found: float
    since: float
    at: float

    @property
    def settled(self) -> bool:
        """Has the Lease been renewed by a worker that did not end right after it had begun?"""
        return self.at - self.found >= self.duration * _SETTLED


@dataclass(frozen=True, slots=True)
class Stage:
    """A table, seen first at `at`, and the request that it has met, at `met` (both boot seconds).

    Deadlines count from the latter. `request` is "" and `met` the same as `at` for a table without any.
    """

    uid: str
    term: int
    at: float
    request: str
    met: float


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A record of a loss in a status, seen first at `at` (boot seconds).

    It is known by the whole record: a table of the same term may have been seen before it was lost.
    """

    doubt: Doubt
    at: float

    @property
    def until(self) -> float:
        """Boot seconds before which nobody is promoted."""
        return self.at + self.doubt.seconds


@dataclass(frozen=True, slots=True)
class Sightings:
    """`sightings` by the uid of the Lease; `heard`: when a member last gave a sign of life (boot seconds).

    That a Lease vanishes is a sign of life, too: a worker that stops takes its Lease along, and is
    most likely about to start again. (Not so one that had been silent: an operator has collected it.)
    And so it is that a member becomes active, since one of its workers has taken over.

    `active`: the member that was active, or about not to be any more, when it was seen last; "" for nobody.
    `newest`: the highest term seen of the latest object: a hub that shows a lower one has lost it.
    `status`: the latest status, received first at `status_at` (boot seconds).
    """

    leases: Mapping[str, Sighting] = field(default_factory=lambda: MappingProxyType({}))
    heard: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    active: str = ""
    stage: Stage | None = None
    doubt: Doubtful | None = None
    newest: Acknowledgement | None = None
    status: Status | None = None
    status_at: float = -math.inf

    def see_lease(self, lease: WorkerLease, now: float) -> Sightings:
        """Remember a version of one Lease, received now; a version already known changes nothing."""
        known = self.leases.get(lease.uid)
        if known is not None and known.resource_version == lease.resource_version:
            return self
        since = now
        if known and known.duration <= lease.duration and now - known.at <= known.duration / 2:
            since = known.since
        sighting = Sighting(
            cluster=lease.cluster,
            resource_version=lease.resource_version,
            duration=lease.duration,
            found=known.found if known else now if lease.acknowledged is None else -math.inf,
            since=since,
            at=now,
        )
        heard = {**self.heard, lease.cluster: now} if sighting.settled else self.heard
        return replace(self, leases={**self.leases, lease.uid: sighting}, heard=heard)

    def see_leases(self, leases: Iterable[WorkerLease], now: float) -> Sightings:
        """Remember a complete list, received now: what it lacks is forgotten."""
        sightings = self
        uids = set()
        for lease in leases:
            sightings = sightings.see_lease(lease, now)
            uids.add(lease.uid)
        for uid in sightings.leases.keys() - uids:
            sightings = sightings.see_gone(uid, now)
        return sightings

    def see_gone(self, uid: str, now: float) -> Sightings:
        """Remember that there is no Lease of this uid any more."""
        gone = self.leases.get(uid)
        if gone is None:
            return self
        left = {other: sighting for other, sighting in self.leases.items() if other != uid}
        alive = gone.settled and now - gone.at <= silence_needed(gone.duration)
        heard = {**self.heard, gone.cluster: now} if alive else self.heard
        return replace(self, leases=left, heard=heard)

    def see_federation(self, federation: Federation | None, now: float) -> Sightings:
        """Remember who belongs to it, and since when the present request has met the present table."""
        members = federation.spec.clusters if federation else ()
        new = {member.id: now for member in members if member.id not in self.heard}
        engaged = federation.status.engaged if federation and federation.status else None
        active = engaged.id if engaged and engaged.role is not Role.PROMOTING else ""
        if active and active != self.active:
            new[active] = now
        heard = {**self.heard, **new} if new else self.heard
        status = federation.status if federation else None
        return replace(
            self,
            status=status,
            status_at=self.status_at if status == self.status else now,
            heard=heard,
            active=active,
            newest=self._newest(federation),
            stage=self._stage(federation, now),
            doubt=self._doubt(federation, now),
        )

    def _doubt(self, federation: Federation | None, now: float) -> Doubtful | None:
        """Kept until somebody is active.

        Neither an edit, nor a program that does not know it, nor another object of the same name ends it.
        """
        known = self.doubt
        if federation is None or federation.status is None:
            return known
        if federation.status.active_cluster:
            return None
        doubt = federation.status.in_doubt
        if doubt is None or (known and known.doubt == doubt):
            return known
        fresh = Doubtful(doubt, now)
        return max((fresh, known), key=lambda each: each.until) if known else fresh

    def known_term(self, uid: str) -> int:
        """The highest term that has been seen of the object `uid`; 0 if it is not the latest."""
        return self.newest.term if self.newest and self.newest.uid == uid else 0

    def doubtful(self, now: float) -> Doubt | None:
        """The record of a loss after which nobody may be promoted yet."""
        return self.doubt.doubt if self.doubt and now < self.doubt.until else None

    def _newest(self, federation: Federation | None) -> Acknowledgement | None:
        if federation is None or federation.status is None:
            return self.newest
        term = max(federation.status.term, self.known_term(federation.uid))
        return Acknowledgement(federation.uid, term)

    def _stage(self, federation: Federation | None, now: float) -> Stage | None:
        if federation is None or federation.status is None:
            return None
        status = federation.status
        request = status.switchover.id if status.switchover else ""
        old = self.stage
        if old is None or (old.uid, old.term) != (federation.uid, status.term):
            return Stage(federation.uid, status.term, now, request, now)
        return old if request == old.request else replace(old, request=request, met=now)

    def age(self, lease: WorkerLease, now: float) -> float:
        """Seconds since this very version of the Lease was received; 0 for one not seen before."""
        sighting = self.leases.get(lease.uid)
        if sighting is None or sighting.resource_version != lease.resource_version:
            return 0.0
        return now - sighting.at

    def renewing_since(self, lease: WorkerLease, now: float) -> float | None:
        """Since when the Lease has been renewed without a break (boot seconds); None if it is not, now.

        It has to have been seen to change when it did; that it is there says nothing.
        """
        sighting = self.leases.get(lease.uid)
        if sighting is None or sighting.since == sighting.at or now - sighting.at > lease.duration / 2:
            return None
        return sighting.since
