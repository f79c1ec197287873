"""kubectl for one namespace, and the CRD."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Protocol

from controlplane.plane import ControlPlane

from rig.files import ROOT
from rig.patience import RigError, eventually


class Kubectl(Protocol):
    """Runs kubectl with some arguments. Raises RigError if it fails, unless `check` is False."""

    def __call__(
        self, *args: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]: ...


def bound_kubectl(program: str, kubeconfig: str, namespace: str) -> Kubectl:
    """kubectl for one namespace."""

    def call(*args: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        run = [program, "--kubeconfig", kubeconfig, "-n", namespace]
        done = subprocess.run([*run, *args], input=stdin, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise RigError(f"kubectl {' '.join(args)}: {done.stderr}")
        return done

    return call


def kubectl_of(plane: ControlPlane, namespace: str = "default") -> Kubectl:
    """kubectl for a namespace of this control plane."""
    return bound_kubectl(str(plane.kubectl), str(plane.kubeconfig), namespace)


def install_crd(plane: ControlPlane) -> None:
    """Apply the CRD to this control plane, and wait until it is served."""
    apply_crd(kubectl_of(plane))


def apply_crd(kubectl: Kubectl, path: Path = ROOT / "crds") -> None:
    """Apply the CRD (or the one of another release, at `path`), and wait until it is served."""
    kubectl("apply", "--server-side", "-f", str(path))
    # Not `kubectl wait`: it fails as long as the CRD has no conditions at all.
    eventually(lambda: not kubectl("get", "cfed", check=False).returncode, what="the kind is served")
