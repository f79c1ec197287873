"""The cluster that holds the demo's federation. It needs no kubectl."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from controlplane.plane import ControlPlane
from rig.files import ROOT

from demo.demo_home import FEDERATION, NAMESPACE, PATIENCE, DemoError, DemoHome, say
from tcf.hub import errors, federations, worker_leases
from tcf.hub.client import MERGE_PATCH, HubClient, folder
from tcf.hub.credentials import Credentials, kubeconfig
from tcf.hub.sessions import JSON

Json = dict[str, Any]
CRD = "clusterfederations.tcf.dev"
MARK = "tcf.dev/demo"
"""The label of a namespace, or a CRD, that a demo has made and may remove."""
_NAMESPACES = "/api/v1/namespaces"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_FEDERATIONS = folder(federations.GROUP, federations.VERSION, federations.PLURAL, NAMESPACE)
_ALL_FEDERATIONS = folder(federations.GROUP, federations.VERSION, federations.PLURAL, None)
_LEASES = folder(worker_leases.GROUP, worker_leases.VERSION, worker_leases.PLURAL, NAMESPACE)


class DemoHub:
    """Requests to the cluster's API, one after the other."""

    def __init__(self, path: Path, kubectl: Path | None) -> None:
        """`path`: of the kubeconfig; `kubectl`: for people, if there is one."""
        self.kubeconfig = path
        self.kubectl = kubectl
        self._runner = asyncio.Runner()
        self._client = HubClient(Credentials(kubeconfig(path)), user_agent="tcf-demo")

    def close(self) -> None:
        self._runner.run(self._client.close())
        self._runner.close()

    def apply_federation(self) -> None:
        """Create the federation of examples/shop.yaml."""
        self._create(_FEDERATIONS, yaml.safe_load((ROOT / "examples/shop.yaml").read_text()))

    def change_federation(self, spec: Json) -> None:
        path = f"{_FEDERATIONS}/{FEDERATION}"
        self._request("PATCH", path, body={"spec": spec}, content_type=MERGE_PATCH)

    def active_cluster(self) -> str:
        """What the status of the federation says."""
        status: Json = self._request("GET", f"{_FEDERATIONS}/{FEDERATION}").get("status", {})
        return str(status.get("activeCluster", ""))

    def lease_durations(self) -> set[int]:
        """The durations in the Leases of workers, in seconds."""
        items = self._request("GET", _LEASES, params={"labelSelector": "tcf.dev/federation"})["items"]
        return {item["spec"].get("leaseDurationSeconds", 0) for item in items}

    def latest_in_history(self) -> Json:
        """The request that has ended last."""
        latest: Json = self._request("GET", f"{_FEDERATIONS}/{FEDERATION}")["status"]["history"][0]
        return latest

    def new_account(self, name: str, *rules: Json, audience: str = "") -> str:
        """Create a ServiceAccount with these rights, and a token of it (by default, for the hub itself)."""
        accounts = f"{_NAMESPACES}/{NAMESPACE}/serviceaccounts"
        self._create(accounts, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
        if rules:
            self.grant(name, name, *rules)
        spec = {"audiences": [audience] if audience else [], "expirationSeconds": 24 * 3600}
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        token: str = self._request("POST", f"{accounts}/{name}/token", body=review)["status"]["token"]
        return token

    def grant(self, account: str, role: str, *rules: Json) -> None:
        """Give a ServiceAccount rights in the namespace, by a Role of that name."""
        self._grant(f"{_RBAC}/namespaces/{NAMESPACE}", "", [account], role, rules)

    def grant_everywhere(self, accounts: Iterable[str], role: str, *rules: Json) -> None:
        """The same in the whole cluster, for several ServiceAccounts."""
        self._grant(_RBAC, "Cluster", accounts, role, rules)

    def _grant(
        self, path: str, scope: str, accounts: Iterable[str], role: str, rules: Iterable[Json]
    ) -> None:
        group = "rbac.authorization.k8s.io"
        named = {"apiVersion": f"{group}/v1", "metadata": {"name": role, "labels": {MARK: "true"}}}
        kind = f"{scope}Role"
        folder_ = f"{path}/{kind.lower()}"
        self._create(f"{folder_}s", {**named, "kind": kind, "rules": list(rules)})
        reference = {"apiGroup": group, "kind": kind, "name": role}
        subjects = [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE} for name in accounts]
        binding = {**named, "kind": f"{kind}Binding", "roleRef": reference, "subjects": subjects}
        self._create(f"{folder_}bindings", binding)

    def bring_crd(self) -> None:
        """Create the CRD, unless the cluster has it: then it belongs to somebody else, such as Helm."""
        if self._found(f"{_CRDS}/{CRD}"):
            say("  (The cluster has the CRD already. The demo uses it as it is.)")
            return
        for path in sorted((ROOT / "crds").glob("*.yaml")):
            crd = yaml.safe_load(path.read_text())
            crd["metadata"].setdefault("labels", {})[MARK] = "true"
            self._create(_CRDS, crd)
        self._until(self._served, "the API serves ClusterFederations")

    def bring_namespace(self) -> None:
        """Create the namespace.

        Raises:
            DemoError: there is one by that name that no demo has made.
        """
        if found := self._found(f"{_NAMESPACES}/{NAMESPACE}"):
            if MARK not in found["metadata"].get("labels", {}):
                raise DemoError(
                    f"the namespace {NAMESPACE} exists already and no demo has made it: delete or rename it"
                )
            say(f"Removing the namespace {NAMESPACE} of an earlier demo ...")
            self._remove(f"{_NAMESPACES}/{NAMESPACE}")
        metadata = {"name": NAMESPACE, "labels": {MARK: "true"}}
        self._create(_NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def clean_up(self) -> None:
        """Leave somebody else's cluster as it was: remove what bears the mark, which a demo has made."""
        marked = {"labelSelector": f"{MARK}=true"}
        for kind in ("clusterrolebindings", "clusterroles"):
            self._request("DELETE", f"{_RBAC}/{kind}", params=marked)
        namespace = self._found(f"{_NAMESPACES}/{NAMESPACE}")
        if namespace and MARK in namespace["metadata"].get("labels", {}):
            say(f"Removing the namespace {NAMESPACE} ...")
            self._remove(f"{_NAMESPACES}/{NAMESPACE}")
        crd = self._found(f"{_CRDS}/{CRD}")
        labels = crd["metadata"].get("labels", {}) if crd else {}
        # Helm may have taken over a CRD that a demo had left behind.
        if MARK not in labels or labels.get("app.kubernetes.io/managed-by") == "Helm":
            return
        if others := self._request("GET", _ALL_FEDERATIONS)["items"]:
            unmark = {"metadata": {"labels": {MARK: None}}}
            self._request("PATCH", f"{_CRDS}/{CRD}", body=unmark, content_type=MERGE_PATCH)
            say(f"The CRD stays: {len(others)} federations of others use it by now.")
            return
        self._remove(f"{_CRDS}/{CRD}")

    def _served(self) -> bool:
        try:
            return "items" in self._ask("GET", _ALL_FEDERATIONS)
        except errors.HubError:  # at first, also 429
            return False

    def _create(self, path: str, manifest: Json) -> None:
        self._request("POST", path, body=manifest)

    def _found(self, path: str) -> Json | None:
        try:
            return self._ask("GET", path)
        except (errors.NotFoundError, errors.NamespaceUnusableError):
            return None
        except errors.HubError as error:
            raise DemoError(f"GET {path}: {error}") from error

    def _remove(self, path: str) -> None:
        self._request("DELETE", path)
        self._until(lambda: self._found(path) is None, f"{path} is gone", patience=2 * PATIENCE)

    def _until(self, reached: Callable[[], bool], what: str, *, patience: float = PATIENCE) -> None:
        deadline = time.monotonic() + patience
        while not reached():
            if time.monotonic() > deadline:
                raise DemoError(f"not within {patience:.0f} s: {what}")
            time.sleep(0.1)

    def _request(self, method: str, path: str, **more: Any) -> Json:
        """Send a request; whatever is wrong is a DemoError."""
        try:
            return self._ask(method, path, **more)
        except errors.HubError as error:
            raise DemoError(f"{method} {path}: {error}") from error

    def _ask(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        content_type: str = JSON,
        params: dict[str, str] | None = None,
    ) -> Json:
        request = self._client.request(
            method, path, body=body, content_type=content_type, params=params, deadline=PATIENCE
        )
        return self._runner.run(request)


@contextlib.contextmanager
def hub_of(home: DemoHome, cluster: Path | None) -> Iterator[DemoHub]:
    """The hub: the cluster of a kubeconfig, or a control plane that ends with the demo."""
    if cluster is not None:
        if not cluster.is_file():
            raise DemoError(f"there is no kubeconfig {cluster}")
        found = shutil.which("kubectl")
        with contextlib.closing(DemoHub(cluster.resolve(), Path(found) if found else None)) as hub:
            yield hub
        return
    say("Starting a Kubernetes API server and etcd (the first time, they are downloaded or built) ...")
    with ControlPlane.start("--without-kubectl") as plane:
        path = home.folder / "kubeconfig"
        path.unlink(missing_ok=True)
        shutil.copy(plane.kubeconfig, path)
        with contextlib.closing(DemoHub(path, plane.kubectl_found)) as hub:
            yield hub
