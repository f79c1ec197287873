"""The fence: may a member be promoted, because no worker of another can still answer "active"?

A worker of another member is out of the way when it has acknowledged exactly the present table of the
present object (it lowered itself first), or when its Lease has been silent for longer than a reading
can live *and* that very version of the Lease is then deleted, so that a write of the stalled worker
can no longer succeed. `docs/safety.md` has the argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tcf.core.model import Acknowledgement, Isolation, WorkerLease
from tcf.core.sightings import Sightings
from tcf.core.silence import JUST_AFTER, silence_needed

COLLECT_FACTOR = 10
"""Old Leases are collected after this many times the silence that a fence demands, so that a worker
behind a slow hub is not robbed of a Lease that nobody is waiting for."""


@dataclass(frozen=True, slots=True)
class Fence:
    """The verdict. `waiting`: Leases that block; `silent`: those to delete first, with preconditions.

    `retry_at` is the boot time at which a blocking Lease may have become silent, None if that cannot be.
    """

    waiting: tuple[WorkerLease, ...] = ()
    silent: tuple[WorkerLease, ...] = ()
    retry_at: float | None = None

    @property
    def closed(self) -> bool:
        """True when the member may be promoted once `silent` is deleted."""
        return not self.waiting


def fence(
    leases: Iterable[WorkerLease],
    sightings: Sightings,
    table: Acknowledgement,
    now: float,
    *,
    force: bool = False,
) -> Fence:
    """Judge `leases` (those of everyone who must not be active) against `table`.

    Args:
        leases: the Leases in question, from a list issued after `table` was seen.
        sightings: this coordinator's sightings of them.
        table: uid and term that an acknowledgement has to match exactly.
        now: boot seconds, read after that list was received.
        force: a person takes the word for silent KeepRole workers.
    """
    waiting, silent, times = [], [], []
    for lease in leases:
        if lease.acknowledged == table:
            continue
        needed = silence_needed(lease.duration)
        age = sightings.age(lease, now)
        mute = lease.isolation is Isolation.KEEP_ROLE and not force
        if age > needed and not mute:
            silent.append(lease)
            continue
        waiting.append(lease)
        if not mute:
            times.append(now + needed - age + JUST_AFTER)
    return Fence(tuple(waiting), tuple(silent), min(times, default=None))


def collect_after(lease: WorkerLease) -> float:
    """Seconds of silence after which a leftover Lease is deleted although nobody waits for it."""
    return COLLECT_FACTOR * silence_needed(lease.duration)


def collectable(lease: WorkerLease, sightings: Sightings, now: float) -> bool:
    """Is this Lease such a leftover? (Never under KeepRole: its worker may still answer.)"""
    return lease.isolation is Isolation.FENCE and sightings.age(lease, now) > collect_after(lease)
