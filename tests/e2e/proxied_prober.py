"""Probes of workers in the cluster, sent through the API server's proxy."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rig.prober import Probing
from rig.promise import Probe, broken_promises

from e2e.cluster import Namespace

_INTERVAL = 0.03


class ProxiedProber(Probing[str]):
    """Asks `whom` (a Service or Pod for each member) thirty times a second until the block ends."""

    def __init__(self, namespace: Namespace, whom: Mapping[str, str]) -> None:
        super().__init__(((target, member) for member, target in whom.items()), interval=_INTERVAL)
        self._namespace = namespace

    @property
    def broken_promises(self) -> list[tuple[Probe, Probe]]:
        return broken_promises(self.probes)

    def await_active(self, member: str) -> None:
        self._namespace.eventually(
            lambda: any(p.member == member and p.status == 200 for p in self.probes[-10:]),
            what=f"{member} answers 200",
        )

    def _probe(self, target: str, member: str) -> None:
        while not self.ended.wait(self._interval):
            sent = time.monotonic()
            answer = self._namespace.ask(target, "GET", "/tcf/is_active")
            term = int(answer.headers.get("X-TCF-Term", "0"))
            self.probes.append(Probe(sent, time.monotonic(), member, answer.status, term))
