"""Which workers may be alive, as far as one coordinator can conclude from its sightings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from tcf.core.application_health import Report, best, within
from tcf.core.fencing import JUST_AFTER, silence_needed
from tcf.core.holds import awaited
from tcf.core.model import Isolation, MemberStatus, Now, Stranger, Unfenceable, WorkerLease, stamp
from tcf.core.sightings import Sightings

MOST_NAMES, LONGEST_NAME, LONGEST_HELD_BY = 16, 253, 512
"""How many workers the status names, and how long names may be: the limits of its schema."""


@dataclass(frozen=True, slots=True)
class Workers:
    """The Leases of a federation, with what is known about each at boot time `now`.

    `listed`: boot time at which the coordinator sent for the list of these Leases; None without a list.
    """

    leases: tuple[WorkerLease, ...]
    sightings: Sightings
    now: float
    listed: float | None = None

    @property
    def as_of(self) -> float:
        """Boot time up to which the Leases are known: they may have been renewed while the list came in."""
        return self.now if self.listed is None else self.listed

    def without(self, gone: Iterable[WorkerLease]) -> Workers:
        """The same, once these Leases are deleted."""
        uids = {lease.uid for lease in gone}
        return replace(self, leases=tuple(lease for lease in self.leases if lease.uid not in uids))

    def of(self, cluster: str) -> list[WorkerLease]:
        return [lease for lease in self.leases if lease.cluster == cluster]

    def others(self, cluster: str) -> list[WorkerLease]:
        """The Leases of all other members, and those that name no member or one that has left the spec."""
        return [lease for lease in self.leases if lease.cluster != cluster]

    def silent(self, lease: WorkerLease) -> bool:
        return self.sightings.age(lease, self.now) > silence_needed(lease.duration)

    def unfenceable(self, leases: Iterable[WorkerLease]) -> tuple[Unfenceable, ...]:
        """The workers of these Leases that are silent under KeepRole: waiting never fences them."""
        kept = (lease for lease in leases if lease.isolation is Isolation.KEEP_ROLE)
        return tuple(_holder(lease) for lease in kept if self.silent(lease))

    def noted(self, before: tuple[Unfenceable, ...]) -> tuple[Unfenceable, ...]:
        """The workers that cannot be fenced, for the status.

        A worker that was among them `before` stays until this coordinator has seen it renewing.
        """
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
        """Boot time of the member's latest sign of life, as far as this coordinator knows."""
        return self.sightings.heard.get(cluster, self.now)

    def last_healthy(self, cluster: str) -> float:
        """Boot time at which the member last had a healthy application, as far as this coordinator knows."""
        return self.sightings.healthy.get(cluster, self.now)

    def application(self, leases: Iterable[WorkerLease]) -> Report:
        """What the live ones among these workers report about their application."""
        return best(lease.application for lease in leases if not self.silent(lease))

    def alive(self, leases: Iterable[WorkerLease]) -> int:
        """How many of these Leases are not silent."""
        return sum(not self.silent(lease) for lease in leases)

    def silent_at(self, lease: WorkerLease, silence: float) -> float:
        """Boot time just after which the Lease will have been silent for `silence` seconds."""
        return self.now - self.sightings.age(lease, self.now) + silence + JUST_AFTER

    def next_silence(self) -> float | None:
        """When the next live worker becomes silent unless it renews before; None if no worker is live."""
        times = [
            self.silent_at(lease, silence_needed(lease.duration))
            for lease in self.leases
            if not self.silent(lease)
        ]
        return min(times, default=None)

    def counted(self, member: MemberStatus, now: Now) -> MemberStatus:
        """The row of the member, with the counts of its workers and what they report.

        Coordinators see a worker become silent at slightly different times. So as long as a worker is neither
        renewing nor silent, a coordinator leaves the count as it is. Otherwise two coordinators would
        overwrite each other's counts forever. ("Renewing" allows half a duration between two renewals, and
        half a duration since the latest. Together that is less than any silence that another coordinator can
        have seen.) The same holds for what such a worker reports.
        """
        own = self.of(member.id)
        fresh = [lease for lease in own if self.sightings.renewing_since(lease, self.now) is not None]
        live = min(max(member.live_workers, len(fresh)), self.alive(own))
        reported = best(lease.application for lease in fresh)
        silent_for = timedelta(seconds=self.now - self.last_heard(member.id))
        return replace(
            member,
            workers=len(own),
            live_workers=live,
            silent_since=None if live else member.silent_since or stamp(now.wall - silent_for),
            application=within(member.application, reported, self.application(own)),
            held_by=_held_by(own) or None,
        )


def _holder(lease: WorkerLease) -> Unfenceable:
    return Unfenceable(lease.cluster, lease.holder[:LONGEST_NAME])


def _held_by(leases: Iterable[WorkerLease]) -> str:
    return ", ".join(lease.held_by for lease in leases if lease.held_by)[:LONGEST_HELD_BY]


def in_the_way(leases: Sequence[WorkerLease], otherwise: str) -> str:
    """Why these Leases keep a fence open, for a person to read.

    `otherwise`: what to say of workers that do not wait for holders.
    """
    members = dict.fromkeys(lease.cluster for lease in leases if lease.held_by)
    parts = [
        awaited(_held_by(lease for lease in leases if lease.cluster == member), member) for member in members
    ]
    if others := [lease for lease in leases if not lease.held_by]:
        parts.append(f"{otherwise}: {named(others)}")
    return "; ".join(parts)


def named(leases: Iterable[WorkerLease]) -> str:
    """The workers of these Leases, for a person to read."""
    return ", ".join(str(_holder(lease)) for lease in leases)
