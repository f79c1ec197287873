"""`make demo`: a federation of two clusters on this machine, with a real Kubernetes API.

Starts a control plane (or uses the cluster of a kubeconfig), applies the CRD and `examples/shop.yaml`,
starts an operator and a worker for each member, and shows role changes until Ctrl-C. With --script it
plays the session that it tells people to try, checks every answer, and exits 0 or 1.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from controlplane.children import ControlPlaneError, Stopped, end, raise_when_stopped, spawn
from controlplane.plane import ControlPlane

ROOT = Path(__file__).resolve().parents[1]
NAMESPACE = "tcf-demo"
CRD = "clusterfederations.tcf.dev"
MARK = "tcf.dev/demo"
"""The label of a namespace, or a CRD, that a demo has made and may remove."""
FEDERATION = "shop"
CLUSTERS = ("cluster_1", "cluster_2")
PATIENCE = 60.0
"""Seconds that any step may take before the demo gives up."""

ROLES_1 = (
    '[{"status":"active","name":"cluster1","id":"cluster_1"},'
    '{"status":"passive","name":"cluster2","id":"cluster_2"}]'
)
ROLES_2 = (
    '[{"status":"passive","name":"cluster1","id":"cluster_1"},'
    '{"status":"active","name":"cluster2","id":"cluster_2"}]'
)
DURATIONS = "jsonpath={.items[*].spec.leaseDurationSeconds}"
ROLES_NONE = ROLES_1.replace('"active"', '"passive"')


class DemoError(Exception):
    """Why the demo cannot go on, in words for a person."""


@dataclass(frozen=True)
class Answer:
    """What a worker says: HTTP status and body, or status 0 and why nothing answers."""

    status: int
    body: str
    term: str = ""


@dataclass(frozen=True)
class Place:
    """Where a demo lives: a folder, and three ports from `port` on, of the workers and the operator."""

    home: Path
    port: int

    def of(self, cluster: str) -> int:
        """The port of a member's worker."""
        return self.port + CLUSTERS.index(cluster)

    @property
    def operator(self) -> int:
        return self.port + len(CLUSTERS)


def ask(place: Place, method: str, cluster: str, path: str) -> Answer:
    """One request to the worker of a member."""
    connection = http.client.HTTPConnection("127.0.0.1", place.of(cluster), timeout=PATIENCE)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read().decode()
        return Answer(response.status, body, response.headers.get("X-TCF-Term", ""))
    except OSError as error:
        return Answer(0, f"no answer ({error.strerror or error})")
    finally:
        connection.close()


@dataclass(frozen=True)
class Hub:
    """The cluster that holds the federation."""

    kubectl: str
    kubeconfig: Path
    cache: Path

    def run(self, *args: str, stdin: str | None = None) -> str:
        """Run kubectl in the demo's namespace; its output."""
        done = subprocess.run(
            [self.kubectl, "--kubeconfig", self.kubeconfig, "-n", NAMESPACE, *args],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "KUBECACHEDIR": str(self.cache)},
        )
        if done.returncode:
            raise DemoError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def status(self, path: str) -> str:
        return self.run("get", "cfed", FEDERATION, "-o", f"jsonpath={path}")


class Processes:
    """The operator and the workers; none outlives the demo."""

    def __init__(self, place: Place, kubeconfig: Path) -> None:
        self.place = place
        self._kubeconfig = kubeconfig
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, program: str, *args: str) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TCF_")}
        command = [Path(sys.executable).parent / program, "--kubeconfig", self._kubeconfig, *args]
        with self._log(name).open("wb") as log:
            self._running[name] = spawn(
                [str(part) for part in command], cwd=self.place.home, output=log, env=environment
            )

    def kill(self, name: str) -> None:
        """SIGKILL: what a crash looks like to the others."""
        end(self._running.pop(name), grace=0)

    def check(self) -> None:
        """Raise DemoError if one has ended by itself."""
        for name, process in self._running.items():
            if process.poll() is not None:
                tail = "\n".join(self._log(name).read_text().splitlines()[-10:])
                raise DemoError(f"{name} ended with status {process.returncode}; its log ends:\n{tail}")

    def end(self) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            end(process, grace=10)

    def _log(self, name: str) -> Path:
        return self.place.home / f"{name}.log"


