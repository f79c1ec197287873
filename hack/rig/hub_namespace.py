"""A namespace on the hub, as a platform engineer sees it: federations, Leases, ServiceAccounts."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rig.files import place
from rig.kubectl import Kubectl, bound_kubectl


@dataclass
class HubNamespace:
    """A namespace on the hub, as a platform engineer sees it."""

    kubectl: Kubectl
    namespace: str
    kubeconfig: Path

    @property
    def token(self) -> str:
        """The token in the kubeconfig."""
        token: str = yaml.safe_load(self.kubeconfig.read_text())["users"][0]["user"]["token"]
        return token

    @property
    def server(self) -> str:
        """The URL of the hub."""
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
        """Replace the whole status (None: remove it), even if a program writes it meanwhile."""
        change = {"op": "add", "value": status} if status is not None else {"op": "remove"}
        # kubectl reads -p as YAML, which has no surrogate pairs. So characters stay as they are.
        patch = json.dumps([{**change, "path": "/status"}], ensure_ascii=False)
        self.kubectl("patch", "cfed", name, "--subresource=status", "--type=json", "-p", patch)

    def leases(self) -> list[dict[str, Any]]:
        """The Leases of workers."""
        found = json.loads(self.kubectl("get", "leases", "-l", "tcf.dev/federation", "-o", "json").stdout)
        items: list[dict[str, Any]] = found["items"]
        return items

    def roles(self, name: str = "shop") -> dict[str, str]:
        return {row["id"]: row["status"] for row in self.status(name).get("clusters", [])}

    def service_account(self, name: str) -> ServiceAccount:
        self.kubectl("create", "serviceaccount", name)
        return ServiceAccount(self, name, self.kubectl("create", "token", name).stdout.strip())


@dataclass(frozen=True)
class ServiceAccount:
    """A ServiceAccount in such a namespace. At first it has no rights."""

    hub: HubNamespace
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
        """Grant rights with a Role of their own, which can be removed by its name."""
        self.hub.kubectl("create", "role", role, f"--verb={verbs}", f"--resource={resource}", *more)
        self.bind(role, role)

    def bind(self, name: str, role: str) -> None:
        account = f"{self.hub.namespace}:{self.name}"
        self.hub.kubectl("create", "rolebinding", name, f"--role={role}", f"--serviceaccount={account}")

    def may(self, verb: str, resource: str, *more: str) -> bool:
        asked = self.hub.kubectl("auth", "can-i", verb, resource, *more, f"--as={self.user}", check=False)
        return asked.stdout.strip() == "yes"


@contextlib.contextmanager
def own_namespace(control_plane: Mapping[str, str]) -> Iterator[HubNamespace]:
    """A new namespace on a control plane that others use as well."""
    program, kubeconfig = control_plane["kubectl"], control_plane["kubeconfig"]
    name = f"test-{secrets.token_hex(4)}"
    kubectl = bound_kubectl(program, kubeconfig, name)
    kubectl("create", "namespace", name)
    try:
        yield HubNamespace(kubectl, name, Path(kubeconfig))
    finally:
        # There is no namespace controller. Without these objects, the watches of others stay small.
        kubectl("delete", "cfed,leases", "--all", "--wait=false", check=False)
