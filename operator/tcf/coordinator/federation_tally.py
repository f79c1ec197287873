"""What one operator has counted about one federation, since it has looked after it."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime

from tcf.core.history import newly_ended
from tcf.core.model import Federation, HistoryEntry
from tcf.runtime.tallies import Histogram

_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class FederationTally:
    """Call `saw` with each version of the federation. Times are boot seconds.

    Every operator sees every change, so each counts all of them.

    Attributes:
        decisions: how often it has decided what to do.
        conflicts: how often another program had changed something first.
        ended: requests by trigger and outcome.
        durations: of requests that have succeeded, by trigger.
    """

    def __init__(self) -> None:
        self.decisions = 0
        self.conflicts = 0
        self.ended: Counter[tuple[str, str]] = Counter()
        self.durations: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(_SECONDS))
        self._request = ""
        self._begun = 0.0
        self._without = 0.0
        self._without_since: float | None = None

    def saw(self, before: Federation | None, after: Federation | None, now: float) -> None:
        """`before`: the version known until now; None for none, as `after`."""
        # What had ended before this operator looked at the federation has been counted by others.
        if before and after and before.uid == after.uid and before.status and after.status:
            for entry in newly_ended(before.status, after.status):
                self._count(entry, now)
        request = after.status.switchover if after and after.status else None
        if request and request.id != self._request:
            self._request, self._begun = request.id, now
        without = bool(after and after.status and not after.status.active_cluster)
        if without and self._without_since is None:
            self._without_since = now
        elif not without and self._without_since is not None:
            self._without += now - self._without_since
            self._without_since = None

    def _count(self, entry: HistoryEntry, now: float) -> None:
        self.ended[entry.trigger, entry.outcome] += 1
        if entry.succeeded:
            known = entry.id == self._request
            self.durations[entry.trigger].add(now - self._begun if known else _by_the_clock(entry))

    def without_active(self, now: float) -> float:
        """Seconds for which there was no active member."""
        return self._without + (now - self._without_since if self._without_since is not None else 0.0)


def _by_the_clock(entry: HistoryEntry) -> float:
    """How long a request has taken that this operator has not seen while it was under way: whole seconds."""
    try:
        began, ended = (datetime.fromisoformat(each) for each in (entry.started_at, entry.finished_at))
    except ValueError:
        return 0.0
    return max(0.0, (ended - began).total_seconds())