@contextlib.contextmanager
def hub_of(place: Place, cluster: Path | None) -> Iterator[Hub]:
    """The hub: the cluster of a kubeconfig, or a control plane that ends with the demo."""
    cache = place.home / "kubectl-cache"
    if cluster is not None:
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            raise DemoError("kubectl is not on PATH; it is needed to use an existing cluster")
        if not cluster.is_file():
            raise DemoError(f"there is no kubeconfig {cluster}")
        yield Hub(kubectl, cluster.resolve(), cache)
        return
    say("Starting a Kubernetes API server and etcd (built first if need be, about 5 minutes, once) ...")
    with ControlPlane.start() as plane:
        kubeconfig = place.home / "kubeconfig"
        kubeconfig.unlink(missing_ok=True)
        shutil.copy(plane.kubeconfig, kubeconfig)
        yield Hub(str(plane.kubectl), kubeconfig, cache)


@contextlib.contextmanager
def federation(place: Place, hub: Hub, *, own_cluster: bool) -> Iterator[Processes]:
    """The federation at work: everything applied and started, and ended and removed afterwards."""
    processes = Processes(place, hub.kubeconfig)
    try:
        say("Applying the CRD and examples/shop.yaml ...")
        bring_crd(hub)
        bring_namespace(hub)
        hub.run("apply", "-f", str(ROOT / "examples/shop.yaml"))
        say("Starting an operator and a worker for each of the two clusters ...")
        listen = f"127.0.0.1:{place.operator}"
        processes.start("operator", "tcf-operator", "--namespace", NAMESPACE, "--listen", listen)
        for cluster in CLUSTERS:
            start_worker(processes, cluster)
        for cluster, status in zip(CLUSTERS, (HTTPStatus.OK, HTTPStatus.IM_A_TEAPOT), strict=True):
            await_answer(processes, cluster, status)
        yield processes
    finally:
        say("Stopping ...")
        processes.end()
        if not own_cluster:
            remove(hub)


def bring_crd(hub: Hub) -> None:
    """Apply the CRD, unless the cluster has it: then it belongs to somebody else, Helm for example."""
    if hub.run("get", "crd", CRD, "--ignore-not-found", "-o", "name"):
        say("  (The cluster has the CRD already. It is used as it is.)")
        return
    crd = hub.run("label", "--local", "-f", str(ROOT / "crds"), f"{MARK}=true", "-o", "json")
    hub.run("create", "-f", "-", stdin=crd)
    hub.run("wait", "--for=condition=Established", "--timeout=60s", f"crd/{CRD}")


def bring_namespace(hub: Hub) -> None:
    """A new namespace. Raises DemoError if there is one that no demo has made."""
    found = hub.run("get", "namespace", NAMESPACE, "--ignore-not-found", "-o", "json")
    if found:
        if MARK not in json.loads(found)["metadata"].get("labels", {}):
            raise DemoError(
                f"the namespace {NAMESPACE} exists already and no demo has made it: delete or rename it"
            )
        say(f"Removing the namespace {NAMESPACE} of an earlier demo ...")
        hub.run("delete", "namespace", NAMESPACE, "--timeout=120s")
    hub.run("create", "namespace", NAMESPACE)
    hub.run("label", "namespace", NAMESPACE, f"{MARK}=true")


