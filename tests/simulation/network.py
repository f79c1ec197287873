"""The way between a process and the hub, and what may happen to requests and watch events on it."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from simulation.sim_hub import SimHub
from simulation.world import CrashedError, Process, World
from tcf.core.model import Federation, WorkerLease
from tcf.hub import answers, errors

T = TypeVar("T")
READ = "GET federation"
WRITES = ("PUT", "PATCH", "POST", "DELETE", "annotate")
_LIES = (200, 302, 400, 401, 403, 404, 405, 408, 409, 422, 429, 502, 504)
WATCH_SECONDS = 30.0
"""How long a watch lasts. A silent one is given up a little later."""
_GRACE = 5.0
_REFUSED_WHEN_DOWN = 0.5
"""The part of the requests that nobody accepts while the hub is down. The others fail with an answer."""


@dataclass(frozen=True, slots=True)
class Rates:
    """How likely each trouble is for one request or one watch event, and how long it takes at most."""

    refused: float = 0.0
    lost: float = 0.0
    unanswered: float = 0.0
    late: float = 0.0
    twice: float = 0.0
    failed: float = 0.0
    failed_after: float = 0.0
    lied: float = 0.0
    """Of writes that were carried out, but are answered as if they had failed, or with junk."""
    event_lost: float = 0.0
    event_late: float = 0.0
    deaf: float = 0.0
    """Of events for workers, on top of `event_lost`."""
    longest: float = 3.0
    """Seconds by which something that is late is late, at most."""


class Network:
    """All ways to one hub."""

    def __init__(self, world: World, hub: SimHub, rates: Rates) -> None:
        self.world = world
        self.hub = hub
        self.rates = rates
        self.down = False
        self.links: list[Link] = []
        self.writer: Link | None = None
        """Whose request the hub is carrying out."""
        self.sent = 0.0
        """When that request was sent."""
        self.fail: Callable[[str], None] = world.errors.append
        """Called with what a process must not do."""

    def heal(self) -> None:
        """From now on nothing goes wrong any more."""
        self.rates = Rates()
        self.down = False
        for link in self.links:
            link.mend()
            link.refusing = False
            link.delay = 0.0
            link.deaf = link.deaf_to_leases = False

    def break_watches(self) -> None:
        for link in self.links:
            link.break_watches()


class Link:
    """One process's way to the hub."""

    def __init__(self, network: Network, process: Process, *, worker: bool) -> None:
        self.process = process
        self.worker = worker
        self.network = network
        self.world = network.world
        self.loses_requests = False
        self.loses_answers = False
        """Events as well."""
        self.refusing = False
        """Every connection is refused at once."""
        self.delay = 0.0
        self.deaf = False
        self.deaf_to_leases = False
        self.once_read: Callable[[], object] | None = None
        """Called when the process is about to take in the federation as it has read it."""
        self.opened = self.world.now
        self.listed = 0.0
        """When the hub made the list of Leases that arrived last."""
        self.lease: WorkerLease | None = None
        """The Lease in the answer that the process got last."""
        self.lease_lost: Callable[[], object] = lambda: None
        """Called when the process hears that it is gone, or not its own any more."""
        self.read_at: float | None = None
        """When the process has read the federation for a renewal that it has not sent yet."""
        self.watches: list[Watch] = []
        network.links.append(self)

    def close(self) -> None:
        """The process is gone. What it has sent still arrives."""
        self.network.links.remove(self)
        for watch in tuple(self.watches):
            watch.close()

    def mend(self) -> None:
        """A cut that ends lets connections through again; a watch that may have missed something breaks."""
        if self.loses_requests or self.loses_answers:
            self.loses_requests = self.loses_answers = False
            self.break_watches()

    def break_watches(self) -> None:
        for watch in self.watches:
            watch.fail()

    async def request(self, what: str, work: Callable[[], T], *, deadline: float) -> T:
        """Have the hub do `work` some time from now, if the request arrives."""
        if self.process.dead:
            raise CrashedError
        await asyncio.sleep(0)  # a process may be stopped here as anywhere, before its deadline begins
        answer: asyncio.Future[T] = self.process.create_future()
        self._send(what, work, answer)
        try:
            async with asyncio.timeout(deadline):
                return await answer
        except TimeoutError as error:
            raise errors.UnreachableError(f"no answer to {what}", ambiguous=True) from error

    def reads(self) -> None:
        """A cycle begins: the process reads the federation to renew its Lease."""
        if self.read_at is not None:
            self.network.fail(f"{self.process.name} reads the federation again without having renewed")

    def renews(self) -> None:
        """The process sends a renewal. One that follows a read follows it at once."""
        if self.read_at is not None and self.read_at != self.world.now:
            late = self.world.now - self.read_at
            self.network.fail(f"{self.process.name} renews {late:.3f} s after it has read the federation")
        self.read_at = None

    def latency(self) -> float:
        chance = self.world.random
        return 0.001 + 0.01 * chance.random() ** 2 + self.delay * chance.random()

    def _send(self, what: str, work: Callable[[], Any], answer: asyncio.Future[Any]) -> None:
        chance, rates, world = self.world.random, self.network.rates, self.world
        delay = self.latency()
        if self.loses_requests or chance.random() < rates.lost:
            world.note(self.process.name, "%s is lost", what)
            return
        down = self.network.down and chance.random() < _REFUSED_WHEN_DOWN
        if self.refusing or down or chance.random() < rates.refused:
            world.note(self.process.name, "%s is refused", what)
            refused = errors.UnreachableError("connection refused", ambiguous=False)  # nothing was sent
            world.after(delay, self._deliver, what, answer, refused)
            return
        if chance.random() < rates.late:
            delay += chance.random() * rates.longest
        world.after(delay, self._arrive, what, work, answer, world.now)
        if chance.random() < rates.twice:
            delay += chance.random() * rates.longest
            world.after(delay, self._arrive, f"{what} (again)", work, answer, world.now)

    def _arrive(self, what: str, work: Callable[[], Any], answer: asyncio.Future[Any], sent: float) -> None:
        chance, rates = self.world.random, self.network.rates
        result: Any
        if self.network.down or chance.random() < rates.failed:
            result = errors.UnreachableError("the hub failed", ambiguous=True)
        else:
            self.network.writer, self.network.sent = self, sent
            try:
                result = work()
            except errors.HubError as error:
                result = error
            self.network.writer = None
            if not isinstance(result, Exception) and what.startswith(WRITES) and chance.random() < rates.lied:
                result = _lie(chance)
            if chance.random() < rates.failed_after:
                result = errors.UnreachableError("the hub failed", ambiguous=True)
        if self.world.trace is not None:
            outcome = type(result).__name__ if isinstance(result, Exception) else "done"
            self.world.note(self.process.name, "%s: %s", what, outcome)
        if self.loses_answers or chance.random() < rates.unanswered:
            self.world.note(self.process.name, "the answer to %s is lost", what)
            return
        delay = self.latency()
        if chance.random() < rates.late:
            delay += chance.random() * rates.longest
        self.world.after(delay, self._deliver, what, answer, result)

    def _deliver(self, what: str, answer: asyncio.Future[Any], result: Any) -> None:
        if self.loses_answers or self.process.dead:
            return
        self.process.call_soon(_settle, answer, result)
        if self.once_read and what == READ:
            act, self.once_read = self.once_read, None
            act()


