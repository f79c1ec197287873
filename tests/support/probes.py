"""Probes as load balancers send them, and the promise as their senders see it."""

from __future__ import annotations

import contextlib
import http.client
import select
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import Self


@dataclass(frozen=True, order=True)
class Probe:
    """One answered probe: when it was sent and answered (monotonic seconds), by whom, and how."""

    sent: float
    answered: float
    member: str
    status: int
    term: int


def broken_promises(probes: Iterable[Probe]) -> list[tuple[Probe, Probe]]:
    """Pairs that break the promise.

    Once a probe has been answered 200 by one member at term N, no probe sent later may be answered
    200 by another member at a term below N.
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


_SOON = 0.25
"""Seconds after which the next probe no longer waits for the one before, as load balancers do."""
_PATIENCE = 10.0


def longest_gap(probes: Collection[Probe]) -> float:
    """The longest time in seconds, from first to last probe, without an answer of 200 by anybody."""
    if not probes:
        return 0.0
    ends = (min(p.answered for p in probes), max(p.answered for p in probes))
    times = sorted([*ends, *(p.answered for p in probes if p.status == 200)])
    return max(later - earlier for earlier, later in pairwise(times))


class Prober:
    """Probes every port `per_second` times a second on a connection of its own, until the block ends.

    When an answer does not come soon, the next probe is sent on another connection; the first one waits on. A
    process that was stopped thus finds some of them when it wakes up, and its first answers are seen.
    """

    def __init__(self, ports: Mapping[int, str], *, per_second: float) -> None:
        self.probes: list[Probe] = []
        self._interval = 1 / per_second
        self._end = threading.Event()
        self._waiting: list[threading.Thread] = []
        self._threads = [
            threading.Thread(target=self._probe, args=(port, member)) for port, member in ports.items()
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()
        for thread in self._waiting:
            thread.join()

    def gap(self) -> float:
        """The longest time in seconds without an answer of 200 by anybody."""
        return longest_gap(self.probes)

    def _probe(self, port: int, member: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        while not self._end.wait(self._interval):
            sent = time.monotonic()
            with _closed_on_error(connection):
                connection.request("GET", "/tcf/is_active")
                if select.select([connection.sock], [], [], _SOON)[0]:
                    self._take_answer(connection, member, sent)
                    continue
                waiting = threading.Thread(target=self._await, args=(connection, member, sent))
                waiting.start()
                self._waiting.append(waiting)
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        connection.close()

    def _await(self, connection: http.client.HTTPConnection, member: str, sent: float) -> None:
        with _closed_on_error(connection):
            self._take_answer(connection, member, sent)
        connection.close()

    def _take_answer(self, connection: http.client.HTTPConnection, member: str, sent: float) -> None:
        response = connection.getresponse()
        response.read()
        term = int(response.headers.get("X-TCF-Term", "0"))
        self.probes.append(Probe(sent, time.monotonic(), member, response.status, term))


@contextlib.contextmanager
def _closed_on_error(connection: http.client.HTTPConnection) -> Iterator[None]:
    """Nobody listens, or whoever did is gone; the connection makes itself anew when it is used again."""
    try:
        yield
    except (OSError, http.client.HTTPException):
        connection.close()
