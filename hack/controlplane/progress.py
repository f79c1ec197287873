"""Saying what goes on, running a command with its progress shown, and a lock between processes."""

import contextlib
import fcntl
import os
import select
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from controlplane.children import ControlPlaneError, end, spawn

_TAIL = 15  # lines of a failed command's output to show
_FIRST = 2.0  # seconds until progress is shown, and then how often where there is no terminal
_LATER = 15.0


def say(text: str) -> None:
    print(f"controlplane: {text}", file=sys.stderr, flush=True)


class Progress:
    """A step and how long it has taken: one line rewritten on a terminal, else a line now and then."""

    def __init__(self, step: str) -> None:
        self._step = step
        self._terminal = sys.stderr.isatty()
        self._start = time.monotonic()
        self._due = self._start + (0.2 if self._terminal else _FIRST)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def show(self, detail: str = "") -> None:
        """Call it often: it decides when to write."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + (0.2 if self._terminal else _LATER)
        minutes, seconds = divmod(int(now - self._start), 60)
        line = f"{self._step}, {minutes}:{seconds:02} {detail}".rstrip()
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r\x1b[K{line[:width]}")
            sys.stderr.flush()
        else:
            say(line)


def run(
    step: str, argv: Sequence[str | Path], *, remedy: str, cwd: Path, env: dict[str, str] | None = None
) -> None:
    """Run a command to its end and show its progress. A signal ends it with all its children.

    Raises:
        ControlPlaneError: it failed; the message shows the end of its output, and `remedy`.
    """
    tail: deque[str] = deque(maxlen=_TAIL)
    process = spawn(argv, cwd=cwd, output=subprocess.PIPE, env=os.environ if env is None else env)
    try:
        with process.stdout or contextlib.nullcontext() as output, Progress(step) as progress:
            for line in _lines(output.fileno()) if output else ():
                if line is not None:
                    tail.append(line)
                progress.show(tail[-1] if tail else "")
        status = process.wait()
    finally:
        end(process, grace=2)
    if status != 0:
        raise ControlPlaneError("\n".join([f"{step} failed:", *tail, f"What to do: {remedy}"]))


def _lines(descriptor: int) -> Iterator[str | None]:
    """Yield the lines of a pipe as they come, and None about once a second without any."""
    pending = b""
    while True:
        if not select.select([descriptor], [], [], 1.0)[0]:
            yield None
            continue
        if not (chunk := os.read(descriptor, 65536)):
            break
        *complete, pending = (pending + chunk).split(b"\n")
        for line in complete:
            yield line.decode(errors="replace")
    if pending:
        yield pending.decode(errors="replace")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock, which the kernel releases if this process dies."""
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build is running: waiting for it")
            with Progress("waiting for the other build") as progress:
                while True:
                    with contextlib.suppress(BlockingIOError):
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    progress.show()
                    time.sleep(0.2)
        yield
