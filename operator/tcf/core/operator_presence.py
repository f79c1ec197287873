"""Does any operator look after a namespace? Judged by workers, from a Lease that operators renew there.

The operators of a namespace share one Lease, the heartbeat. Their silence is counted as a worker's is: from
when *this* process received the Lease's latest version, never from its renewTime.
"""

from __future__ import annotations

from dataclasses import dataclass

from tcf.core.fencing import silence_needed

HEARTBEAT = "tcf-operator-heartbeat"
LABEL_OPERATOR = "tcf.dev/operator"
BEAT_SECONDS = 20.0
"""From one renewal to the next, by each operator."""
HEARTBEAT_DURATION = 60
LOOK_SECONDS = 10.0
"""From one look of a worker to the next."""


@dataclass(frozen=True, slots=True)
class OperatorPresence:
    """A version of the heartbeat ("" while there is none), of `duration` seconds, received first at `at`."""

    version: str
    duration: int
    at: float

    def looked(self, version: str, duration: int, now: float) -> OperatorPresence:
        """What is known after another look."""
        return self if version == self.version else OperatorPresence(version, duration, now)

    def trouble(self, namespace: str, now: float) -> str | None:
        """Why nobody seems to look after the namespace, in words for a person; None if somebody does.

        An operator creates the heartbeat as soon as it has seen the first federation of a namespace. One that
        is still missing at a worker's second look will not come by itself.
        """
        age = now - self.at
        if age <= (silence_needed(self.duration) if self.version else LOOK_SECONDS / 2):
            return None
        lacking = (
            f"has not been renewed for {age:.0f} s"
            if self.version
            else "does not exist (operators before 0.2.0 keep none)"
        )
        return (
            f"no operator seems to look after namespace {namespace}: the Lease {HEARTBEAT} there {lacking}."
            " Without one, nobody carries out switchovers and failovers, and the status is outdated. See that"
            " tcf-operator is running, looks after this namespace (--namespace, operator.namespaces), and may"
            " write that Lease: its log says so if not"
        )
