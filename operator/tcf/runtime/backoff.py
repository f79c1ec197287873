"""Waits that become longer with each failure, with a random part so that programs do not retry in step."""

from __future__ import annotations

import random


class Backoff:
    """Delays that double from `first` to `longest` seconds, each shortened by a random part of up to half."""

    def __init__(self, *, first: float = 0.05, longest: float = 5.0) -> None:
        self._first = first
        self._longest = longest
        self._failures = 0

    def next(self, longest: float | None = None, *, least: float = 0.0) -> float:
        """Seconds to wait after one more failure.

        `longest` may lower the limit for this delay. `least`: the other side asks to wait for so long.
        """
        limit = min(self._longest, longest or self._longest)
        delay = min(limit, self._first * 2.0**self._failures)
        self._failures = min(self._failures + 1, 16)
        return min(limit, max(delay * random.uniform(0.5, 1.0), least * random.uniform(1.0, 1.5)))

    def reset(self) -> None:
        self._failures = 0
