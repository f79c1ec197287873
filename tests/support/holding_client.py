"""The clients of examples/clients as processes beside a worker, and what they print."""

from __future__ import annotations

import fcntl
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rig.files import ROOT
from rig.patience import PATIENCE, eventually
from rig.tcf_processes import environment

CLIENTS = ROOT / "examples/clients"
NEEDS = {"python": sys.executable, "go": "go", "java": "javac"}
"""The program that each language needs here."""
_STAMPED = re.compile(r"(acting|finishing|stopped) at=([0-9.]+)")


def compiled(language: str, folder: Path) -> list[str]:
    """The command that runs the client. It is compiled into the folder, once for all who name this folder."""
    if language == "python":
        return [sys.executable, str(CLIENTS / "python/holder.py")]
    folder.mkdir(exist_ok=True)
    with (folder / f"{language}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _compiled_go(folder / "go") if language == "go" else _compiled_java(folder / "java")


def _compiled_go(program: Path) -> list[str]:
    if not program.exists():
        _run(["go", "vet", "."], CLIENTS / "go")
        _run(["go", "build", "-o", str(program), "."], CLIENTS / "go")
    return [str(program)]


def _compiled_java(classes: Path) -> list[str]:
    if not classes.exists():
        _run(
            ["javac", "--release", "11", "-Xlint:all", "-Werror", "-d", str(classes), "Holder.java"],
            CLIENTS / "java",
        )
    # The virtual machine starts faster without the second compiler.
    return [shutil.which("java") or "java", "-XX:TieredStopAtLevel=1", "-cp", str(classes), "Holder"]


def _run(words: list[str], folder: Path) -> None:
    done = subprocess.run(
        words,
        cwd=folder,
        env={**environment(), "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True)
class Turn:
    """For how long a client has acted under one hold (CLOCK_BOOTTIME): until it said that it had stopped."""

    began: float
    stopped: float


class HoldingClient:
    """A client that asks the worker at `url`."""

    def __init__(self, words: list[str], log: Path, url: str, name: str, *options: str) -> None:
        self._log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [*words, "--worker", url, "--name", name, *options],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment(),
            )

    @property
    def lines(self) -> list[str]:
        """What it has printed, without a line that is not complete yet."""
        return self._log.read_text().split("\n")[:-1]

    def await_line(self, text: str, count: int = 1) -> None:
        """Until it has printed so many lines that begin with this text."""
        eventually(
            lambda: sum(line.startswith(text) for line in self.lines) >= count,
            what=f"{count} x {text!r} in {self.lines}",
        )

    def stamps(self, what: str) -> list[float]:
        """When it was `acting`, `finishing` or `stopped`."""
        found = (_STAMPED.match(line) for line in self.lines)
        return [float(each[2]) for each in found if each and each[1] == what]

    def await_act(self, after: float = 0.0) -> float:
        """When it has acted first since then."""
        return eventually(
            lambda: next((at for at in self.stamps("acting") if at > after), None), what="it acts"
        )

    def await_stop(self, after: float) -> float:
        """When it has stopped first since then."""
        return eventually(
            lambda: next((at for at in self.stamps("stopped") if at >= after), None), what="it stops"
        )

    def turns(self) -> list[Turn]:
        """All turns, in which it has acted or finished its work. The last one must have ended."""
        turns: list[Turn] = []
        stamps: list[float] = []
        for found in filter(None, map(_STAMPED.match, self.lines)):
            stamps.append(float(found[2]))
            if found[1] == "stopped":
                turns.append(Turn(stamps[0], stamps[-1]))
                stamps = []
        assert not stamps, f"it acts still: {self.lines}"
        return turns

    def close(self) -> None:
        """Have it stop and release, as a service does that is being stopped."""
        self.process.terminate()
        try:
            # A Java program that is being stopped has the status of the signal.
            assert self.process.wait(PATIENCE) in {0, 128 + signal.SIGTERM}, self.lines
        finally:
            self.process.kill()


Start = Callable[..., HoldingClient]
