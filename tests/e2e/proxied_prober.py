"""Probes of workers in the cluster, sent through the API server's proxy."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rig.promise import Probe, broken_promises, longest_gap

from e2e.cluster import Namespace

_INTERVAL = 0.03


class ProxiedProber:
    """Asks `whom` (a Service or Pod for each member) thirty times a second until the block ends."""

    def __init__(self, namespace: Namespace, whom: Mapping[str, str]) -> None:
        self.probes: list[Probe] = []
        self._namespace = namespace
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=each) for each in whom.items()]

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

    @property
    def broken_promises(self) -> list[tuple[Probe, Probe]]:
        return broken_promises(self.probes)

    def gap(self) -> float:
        """The longest time in seconds in which nobody answered 200."""
        return longest_gap(self.probes)

    def await_active(self, member: str) -> None:
        self._namespace.eventually(
            lambda: any(p.member == member and p.status == 200 for p in self.probes[-10:]),
            what=f"{member} answers 200",
        )

    def _ask(self, member: str, whom: str) -> None:
        while not self._end.wait(_INTERVAL):
            sent = time.monotonic()
            answer = self._namespace.ask(whom, "GET", "/tcf/is_active")
            term = int(answer.headers.get("X-TCF-Term", "0"))
            self.probes.append(Probe(sent, time.monotonic(), member, answer.status, term))
