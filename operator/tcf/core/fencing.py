"""The fence: may a member be promoted, because no worker of another can still answer "active"?

A worker of another member is out of the way in two cases:

* It has acknowledged exactly the present table of the present object. It lowered itself before that.
* Its Lease has been silent for longer than a reading can live, and that very version of the Lease is then
  deleted. So a write of the stalled worker can no longer succeed.

`docs/safety.md` has the argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tcf.core.annotations import Acknowledgement
from tcf.core.model import Isolation, WorkerLease

JUST_AFTER = 0.001
"""Seconds by which a wake-up follows the moment it waits for, so that the moment has truly passed."""
COLLECT_FACTOR = 10
"""A Lease that nobody waits for is deleted after this many times the silence that a fence demands: a worker
behind a slow hub must not lose its Lease for nothing."""

Age = Callable[[WorkerLease, float], float]
"""Seconds, at a boot time, since the coordinator received this very version of a Lease."""


def silence_needed(duration: int) -> float:
    """Seconds without renewal after which no reading granted under a Lease of `duration` is valid.

    A fence counts with the Lease's own duration, not the federation's: the worker may not know of a change
    yet. The margin of 10 % covers clocks that are being slewed (time daemons do so by 8 % at most).
    """
    return duration * 1.1 + 0.1


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
    age_of: Age,
    table: Acknowledgement,
    now: float,
    *,
    force: bool = False,
) -> Fence:
    """Judge `leases` (those of everyone who must not be active) against `table`.

    Args:
        leases: the Leases in question, from a list issued after `table` was seen.
        age_of: for how long this coordinator has seen no new version of each.
        table: uid and term that an acknowledgement has to match exactly.
        now: boot seconds, read after that list was received.
        force: a person vouches that silent workers under KeepRole are dead.
    """
    waiting, silent, times = [], [], []
    for lease in leases:
        if lease.acknowledged == table:
            continue
        needed = silence_needed(lease.duration)
        age = age_of(lease, now)
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


def collectable(lease: WorkerLease, age_of: Age, now: float) -> bool:
    """Is this Lease such a leftover? (Never under KeepRole: its worker may still answer.)"""
    return lease.isolation is Isolation.FENCE and age_of(lease, now) > collect_after(lease)
