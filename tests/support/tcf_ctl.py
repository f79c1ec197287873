"""kubectl tcf as a process: with pipes, as a program runs it, or at a terminal, as a person does."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rig.hub_namespace import HubNamespace
from rig.patience import PATIENCE, RigError
from rig.tcf_processes import environment

_COMMAND = [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-m", "tcf.ctl.kubectl_tcf"]
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class Ended:
    """How a command has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class TcfCtl:
    """Runs commands with the rights of a kubeconfig, by default those of an administrator."""

    def __init__(self, hub: HubNamespace, kubeconfig: Path | None = None) -> None:
        self._options = ["--kubeconfig", str(kubeconfig or hub.kubeconfig), "-n", hub.namespace]

    def __call__(self, *args: str) -> Ended:
        with self.started(*args) as process:
            try:
                out, err = process.communicate(timeout=2 * PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert "Traceback" not in err, err
        # In development mode, asyncio also reports on a machine that is slow.
        told = [line for line in err.splitlines(keepends=True) if not line.startswith("Executing <")]
        return Ended(process.returncode, out, "".join(told))

    def completion(self, *words: str) -> str:
        """What `kubectl_complete-tcf` prints for these words."""
        program = "from tcf.ctl.completion import kubectl_complete; kubectl_complete()"
        done = subprocess.run(
            [sys.executable, "-c", program, *self._options, *words],
            capture_output=True,
            text=True,
            check=True,
            env=environment(),
        )
        assert not done.stderr
        return done.stdout

    @contextlib.contextmanager
    def started(self, *args: str) -> Iterator[subprocess.Popen[str]]:
        """A command that runs meanwhile."""
        process = subprocess.Popen(
            [*_COMMAND, *self._options, *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment() | {"PYTHONUNBUFFERED": "1"},
        )
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    @contextlib.contextmanager
    def at_terminal(self, *args: str, **variables: str) -> Iterator[AtTerminal]:
        """A command at a terminal of its own (a pty), with these environment variables."""
        own = {"TERM": "xterm", "LINES": "50", "COLUMNS": "200", "LC_ALL": "C.UTF-8"}
        place = environment() | own | variables
        pid, descriptor = pty.fork()
        if not pid:
            os.execvpe(_COMMAND[0], [*_COMMAND, *self._options, *args], place)  # noqa: S606
        terminal = AtTerminal(pid, descriptor)
        try:
            yield terminal
        finally:
            terminal.close()


class AtTerminal:
    """What a person sees of the command, and types."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.raw = ""
        self._pid = pid
        self._descriptor = descriptor
        self._status: int | None = None

    @property
    def seen(self) -> str:
        """All that was written so far, without colours and movements of the cursor."""
        return _ESCAPES.sub("", self.raw).replace("\r\n", "\n")

    def await_text(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.seen:
            if not self._read(0.1) or time.monotonic() > deadline:
                raise RigError(f"the terminal never shows {text!r}, but: {self.seen}")

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.type("\x03")

    def status(self) -> int:
        """Wait for the end; the exit status as a shell reports it: 128 + n after signal n."""
        deadline = time.monotonic() + 2 * PATIENCE
        while self._read(0.1):
            if time.monotonic() > deadline:
                raise RigError(f"the command does not end; it has written: {self.seen}")
        status = self._wait()
        return 128 - status if status < 0 else status

    def close(self) -> None:
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._wait()
        os.close(self._descriptor)

    def _wait(self) -> int:
        if self._status is None:
            _, status = os.waitpid(self._pid, 0)
            self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def _read(self, seconds: float) -> bool:
        """Read what there is. False at the end."""
        ready, _, _ = select.select([self._descriptor], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # so Linux reports that the other side is closed
            return False
        self.raw += data.decode(errors="replace")
        return bool(data)
