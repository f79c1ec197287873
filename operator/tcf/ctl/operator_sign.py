"""The evidence that an operator is at work: the heartbeat of a namespace, as a person sees it.

A command looks only once. So it goes by the time that the operator has written into the Lease, and by the
clock of this machine. Neither operators nor workers decide anything by these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tcf.core.fencing import silence_needed
from tcf.core.heartbeat import HEARTBEAT, HEARTBEAT_DURATION
from tcf.core.model import Federation, WorkerLease, age_of
from tcf.core.reasons import Outcome

_CHECK = "check that tcf-operator runs and looks after this namespace (--namespace, operator.namespaces)"


@dataclass(frozen=True, slots=True)
class OperatorSign:
    """What is known of the operators of a namespace.

    `lease`: the heartbeat; None if there is none. `unknown`: why that could not be read. `acted_at`: when an
    operator last ended a request there, as far as the history says ("" if it does not). An operator that has
    just been started acts before it has written its first heartbeat.
    """

    namespace: str
    lease: WorkerLease | None = None
    unknown: str = ""
    acted_at: str = ""

    @property
    def renewed_at(self) -> str:
        return self.lease.renewed_at if self.lease else ""

    def alive(self, wall: datetime) -> bool | None:
        """Does an operator look after the namespace? None if nobody knows."""
        if self._beats(wall) or self._acted(wall):
            return True
        return None if self.unknown else False

    def _beats(self, wall: datetime) -> bool:
        return self.lease is not None and not late(self.lease, wall)

    def _acted(self, wall: datetime) -> bool:
        """Has an operator acted within the time for which a heartbeat counts?"""
        age = age_of(self.acted_at, wall)
        return age is not None and age <= silence_needed(HEARTBEAT_DURATION)

    def told(self, wall: datetime) -> str:
        """The same in words."""
        where = f"the Lease {HEARTBEAT} in namespace {self.namespace}"
        age = age_of(self.renewed_at, wall)
        since = f"was renewed {spoken(age)} ago" if age is not None else "has never been renewed"
        if self.lease and self._beats(wall):
            return f"an operator is at work ({self.lease.holder}): {where} {since}"
        if self._acted(wall):
            return f"an operator is at work: it ended a request {spoken(age_of(self.acted_at, wall))} ago"
        if self.unknown:
            return f"nobody knows whether an operator is at work: {where} cannot be read ({self.unknown})"
        if self.lease is None:
            return f"no operator looks after namespace {self.namespace}: {where} does not exist; {_CHECK}"
        return (
            f"no operator looks after namespace {self.namespace}: {where} {since}, by the clock of this"
            f" machine (at {self.renewed_at or 'no time'}, by {self.lease.holder}); {_CHECK}"
        )


_BY_OTHERS = {Outcome.NO_COORDINATOR, Outcome.SUPERSEDED}
"""Outcomes that are written by whoever placed the request."""


def last_act(federations: Iterable[Federation]) -> str:
    """When an operator last ended a request of these federations; "" if their histories do not say."""
    entries = (past for each in federations if each.status for past in each.status.history)
    return max((past.finished_at for past in entries if past.outcome not in _BY_OTHERS), default="")


def late(lease: WorkerLease, wall: datetime) -> bool:
    """Has the Lease not been renewed for so long that its holder counts as silent?"""
    age = age_of(lease.renewed_at, wall)
    return age is None or age > silence_needed(lease.duration)


_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"))


def spoken(seconds: float | None) -> str:
    """A time span as kubectl writes it, such as 12s, 5m or 3d; "-" for None."""
    if seconds is None:
        return "-"
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"
