"""Real tcf-operator and tcf-worker processes."""

from __future__ import annotations

import itertools
import os
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from rig.asking import Answer, ask
from rig.hub_namespace import HubNamespace
from rig.patience import PATIENCE, eventually


def command(program: str, kubeconfig: Path, *options: str, python: Sequence[str] = ()) -> list[str]:
    """The command line of `operator` or `worker`; `python`: options of the interpreter."""
    return [sys.executable, *python, "-m", "tcf", program, "--kubeconfig", str(kubeconfig), *options]


def environment() -> dict[str, str]:
    """This process's environment without options of our own programs: somebody may have exported them."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TCF_")}


@dataclass
class TcfProcess:
    """A running tcf-operator or tcf-worker. `tls`: how to speak HTTPS with it; None for HTTP."""

    process: subprocess.Popen[bytes]
    log_path: Path
    port: int
    tls: ssl.SSLContext | None = None

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def port_for(self, what: str) -> int:
        """The port of another listener, as the log names it."""

        def found() -> int | None:
            line = re.search(rf"listening on https?://[^ ]*:(\d+) +for={what}\b", self.log)
            return int(line[1]) if line else None

        return eventually(found, what=f"{self.log_path.name} says where it listens for {what}")

    def get(self, path: str) -> Answer:
        return ask(self.port, "GET", path, tls=self.tls)

    def post(self, path: str) -> Answer:
        return ask(self.port, "POST", path, tls=self.tls)

    def is_active(self) -> Answer:
        return self.get("/tcf/is_active")

    def await_ready(self) -> None:
        eventually(lambda: self.get("/readyz").status == 200, what=f"/readyz of {self.log_path.name} is 200")

    def await_active(self) -> Answer:
        return eventually(
            lambda: answer if (answer := self.is_active()).status == 200 else None,
            what=f"200 from {self.log_path.name}",
        )

    def await_status(self, status: int, reason: str | None = None) -> Answer:
        """Wait until is_active answers with this HTTP status (and X-TCF-Reason)."""

        def matches() -> Answer | None:
            answer = self.is_active()
            return answer if (answer.status, answer.reason) == (status, reason) else None

        return eventually(matches, what=f"{status} {reason} from {self.log_path.name}")

    def await_reason(self, reason: str) -> Answer:
        return self.await_status(500, reason)

    @property
    def resident(self) -> int:
        """Its memory in bytes."""
        used: int = psutil.Process(self.process.pid).memory_info().rss
        return used

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL: a crash."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE)


class TcfProcesses:
    """Starts programs; `close` stops those that still run and checks that no log has a traceback in it."""

    def __init__(
        self, hub: HubNamespace, folder: Path, *, development: bool = True, release: Path | None = None
    ) -> None:
        """`development`: use Python's development mode, which finds more faults and is slower.

        `release`: the wheel of an earlier release, to run instead of this code.
        """
        self._hub = hub
        self._release = {"PYTHONPATH": str(release)} if release else {}
        self._checks = ["-X", "dev", "-W", "error::ResourceWarning"] if development else []
        self._folder = folder
        self._running: list[TcfProcess] = []
        self._numbers = itertools.count()

    def operator(
        self, *args: str, kubeconfig: Path | None = None, tls: ssl.SSLContext | None = None
    ) -> TcfProcess:
        """Start an operator that looks after this namespace only."""
        return self._start("operator", ["--namespace", self._hub.namespace, *args], kubeconfig, tls)

    def worker(
        self,
        cluster: str,
        *args: str,
        federation: str = "shop",
        kubeconfig: Path | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> TcfProcess:
        where = ["--namespace", self._hub.namespace, "--federation", federation, "--cluster", cluster]
        return self._start("worker", [*where, *args], kubeconfig, tls)

    def pair(self) -> tuple[TcfProcess, TcfProcess]:
        """Start a worker for each of the two members."""
        return self.worker("cluster_1"), self.worker("cluster_2")

    def switchable_pair(self, **spec: str) -> tuple[TcfProcess, TcfProcess]:
        """Create the federation, and start an operator and both workers. cluster_1 is active."""
        self._hub.apply(**spec)
        self.operator()
        one, two = self.pair()
        one.await_active()
        two.await_status(418)
        return one, two

    def _start(
        self, program: str, args: list[str], kubeconfig: Path | None, tls: ssl.SSLContext | None
    ) -> TcfProcess:
        log_path = self._folder / f"{program}-{next(self._numbers)}.log"
        listen = [] if "--listen" in args else ["--listen", "127.0.0.1:0"]
        options = [*listen, *args]
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                command(program, kubeconfig or self._hub.kubeconfig, *options, python=self._checks),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment() | self._release,
            )
        running = TcfProcess(process, log_path, 0, tls)
        self._running.append(running)

        def listening() -> int | None:
            found = re.search(
                r"listening on https?://(?:127\.0\.0\.1|0\.0\.0\.0):(\d+)", log_path.read_text()
            )
            assert found or process.poll() is None, log_path.read_text()
            return int(found[1]) if found else None

        running.port = eventually(listening, what=f"{program} listens")
        assert running.get("/healthz").status == 200
        return running

    def close(self) -> None:
        for program in self._running:
            if program.process.poll() is None:
                program.process.send_signal(signal.SIGCONT)
                program.process.terminate()
        for program in self._running:
            program.process.wait(PATIENCE)
        for program in self._running:
            assert "Traceback" not in program.log, program.log
            assert "was never awaited" not in program.log, program.log
            assert "was never retrieved" not in program.log, program.log
