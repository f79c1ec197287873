"""A real tcf-run process, and what its command has done."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from rig.patience import PATIENCE, eventually
from rig.tcf_processes import environment

import tcf.run
from support.holds_server import HoldsServer

PROGRAM = Path(tcf.run.__file__)
COMMAND = Path(__file__).with_name("acting_command.py")
_MARK = "RUN_OF_A_TEST"


@dataclass(frozen=True)
class Act:
    """The command has acted: which process, and when (CLOCK_BOOTTIME)."""

    pid: int
    at: float


class RunProcess:
    """A tcf-run that was started now, with a short hold by default.

    Attributes:
        log: the path of what it writes to stderr.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        *options: str,
        command: Sequence[str] | None = None,
        shape: str = "go_on",
        before: Sequence[str] = (),
        server: HoldsServer | None = None,
        **variables: str,
    ) -> None:
        """A tcf-run that asks the worker at `url`, which may be a stand-in: `server`.

        `shape`: of the acting command, unless `command` is given. `before`: programs in front of tcf-run.
        """
        self._mark = uuid.uuid4().hex
        self._server = server
        self._acts = folder / f"acts-{self._mark}"
        self.log_path = folder / f"log-{self._mark}"
        if command is None:
            command = ["--", sys.executable, "-S", str(COMMAND), str(self._acts), shape]
        words = [*before, sys.executable, str(PROGRAM), "--worker", url, *options, *command]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**environment(), _MARK: self._mark, "NO": "1", **variables},
                start_new_session=True,
            )

    # --- its processes ----------------------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """Every living process that tcf-run has started, itself included, wherever it is by now."""
        return [process for process in psutil.process_iter() if self._ours(process)]

    def _kill_again(self) -> bool:
        """Kill what is still there. Was there something?"""
        found = False
        for process in self.processes():
            found = True
            with contextlib.suppress(psutil.Error):
                process.kill()
        return found

    def _ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(_MARK) == self._mark and not _dead(process)
        except psutil.Error:
            return False

    @property
    def fuse(self) -> psutil.Process:
        """The process that was started; or the first one of tcf-run, where it is behind other programs."""
        return min(
            (each for each in self.processes() if str(PROGRAM) in _words(each) and each.name() != "unshare"),
            key=lambda process: process.create_time(),
        )

    @property
    def supervisor(self) -> psutil.Process:
        return self.fuse.children()[0]

    def commands(self) -> list[psutil.Process]:
        """The living processes of the command."""
        return [each for each in self.processes() if str(PROGRAM) not in _words(each)]

    # --- what it does -----------------------------------------------------------------------------------

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def await_log(self, text: str) -> str:
        return eventually(lambda: self.log if text in self.log else None, what=f"{text!r} in the log")

    @property
    def acts(self) -> list[Act]:
        if not self._acts.exists():
            return []
        lines = self._acts.read_text().splitlines()
        return [Act(int(pid), float(at)) for pid, at in (line.split() for line in lines)]

    def await_act(self, after: float = 0.0) -> Act:
        return eventually(
            lambda: next((act for act in reversed(self.acts) if act.at > after), None),
            what="the command acts",
        )

    def await_quiet(self) -> None:
        """Until no process of the command is alive."""
        eventually(lambda: not self.commands(), what="nothing of the command is alive")

    @staticmethod
    def now() -> float:
        return tcf.run.boot()

    def wait(self) -> int:
        """The exit status of tcf-run."""
        return self.process.wait(PATIENCE)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    def check_promise(self) -> None:
        """Each act was within a hold: before its time was over, and before it was released."""
        assert self._server, "only a stand-in knows all holds"
        holds = [hold for hold in self._server.holds.values() if hold.until is not None]
        ends = [min(hold.until or 0.0, hold.released or float("inf")) for hold in holds]
        begins = [hold.granted or 0.0 for hold in holds]
        for act in self.acts:
            assert any(begin <= act.at <= end for begin, end in zip(begins, ends, strict=True)), (
                f"{act} outside of {list(zip(begins, ends, strict=True))}:\n{self.log}"
            )

    def close(self) -> None:
        """Kill what is left, again and again: some of it may be born faster than it is found."""
        own = tcf.run._own_cgroup()
        groups = [*Path(own).glob("tcf-run-*")] if own else []
        for process in (left := self.processes()):
            with contextlib.suppress(psutil.Error):
                process.kill()
        for group in groups:
            # Only those of this tcf-run: the fuse is the number in the name.
            if any(group.name.startswith(f"tcf-run-{process.pid}-") for process in left):
                with contextlib.suppress(OSError):
                    (group / "cgroup.kill").write_text("1")
        eventually(lambda: not self._kill_again(), what="nothing is left")
        self.process.wait(PATIENCE)
        assert "Traceback" not in self.log, self.log


def _dead(process: psutil.Process) -> bool:
    return process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1


def _words(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def end_in_time(worker: HoldsServer, start: Callable[[], RunProcess]) -> RunProcess:
    """The member is active, then passive, and the worker gives no time to drain: the promise has to hold."""
    worker.cap, worker.drains = 4.0, 0.0
    worker.become("active")
    run = start()
    run.await_act()
    worker.become("passive")
    hold = worker.last
    eventually(lambda: hold.released, what="the hold is released")
    run.await_quiet()
    run.check_promise()
    return run
