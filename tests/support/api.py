"""Looking at the hub as a platform engineer does, and asking a program as a load balancer does."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
import yaml
from controlplane.client import ControlPlane

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0
"""Seconds that anything awaited may take: never reached when all is well, however slow the machine."""

T = TypeVar("T")


class Kubectl(Protocol):
    def __call__(
        self, *args: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]: ...


def bound_kubectl(program: str, kubeconfig: str, namespace: str) -> Kubectl:
    """kubectl for one namespace; with `check`, a failure is one of the test."""

    def call(*args: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        run = [program, "--kubeconfig", kubeconfig, "-n", namespace]
        done = subprocess.run([*run, *args], input=stdin, capture_output=True, text=True, check=False)
        if check and done.returncode:
            pytest.fail(f"kubectl {' '.join(args)}: {done.stderr}")
        return done

    return call


def kubectl_of(plane: ControlPlane, namespace: str = "default") -> Kubectl:
    """kubectl for a namespace of a control plane of the test's own."""
    return bound_kubectl(str(plane.kubectl), str(plane.kubeconfig), namespace)


@contextlib.contextmanager
def own_namespace(control_plane: Mapping[str, str]) -> Iterator[Hub]:
    """A namespace on the control plane that tests share."""
    program, kubeconfig = control_plane["kubectl"], control_plane["kubeconfig"]
    name = f"test-{secrets.token_hex(4)}"
    kubectl = bound_kubectl(program, kubeconfig, name)
    kubectl("create", "namespace", name)
    try:
        yield Hub(kubectl, name, Path(kubeconfig))
    finally:
        # There is no namespace controller; deleting the objects is what keeps other tests' watches small.
        kubectl("delete", "cfed,leases", "--all", "--wait=false", check=False)


def install_crd(plane: ControlPlane) -> None:
    """Apply the CRD to a control plane of the test's own, and wait until it is served."""
    apply_crd(kubectl_of(plane))


def apply_crd(kubectl: Kubectl, path: Path = ROOT / "crds") -> None:
    """Apply the CRD, or that of another release, and wait until it is served."""
    kubectl("apply", "--server-side", "-f", str(path))
    kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(path))
    eventually(lambda: not kubectl("get", "cfed", check=False).returncode, what="the kind is served")


def eventually(ask: Callable[[], T | None], *, what: str, patience: float = PATIENCE) -> T:
    """The first true answer of `ask`, which is asked again and again; fails after `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"not within {patience} s: {what} (last answer: {answer!r})")
        time.sleep(0.02)


@dataclass
class Hub:
    """The test's namespace on the hub, as a platform engineer sees it."""

    kubectl: Kubectl
    namespace: str
    kubeconfig: Path

    @property
    def token(self) -> str:
        """The secret in the kubeconfig."""
        token: str = yaml.safe_load(self.kubeconfig.read_text())["users"][0]["user"]["token"]
        return token

    @property
    def server(self) -> str:
        """Its URL."""
        server: str = yaml.safe_load(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        return server

    def apply(self, name: str = "shop", **spec: Any) -> dict[str, Any]:
        """Create or change a federation of cluster_1 and cluster_2."""
        defaults = {
            "clusters": [{"id": "cluster_1", "name": "cluster1"}, {"id": "cluster_2", "name": "cluster2"}],
            "activeCluster": "cluster_1",
        }
        manifest = {
            "apiVersion": "tcf.dev/v1alpha1",
            "kind": "ClusterFederation",
            "metadata": {"name": name},
            "spec": {k: v for k, v in {**defaults, **spec}.items() if v is not None},
        }
        self.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
        return self.get(name)

    def get(self, name: str = "shop") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", "cfed", name, "-o", "json").stdout)
        return found

    def status(self, name: str = "shop") -> dict[str, Any]:
        found: dict[str, Any] = self.get(name).get("status") or {}
        return found

    def set_status(self, status: dict[str, Any] | None, name: str = "shop") -> None:
        """Stage any situation: replace the whole status (None: remove it), whoever else writes."""
        change = {"op": "add", "value": status} if status is not None else {"op": "remove"}
        # kubectl reads -p as YAML, which knows no surrogate pairs: characters stay as they are.
        patch = json.dumps([{**change, "path": "/status"}], ensure_ascii=False)
        self.kubectl("patch", "cfed", name, "--subresource=status", "--type=json", "-p", patch)

    def leases(self) -> list[dict[str, Any]]:
        """Those of workers."""
        found = json.loads(self.kubectl("get", "leases", "-l", "tcf.dev/federation", "-o", "json").stdout)
        items: list[dict[str, Any]] = found["items"]
        return items

    def roles(self, name: str = "shop") -> dict[str, str]:
        return {row["id"]: row["status"] for row in self.status(name).get("clusters", [])}

    def service_account(self, name: str) -> Account:
        self.kubectl("create", "serviceaccount", name)
        return Account(self, name, self.kubectl("create", "token", name).stdout.strip())


@dataclass(frozen=True)
class Account:
    """A ServiceAccount in the test's namespace, with no right at first."""

    hub: Hub
    name: str
    token: str

    @property
    def user(self) -> str:
        return f"system:serviceaccount:{self.hub.namespace}:{self.name}"

    def kubeconfig(self, path: Path) -> Path:
        config = yaml.safe_load(self.hub.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": self.token}
        return place(path, yaml.safe_dump(config))

    def grant(self, role: str, verbs: str, resource: str, *more: str) -> None:
        """A role of its own for each grant, so that it can be taken back by name."""
        self.hub.kubectl("create", "role", role, f"--verb={verbs}", f"--resource={resource}", *more)
        self.bind(role, role)

    def bind(self, name: str, role: str) -> None:
        account = f"{self.hub.namespace}:{self.name}"
        self.hub.kubectl("create", "rolebinding", name, f"--role={role}", f"--serviceaccount={account}")

    def may(self, verb: str, resource: str, *more: str) -> bool:
        asked = self.hub.kubectl("auth", "can-i", verb, resource, *more, f"--as={self.user}", check=False)
        return asked.stdout.strip() == "yes"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def reason(self) -> str | None:
        return self.headers.get("X-TCF-Reason")

    @property
    def error(self) -> str:
        """The message of an error, whose body must have nothing else in it."""
        value = json.loads(self.body)
        assert set(value) == {"error"}
        message: str = value["error"]
        return message


def ask(
    port: int, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Answer:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE * 3)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def place(path: Path, text: str) -> Path:
    """Write a file as whoever rotates it does: at once, never half."""
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(text)
    beside.rename(path)
    return path


def free_port(count: int = 1) -> int:
    """A free port; with a count, the first of so many in a row."""
    while True:
        with contextlib.ExitStack() as stack:
            first = 0
            try:
                for offset in range(count):
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", first + offset if first else 0))
                    first = first or probe.getsockname()[1]
            except OSError:
                continue
            return first
