"""The clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from tcf.core.model import Now

# CLOCK_BOOTTIME goes on while the machine is suspended. So a reading has expired when a laptop wakes up in
# the morning. macOS does not have that clock, but there CLOCK_MONOTONIC does the same.
_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock:
    """The clocks of this machine."""

    def boot(self) -> float:
        """Seconds of CLOCK_BOOTTIME."""
        return time.clock_gettime(_BOOT)

    def now(self) -> Now:
        """Both clocks, read now."""
        return Now(self.boot(), datetime.now(UTC))


CLOCK = Clock()
