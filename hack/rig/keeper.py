"""Runs a program as its child, and leaves nothing of it behind: `python keeper.py COMMAND ARGS ...`

Some programs start others that outlive them: PostgreSQL goes on when Patroni is killed. Here, all of them end
as soon as stdin closes, at the latest with whoever holds its other end. SIGTERM goes on to the program; when
it has ended, so does the rest.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    # What loses its parent becomes a child of this process, so it can be found.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    program = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(program.pid, signal.SIGTERM))
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    status = _reap_until(program.pid)
    end_descendants()
    return status if status >= 0 else 128 - status


def _reap_until(program: int) -> int:
    """Reap whatever ends, until this program does; return its status. (Patroni waits for zombies to go.)"""
    while True:
        pid, status = os.wait()
        if pid == program:
            return os.waitstatus_to_exitcode(status)


def _end_with_stdin() -> None:
    os.read(0, 1)  # nobody writes: this is the end
    end_descendants()


def end_descendants() -> None:
    """SIGKILL for all of them, and for what they start meanwhile; return when no one runs any more."""
    while found := descendants(os.getpid()):
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def descendants(ancestor: int) -> set[int]:
    """The processes below this one that are not dead (a zombie is)."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:  # it has ended meanwhile
            continue
        if state not in "ZX":
            parents[int(folder.name)] = int(parent)
    found: set[int] = set()
    while more := {pid for pid, parent in parents.items() if parent in found | {ancestor}} - found:
        found |= more
    return found


if __name__ == "__main__":
    sys.exit(main())
