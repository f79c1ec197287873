"""Which workers may still be alive, as far as one coordinator can tell from its sightings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from tcf.core.fencing import JUST_AFTER, silence_needed
from tcf.core.memory import Memory
from tcf.core.model import MemberStatus, WorkerLease


@dataclass(frozen=True, slots=True)
class Workers:
    """The Leases of a federation with what is known of each, at boot time `now`."""

    leases: tuple[WorkerLease, ...]
    memory: Memory
    now: float

    def of(self, cluster: str) -> list[WorkerLease]:
        return [lease for lease in self.leases if lease.cluster == cluster]

    def others(self, cluster: str) -> list[WorkerLease]:
        """Everybody else's, also those that name no member or one that the spec has lost."""
        return [lease for lease in self.leases if lease.cluster != cluster]

    def silent(self, lease: WorkerLease) -> bool:
        return self.memory.age(lease, self.now) > silence_needed(lease)

    def alive(self, leases: Iterable[WorkerLease]) -> int:
        """How many are not known to be silent."""
        return sum(not self.silent(lease) for lease in leases)

    def silent_at(self, lease: WorkerLease, silence: float) -> float:
        """Boot time just after which the Lease will have been silent for `silence` seconds."""
        return self.now - self.memory.age(lease, self.now) + silence + JUST_AFTER

    def next_silence(self) -> float | None:
        """When the next of the living will be silent if it does not renew before; None without any."""
        times = [
            self.silent_at(lease, silence_needed(lease)) for lease in self.leases if not self.silent(lease)
        ]
        return min(times, default=None)

    def counted(self, member: MemberStatus) -> MemberStatus:
        """The member with its worker counts.

        Replicas see a worker fall silent at slightly different times. Between "renewed just now"
        and "silent" a coordinator therefore leaves the count as it is, or two of them would
        overwrite each other's for ever. (Half a duration from one renewal to the next, and half a
        duration since, are together less than any silence that another one can have counted.)
        """
        own = self.of(member.id)
        fresh = sum(
            self.memory.renewed(lease) and self.memory.age(lease, self.now) <= lease.duration / 2
            for lease in own
        )
        live = min(max(member.live_workers, fresh), self.alive(own))
        return replace(member, workers=len(own), live_workers=live)
