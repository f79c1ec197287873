"""What one coordinator remembers of a federation between two decisions, on its own clock.

The renewTime of a Lease comes from a clock that a coordinator does not trust. So it counts silence from when
*this* process received that version of the Lease. That is later than the write, so no Lease counts as silent
too early. Sightings are not stored anywhere. A coordinator that restarts begins without any, and takes no
worker for silent before it has watched for the full time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from tcf.core.annotations import Acknowledgement
from tcf.core.fencing import silence_needed
from tcf.core.model import Application, Doubt, Federation, Follows, Role, Status, WorkerLease

_SETTLED = 1 / 4
"""The renewals of a Lease are signs of life only when it has existed for this part of its duration. A worker
renews right after it has registered, and then after a third of the duration. So one that crashes right after
its start gives no sign of life."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One version of a Lease, with its `duration`, first received at `at` (boot seconds).

    `found`: when the first version of this Lease was received; minus infinity if it had been renewed before.
    `since`: when an unbroken series of versions began, each received at most half a duration after the one
    before. A stop of this process, of its watch or of the hub breaks the series: the version that comes after
    it may be an old one, or the hub may only now have taken the write. A shorter duration breaks the series,
    too, because the gaps before it were judged by the longer one.
    `healthy`: this version reports a healthy application.
    """

    cluster: str
    resource_version: str
    duration: int
    found: float
    since: float
    at: float
    healthy: bool

    def settled(self, now: float) -> bool:
        """Has the Lease existed for so long, at boot time `now`, that it proves a worker that did not just
        start?"""
        return now - self.found >= self.duration * _SETTLED


@dataclass(frozen=True, slots=True)
class Stage:
    """A table, first seen at `at`, and its request, first seen together with this table at `met` (boot
    seconds).

    Deadlines count from `met`. `excused`: seconds since then that do not count, because this coordinator or
    the hub was busy. `queued`: those of them that were spent in its own queue. Without a request, `request`
    is "" and `met` is the same as `at`.
    """

    uid: str
    term: int
    at: float
    request: str
    met: float
    excused: float = 0.0
    queued: float = 0.0


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A record of a loss in a status, first seen at `at` (boot seconds).

    Two records are the same only if all of their fields are. The term would not do: a table with the same
    term may have been seen before it was lost.
    """

    doubt: Doubt
    at: float

    @property
    def until(self) -> float:
        """Boot seconds before which nobody is promoted."""
        return self.at + self.doubt.seconds


