"""What an operator knows of the others, namespace by namespace. `core.peers` says what follows from that."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from tcf.core.peers import Peers
from tcf.runtime.clock import Clock


class Roster:
    """The operator `own` and its peers. A federation is named by its namespace and its name."""

    def __init__(self, own: str, *, clock: Clock) -> None:
        self.own = own
        self._clock = clock
        self._peers: dict[str, Peers] = {}

    def found(self, namespace: str, marks: Mapping[str, str]) -> None:
        """The heartbeat of the namespace has these marks, by operator."""
        self._peers[namespace] = self._of(namespace).found(marks, self._clock.boot())

    def keep(self, namespaces: Collection[str]) -> None:
        """Forget all other namespaces."""
        self._peers = {name: peers for name, peers in self._peers.items() if name in namespaces}

    def forgotten(self, namespace: str) -> list[str]:
        """The operators whose marks nobody needs any more."""
        return self._of(namespace).forgotten(self._clock.boot())

    def peers(self) -> dict[str, int]:
        """How many other operators are live, by namespace."""
        now = self._clock.boot()
        return {namespace: len(peers.live(now)) for namespace, peers in self._peers.items()}

    def before(self, namespace: str, name: str, at_work: str) -> list[str]:
        """The operators that come before this one for the federation. `at_work`: see `Peers.before`."""
        return self._of(namespace).before(_key(namespace, name), self._clock.boot(), at_work)

    def overdue(self, namespace: str, name: str, at_work: str, due: float) -> bool:
        """Have those before it had their time for a step that has been due since `due`?"""
        now = self._clock.boot()
        return now >= self._of(namespace).overdue_at(_key(namespace, name), due, now, at_work)

    def acts_at(self, namespace: str, name: str, at_work: str, due: float) -> float:
        """When to take a step that has been due since `due`, unless a peer takes it before (boot seconds)."""
        return self._of(namespace).acts_at(_key(namespace, name), due, self._clock.boot(), at_work)

    def acted(self, namespace: str, operator: str) -> None:
        """This operator has taken a step of a federation in the namespace."""
        self._peers[namespace] = self._of(namespace).acted(operator, self._clock.boot())

    def stepped_in(self, namespace: str, before: Iterable[str]) -> None:
        """`own` has taken a step that these should have taken."""
        self._peers[namespace] = self._of(namespace).stepped_in(before, self._clock.boot())

    def _of(self, namespace: str) -> Peers:
        return self._peers.get(namespace) or Peers(self.own)


def _key(namespace: str, name: str) -> str:
    """How peers call a federation. Those of one name in many namespaces must not all have the same order."""
    return f"{namespace}/{name}"
