"""The clocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from tcf.core.model import Now

Clock = Callable[[], Now]

# CLOCK_BOOTTIME runs on while the machine is suspended, so that a reading is not valid after a night
# with the lid closed. Where it does not exist (macOS), CLOCK_MONOTONIC is the one that does so.
_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> Now:
    """Both clocks, read now."""
    return Now(time.clock_gettime(_BOOT), datetime.now(UTC))
