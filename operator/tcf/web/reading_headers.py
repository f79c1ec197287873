"""The headers that tell a client what an answer rests on."""

from __future__ import annotations

from tcf.core.reading import Reading

VALID_FOR = "X-TCF-Valid-For"


def about(reading: Reading, cluster: str, now: float) -> dict[str, str]:
    """`now`: boot seconds."""
    return {
        "X-TCF-Term": str(reading.term),
        "X-TCF-Cluster": cluster,
        VALID_FOR: shown_seconds(reading.valid_for(now)),
    }


def shown_seconds(seconds: float) -> str:
    return f"{seconds:.3f}"
