"""Which of several operators comes first for a federation? This saves work; nothing depends on it.

Each operator leaves a mark on the heartbeat of a namespace and finds the marks of the others there: these are
its peers. By rendezvous hashing, every operator puts itself and its live peers into the same order for each
federation. The first one acts at once. Each of the others gives those before it a moment, and then acts.
Whoever has taken a step of a switchover comes first until it is over.

So a step is taken even if no operator knows who is alive. Two operators that disagree do some work twice: the
resourceVersion decides who was first, as it does without any of this.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from types import MappingProxyType

from tcf.core.fencing import silence_needed
from tcf.core.heartbeat import HEARTBEAT_DURATION

MOMENT = 0.5
"""Seconds that an operator gives each one before it to take a step, of this federation or of any other."""
LONGEST_WAIT = 3.0
"""Seconds after which it takes the step in any case, even if those before it are taking other steps."""
FORGOTTEN = 600.0
"""A mark that has not changed for so many seconds is removed from the heartbeat."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another operator: its latest `mark`, first seen at `at` (boot seconds).

    `acted`: when it was last seen to take a step, of any federation of the namespace. `slow`: this operator
    has taken a step in its place, and has seen no new mark and no step of it since.
    """

    mark: str
    at: float
    acted: float = -math.inf
    slow: bool = False


@dataclass(frozen=True, slots=True)
class Peers:
    """What the operator `own` knows of the others in one namespace."""

    own: str
    known: Mapping[str, Peer] = field(default_factory=lambda: MappingProxyType({}))

    def found(self, marks: Mapping[str, str], now: float) -> Peers:
        """After a look at the heartbeat, which has these marks, by the name of the operator."""
        known = {name: self._marked(name, mark, now) for name, mark in marks.items() if name != self.own}
        return replace(self, known=known)

    def _marked(self, name: str, mark: str, now: float) -> Peer:
        peer = self.known.get(name)
        if peer is None:
            return Peer(mark, now)
        return peer if peer.mark == mark else replace(peer, mark=mark, at=now, slow=False)

    def forgotten(self, now: float) -> list[str]:
        """Those whose marks nobody needs any more."""
        return [name for name, peer in self.known.items() if now - peer.at > FORGOTTEN]

    def live(self, now: float) -> list[str]:
        """Those whose marks have changed lately."""
        longest = silence_needed(HEARTBEAT_DURATION)
        return [name for name, peer in self.known.items() if now - peer.at <= longest]

    def before(self, federation: str, now: float, at_work: str = "") -> list[str]:
        """The operators that come before `own` for this federation.

        `at_work`: the operator that comes first because it is in the middle of a switchover; "" if none is.
        """
        awake = [name for name in self.live(now) if not self.known[name].slow]
        places = {name: (name == at_work, _weight(name, federation)) for name in (*awake, self.own)}
        return [name for name in awake if places[name] > places[self.own]]

    def acts_at(self, federation: str, due: float, now: float, at_work: str = "") -> float:
        """Boot time at which `own` takes a step that has been due since `due`, unless it is taken before."""
        return min(self.overdue_at(federation, due, now, at_work), due + LONGEST_WAIT)

    def overdue_at(self, federation: str, due: float, now: float, at_work: str = "") -> float:
        """Boot time from which `own` need not leave the step to those before it.

        Peers that are taking steps elsewhere get more time, because they may have many to take.
        """
        before = self.before(federation, now, at_work)
        if not before:
            return due
        alive = max(self.known[name].acted for name in before)
        return max(due, alive) + MOMENT * len(before)

    def acted(self, operator: str, now: float) -> Peers:
        """This operator has taken a step."""
        peer = self.known.get(operator)
        if peer is None:
            return self
        return replace(self, known={**self.known, operator: replace(peer, acted=now, slow=False)})

    def stepped_in(self, before: Iterable[str], now: float) -> Peers:
        """`own` has taken a step in place of these. Those that did nothing meanwhile are slow."""
        slow = {
            name: replace(self.known[name], slow=True)
            for name in before
            if name in self.known and now - self.known[name].acted > MOMENT
        }
        return replace(self, known={**self.known, **slow})


def _weight(operator: str, federation: str) -> bytes:
    return blake2b(f"{operator}\0{federation}".encode(), digest_size=8).digest()
