"""Real programs against the real API: fixtures to start them, ask them and look at the hub."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.api import ROOT, Hub, Kubectl, eventually
from support.chart import Helm
from support.programs import Programs


@pytest.fixture(scope="session")
def crd(control_plane: dict[str, str]) -> None:
    """The CRD, installed and served."""
    run = [control_plane["kubectl"], "--kubeconfig", control_plane["kubeconfig"]]
    path = str(ROOT / "crds")
    subprocess.run([*run, "apply", "--server-side", "-f", path], check=True, capture_output=True)
    subprocess.run(
        [*run, "wait", "--for=condition=Established", "--timeout=60s", "-f", path],
        check=True,
        capture_output=True,
    )

    def discovered() -> bool:
        return not subprocess.run([*run, "get", "cfed"], check=False, capture_output=True).returncode

    eventually(discovered, what="the API server serves the kind")


@pytest.fixture
def namespace(control_plane: dict[str, str], crd: None) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"test-{secrets.token_hex(4)}"
    run = [control_plane["kubectl"], "--kubeconfig", control_plane["kubeconfig"]]
    subprocess.run([*run, "create", "namespace", name], check=True, capture_output=True)
    yield name
    # There is no namespace controller; deleting the objects is what keeps other tests' watches small.
    subprocess.run(
        [*run, "-n", name, "delete", "cfed,leases", "--all", "--wait=false"], check=False, capture_output=True
    )


@pytest.fixture
def kubectl(control_plane: dict[str, str], namespace: str) -> Kubectl:
    """kubectl, bound to the control plane and the test's namespace."""
    run = [control_plane["kubectl"], "--kubeconfig", control_plane["kubeconfig"], "-n", namespace]

    def call(*args: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([*run, *args], input=stdin, capture_output=True, text=True, check=False)
        if check and done.returncode:
            pytest.fail(f"kubectl {' '.join(args)}: {done.stderr}")
        return done

    return call


@pytest.fixture
def hub(kubectl: Kubectl, namespace: str, control_plane: dict[str, str]) -> Hub:
    return Hub(kubectl, namespace, Path(control_plane["kubeconfig"]))


@pytest.fixture
def programs(hub: Hub, tmp_path: Path) -> Iterator[Programs]:
    started = Programs(hub, tmp_path)
    try:
        yield started
    finally:
        started.close()


@pytest.fixture(scope="session")
def helm() -> Path:
    """The program, which `make test` has built."""
    found = subprocess.run(
        [sys.executable, ROOT / "hack/controlplane", "helm"], capture_output=True, text=True, check=True
    )
    return Path(found.stdout.strip())


@pytest.fixture
def chart(helm: Path, tmp_path: Path) -> Helm:
    return Helm(helm, tmp_path)
