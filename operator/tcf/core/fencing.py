"""The fence: may a member be promoted, because no worker of another member can still answer "active"?

A worker of another member is fenced in two cases:

* It has acknowledged exactly the present table of the present object. It lowered itself before that.
* Its Lease has been silent for longer than a reading can last, and the coordinator has then deleted that very
  version of the Lease. So a write of the stalled worker can no longer succeed.

`docs/safety.md` has the argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tcf.core.annotations import Acknowledgement
from tcf.core.model import Isolation, WorkerLease

CLOCK_RATES = 1.1
"""Two clocks count a duration by less than this factor apart. (The CRD's rule for `switchoverTimeout` has it,
too.)"""
JUST_AFTER = 0.001
"""Seconds by which a wake-up comes after the moment it waits for, so that this moment has surely passed."""
COLLECT_FACTOR = 10
"""A Lease that no fence waits for is deleted after this many times the silence that a fence demands. So a
worker behind a slow hub does not lose its Lease for nothing."""

Age = Callable[[WorkerLease, float], float]
"""Seconds, at a boot time, since the coordinator received this very version of a Lease."""


def silence_needed(duration: int) -> float:
    """Seconds without a renewal after which every reading under a Lease of this `duration` has expired.

    A fence uses the duration in the Lease, not the one in the spec: the worker may not know of a change yet.
    The margin of 10 % covers clocks that are being adjusted. (Time daemons change the rate by 8 % at most.)
    """
    return duration * CLOCK_RATES + 0.1


@dataclass(frozen=True, slots=True)
class Fence:
    """The verdict. `waiting`: Leases that keep the fence open. `silent`: Leases to delete first.

    `retry_at`: the boot time at which the next Lease in `waiting` may be silent; None if that cannot be.
    """

    waiting: tuple[WorkerLease, ...] = ()
    silent: tuple[WorkerLease, ...] = ()
    retry_at: float | None = None

    @property
    def closed(self) -> bool:
        """True if the member may be promoted as soon as the Leases in `silent` are deleted."""
        return not self.waiting


def fence(
    leases: Iterable[WorkerLease],
    age_of: Age,
    table: Acknowledgement,
    now: float,
    *,
    force: bool = False,
) -> Fence:
    """Judge `leases` against `table`.

    Args:
        leases: those of the workers that must not be active, from a list sent for after `table` was seen.
        age_of: how long ago this coordinator received the present version of a Lease.
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
        never_expires = lease.isolation is Isolation.KEEP_ROLE and not force
        if age > needed and not never_expires:
            silent.append(lease)
            continue
        waiting.append(lease)
        if not never_expires:
            times.append(now + needed - age + JUST_AFTER)
    return Fence(tuple(waiting), tuple(silent), min(times, default=None))


def collect_after(lease: WorkerLease) -> float:
    """Seconds of silence after which a leftover Lease is deleted although no fence waits for it."""
    return COLLECT_FACTOR * silence_needed(lease.duration)


def collectable(lease: WorkerLease, age_of: Age, now: float) -> bool:
    """Is this Lease such a leftover? (Never under KeepRole: its worker may still answer.)"""
    return lease.isolation is Isolation.FENCE and age_of(lease, now) > collect_after(lease)
