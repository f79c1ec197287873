"""What a coordinator has seen of one federation: fed by watch events, lists and its own writes.

A view may lag behind the hub, and that is harmless: a status write names the version it replaces, a
delete the version it deletes, and what must not rest on old news (the fence) is listed first.
"""

from __future__ import annotations

from tcf.core.decide import Observation
from tcf.core.model import Federation, WorkerLease
from tcf.core.sightings import Sightings
from tcf.hub.records import newer


class FederationCache:
    """The latest federation, its Leases by uid, and when each version was received."""

    def __init__(self) -> None:
        self.federation: Federation | None = None
        self._leases: dict[str, WorkerLease] = {}
        self._sightings = Sightings()

    def over(self, now: float) -> bool:
        """Is there nothing left that has to be remembered?"""
        return self.federation is None and not self._leases and self._sightings.doubtful(now) is None

    @property
    def table(self) -> tuple[str, int | None] | None:
        """Which table of which object this view shows: uid and term (None while it has no status)."""
        federation = self.federation
        if federation is None:
            return None
        return federation.uid, federation.status.term if federation.status else None

    def observation(self, *, listed: float | None = None, reread: bool = False) -> Observation:
        return Observation(self.federation, tuple(self._leases.values()), self._sightings, listed, reread)

    def read_federation(self, federation: Federation | None, now: float) -> None:
        """Take in the answer to a read at boot time `now`."""
        self.federation = federation
        self._sightings = self._sightings.see_federation(federation, now)

    def wrote_federation(self, federation: Federation, now: float) -> None:
        """Take in the answer to an own write, unless something newer was watched meanwhile."""
        known = self.federation
        if known is None or known.uid != federation.uid:
            return  # it was deleted meanwhile
        if newer(federation.resource_version, known.resource_version):
            self.read_federation(federation, now)

    def watched_federation(self, federation: Federation, now: float, *, deleted: bool) -> bool:
        """Take in a watch event. False if it is older than what is known."""
        known = self.federation
        if known and known.uid == federation.uid and not deleted:
            if not newer(federation.resource_version, known.resource_version):
                return False
        elif deleted and known and known.uid != federation.uid:
            return False
        self.read_federation(None if deleted else federation, now)
        return True

    def is_ahead_of(self, federation: Federation) -> bool:
        """Is a later version known of the same object?"""
        known = self.federation
        return (
            known is not None
            and known.uid == federation.uid
            and newer(known.resource_version, federation.resource_version)
        )

    def read_leases(self, leases: tuple[WorkerLease, ...], *, asked: float, now: float) -> None:
        """Take in a complete list, sent for at boot time `asked`; `now` is read after it was received.

        What has been watched of a Lease meanwhile is the newer news. A higher version that was known
        before is not: a hub that has lost its last writes is right about what it has.
        """
        listed = {lease.uid: self._newest(lease, asked, now) for lease in leases}
        self._leases = listed
        self._sightings = self._sightings.see_leases(listed.values(), now)

    def watched_lease(self, lease: WorkerLease, now: float, *, deleted: bool) -> bool:
        """Take in a watch event. False if it changes nothing that a decision could rest on.

        A renewal of a worker that is known to be alive only moves its timer on: with a thousand
        federations these are nearly all events there are.
        """
        known = self._leases.get(lease.uid)
        if deleted:
            self.forget_lease(lease, now)
            return known is not None
        if known and not newer(lease.resource_version, known.resource_version):
            return False
        sightings = self._sightings
        settled = (
            known is not None
            and sightings.renewing_since(known, now) is not None
            and _told(known) == _told(lease)
        )
        self._leases[lease.uid] = lease
        self._sightings = sightings.see_lease(lease, now)
        return not settled

    def _newest(self, lease: WorkerLease, asked: float, now: float) -> WorkerLease:
        known = self._leases.get(lease.uid)
        if known is None or now - self._sightings.age(known, now) < asked:
            return lease
        return known if newer(known.resource_version, lease.resource_version) else lease

    def forget_lease(self, lease: WorkerLease, now: float) -> None:
        """Take in that a Lease is gone."""
        self._leases.pop(lease.uid, None)
        self._sightings = self._sightings.see_gone(lease.uid, now)


def _told(lease: WorkerLease) -> tuple[object, ...]:
    """What a Lease says apart from that it was renewed."""
    return (lease.cluster, lease.acknowledged, lease.isolation, lease.duration, lease.holder)
