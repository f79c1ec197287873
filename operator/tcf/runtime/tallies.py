"""What the programs count for /metrics. Nothing here knows Prometheus."""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict
from collections.abc import Sequence


class Histogram:
    """How many durations (in seconds) there were, by their length."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds`: the upper bounds of the buckets but for the last, which has none."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect.bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


HUB_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class HubTally:
    """Requests to a Kubernetes API, from all clients of a process.

    Attributes:
        requests: by verb, resource and HTTP status ("" if there was no answer).
        seconds: until the head of the answer, by verb and resource.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, str]] = Counter()
        self.seconds: defaultdict[tuple[str, str], Histogram] = defaultdict(lambda: Histogram(HUB_SECONDS))

    def add(self, verb: str, resource: str, code: str, seconds: float) -> None:
        self.requests[verb, resource, code] += 1
        self.seconds[verb, resource].add(seconds)


HUB_TALLY = HubTally()
"""That of this process."""
