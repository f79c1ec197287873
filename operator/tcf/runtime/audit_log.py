"""Writes JSON lines to a file, in a thread of its own, so that no answer ever waits for a disk."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tcf.runtime.clock import Clock

STDOUT = Path("-")
_MOST_WAITING = 10_000
_MOST_BYTES = 8 * 2**20
"""How many bytes may wait, in at most so many lines. Anybody can send requests that are recorded."""
_REPORT_SECONDS = 60.0
_FAREWELL_SECONDS = 2.0

log = logging.getLogger(__name__)


class AuditLog:
    """Lines for one file, or for stdout.

    Attributes:
        lost: how many lines could not be written since the process began.
        trouble: why the latest line could not be written; "" if it could.
    """

    def __init__(self, path: Path, *, clock: Clock) -> None:
        """Raises OSError if the file cannot be opened."""
        self.lost = 0
        self.trouble = ""
        self._path = path
        self._clock = clock
        self._reported_at: float | None = None
        self._broken_line = False
        self._bytes = 0
        self._counting = threading.Lock()
        self._waiting: queue.Queue[bytes | None] = queue.Queue(_MOST_WAITING)
        self._reopen = threading.Event()
        self._file = _opened(path)
        self._thread = threading.Thread(target=self._run, name="audit log", daemon=True)
        self._thread.start()

    def write(self, entry: Mapping[str, Any]) -> None:
        """Write the entry soon. If too many lines wait, it is lost."""
        # In ASCII, no character can act on a terminal.
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        with self._counting:
            room = self._bytes + len(line) <= _MOST_BYTES and not self._waiting.full()
            self._bytes += len(line) if room else 0
        if room:
            self._waiting.put(line)
        else:
            self._lose("it is too slow")

    def reopen(self) -> None:
        """Open the file again, because somebody has renamed it."""
        self._reopen.set()
        with contextlib.suppress(queue.Full):  # then the next line comes at once
            self._waiting.put_nowait(b"")

    def close(self) -> None:
        """Write what waits, for two seconds at most."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=_FAREWELL_SECONDS)
        self._thread.join(_FAREWELL_SECONDS)

    # --- in the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        while (line := self._waiting.get()) is not None:
            with self._counting:
                self._bytes -= len(line)
            if self._reopen.is_set():
                self._reopen.clear()
                self._open_again()
            try:
                self._put(line)
            except OSError as error:
                self._lose(error.strerror or str(error))
            else:
                self._recover()

    def _open_again(self) -> None:
        try:
            file = _opened(self._path)
        except OSError as error:
            message = "the audit log %s cannot be opened again (%s); the file that was open is still used"
            log.error(message, self._path, error.strerror)  # noqa: TRY400 - a traceback would not help
            return
        if self._path != STDOUT:
            os.close(self._file)
        self._file, self._broken_line = file, False

    def _put(self, line: bytes) -> None:
        rest = memoryview(b"\n" + line if self._broken_line else line)
        while rest:
            written = os.write(self._file, rest)
            rest = rest[written:]
            self._broken_line = bool(rest)

    def _lose(self, why: str) -> None:
        now = self._clock.boot()
        with self._counting:
            self.lost += 1
            self.trouble = why
            quiet = self._reported_at is not None and now - self._reported_at <= _REPORT_SECONDS
            self._reported_at = self._reported_at if quiet else now
        if not quiet:
            message = (
                "the audit log %s cannot be written (%s); requests are still served; lines lost so far: %s"
            )
            log.error(message, self._path, why, self.lost)

    def _recover(self) -> None:
        if self.trouble:
            self.trouble, self._reported_at = "", None
            log.info("the audit log %s is written again; lines lost so far: %s", self._path, self.lost)


def _opened(path: Path) -> int:
    if path == STDOUT:
        return sys.stdout.fileno()
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
