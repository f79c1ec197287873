"""What has to be over before a worker acknowledges that it has lost its role.

An acknowledgement lets another member take over. So the effects of this worker's "active" have to be over
first: for example, its Pod must no longer be marked as active. That can take a while, and the worker must not
become silent meanwhile. So its renewals go on, with the acknowledgement that is in its Lease already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

Part = Callable[[], Awaitable[None]]
"""Something that has to be over. It returns when it is over, or when the wait has taken long enough."""


class Conclusion:
    """Use `run` in a task of its own. If there are no parts, every loss is concluded at once.

    It begins as if there had been a loss, because an earlier process of this worker may have been active.
    """

    def __init__(self, parts: Sequence[Part], *, concluded: Callable[[], None]) -> None:
        """`concluded` is called when a loss may be acknowledged."""
        self._parts = parts
        self._concluded = concluded
        self._losses = 0
        self._pending = bool(parts)
        self._held = bool(parts)
        self._lost = asyncio.Event()

    def held(self) -> None:
        """This worker answers "active": the next loss is a new one."""
        self._held = self._pending = bool(self._parts)

    def allows(self) -> bool:
        """May a loss of the role be acknowledged now? If not, `run` starts to conclude it."""
        if self._held:
            self._held = False
            self._losses += 1
            self._lost.set()
        return not self._pending

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._lost.wait()
            self._lost.clear()
            loss = self._losses
            await self.conclude()
            if loss == self._losses and not self._held:
                self._pending = False
                self._concluded()

    async def conclude(self) -> None:
        """Wait for all parts, one after the other."""
        for part in self._parts:
            await part()
