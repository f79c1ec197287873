"""What a coordinator has seen of one federation, by watch events, by lists and by its own writes.

The cache may lag behind the hub. That is harmless: a write of the status names the version that it replaces,
a delete names the version that it deletes, and before a step that needs the latest Leases (the fence), the
coordinator lists them.
"""

from __future__ import annotations

from collections.abc import Callable

from tcf.coordinator.federation_tally import FederationTally
from tcf.core.decide import Observation
from tcf.core.model import Federation, WorkerLease
from tcf.core.sightings import Sightings
from tcf.hub.records import newer


class FederationCache:
    """The latest federation, its Leases by uid, and when each version was received."""

    def __init__(self, announce: Callable[[], None] = lambda: None) -> None:
        """`announce`: is called after each change of the federation."""
        self.federation: Federation | None = None
        self.tally = FederationTally()
        self._leases: dict[str, WorkerLease] = {}
        self._sightings = Sightings()
        self._announce = announce

    def over(self, now: float) -> bool:
        """Is there nothing left to remember?"""
        return self.federation is None and not self._leases and self._sightings.doubtful(now) is None

    @property
    def table(self) -> tuple[str, int | None] | None:
        """Which table is in the cache: the uid of the object, and the term (None if there is no status)."""
        federation = self.federation
        if federation is None:
            return None
        return federation.uid, federation.status.term if federation.status else None

    def known_term(self, uid: str) -> int:
        """The highest term seen of object `uid`; 0 if that is not the present one."""
        return self._sightings.known_term(uid)

    def workers(self, now: float) -> list[tuple[WorkerLease, float]]:
        """The Leases of the workers, each with the seconds since its latest version was received."""
        return [(lease, self._sightings.age(lease, now)) for lease in self._leases.values()]

    def observation(self, *, listed: float | None = None, reread: bool = False) -> Observation:
        return Observation(self.federation, tuple(self._leases.values()), self._sightings, listed, reread)

    def excuse(self, seconds: float, now: float, *, queued: bool) -> None:
        """Do not count these seconds against the request under way. `queued`: see `Sightings.excused`."""
        self._sightings = self._sightings.excused(seconds, now, queued=queued)

    def read_federation(self, federation: Federation | None, now: float) -> None:
        """Take in the answer to a read at boot time `now`."""
        before, self.federation = self.federation, federation
        self.tally.saw(before, federation, now)
        self._sightings = self._sightings.see_federation(federation, now)
        if federation != before:
            self._announce()

    def wrote_federation(self, federation: Federation, now: float) -> None:
        """Take in the answer to a write, unless the watch has delivered something newer meanwhile."""
        known = self.federation
        if known is None or known.uid != federation.uid:
            return  # it was deleted meanwhile
        if newer(federation.resource_version, known.resource_version):
            self.read_federation(federation, now)

    def watched_federation(self, federation: Federation, now: float, *, deleted: bool) -> bool:
        """Take in a watch event. False if a newer version is known."""
        known = self.federation
        if known and known.uid == federation.uid and not deleted:
            if not newer(federation.resource_version, known.resource_version):
                return False
        elif deleted and known and known.uid != federation.uid:
            return False
        self.read_federation(None if deleted else federation, now)
        return True

    def is_ahead_of(self, federation: Federation) -> bool:
        """Is a newer version of the same object known?"""
        known = self.federation
        return (
            known is not None
            and known.uid == federation.uid
            and newer(known.resource_version, federation.resource_version)
        )

    def read_leases(self, leases: tuple[WorkerLease, ...], *, asked: float, now: float) -> None:
        """Take in a complete list, sent for at boot time `asked`. `now` was read after it had been received.

        If the watch has delivered a newer version of a Lease since `asked`, that version counts. A higher
        version that was known before does not count: a hub that has lost its last writes is right about what
        it has.
        """
        listed = {lease.uid: self._newest(lease, asked, now) for lease in leases}
        self._leases = listed
        self._sightings = self._sightings.see_leases(listed.values(), now)

    def watched_lease(self, lease: WorkerLease, now: float, *, deleted: bool) -> bool:
        """Take in a watch event. False if it changes nothing that matters for a decision.

        A renewal of a worker that has been renewing already only moves its timer on. With a thousand
        federations, nearly all events are such renewals.
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
            and _content(known) == _content(lease)
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


def _content(lease: WorkerLease) -> tuple[object, ...]:
    """Everything in a Lease that matters for a decision, apart from the time of its renewal."""
    return (
        lease.cluster,
        lease.acknowledged,
        lease.isolation,
        lease.duration,
        lease.holder,
        lease.application,
        lease.held_by,
    )
