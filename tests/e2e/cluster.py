"""A real cluster with the image in it: helm and kubectl as people use them, workers asked through the API."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import urllib3
from rig.asking import Answer
from rig.files import ROOT
from rig.patience import RigError, eventually
from support.chart import CHART

from e2e.port_forward import PortForwards
from tcf.hub import credentials
from tcf.hub.credentials import Connection

Json = dict[str, Any]
MEMBERS = ("cluster_1", "cluster_2")
PORT = 8080
PATIENCE = 120.0
"""Seconds that anything awaited may take: pulling nothing, but starting Pods on a small machine."""


_FOLDERS = {
    "pods": "api/v1",
    "leases": "apis/coordination.k8s.io/v1",
    "endpointslices": "apis/discovery.k8s.io/v1",
    "clusterfederations": "apis/tcf.dev/v1alpha1",
}


def dashed(member: str) -> str:
    """A member's id as it is in names of objects."""
    return member.replace("_", "-")


@dataclass
class Cluster:
    """The cluster of a kubeconfig, in which `image` can be run."""

    kubeconfig: Path
    image: str
    program: Path
    helm_program: Path
    _api: Connection = field(init=False)
    _pool: urllib3.PoolManager = field(init=False)

    def __post_init__(self) -> None:
        self._api = asyncio.run(credentials.kubeconfig(self.kubeconfig)())
        self._pool = urllib3.PoolManager(maxsize=20, ssl_context=self._api.tls)

    def api(self, method: str, path: str) -> Answer:
        """One request to the API server."""
        headers = {"Authorization": self._api.authorization} if self._api.authorization else {}
        answer = self._pool.request(
            method, self._api.server + path, headers=headers, retries=False, timeout=PATIENCE
        )
        return Answer(answer.status, dict(answer.headers), answer.data)

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True) -> str:
        command = [str(self.program), "--kubeconfig", str(self.kubeconfig), *args]
        return _run(command, stdin=stdin, check=check)

    def helm(self, *args: str | Path, check: bool = True) -> str:
        command = [str(self.helm_program), "--kubeconfig", str(self.kubeconfig), *map(str, args)]
        return _run(command, check=check)

    @contextlib.contextmanager
    def watching(self, namespace: str, kind: str) -> Iterator[list[tuple[float, str, Json]]]:
        """Every event of a kind in a namespace, as it comes: (monotonic seconds, type, object)."""
        seen: list[tuple[float, str, Json]] = []
        command = [str(self.program), "--kubeconfig", str(self.kubeconfig), "-n", namespace, "get", kind]
        command += ["--watch", "--output-watch-events", "-o", "json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:

            def read() -> None:
                text = ""
                assert process.stdout
                for line in process.stdout:
                    text += line
                    with contextlib.suppress(json.JSONDecodeError):  # not all of it yet
                        value = json.loads(text)
                        seen.append((time.monotonic(), value["type"], value["object"]))
                        text = ""

            reader = threading.Thread(target=read)
            reader.start()
            try:
                yield seen
            finally:
                process.terminate()
                reader.join()

    @property
    def image_values(self) -> str:
        """The chart's values for the image."""
        repository, _, tag = self.image.rpartition(":")
        return f"image.repository={repository},image.tag={tag}"


def _run(command: list[str], *, stdin: str | None = None, check: bool = True) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode:
        pytest.fail(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


@dataclass(frozen=True)
class Namespace:
    """A namespace of the test's own, in which the restricted Pod Security Standard is enforced."""

    cluster: Cluster
    name: str

    @functools.cached_property
    def forwards(self) -> PortForwards:
        return PortForwards(self.kubectl_command, PORT)

    @property
    def kubectl_command(self) -> list[str | Path]:
        cluster = self.cluster
        return [cluster.program, "--kubeconfig", cluster.kubeconfig, "--namespace", self.name]

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True) -> str:
        return self.cluster.kubectl("-n", self.name, *args, stdin=stdin, check=check)

    def helm(self, *args: str | Path, check: bool = True) -> str:
        return self.cluster.helm("--namespace", self.name, *args, check=check)

    def install(self, *values: str, verb: str = "install", chart: Path = CHART) -> str:
        """Install the chart as release tcf-operator, or upgrade it, and wait until all of it is ready."""
        options = [option for value in (self.cluster.image_values, *values) for option in ("--set", value)]
        # The CRD may have been left by another test's release.
        options += ["--take-ownership", "--wait", "--timeout=3m"]
        return self.helm(verb, "tcf-operator", chart, *options)

    def get(self, what: str, name: str) -> Json:
        """An object, or {} if there is none."""
        return self._read(what, f"/{name}")

    def items(self, what: str, selector: str = "") -> list[Json]:
        items: list[Json] = self._read(what, f"?labelSelector={quote(selector)}")["items"]
        return items

    def _read(self, what: str, rest: str) -> Json:
        answer = self.cluster.api("GET", f"/{_FOLDERS[what]}/namespaces/{self.name}/{what}{rest}")
        assert answer.status in {200, 404}, answer
        found: Json = json.loads(answer.body)
        return found if answer.status == 200 else {}

    def status(self, name: str = "shop") -> Json:
        status: Json = self.get("clusterfederations", name).get("status", {})
        return status

    def condition(self, kind: str, name: str = "shop") -> Json:
        return next((c for c in self.status(name).get("conditions", ()) if c["type"] == kind), {})

    def active(self) -> str:
        return str(self.status().get("activeCluster", ""))

    def await_active(self, member: str) -> None:
        self.eventually(lambda: self.active() == member, what=f"{member} is active")

    def await_active_worker(self, service: str) -> None:
        """Wait until a worker behind this Service has seen that its member is active."""
        self.eventually(
            lambda: self.ask(f"services/{service}", "GET", "/tcf/status").body == b"active",
            what=f"{service} answers that its member is active",
        )

    def eventually(self, reached: Callable[[], object], *, what: str) -> None:
        def ask() -> object:
            return reached() or None

        try:
            eventually(ask, what=what, patience=PATIENCE)
        except RigError:
            print(self.kubectl("get", "cfed,pods,leases,events", check=False))  # noqa: T201 - shown on failure
            raise

    def pods(self, selector: str) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.items("pods", selector)]

    def ask(self, whom: str, method: str, path: str) -> Answer:
        """One request to a worker. `whom`: pods/NAME or services/NAME, which is asked by way of the API."""
        return self.cluster.api(method, f"/api/v1/namespaces/{self.name}/{whom}:{PORT}/proxy{path}")

    def switcher(self, role: str) -> str:
        """The token of a new account with this Role."""
        name = f"with-{role}"
        self.kubectl("create", "serviceaccount", name)
        self.kubectl("create", "rolebinding", name, f"--role={role}", f"--serviceaccount={self.name}:{name}")
        return self.kubectl("create", "token", name, "--audience=tcf.dev").strip()

    def post(self, whom: str, path: str, token: str) -> Answer:
        answer = self.forwards.ask(whom, "POST", path, token)
        assert answer.status == 200, answer
        return answer


def endpoints(slices: list[Json], service: str) -> set[str]:
    """The Pods that a Service sends requests to, by its EndpointSlices."""
    return {
        endpoint["targetRef"]["name"]
        for each in slices
        if each["metadata"]["labels"].get("kubernetes.io/service-name") == service
        for endpoint in each.get("endpoints") or ()
        if endpoint.get("conditions", {}).get("ready")
    }


def tool(name: str) -> Path:
    """kubectl or helm, as built for the project."""
    command = "helm" if name == "helm" else "build"
    built = _run([sys.executable, str(ROOT / "hack/controlplane"), command]).strip()
    return Path(built) if name == "helm" else Path(built) / name
