"""Trouble between a worker and its hub: how to make it, and what the worker says about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from rig.asking import Answer
from rig.files import place
from rig.hub_namespace import HubNamespace
from rig.tcf_processes import TcfProcess

Json = dict[str, Any]


def table(term: int, *roles: str, **more: Any) -> Json:
    """A status written by hand: the roles of cluster_1, cluster_2 and so on."""
    rows = [{"id": f"cluster_{n}", "name": f"cluster{n}", "status": r} for n, r in enumerate(roles, 1)]
    active = next((row["id"] for row in rows if row["status"] == "active"), "")
    return {"protocol": 1, "term": term, "activeCluster": active, "clusters": rows, **more}


def variant(hub: HubNamespace, path: Path, change: Callable[[Json, Json], object]) -> Path:
    """A kubeconfig at `path` with its cluster and its user changed; replaced as editors do it."""
    config = yaml.safe_load(hub.kubeconfig.read_text())
    change(config["clusters"][0]["cluster"], config["users"][0]["user"])
    return place(path, yaml.safe_dump(config))


def with_plugin(command: str) -> Callable[[Json, Json], None]:
    """A user who gets in with an exec plugin only."""

    def change(_: Json, user: Json) -> None:
        user.clear()
        version = "client.authentication.k8s.io/v1"
        user["exec"] = {"apiVersion": version, "command": command, "interactiveMode": "Never"}

    return change


def complaints(worker: TcfProcess, start: int = 0) -> list[str]:
    """Its complaints (from this position in its log on), except those about refused POSTs."""
    found = re.findall(r"^\S+ (?:WARNING|ERROR) +(.*?)  federation=", worker.log[start:], re.MULTILINE)
    lines = [str(line) for line in found]
    return [line for line in lines if " refused: " not in line]


def attempts(worker: TcfProcess) -> int:
    """How many watches have failed. Only the debug log says so."""
    return len(re.findall(r"^\S+ DEBUG +watch: ", worker.log, re.MULTILINE))


def check_no_answer(answer: Answer, reason: str | None = None) -> None:
    assert answer.status == 500
    assert answer.reason
    assert reason in {None, answer.reason}
    assert answer.error
    assert answer.headers["X-TCF-Cluster"] == "cluster_1"
    assert "X-TCF-Term" not in answer.headers
