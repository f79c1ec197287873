"""Backups of etcd, made and restored as people do it: with the control plane stopped meanwhile."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from controlplane.plane import ControlPlane

from rig.files import ROOT

_BUMP = 1_000_000
_CLUSTER = ("--name=etcd", "--initial-cluster=etcd=http://127.0.0.1:2380")
"""As the control plane starts it."""


def etcdutl() -> Path:
    """The program, built if it is not there."""
    run = (sys.executable, ROOT / "hack/controlplane", "etcdutl")
    return Path(subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip())


class Backups:
    """One backup of a control plane, kept in `folder`."""

    def __init__(self, plane: ControlPlane, folder: Path, program: Path) -> None:
        self._plane = plane
        self._data = plane.kubeconfig.parent / "etcd"
        self._kept = folder / "snapshot.db"
        self._program = program

    def take(self) -> None:
        """Back up what etcd has now; this replaces an earlier backup. The hub is down for a moment."""
        self._plane.stop_component("etcd")
        shutil.copy(self._data / "member" / "snap" / "db", self._kept)
        self._plane.start_component("etcd")

    def restore(self, *, bump: bool) -> None:
        """Restore the backup. With `bump`, resource versions go on above all lost ones, as it should be."""
        for component in ("kube-apiserver", "etcd"):
            self._plane.kill_component(component)
        shutil.rmtree(self._data)
        bumped = (f"--bump-revision={_BUMP}", "--mark-compacted") if bump else ()
        subprocess.run(
            [
                *(self._program, "snapshot", "restore", self._kept, "--skip-hash-check"),
                *(f"--data-dir={self._data}", "--initial-advertise-peer-urls=http://127.0.0.1:2380"),
                *(*_CLUSTER, *bumped),
            ],
            check=True,
            capture_output=True,
        )
        for component in ("etcd", "kube-apiserver"):
            self._plane.start_component(component)
