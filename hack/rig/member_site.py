"""A site of a member: a database, a worker and tcf-run, all of which may lose their power together."""

from __future__ import annotations

import http.client
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rig.asking import Answer, ask
from rig.kept_process import KeptProcess
from rig.patience import eventually
from rig.tcf_processes import command, environment


class Database(Protocol):
    """What is moved between the sites."""

    def start(self) -> None: ...
    def kill(self) -> None:
        """As if its machine lost its power."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Federation:
    """Where a federation is. `kubeconfig`: of its hub."""

    kubeconfig: Path
    namespace: str
    name: str = "shop"


@dataclass(frozen=True)
class WorkerAddress:
    """Where a worker listens: for everybody, and for holders."""

    host: str
    port: int
    holds: int

    @property
    def for_probes(self) -> str:
        """The URL for everybody."""
        return f"http://{self.host}:{self.port}"

    @property
    def for_holders(self) -> str:
        """The URL for holders."""
        return f"http://{self.host}:{self.holds}"


class MemberSite:
    """`start` it, and `close` it at the end. It may be killed and started again in between."""

    def __init__(
        self,
        member: str,
        database: Database,
        address: WorkerAddress,
        federation: Federation,
        *,
        folder: Path,
        scripts: Mapping[str, Sequence[str | Path]],
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`scripts`: the command lines of on-active, on-passive and check. `settings`: their environment."""
        self.member = member
        self.database = database
        self.worker = address
        self._federation = federation
        self._folder = folder / f"{member}-tcf"
        self._folder.mkdir()
        self._scripts = scripts
        self._settings = settings or {}
        self._running: list[KeptProcess] = []

    def start(self) -> None:
        self.database.start()
        self.start_tcf()

    def start_tcf(self) -> None:
        worker, of = self.worker, self._federation
        where = ("--namespace", of.namespace, "--federation", of.name, "--cluster", self.member)
        listen = (
            "--listen",
            f"{worker.host}:{worker.port}",
            "--holds-listen",
            f"{worker.host}:{worker.holds}",
        )
        runner = [sys.executable, "-m", "tcf.run", "--worker", worker.for_holders, "--name", self.member]
        for option, words in self._scripts.items():
            runner += [f"--{option}", shlex.join(map(str, words))]
        self._running = [
            self._started("worker", command("worker", of.kubeconfig, *where, *listen)),
            self._started("tcf-run", runner, **self._settings),
        ]

    def kill_tcf(self) -> None:
        """SIGKILL for the worker and for tcf-run, with all that they have started."""
        while self._running:
            self._running.pop().kill()

    def kill(self) -> None:
        """The whole site loses its power."""
        self.kill_tcf()
        self.database.kill()

    def close(self) -> None:
        while self._running:
            self._running.pop().stop()
        self.database.close()

    def log(self, program: str) -> str:
        """What `worker` or `tcf-run` has said."""
        return (self._folder / f"{program}.log").read_text()

    def ask(self, method: str, path: str) -> Answer:
        """Ask the worker. The status is 0 if it does not answer."""
        try:
            return ask(self.worker.port, method, path, host=self.worker.host)
        except (OSError, http.client.HTTPException):
            return Answer(0, {}, b"")

    @property
    def is_active(self) -> bool:
        return self.ask("GET", "/tcf/is_active").status == 200

    def await_active(self) -> None:
        eventually(lambda: self.is_active, what=f"{self.member} is active")

    def _started(self, name: str, argv: Sequence[str], **settings: str) -> KeptProcess:
        return KeptProcess(argv, log=self._folder / f"{name}.log", env=environment() | settings)