@dataclass(frozen=True, slots=True)
class Sightings:
    """`leases`: the sightings, by the uid of the Lease. `heard`: when each member last gave a sign of life.

    A Lease that disappears is a sign of life: a worker that stops deletes its Lease, and most likely is about
    to start again. (If the Lease was silent, an operator has deleted it, so that is no sign of life.) When a
    member becomes active, that is a sign of life, too, because one of its workers has taken over.

    `healthy`: when each member may last have had a healthy application, by the same signs of life: those of
    workers that report one, or did so until then. A member that becomes active gets the full time to become
    healthy. This is kept only while the federation follows applications, so the time counts from when this
    coordinator knows that.

    `active`: the member that was active or demoting when the federation was last seen; "" for nobody.
    `newest`: the highest term seen of the latest object. A hub that shows a lower term has lost that table.
    `status`: the latest status, first received at `status_at`. (All times are boot seconds.)
    """

    leases: Mapping[str, Sighting] = field(default_factory=lambda: MappingProxyType({}))
    heard: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    healthy: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    active: str = ""
    stage: Stage | None = None
    doubt: Doubtful | None = None
    newest: Acknowledgement | None = None
    status: Status | None = None
    status_at: float = -math.inf

    def see_lease(self, lease: WorkerLease, now: float) -> Sightings:
        """Remember a version of one Lease that was received now. A version known already changes nothing."""
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
            healthy=lease.application is Application.HEALTHY,
        )
        # The application may have been healthy until now if the version before says so.
        healthy = sighting.healthy or (known is not None and known.healthy)
        heard = self._hear(lease.cluster, now, healthy=healthy) if sighting.settled(now) else self
        return replace(heard, leases={**self.leases, lease.uid: sighting})

    def see_leases(self, leases: Iterable[WorkerLease], now: float) -> Sightings:
        """Remember a complete list that was received now. A Lease that is not in it is gone."""
        sightings = self
        uids = set()
        for lease in leases:
            sightings = sightings.see_lease(lease, now)
            uids.add(lease.uid)
        for uid in sightings.leases.keys() - uids:
            sightings = sightings.see_gone(uid, now)
        return sightings

    def see_gone(self, uid: str, now: float) -> Sightings:
        """Remember that the Lease with this uid is gone."""
        gone = self.leases.get(uid)
        if gone is None:
            return self
        left = {other: sighting for other, sighting in self.leases.items() if other != uid}
        alive = gone.settled(now) and now - gone.at <= silence_needed(gone.duration)
        heard = self._hear(gone.cluster, now, healthy=gone.healthy) if alive else self
        return replace(heard, leases=left)

    def _hear(self, cluster: str, now: float, *, healthy: bool) -> Sightings:
        """Remember a sign of life, and whether it came from a worker with a healthy application."""
        counts = healthy and cluster in self.healthy
        return replace(
            self,
            heard={**self.heard, cluster: now},
            healthy={**self.healthy, cluster: now} if counts else self.healthy,
        )

    def see_federation(self, federation: Federation | None, now: float) -> Sightings:
        """Remember which members there are, the newest term, the doubt, and the present table and request."""
        members = federation.spec.clusters if federation else ()
        new = {member.id: now for member in members if member.id not in self.heard}
        engaged = federation.status.engaged if federation and federation.status else None
        active = engaged.id if engaged and engaged.role is not Role.PROMOTING else ""
        risen = {active: now} if active and active != self.active else {}
        heard = {**self.heard, **new, **risen} if new or risen else self.heard
        healthy: Mapping[str, float] = {}
        if federation and federation.spec.failover.follows is Follows.APPLICATIONS:
            healthy = {**{member.id: now for member in members}, **self.healthy, **risen}
        status = federation.status if federation else None
        return replace(
            self,
            status=status,
            status_at=self.status_at if status == self.status else now,
            heard=heard,
            healthy=healthy,
            active=active,
            newest=self._newest(federation),
            stage=self._stage(federation, now),
            doubt=self._doubt(federation, now),
        )

    def _doubt(self, federation: Federation | None, now: float) -> Doubtful | None:
        """The record of a loss, which is kept until a member is active.

        An edit does not end it, nor does a program that does not know it, nor another object of the same
        name.
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
        """The highest term seen of the object `uid`; 0 if that is not the latest object."""
        return self.newest.term if self.newest and self.newest.uid == uid else 0

    def doubtful(self, now: float) -> Doubt | None:
        """The record of a loss, as long as nobody may be promoted because of it; otherwise None."""
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
        return (
            old if request == old.request else replace(old, request=request, met=now, excused=0.0, queued=0.0)
        )

    def excused(self, seconds: float, now: float, *, queued: bool) -> Sightings:
        """Do not count these last seconds against the request. `queued`: they were spent in the queue."""
        if self.stage is None:
            return self
        lasted = now - self.stage.met
        more = max(0.0, min(seconds, lasted))
        excused = min(lasted, self.stage.excused + more)
        waited = self.stage.queued + more if queued else self.stage.queued
        return replace(self, stage=replace(self.stage, excused=excused, queued=min(waited, excused)))

    def age(self, lease: WorkerLease, now: float) -> float:
        """Seconds since this very version of the Lease was received; 0 if it was not seen before."""
        sighting = self.leases.get(lease.uid)
        if sighting is None or sighting.resource_version != lease.resource_version:
            return 0.0
        return now - sighting.at

    def renewing_since(self, lease: WorkerLease, now: float) -> float | None:
        """Since when the Lease has been renewed without a break (boot seconds); None if it is not being
        renewed.

        This coordinator must have seen it change. That a Lease exists proves nothing.
        """
        sighting = self.leases.get(lease.uid)
        if sighting is None or sighting.since == sighting.at or now - sighting.at > lease.duration / 2:
            return None
        return sighting.since
