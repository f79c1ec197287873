"""Simulated time, and processes in it: each an event loop of its own, with a clock of its own.

Nothing here waits. The world takes the next thing that is due from one queue; a process runs its ready
callbacks one by one and may be stopped before any of them, for as long as the schedule says.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple

from tcf.core.model import Now
from tcf.runtime.clock import Clock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START = datetime(2026, 1, 1, tzinfo=UTC)
_INSTANT = 1e-9
"""Seconds that a timer fires late, so that a rounded sum never makes it fire early."""
_TOO_BUSY = 20_000
"""Callbacks of one process at one moment. More of them are an endless loop."""


class CrashedError(BaseException):
    """Thrown into the coroutines of a process that was killed, so that none of them goes on."""


class World:
    """The queue of what will happen, and the one source of chance."""

    def __init__(self, seed: int, *, tracing: bool = False) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self.trace: list[str] | None = [] if tracing else None
        self.errors: list[str] = []
        self._queue: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = itertools.count()

    def at(self, moment: float, act: Callable[[*Ts], object], *args: *Ts) -> None:
        """Call `act` at simulated second `moment`."""
        heapq.heappush(self._queue, (max(moment, self.now), next(self._order), act, args))

    def after(self, delay: float, act: Callable[[*Ts], object], *args: *Ts) -> None:
        self.at(self.now + delay, act, *args)

    def run(self, until: float, *, enough: Callable[[], bool] = lambda: False) -> None:
        """Let everything happen that is due up to this moment, or until `enough` says so."""
        queue = self._queue
        while queue and queue[0][0] <= until:
            self.now, _, act, args = heapq.heappop(queue)
            act(*args)
            if enough():
                return
        self.now = until

    def note(self, who: str, text: str, *args: object) -> None:
        """Add a line to the trace, if there is one."""
        if self.trace is not None:
            self.trace.append(f"{self.now:8.3f} {who:<8} {text % args if args else text}")


class Machine(Clock):
    """A clock that runs fast or slow by a few percent; it outlives the processes that read it."""

    def __init__(
        self, world: World, *, rate: float, boot: float, skew: float, wall_runs: bool = True
    ) -> None:
        self._world = world
        self._rate = rate
        self._boot = boot
        self.skew = skew
        """Seconds by which the wall clock is wrong. It may be set at any time."""
        self._wall_runs = wall_runs

    def boot(self) -> float:
        return self._boot + self._rate * self._world.now

    def stand_still(self, seconds: float) -> None:
        """Stand still for this many seconds of the world's time."""
        self._boot -= seconds * self._rate

    def moment(self, boot: float) -> float:
        """The world's time at which this clock shows `boot` for certain."""
        return (boot - self._boot) / self._rate + _INSTANT

    def now(self) -> Now:
        passed = self._world.now if self._wall_runs else 0.0
        return Now(self.boot(), START + timedelta(seconds=self.skew + passed))


class Process(asyncio.AbstractEventLoop):
    """A process: its callbacks run when the world says so, by the clock of its machine.

    `ran` is called whenever something outside may look at it: on waking up, before
    anything else is done, and after each callback.
    """

    def __init__(
        self,
        name: str,
        world: World,
        machine: Machine,
        *,
        stops: Callable[[], tuple[int, float]],
        ran: Callable[[], None],
    ) -> None:
        self.name = name
        self.world = world
        self.machine = machine
        self.dead = False
        self.stopped_until = 0.0
        self._ran = ran
        self._stops = stops
        self._next_stop, self._stop_seconds = stops()
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = itertools.count()
        self._tasks: list[asyncio.Task[Any]] = []
        self._step_at = math.inf

    # --- what the world does with it --------------------------------------------------------------------

    @property
    def stopped(self) -> bool:
        return self.world.now < self.stopped_until

    def stop_for(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT later."""
        self.stopped_until = max(self.stopped_until, self.world.now + seconds)
        self.world.note(self.name, "is stopped for %.3f s", seconds)

    def stop_after(self, callbacks: int, seconds: float) -> None:
        """Stop it when this many callbacks have run."""
        self._next_stop, self._stop_seconds = callbacks + 1, seconds

    def resume(self) -> None:
        self.stopped_until = 0.0
        self._step_at = math.inf
        self._plan(self.world.now)

    def crash(self) -> None:
        """SIGKILL: no callback runs any more."""
        self.dead = True
        self._ready.clear()
        self._timers.clear()
        asyncio._set_running_loop(self)
        try:
            for task in self._tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it never ends
                    _unwind(task.get_coro())
        finally:
            asyncio._set_running_loop(None)
        self._tasks.clear()
        self._ready.clear()
        self._timers.clear()

    def _plan(self, moment: float) -> None:
        moment = max(moment, self.world.now)
        if moment < self._step_at:
            self._step_at = moment
            self.world.at(moment, self._step, moment)

    def _step(self, planned: float) -> None:
        if self.dead or planned != self._step_at:
            return
        if not self.stopped:
            self._step_at = -math.inf  # whatever becomes ready meanwhile is run at once
            self._ran()
            self._run_ready()
        self._step_at = math.inf
        if self.stopped:
            self._plan(self.stopped_until)
        elif self._timers:
            self._plan(self.machine.moment(self._timers[0][0]))

    def _run_ready(self) -> None:
        for count in itertools.count():
            self._fire_timers()
            if not self._ready or self.dead or self._stopping():
                return
            handle = self._ready.popleft()
            if not handle.cancelled():
                asyncio._set_running_loop(self)
                handle._run()
                asyncio._set_running_loop(None)
                self._ran()
            if count > _TOO_BUSY:
                self.world.errors.append(f"{self.name} is caught in a loop")
                self.crash()
                return

    def _stopping(self) -> bool:
        self._next_stop -= 1
        if self._next_stop > 0:
            return False
        self.stop_for(self._stop_seconds)
        self._next_stop, self._stop_seconds = self._stops()
        return self.stopped

    def _fire_timers(self) -> None:
        now = self.time()
        while self._timers and self._timers[0][0] <= now:
            self._ready.append(heapq.heappop(self._timers)[2])

    # --- the event loop that asyncio sees -----------------------------------------------------------------

    def time(self) -> float:
        return self.machine.boot()

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self.dead:
            self._ready.append(handle)
            self._plan(self.world.now)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if not self.dead:
            heapq.heappush(self._timers, (when, next(self._order), handle))
            self._plan(self.machine.moment(when))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        if len(self._tasks) > 50:
            self._tasks = [each for each in self._tasks if not each.done()]
        self._tasks.append(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self.dead

    def is_closed(self) -> bool:
        return self.dead

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.world.errors.append(f"{self.name}: {context.get('message')}: {context.get('exception')!r}")


def _unwind(coroutine: Any) -> None:
    """End a coroutine wherever it waits, and again wherever it waits then, until it has ended."""
    for _ in range(100):
        try:
            coroutine.throw(CrashedError())
        except BaseException:  # noqa: BLE001 - whatever comes out of it, it has ended
            return
