"""The fuse of tcf-run, with a supervisor that the test plays."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tcf.run import INTERNAL, Bell, Cgroup, Children, Fuse, Order, boot, parsed

SUPERVISOR = 4_000_000
"""Above every process number that Linux gives by default, so nothing real is meant."""
DONE = Order(7, None, 0, 3, ("", "", ""))

Link = tuple[socket.socket, socket.socket]
"""The end of the fuse and that of the supervisor."""


class EndingSupervisor(Children):
    """Sends its last order at the latest moment possible: it has ended when the fuse next looks."""

    def __init__(self, link: socket.socket, last: Order | None, *, lingers: bool = False) -> None:
        super().__init__([], [])
        self._link = link
        self._last = last
        self._lingers = lingers

    def dead(self) -> list[tuple[int, int]]:
        if self._last:
            self._link.send(self._last.write())
            self._last = None
        if not self._lingers:
            self._link.close()
        return [(SUPERVISOR, 0)]

    def all_gone(self) -> bool:
        return True


class HarmlessFuse(Fuse):
    """Kills nothing. `looked`: the processes below which it would have."""

    def __init__(self, link: socket.socket, children: Children) -> None:
        options = parsed(["--worker", "http://127.0.0.1:1", "--", "true"], {})
        super().__init__(options, SUPERVISOR, link, SilentBell(link.fileno()), children, Cgroup(wanted=False))
        self.looked: list[int] = []

    def _kill_below(self, root: int) -> bool:
        self.looked.append(root)
        return False


class SilentBell(Bell):
    """No signal ever arrives."""

    def __init__(self, file: int) -> None:
        self.file = file

    def read(self) -> bytes:
        return b""


@pytest.fixture
def link() -> Iterator[Link]:
    fuse, supervisor = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fuse.setblocking(False)
    with fuse, supervisor:
        yield fuse, supervisor


def test_the_last_order_of_a_supervisor_that_has_just_ended_is_read(link: Link) -> None:
    assert HarmlessFuse(link[0], EndingSupervisor(link[1], DONE)).run() == 3


def test_it_is_read_even_if_another_process_has_inherited_the_link(link: Link) -> None:
    assert HarmlessFuse(link[0], EndingSupervisor(link[1], DONE, lingers=True)).run() == 3


def test_the_last_order_is_read_from_a_supervisor_that_had_not_read_everything(link: Link) -> None:
    """Linux says "connection reset" first, and passes on what was sent only after that."""
    link[0].send(b"\0" + b"6")
    assert HarmlessFuse(link[0], EndingSupervisor(link[1], DONE)).run() == 3


def test_a_supervisor_that_ended_without_a_last_order_was_killed(
    link: Link, capfd: pytest.CaptureFixture[str]
) -> None:
    assert HarmlessFuse(link[0], EndingSupervisor(link[1], None)).run() == INTERNAL
    assert "the supervisor was killed" in capfd.readouterr().err


def test_what_is_due_is_not_looked_for_below_a_supervisor_that_has_ended(link: Link) -> None:
    """It has no number any more, and 0 would be every process of the machine."""
    link[1].send(Order(7, boot(), 0, -1, ("", "", "")).write())
    fuse = HarmlessFuse(link[0], EndingSupervisor(link[1], None, lingers=True))
    assert fuse.run() == INTERNAL
    assert 0 not in fuse.looked
