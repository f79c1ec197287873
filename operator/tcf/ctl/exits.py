"""How a command of `kubectl tcf` ends: the exit statuses, which are part of the API."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    DONE = 0
    REFUSED = 1
    """Certainly nothing was changed. Or a check says no. Or some of many federations did not move."""
    USAGE = 2
    UNKNOWN = 3
    """Something was asked for, and this command does not know what has become of it."""
    INTERRUPTED = 130


class StopError(Exception):
    """A command cannot go on. The message says why, and `hint` what to do (a line each)."""

    def __init__(self, message: str, *hint: str, status: Exit = Exit.REFUSED) -> None:
        super().__init__(message)
        self.hint = hint
        self.status = status
