"""Measures for how long nobody is active, by the versions of a status that a command sees."""

from __future__ import annotations

from tcf.core.model import Status


class IdleTime:
    """`seconds`: for how long nobody was active, from the last table with somebody who was; None if that was
    not seen."""

    def __init__(self, status: Status | None) -> None:
        """`status`: as it was read at first."""
        self.seconds: float | None = None
        self._was_active = _active(status)
        self._since: float | None = None

    def see(self, at: float, status: Status | None) -> None:
        """Take note of a version that came at this boot time."""
        is_active = _active(status)
        if self._was_active and not is_active:
            self._since = at
        elif is_active and self._since is not None:
            self.seconds = (self.seconds or 0.0) + at - self._since
            self._since = None
        self._was_active = is_active


def _active(status: Status | None) -> bool:
    return status is not None and bool(status.active_cluster)
