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
    """A folder for logs, and four ports from `port` on: of the workers, the operator and the console."""

    folder: Path
    port: int

    def port_of(self, cluster: str) -> int:
        """The port of a member's worker."""
        return self.port + CLUSTERS.index(cluster)

    @property
    def operator_port(self) -> int:
        return self.port + len(CLUSTERS)

    @property
    def console_port(self) -> int:
        return self.operator_port + 1

    @property
    def ports(self) -> list[int]:
        return [*map(self.port_of, CLUSTERS), self.operator_port, self.console_port]


def say(text: str) -> None:
    print(text, flush=True)
