"""A control plane for a Python program: `with ControlPlane.start() as plane: plane.kubeconfig`."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from controlplane.children import ControlPlaneError


class ControlPlane:
    """A control plane that runs in a process of its own, and ends when this one does.

    Attributes:
        kubeconfig: an administrator's; the logs lie beside it.
        server: URL of the API.
        kubectl_found: the program, if there is one.
        pids: of the components that run now, by name ("etcd", "kube-apiserver").
    """

    kubeconfig: Path
    server: str
    kubectl_found: Path | None
    pids: dict[str, int]

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @classmethod
    def start(cls, *options: str | Path) -> Self:
        """Start one with options of `up`; return when its API is ready.

        The programs are downloaded or built first if necessary. Progress and errors go to stderr.
        """
        here = Path(__file__).resolve().parent
        process = subprocess.Popen(
            [sys.executable, here, "up", "--until-stdin-closes", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C must not end it before whoever uses it
        )
        plane = cls(process)
        try:
            plane._read()
        except BaseException:
            process.terminate()  # it may be building, when it doesn't look at stdin
            plane.stop()
            raise
        return plane

    @property
    def kubectl(self) -> Path:
        """The program, which is always there unless the control plane was started with --without-kubectl."""
        if self.kubectl_found is None:
            raise ControlPlaneError("there is no kubectl: start the control plane without --without-kubectl")
        return self.kubectl_found

    def stop_component(self, name: str) -> None:
        """End a component with SIGTERM; return when it is gone."""
        self._tell(f"stop {name}")

    def kill_component(self, name: str) -> None:
        """End a component with SIGKILL; return when it is gone."""
        self._tell(f"kill {name}")

    def start_component(self, name: str) -> None:
        """Start a component again; return when the API is ready, unless the other one is down."""
        self._tell(f"start {name}")

    def stop(self) -> None:
        """End all of it; return when everything is gone."""
        with self._process as process, contextlib.suppress(BrokenPipeError):
            if process.stdin:
                process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _tell(self, command: str) -> None:
        if self._process.stdin:
            print(command, file=self._process.stdin, flush=True)
        self._read()

    def _read(self) -> None:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise ControlPlaneError(f"the control plane ended; status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ControlPlaneError(answer["error"])
        self.kubeconfig = Path(answer["kubeconfig"])
        self.server = answer["server"]
        self.kubectl_found = Path(answer["kubectl"]) if answer["kubectl"] else None
        self.pids = answer["pids"]
