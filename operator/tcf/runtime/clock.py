"""The clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from tcf.core.model import Now

# CLOCK_BOOTTIME runs on while the machine is suspended, so that a reading is not valid after a night
# with the lid closed. Where it does not exist (macOS), CLOCK_MONOTONIC is the one that does so.
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
