"""The promise that no two members are active at once, checked by what probes were answered."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, order=True)
class Probe:
    """One answered probe: when it was sent and answered (monotonic seconds), who answered, and how."""

    sent: float
    answered: float
    member: str
    status: int
    term: int


def broken_promises(probes: Iterable[Probe]) -> list[tuple[Probe, Probe]]:
    """Return the pairs of probes that break the promise.

    Once a member has answered 200 at term N, no probe that is sent later may be answered 200 by another
    member at a term below N.
    """
    yes = sorted(p for p in probes if p.status == 200)
    broken = []
    best: dict[str, Probe] = {}  # the highest term answered so far, by member
    answered = sorted(yes, key=lambda p: p.answered)
    position = 0
    for probe in yes:
        while position < len(answered) and answered[position].answered < probe.sent:
            earlier = answered[position]
            if earlier.member not in best or earlier.term > best[earlier.member].term:
                best[earlier.member] = earlier
            position += 1
        broken += [
            (other, probe)
            for member, other in best.items()
            if member != probe.member and other.term > probe.term
        ]
    return broken


def longest_gap(probes: Collection[Probe]) -> float:
    """The longest time in seconds, from first to last probe, in which nobody answered 200."""
    if not probes:
        return 0.0
    ends = (min(p.answered for p in probes), max(p.answered for p in probes))
    times = sorted([*ends, *(p.answered for p in probes if p.status == 200)])
    return max(later - earlier for earlier, later in pairwise(times))
