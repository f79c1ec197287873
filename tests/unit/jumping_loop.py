"""An event loop that never waits: when there is nothing else to do, its time jumps to the next timer.

An hour takes as long as what happens in it.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

from unit.build import BOOT, ClockAt

P = ParamSpec("P")
_MOST_STEPS = 20_000
"""At one moment: more is an endless loop."""


class _Jumper(selectors.SelectSelector):
    """Lets time pass instead of waiting. (There is nothing to wait for: these tests have no sockets.)"""

    def __init__(self) -> None:
        super().__init__()
        self.now = BOOT
        self._steps = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "nothing will ever happen: the test waits for what nobody does"
        self._steps = 0 if timeout > 0 else self._steps + 1
        assert self._steps < _MOST_STEPS, "it goes round and round"
        self.now += max(0.0, timeout)
        return super().select(0)


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jumper = _Jumper()
        super().__init__(self.jumper)

    def time(self) -> float:
        return self.jumper.now


def jumping(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test in such a loop, which begins at BOOT."""

    @functools.wraps(test)
    def run(*args: P.args, **more: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
            runner.run(test(*args, **more))

    return run


CLOCK = ClockAt(lambda: asyncio.get_running_loop().time())
"""Shows the time of the running loop."""


def passed() -> float:
    """Seconds since the test started."""
    return CLOCK.boot() - BOOT


def after(seconds: float, act: Callable[[], object]) -> None:
    """Have something happen so many seconds after the test started."""
    asyncio.get_running_loop().call_at(BOOT + seconds, act)


def stall(seconds: float) -> None:
    """The process is stopped for so long: what was due meanwhile happens late."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, _JumpingLoop)
    loop.jumper.now += seconds