def remove(hub: Hub) -> None:
    """Leave somebody else's cluster as it was: only what bears the mark was made by a demo."""
    named = f"metadata.name={NAMESPACE}"
    if hub.run("get", "namespace", "--field-selector", named, "-l", MARK, "-o", "name"):
        say(f"Removing the namespace {NAMESPACE} ...")
        hub.run("delete", "namespace", NAMESPACE, "--timeout=120s")
    # Helm may have taken over one that a demo had left behind.
    if not hub.run("get", "crd", "-l", f"{MARK},app.kubernetes.io/managed-by!=Helm", "-o", "name"):
        return
    if others := hub.run("get", "cfed", "--all-namespaces", "-o", "name").split():
        hub.run("label", "crd", CRD, f"{MARK}-")
        say(f"The CRD stays: {len(others)} federations of others use it by now.")
        return
    hub.run("delete", "crd", CRD, "--timeout=60s")


def start_worker(processes: Processes, cluster: str) -> None:
    where = ("--namespace", NAMESPACE, "--federation", FEDERATION, "--cluster", cluster)
    processes.start(
        f"worker-{cluster}", "tcf-worker", *where, "--listen", f"127.0.0.1:{processes.place.of(cluster)}"
    )


def until(reached: Callable[[], bool], processes: Processes, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        processes.check()
        if time.monotonic() > deadline:
            raise DemoError(f"not within {PATIENCE:.0f} s: {what}; the logs are in {processes.place.home}")
        time.sleep(0.05)


def await_answer(processes: Processes, cluster: str, status: int) -> None:
    """Wait until a member's worker answers so when it is asked whether it is active."""
    place = processes.place
    until(
        lambda: ask(place, "GET", cluster, "/tcf/is_active").status == status,
        processes,
        f"{cluster} answers {status}",
    )


def say(text: str) -> None:
    print(text, flush=True)


# --- for people -------------------------------------------------------------------------------------


def live(hub: Hub, processes: Processes) -> None:
    """Tell what to try, then show every change of what the workers answer, until a signal."""
    place = processes.place
    kubectl = place.home / "kubectl"
    kubectl.write_text(
        f'#!/bin/sh\nexec "{hub.kubectl}" --kubeconfig "{hub.kubeconfig}" -n {NAMESPACE} "$@"\n'
    )
    kubectl.chmod(0o755)
    shown = os.path.relpath(kubectl)
    one, two = (f"localhost:{port}" for port in map(place.of, CLUSTERS))
    say(f"""
cluster_1 is active. In another terminal, try:

  curl {one}/tcf/status                     # the role of cluster_1
  curl -i {two}/tcf/is_active               # 200 or 418: what a load balancer asks
  curl {one}/tcf/clusters
  curl -X POST {two}/tcf/toggle             # swap the roles
  curl -X POST {two}/tcf/demote             # nobody is active
  curl -X POST {one}/tcf/promote            # cluster_1 is active again

  {shown} get cfed -w
  {shown} describe cfed {FEDERATION}
  {shown} patch cfed {FEDERATION} --type=merge -p '{{"spec":{{"activeCluster":"cluster_2"}}}}'

Logs are in {os.path.relpath(place.home)}/. Role changes are shown below. Ctrl-C stops everything.
""")
    before = ""
    while True:
        processes.check()
        answers = {cluster: ask(place, "GET", cluster, "/tcf/is_active") for cluster in CLUSTERS}
        line = "   ".join(
            f"{cluster}: {a.status or '---'} {a.body if a.status in {200, 418} else 'unknown':9}"
            for cluster, a in answers.items()
        )
        if line != before:
            term = max(a.term for a in answers.values())
            say(f"  {time.strftime('%H:%M:%S')}  {line}   term {term or '-'}")
            before = line
        time.sleep(0.1)


# --- for machines -----------------------------------------------------------------------------------


def script(hub: Hub, processes: Processes) -> None:
    """The same session, played and checked."""

    place = processes.place

    def expect(method: str, cluster: str, path: str, status: int, body: str) -> None:
        answer = ask(place, method, cluster, path)
        say(f"  {method:4} {cluster} {path:15} -> {answer.status} {answer.body}")
        if (answer.status, answer.body) != (status, body):
            raise DemoError(f"expected {status} {body}")

    say("Every endpoint:")
    expect("GET", "cluster_1", "/tcf/status", 200, "active")
    expect("GET", "cluster_1", "/tcf/is_active", 200, "active")
    expect("GET", "cluster_2", "/tcf/is_active", 418, "passive")
    expect("GET", "cluster_2", "/tcf/clusters", 200, ROLES_1)
    say("A toggle, a demote and a promote:")
    expect("POST", "cluster_2", "/tcf/toggle", 200, ROLES_2)
    expect("GET", "cluster_1", "/tcf/is_active", 418, "passive")
    expect("GET", "cluster_2", "/tcf/is_active", 200, "active")
    expect("POST", "cluster_2", "/tcf/demote", 200, ROLES_NONE)
    expect("GET", "cluster_2", "/tcf/is_active", 418, "passive")
    expect("POST", "cluster_1", "/tcf/promote", 200, ROLES_1)
    say("A change of spec.activeCluster (and a lease of 3 s, for what comes next):")
    change = {"spec": {"activeCluster": "cluster_2", "leaseDuration": "3s"}}
    hub.run("patch", "cfed", FEDERATION, "--type=merge", "-p", json.dumps(change))
    await_answer(processes, "cluster_2", 200)
    expect("GET", "cluster_1", "/tcf/is_active", 418, "passive")
    until(lambda: hub.status("{.status.activeCluster}") == "cluster_2", processes, "the status says so")
    # The Lease says 3 s once the worker has renewed it; before that, the crash would be fenced later.
    until(
        lambda: set(hub.run("get", "leases", "-l", "tcf.dev/federation", "-o", DURATIONS).split()) == {"3"},
        processes,
        "the workers know of the new lease",
    )
    say("kill -9 of the active cluster's worker:")
    processes.kill("worker-cluster_2")
    gone = ask(place, "GET", "cluster_2", "/tcf/is_active")
    say(f"  GET  cluster_2 /tcf/is_active  -> {gone.body}")
    if gone.status:
        raise DemoError("a killed worker must not answer")
    expect("GET", "cluster_1", "/tcf/is_active", 418, "passive")
    say("cluster_1 takes over as soon as the dead worker can be sure to answer nothing any more:")
    expect("POST", "cluster_1", "/tcf/promote", 200, ROLES_1)
    expect("GET", "cluster_1", "/tcf/is_active", 200, "active")
    start_worker(processes, "cluster_2")
    await_answer(processes, "cluster_2", 418)
    say("Every answer was as expected.")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cluster", type=Path, metavar="KUBECONFIG", help="use this cluster instead")
    parser.add_argument("--script", action="store_true", help="play the session and check it")
    parser.add_argument("--port", type=int, default=8081, help="the first of three ports (default: 8081)")
    parser.add_argument("--home", type=Path, default=ROOT / ".demo", help="folder for logs (default: .demo)")
    options = parser.parse_args()
    if not 0 < options.port < 65535 - len(CLUSTERS):
        parser.error(f"--port {options.port}: it is the first of three ports, so 1 to 65532")
    place = Place(options.home.resolve(), options.port)
    raise_when_stopped()
    place.home.mkdir(exist_ok=True)
    try:
        require_free(*map(place.of, CLUSTERS), place.operator)
        with (
            hub_of(place, options.cluster) as hub,
            federation(place, hub, own_cluster=options.cluster is None) as processes,
        ):
            (script if options.script else live)(hub, processes)
    except Stopped:
        if options.script:
            raise
    except (DemoError, ControlPlaneError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


def require_free(*ports: int) -> None:
    """Raise DemoError if something listens on one of the ports."""
    busy = ", ".join(str(port) for port in ports if _taken(port))
    if busy:
        raise DemoError(f"ports in use: {busy}. Is another demo running? Three others: make demo PORT=9081")


def _taken(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.connect()
    except OSError:
        return False
    connection.close()
    return True


if __name__ == "__main__":
    sys.exit(main())
