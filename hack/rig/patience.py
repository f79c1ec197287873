"""Waiting for something to happen, and what is raised when it does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 30.0
"""Seconds that anything may take. Far more than is needed, even on a slow machine."""

T = TypeVar("T")


class RigError(AssertionError):
    """Something did not happen that had to. In a test, this is an ordinary failure."""


def eventually(ask: Callable[[], T | None], *, what: str, patience: float = PATIENCE) -> T:
    """Call `ask` until its answer is true, and return that answer.

    Raises:
        RigError: there was no true answer within `patience` seconds.
    """
    deadline = time.monotonic() + patience
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise RigError(f"not within {patience} s: {what} (last answer: {answer!r})")
        time.sleep(0.02)
