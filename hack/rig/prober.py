"""Probes of workers, sent all the time as load balancers send them."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Generic, TypeVar

from rig.promise import Probe, longest_gap
from rig.until_end import UntilEnd

_SOON = 0.25
"""Seconds that a prober waits for an answer before it sends the next probe on another connection."""
_PATIENCE = 10.0
_REQUEST = b"GET /tcf/is_active HTTP/1.1\r\nHost: localhost\r\n\r\n"


T = TypeVar("T")


class Probing(UntilEnd, Generic[T]):
    """Probes every target in a thread of its own until the block ends. `probes`: what was answered."""

    def __init__(self, targets: Iterable[tuple[T, str]], *, interval: float) -> None:
        """`targets`: each with its member. `interval`: seconds between two probes of a target."""
        self.probes: list[Probe] = []
        super().__init__(partial(self._probe, *target) for target in targets)
        self._interval = interval

    def gap(self) -> float:
        """The longest time in seconds in which nobody answered 200."""
        return longest_gap(self.probes)

    def _probe(self, target: T, member: str) -> None:
        raise NotImplementedError


class Prober(Probing[int]):
    """Probes every port `per_second` times a second on a connection of its own, until the block ends.

    When an answer does not come soon, the prober sends the next probe on another connection, as load
    balancers do, and the first probe goes on waiting. So a process that was stopped finds some probes when it
    wakes up, and its first answers are seen.

    It talks to the socket itself: an HTTP library would take processor time from the workers.
    """

    def __init__(self, ports: Mapping[int, str], *, per_second: float) -> None:
        """`ports`: of the workers, with the member of each."""
        super().__init__(ports.items(), interval=1 / per_second)
        self._waiting: list[threading.Thread] = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        for thread in self._waiting:
            thread.join()

    def _probe(self, target: int, member: str) -> None:
        line = _Line(target)
        while not self.ended.wait(self._interval):
            sent = time.monotonic()
            with line.closed_on_error():
                if line.ask_and_wait(_SOON):
                    self._take_answer(line, member, sent)
                    continue
                waiting = threading.Thread(target=self._await, args=(line, member, sent))
                waiting.start()
                self._waiting.append(waiting)
                line = _Line(target)
        line.close()

    def _await(self, line: _Line, member: str, sent: float) -> None:
        with line.closed_on_error():
            self._take_answer(line, member, sent)
        line.close()

    def _take_answer(self, line: _Line, member: str, sent: float) -> None:
        status, term = line.answer()
        self.probes.append(Probe(sent, time.monotonic(), member, status, term))


class _Line:
    """A connection to a worker. It connects when it is used, and again after an error."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None

    @contextlib.contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Nobody listens, or the process has ended, or its answer makes no sense."""
        try:
            yield
        except (OSError, ValueError):
            self.close()

    def ask_and_wait(self, seconds: float) -> bool:
        """Send a probe; return whether an answer begins to arrive in time."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=_PATIENCE)
        self._socket.sendall(_REQUEST)
        return bool(select.select([self._socket], [], [], seconds)[0])

    def answer(self) -> tuple[int, int]:
        """Read one answer; return its status and its term (0 if it has none)."""
        head, _, body = self._read(b"", lambda data: b"\r\n\r\n" in data).partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        self._read(body, lambda data: len(data) >= length)
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(first.split()[1]), int(headers.get("x-tcf-term", "0"))

    def _read(self, data: bytes, enough: Callable[[bytes], bool]) -> bytes:
        """Read on until there is enough."""
        while not enough(data):
            more = self._socket.recv(4096) if self._socket else b""
            if not more:
                raise ConnectionError("the connection ended before the answer did")
            data += more
        return data
