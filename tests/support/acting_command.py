"""A command for tcf-run. It acts all the time: it writes the time of each act into a file.

acting_command.py FILE SHAPE: FILE gets lines of CLOCK_BOOTTIME seconds. SHAPE says how it tries to escape.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time


def act(file: int) -> None:
    os.write(file, f"{os.getpid()} {time.clock_gettime(time.CLOCK_BOOTTIME)!r}\n".encode())


def go_on(file: int) -> None:
    while True:
        act(file)
        time.sleep(0.005)


def stubborn(file: int) -> None:
    """It does not care for signals."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    go_on(file)


def slow(file: int) -> None:
    """It needs a second and a half to end, and acts during it."""

    def end(*_: object) -> None:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            act(file)
            time.sleep(0.005)
        sys.exit(3)

    signal.signal(signal.SIGTERM, end)
    go_on(file)


def session(file: int) -> None:
    """A child in a session of its own, which does not care for signals."""
    if not os.fork():
        os.setsid()
        stubborn(file)
    go_on(file)


def family(file: int) -> None:
    """Children and grandchildren."""
    for _ in range(2):
        os.fork()
    go_on(file)


def daemon(file: int) -> None:
    """A daemon that nobody waits for, while the first process ends."""
    if not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
        stubborn(file)
    time.sleep(0.2)


def hidden_daemon(file: int) -> None:
    """A daemon that nobody waits for, while the first process goes on."""
    if not os.fork():
        daemon(file)
        os._exit(0)
    os.wait()
    go_on(file)


def storm(file: int) -> None:
    """Processes that live for a moment only, each in a session of its own and born by the last one."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        act(file)
        if os.fork():
            os._exit(0)
        os.setsid()
        time.sleep(0.001)


def storm_aside(file: int) -> None:
    if not os.fork():
        storm(file)
    go_on(file)


def headless(file: int) -> None:
    """The first thread has ended, so the process looks dead, and another thread goes on."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=go_on, args=(file,)).start()
    time.sleep(0.1)
    exit_thread = 60 if os.uname().machine == "x86_64" else 93
    ctypes.CDLL(None).syscall(exit_thread, 0)


def zombies(file: int) -> None:
    """Leaves dead children behind, which somebody else has to reap."""
    while True:
        act(file)
        if not os.fork():
            if not os.fork():
                os._exit(0)
            os._exit(0)
        os.wait()
        time.sleep(0.05)


SHAPES = {
    shape.__name__: shape
    for shape in (
        go_on, stubborn, slow, session, family, daemon, hidden_daemon, storm, storm_aside, headless, zombies,
    )
}  # fmt: skip

if __name__ == "__main__":
    SHAPES[sys.argv[2]](os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
