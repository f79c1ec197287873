"""Logs the worker's answer, once for each change."""

from __future__ import annotations

import logging

from tcf.core.model import Refusal
from tcf.core.reading import STARTING, STOPPING, Reading
from tcf.hub import errors
from tcf.runtime.logs import Fields

_SAME_TROUBLE_SECONDS = 10.0
"""After this time, trouble with the same reason is logged again if its message is different."""


class AnswerLog:
    """Call `fail` or `succeed` after each attempt to renew, and `report` when the answer may have changed."""

    def __init__(self, log: Fields) -> None:
        self._log = log
        self._failing: str | None = None
        self._trouble = ""
        self._reported: str | None = None
        self._reported_trouble = ""
        self._reported_at = 0.0

    def fail(self, error: errors.HubError) -> None:
        """The worker could not renew."""
        self._failing, self._trouble = error.reason, str(error)

    def succeed(self) -> None:
        """The worker has renewed."""
        self._failing, self._trouble = None, ""

    def report(self, answer: Reading | Refusal, now: float) -> None:
        """Log the answer at boot time `now`, if it has changed."""
        extra: dict[str, object] = {}
        if isinstance(answer, Reading):
            state, message = f"{answer.role} {self._failing}", f"{answer.role}"
            extra["term"] = answer.term
            if self._failing:
                message += f", and cannot renew: {self._trouble}"
        else:
            state, message = answer.reason, f"no answer: {answer.message}"
            if answer.reason == self._failing:
                message += f": {self._trouble}"
        # If the same reason has another message (another missing right, say), log that, but not at once.
        other_words = self._trouble not in {"", self._reported_trouble}
        log_again = other_words and now - self._reported_at > _SAME_TROUBLE_SECONDS
        if state == self._reported and not log_again:
            return
        self._reported, self._reported_trouble, self._reported_at = state, self._trouble, now
        healthy = isinstance(answer, Reading) and not self._failing
        level = logging.INFO if healthy or answer in {STARTING, STOPPING} else logging.WARNING
        self._log.log(level, "%s", message, extra=extra)
