"""How many users may do something at a time: so many all together, and so many of one user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Places:
    """`most`: for all together. `of_one`: for each user whose name is known."""

    def __init__(self, most: int, of_one: int) -> None:
        self._most = most
        self._of_one = of_one
        self._taken: Counter[str] = Counter()

    def full(self, user: str) -> bool:
        """Is there no place for this user? ("" if nobody knows who it is.)"""
        return self._taken.total() >= self._most or (user != "" and self._taken[user] >= self._of_one)

    @contextmanager
    def taken(self, user: str) -> Iterator[None]:
        """Take a place within this block."""
        self._taken[user] += 1
        try:
            yield
        finally:
            self._taken -= Counter((user,))