def _lie(chance: random.Random) -> errors.HubError:
    """The error that the product's client raises when a proxy answers in the hub's place."""
    status = chance.choice(_LIES)
    if status < 300:
        return errors.MalformedError("the answer is not readable", ambiguous=True)
    return answers.refusal(status, b"<html>a proxy's page</html>", "a write", "", "the hub", "")


def _settle(answer: asyncio.Future[Any], result: Any) -> None:
    if answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
        answer.exception()  # whoever waited may have been cancelled at the same moment
    else:
        answer.set_result(result)


class Watch:
    """A watch of one kind: the present state, then each change, in order, some time after it was made."""

    def __init__(self, link: Link, kind: type) -> None:
        self._link = link
        self._kind = kind
        self._last = 0.0
        self._arrived: deque[tuple[Any, bool] | Exception | None] = deque()
        self._waiting: asyncio.Future[None] | None = None
        link.watches.append(self)
        link.network.hub.watchers[kind].append(self)

    def close(self) -> None:
        if self in self._link.watches:
            self._link.watches.remove(self)
            self._link.network.hub.watchers[self._kind].remove(self)

    def changed(self, value: Federation | WorkerLease, *, deleted: bool) -> None:
        network, world = self._link.network, self._link.world
        chance, rates = world.random.random, network.rates
        if (
            self._link.loses_answers
            or chance() < rates.event_lost
            or self._link.deaf
            or (self._link.deaf_to_leases and self._kind is WorkerLease)
            or (self._link.worker and chance() < rates.deaf)
        ):
            return
        delay = self._link.latency()
        if world.random.random() < network.rates.event_late:
            delay += world.random.random() * network.rates.longest
        self._last = max(self._last, world.now + delay)
        world.at(self._last, self._deliver, (value, deleted))

    def fail(self) -> None:
        self._last = max(self._last, self._link.world.now + self._link.latency())
        self._link.world.at(self._last, self._deliver, errors.UnreachableError("the watch broke"))

    def end(self) -> None:
        self._deliver(None)

    def _deliver(self, item: tuple[Any, bool] | Exception | None) -> None:
        if self._link.process.dead or (self._link.loses_answers and item is not None):
            return
        self._arrived.append(item)
        if self._waiting:
            self._link.process.call_soon(self._waken)

    def _waken(self) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(None)

    async def next(self) -> tuple[Any, bool] | None:
        """The next event; None when the watch ends."""
        await asyncio.sleep(0)  # events may arrive together; a process may be stopped between two
        while not self._arrived:
            self._waiting = self._link.process.create_future()
            try:
                async with asyncio.timeout(WATCH_SECONDS + _GRACE):
                    await self._waiting
            except TimeoutError as error:
                raise errors.UnreachableError("the watch was silent") from error
            finally:
                self._waiting = None
        item = self._arrived.popleft()
        if isinstance(item, Exception):
            raise item
        return item
