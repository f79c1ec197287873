"""Child processes that never outlive this one, and the two exceptions that end work early."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class ControlPlaneError(Exception):
    """What went wrong and what to do about it, in words for a person."""


class Stopped(SystemExit):
    """A signal asked for the end, or the program that started this one has ended.

    It is a SystemExit because asyncio keeps other exceptions within the task that they hit.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)


def raise_when_stopped() -> None:
    """From now on the first signal that asks for the end raises `Stopped`; a later one is ignored.

    So a second Ctrl-C does not interrupt the clean-up. A signal that is already ignored, as under
    nohup, stays ignored.
    """

    def stopped(signum: int, _frame: FrameType | None) -> NoReturn:
        for each in _STOP_SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(signum)

    for signum in _STOP_SIGNALS:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, stopped)


def spawn(
    argv: Sequence[str | Path], *, cwd: Path, output: IO[bytes] | int, env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a program with stdout and stderr going to `output`.

    It leads a process group of its own. So Ctrl-C on a terminal reaches only this process, which then ends
    the others in order, with all their children. On Linux the kernel kills it with SIGKILL if this process
    dies first.
    """
    parent = os.getpid()

    def in_child() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
            if os.getppid() != parent:  # it died before the call took effect
                os._exit(1)

    # If a signal's handler raised in the middle of this, nobody would know of the running child.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    process = None
    try:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=in_child,  # noqa: PLW1509 (no other thread is at work here)
        )
    finally:
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)  # raises if one came meanwhile
        except Stopped:
            if process is not None:
                end(process, grace=0.0)
            raise
    return process


def end(process: subprocess.Popen[bytes], *, grace: float) -> None:
    """End a spawned program and all its children: SIGTERM, and SIGKILL after `grace` seconds."""
    with contextlib.suppress(ProcessLookupError):
        if grace:
            os.killpg(process.pid, signal.SIGTERM)
            os.killpg(process.pid, signal.SIGCONT)  # a test may have frozen it
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
