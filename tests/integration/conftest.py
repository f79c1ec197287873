"""Real programs against the real API: fixtures to start them, ask them and look at the hub."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.admission_policies import confine, install_policies
from rig.files import ROOT
from rig.hub_namespace import HubNamespace, own_namespace
from rig.kubectl import Kubectl, apply_crd, bound_kubectl
from rig.tcf_processes import TcfProcesses
from support.chart import Helm


@pytest.fixture(scope="session")
def crd(control_plane: dict[str, str]) -> None:
    """The CRD, installed and served."""
    apply_crd(bound_kubectl(control_plane["kubectl"], control_plane["kubeconfig"], "default"))


@pytest.fixture
def hub(control_plane: dict[str, str], crd: None) -> Iterator[HubNamespace]:
    """A namespace of the test's own."""
    with own_namespace(control_plane) as hub:
        yield hub


@pytest.fixture
def namespace(hub: HubNamespace) -> str:
    """Its name."""
    return hub.namespace


@pytest.fixture
def kubectl(hub: HubNamespace) -> Kubectl:
    """kubectl, bound to the control plane and the test's namespace."""
    return hub.kubectl


@pytest.fixture(scope="session")
def policies(control_plane: dict[str, str], crd: None) -> None:
    """The admission policies, installed and in effect in namespaces that a test has confined."""
    with own_namespace(control_plane) as hub:
        install_policies(hub)


@pytest.fixture
def confined(hub: HubNamespace, policies: None) -> HubNamespace:
    """The test's namespace, with the admission policies."""
    confine(hub)
    return hub


@pytest.fixture
def programs(hub: HubNamespace, tmp_path: Path) -> Iterator[TcfProcesses]:
    started = TcfProcesses(hub, tmp_path)
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
