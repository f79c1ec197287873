"""Which workers may still be alive, as far as one coordinator can tell from its sightings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from tcf.core.fencing import JUST_AFTER, silence_needed
from tcf.core.model import Isolation, MemberStatus, Now, Stranger, Unfenceable, WorkerLease, stamp
from tcf.core.sightings import Sightings

MOST_NAMES, LONGEST_NAME = 16, 253
"""Of the holders named in the status: what its schema allows."""


@dataclass(frozen=True, slots=True)
class Workers:
    """The Leases of a federation with what is known of each, at boot time `now`.

    `listed`: boot time at which the list was sent for that they come from; None if they are yet to be listed.
    """

    leases: tuple[WorkerLease, ...]
    sightings: Sightings
    now: float
    listed: float | None = None

    @property
    def as_of(self) -> float:
        """Boot time up to which they are known: while a list was on its way, they may have been renewed."""
        return self.now if self.listed is None else self.listed

    def of(self, cluster: str) -> list[WorkerLease]:
        return [lease for lease in self.leases if lease.cluster == cluster]

    def others(self, cluster: str) -> list[WorkerLease]:
        """Everybody else's, also those that name no member or one that the spec has lost."""
        return [lease for lease in self.leases if lease.cluster != cluster]

    def silent(self, lease: WorkerLease) -> bool:
        return self.sightings.age(lease, self.now) > silence_needed(lease.duration)

    def unfenceable(self, leases: Iterable[WorkerLease]) -> tuple[Unfenceable, ...]:
        """Those among them that are silent under KeepRole: no wait will ever fence them."""
        kept = (lease for lease in leases if lease.isolation is Isolation.KEEP_ROLE)
        return tuple(_holder(lease) for lease in kept if self.silent(lease))

    def noted(self, before: tuple[Unfenceable, ...]) -> tuple[Unfenceable, ...]:
        """Who cannot be fenced, for the status; left as it was `before` where this replica can't tell yet."""
        still = {
            _holder(lease)
            for lease in self.leases
            if lease.isolation is Isolation.KEEP_ROLE
            and self.sightings.renewing_since(lease, self.now) is None
        }
        return tuple(sorted({*self.unfenceable(self.leases), *still.intersection(before)}))[:MOST_NAMES]

    def strangers(self, members: Iterable[str]) -> tuple[Stranger, ...]:
        """Leases that no worker of these members can have written, for the status."""
        known = set(members)
        found = (
            Stranger(each.name, each.cluster, each.problem)
            for each in self.leases
            if each.problem or each.cluster not in known
        )
        return tuple(sorted(found))[:MOST_NAMES]

    def last_heard(self, cluster: str) -> float:
        """Boot time of the latest sign of life of a member, as far as this coordinator knows."""
        return self.sightings.heard.get(cluster, self.now)

    def alive(self, leases: Iterable[WorkerLease]) -> int:
        """How many are not known to be silent."""
        return sum(not self.silent(lease) for lease in leases)

    def silent_at(self, lease: WorkerLease, silence: float) -> float:
        """Boot time just after which the Lease will have been silent for `silence` seconds."""
        return self.now - self.sightings.age(lease, self.now) + silence + JUST_AFTER

    def next_silence(self) -> float | None:
        """When the next of the living will be silent if it does not renew before; None without any."""
        times = [
            self.silent_at(lease, silence_needed(lease.duration))
            for lease in self.leases
            if not self.silent(lease)
        ]
        return min(times, default=None)

    def counted(self, member: MemberStatus, now: Now) -> MemberStatus:
        """The member with what is known of its workers.

        Replicas see a worker fall silent at slightly different times. Between "renewed just now"
        and "silent" a coordinator therefore leaves the count as it is, or two of them would
        overwrite each other's for ever. (Half a duration from one renewal to the next, and half a
        duration since, are together less than any silence that another one can have counted.)
        """
        own = self.of(member.id)
        fresh = sum(self.sightings.renewing_since(lease, self.now) is not None for lease in own)
        live = min(max(member.live_workers, fresh), self.alive(own))
        silent_for = timedelta(seconds=self.now - self.last_heard(member.id))
        return replace(
            member,
            workers=len(own),
            live_workers=live,
            silent_since=None if live else member.silent_since or stamp(now.wall - silent_for),
        )


def _holder(lease: WorkerLease) -> Unfenceable:
    return Unfenceable(lease.cluster, lease.holder[:LONGEST_NAME])


def named(leases: Iterable[WorkerLease]) -> str:
    """Workers, in words for a person."""
    return ", ".join(str(_holder(lease)) for lease in leases)
