"""Real programs against the real API: fixtures to start them, ask them and look at the hub."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from controlplane.plane import ControlPlane
from rig.admission_policies import confine, install_policies
from rig.files import ROOT
from rig.hub_namespace import HubNamespace, own_namespace
from rig.kubectl import Kubectl, apply_crd, bound_kubectl, install_crd, kubectl_of
from rig.patience import eventually
from rig.tcf_processes import TcfProcesses
from support.certificate_authority import CertificateAuthority
from support.chart import Helm
from support.holds_server import HoldsServer
from support.oidc_issuer import OidcIssuer
from support.run_process import RunProcess


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


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    """Whom the clients of a file's servers trust."""
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def issuer(authority: CertificateAuthority) -> Iterator[OidcIssuer]:
    """An OpenID Connect issuer for the tests of a file."""
    with OidcIssuer(authority) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def plane_with_issuer(
    issuer: OidcIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """A control plane that takes the issuer's tokens, for the tests of a file."""
    config = issuer.authentication_config(tmp_path_factory.mktemp("api-server") / "authentication.json")
    with ControlPlane.start("--authentication-config", config) as plane:
        install_crd(plane)
        kubectl, token = kubectl_of(plane), issuer.token("anybody")
        eventually(
            lambda: "oidc:anybody" in kubectl("auth", "whoami", f"--token={token}", check=False).stdout,
            what="the API server takes the issuer's tokens",
        )
        yield {"kubectl": str(plane.kubectl), "kubeconfig": str(plane.kubeconfig), "server": plane.server}


@pytest.fixture
def worker() -> Iterator[HoldsServer]:
    """A stand-in for a worker, for tcf-run. The member is passive at first."""
    with HoldsServer() as server:
        yield server


@pytest.fixture
def runs(worker: HoldsServer, tmp_path: Path) -> Iterator[Callable[..., RunProcess]]:
    """Starts a tcf-run that asks the stand-in. At the end of the test, all that is left is killed."""
    started: list[RunProcess] = []

    def start(*options: str, **how: Any) -> RunProcess:
        run = RunProcess(tmp_path, worker.url, *options, server=worker, **how)
        started.append(run)
        return run

    try:
        yield start
    finally:
        for run in started:
            run.close()


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
