"""Where a demo is on this machine, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NAMESPACE = "tcf-demo"
FEDERATION = "shop"
CLUSTERS = ("cluster_1", "cluster_2")
PATIENCE = 60.0
"""Seconds that any step may take before the demo gives up."""


class DemoError(Exception):
    """Why the demo cannot go on, in words for a person."""


@dataclass(frozen=True)
class DemoHome:
    """A folder for logs, and three ports from `port` on: those of the workers and of the operator."""

    folder: Path
    port: int

    def port_of(self, cluster: str) -> int:
        """The port of a member's worker."""
        return self.port + CLUSTERS.index(cluster)

    @property
    def operator_port(self) -> int:
        return self.port + len(CLUSTERS)

    @property
    def ports(self) -> list[int]:
        return [*map(self.port_of, CLUSTERS), self.operator_port]


def say(text: str) -> None:
    print(text, flush=True)
