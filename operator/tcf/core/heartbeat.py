"""Does any operator look after a namespace? Workers judge that by a Lease that operators renew there.

All operators of a namespace share this Lease, the heartbeat. Each also leaves a mark of its own on it, for
the other operators (`core.peers`). A worker counts its silence from when *this*
process received its latest version, as coordinators do with the Leases of workers, and never by its
renewTime.
"""

from __future__ import annotations

from dataclasses import dataclass

from tcf.core.fencing import silence_needed

HEARTBEAT = "tcf-operator-heartbeat"
BEAT_SECONDS = 20.0
"""How often each operator renews the heartbeat."""
HEARTBEAT_DURATION = 60
"""Seconds that operators write into the heartbeat. A worker goes by what it reads there."""
LOOK_SECONDS = 10.0
"""How often a worker looks at the heartbeat until it has seen one, and while none is renewed."""
CALM_LOOK_SECONDS = 30.0
"""How often it looks otherwise."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A version of the heartbeat ("" if there is none), with its `duration`, first received at `at`."""

    version: str
    duration: int
    at: float

    def looked(self, version: str, duration: int, now: float) -> Heartbeat:
        """The presence after another look has found this version."""
        return self if version == self.version else Heartbeat(version, duration, now)

    def trouble(self, namespace: str, now: float) -> str | None:
        """A warning that no operator seems to look after the namespace; None if one does.

        An operator creates the heartbeat as soon as it has seen the first federation of a namespace. So if it
        is still missing at a worker's second look, it will not appear by itself.
        """
        age = now - self.at
        if age <= (silence_needed(self.duration) if self.version else LOOK_SECONDS / 2):
            return None
        problem = (
            f"has not been renewed for {age:.0f} s"
            if self.version
            else "does not exist (operators before 0.2.0 do not write it)"
        )
        return (
            f"no operator seems to look after namespace {namespace}: the Lease {HEARTBEAT} there {problem}."
            " Without an operator, nobody carries out switchovers and failovers, and the status is outdated."
            " Check that tcf-operator is running and looks after this namespace (--namespace,"
            " operator.namespaces). If it may not write that Lease, its log says so"
        )
