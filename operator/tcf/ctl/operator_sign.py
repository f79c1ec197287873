"""The evidence that an operator is at work: the heartbeat of a namespace, as a person sees it.

A command looks only once. So it goes by the time that the operator has written into the Lease, and by the
clock of this machine. Neither operators nor workers decide anything by these.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from tcf.core.fencing import silence_needed
from tcf.core.heartbeat import HEARTBEAT
from tcf.core.model import WorkerLease

_CHECK = "check that tcf-operator runs and looks after this namespace (--namespace, operator.namespaces)"


@dataclass(frozen=True, slots=True)
class OperatorSign:
    """The heartbeat of a namespace. `lease`: None if there is none. `unknown`: why it could not be read."""

    namespace: str
    lease: WorkerLease | None = None
    unknown: str = ""

    @property
    def renewed_at(self) -> str:
        return self.lease.renewed_at if self.lease else ""

    def alive(self, wall: datetime) -> bool | None:
        """Does an operator look after the namespace? None if nobody knows."""
        if self.unknown:
            return None
        age = age_of(self.renewed_at, wall)
        return self.lease is not None and age is not None and age <= silence_needed(self.lease.duration)

    def told(self, wall: datetime) -> str:
        """The same in words."""
        where = f"the Lease {HEARTBEAT} in namespace {self.namespace}"
        if self.unknown:
            return f"nobody knows whether an operator is at work: {where} cannot be read ({self.unknown})"
        if self.lease is None:
            return f"no operator looks after namespace {self.namespace}: {where} does not exist; {_CHECK}"
        age = age_of(self.renewed_at, wall)
        since = f"was renewed {spoken(age)} ago" if age is not None else "has never been renewed"
        if self.alive(wall):
            return f"an operator is at work ({self.lease.holder}): {where} {since}"
        return (
            f"no operator looks after namespace {self.namespace}: {where} {since}, by the clock of this"
            f" machine (at {self.renewed_at or 'no time'}, by {self.lease.holder}); {_CHECK}"
        )


def age_of(moment: str, wall: datetime) -> float | None:
    """Seconds since a time of the API, at least 0; None if it is no time."""
    try:
        return max(0.0, (wall - datetime.fromisoformat(moment).astimezone(UTC)).total_seconds())
    except ValueError:
        return None


_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"))


def spoken(seconds: float | None) -> str:
    """A time span as kubectl writes it, such as 12s, 5m or 3d; "-" for None."""
    if seconds is None:
        return "-"
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"
