"""A worker in a federation without an operator: a test writes the role table."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rig.asking import Answer, ask
from rig.hub_namespace import HubNamespace, own_namespace
from rig.patience import eventually
from rig.tcf_processes import TcfProcess, TcfProcesses

Json = dict[str, Any]


@dataclass
class LoneWorker:
    """A federation without an operator, and a worker of cluster_1."""

    hub: HubNamespace
    worker: TcfProcess
    term: int = 0

    def put(self, *roles: str, names: tuple[str, ...] = (), **status: Any) -> Json:
        """Give the members these roles, at the next term, and wait until the worker answers so."""
        written = self.write(*roles, names=names, **status)
        self.await_term()
        return written

    def write(self, *roles: str, names: tuple[str, ...] = (), **status: Any) -> Json:
        self.term += 1
        rows: list[Json] = [
            {"id": f"cluster_{n}", "name": f"cluster{n}", "status": role, "liveWorkers": 1}
            for n, role in enumerate(roles, 1)
        ]
        for row, name in zip(rows, names, strict=False):
            row["name"] = name
        active = next((row["id"] for row in rows if row["status"] == "active"), "")
        written = {"protocol": 1, "term": self.term, "activeCluster": active, "clusters": rows, **status}
        self.hub.set_status(written)
        return written

    def await_term(self) -> None:
        path = f"/tcf/status?min_term={self.term}"
        eventually(lambda: self.worker.get(path).status == 200, what=f"term {self.term}")

    def await_refusal(self, reason: str) -> None:
        self.worker.await_reason(reason)

    @property
    def version(self) -> str:
        version: str = self.hub.get()["metadata"]["resourceVersion"]
        return version

    def post(self, path: str, body: bytes | None = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.worker.port, "POST", path, body, named)


@contextlib.contextmanager
def lone_worker(control_plane: dict[str, str], folder: Path, **spec: Any) -> Iterator[LoneWorker]:
    """In the block there are such a federation, with this `spec`, and the worker."""
    with own_namespace(control_plane) as hub:
        hub.apply(**spec)
        programs = TcfProcesses(hub, folder)
        try:
            yield LoneWorker(hub, programs.worker("cluster_1"))
        finally:
            programs.close()
