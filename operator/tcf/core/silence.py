"""How long a Lease has to be silent until its worker can no longer be answering."""

from __future__ import annotations

JUST_AFTER = 0.001
"""Seconds by which a wake-up follows the moment it waits for, so that the moment has truly passed."""


def silence_needed(duration: int) -> float:
    """Seconds without renewal after which no reading granted under a Lease of `duration` is valid.

    To fence, that is the Lease's own duration, not the federation's: the worker may not have heard of a
    change. The margin of 10 % covers clocks that are being slewed (time daemons: at most 8 % apart).
    """
    return duration * 1.1 + 0.1
