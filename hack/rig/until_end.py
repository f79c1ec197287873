"""Something that goes on in threads until a block ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self


class UntilEnd:
    """Does each of `works` in a thread of its own. They have to end soon after `ended` is set."""

    def __init__(self, works: Iterable[Callable[[], object]]) -> None:
        self.ended = threading.Event()
        self._threads = [threading.Thread(target=work) for work in works]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        for thread in self._threads:
            thread.join()
