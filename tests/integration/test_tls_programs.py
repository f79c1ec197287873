"""Worker and operator with TLS: their options, their two listeners, and new files while they run."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from rig.asking import ask
from rig.hub_namespace import HubNamespace
from rig.patience import PATIENCE, eventually
from rig.tcf_processes import TcfProcess, TcfProcesses, command, environment
from support.chart import CHART
from support.tls_files import MountedSecret, as_client, pem


@pytest.fixture
def files(tmp_path: Path) -> MountedSecret:
    return MountedSecret(tmp_path / "tls")


def probe_port(program: TcfProcess) -> int:
    """Where it listens for probes. It logs that last."""
    (line,) = [line for line in program.log.splitlines() if "for=probes" in line]
    return int(line.split("listening on http://127.0.0.1:")[1].split()[0])


def test_a_worker_serves_https_and_plain_probes(
    hub: HubNamespace, programs: TcfProcesses, files: MountedSecret
) -> None:
    hub.apply()
    programs.operator()
    options = [*files.options, "--probe-listen", "127.0.0.1:0"]
    worker = programs.worker("cluster_1", *options, tls=as_client())
    worker.await_active()
    assert worker.post("/tcf/demote").status == 200
    assert f"listening on https://127.0.0.1:{worker.port}" in worker.log
    plain = ask(worker.port, "GET", "/tcf/is_active")
    assert (plain.status, plain.reason) == (400, "MalformedRequest")
    assert plain.error == "this port speaks HTTPS, and this is not; use https://"

    url = f"https://127.0.0.1:{worker.port}/tcf/clusters"
    tested = subprocess.run([sys.executable, CHART / "files/ask.py", url], capture_output=True, check=True)
    assert tested.stdout.decode() == f"{url} 200 {worker.get('/tcf/clusters').body.decode()}\n", "helm test"

    port = probe_port(worker)
    for path in ("/tcf/status", "/tcf/is_active", "/tcf/clusters", "/healthz", "/readyz"):
        secure = worker.get(path)
        for method in ("GET", "HEAD", "OPTIONS"):
            assert ask(port, method, path).status == secure.status, (method, path)
        assert ask(port, "GET", path).body == secure.body
        assert ask(port, "POST", path).status == 405
    for path in ("/tcf/toggle", "/tcf/promote", "/tcf/demote"):
        refused = ask(port, "POST", path)
        assert (refused.status, refused.reason) == (404, "NotFound")
        assert "/tcf/is_active" in refused.error
    assert worker.stop() == 0


def test_a_worker_may_have_a_port_for_probes_without_tls(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply()
    programs.operator()
    worker = programs.worker("cluster_1", "--probe-listen", "127.0.0.1:0")
    worker.await_active()
    assert ask(probe_port(worker), "GET", "/tcf/is_active").status == 200


def test_an_operator_serves_https_and_plain_probes(
    hub: HubNamespace, programs: TcfProcesses, files: MountedSecret
) -> None:
    hub.apply()
    member = f"{hub.namespace}/shop/cluster_1=127.0.0.1:0"
    options = [*files.options, "--serve", member, "--probe-listen", "127.0.0.1:0"]
    operator = programs.operator(*options, tls=as_client())
    operator.await_ready()
    port = probe_port(operator)
    assert ask(port, "GET", "/readyz").status == 200
    assert ask(port, "GET", "/tcf/is_active").status == 404
    (serving,) = [line for line in operator.log.splitlines() if "cluster_1" in line and "listening" in line]
    served = int(serving.split("https://127.0.0.1:")[1].split()[0])
    eventually(
        lambda: ask(served, "GET", "/tcf/is_active", tls=as_client()).status == 200,
        what="the member is active",
    )
    assert operator.stop() == 0


def test_new_files_are_used_and_bad_ones_are_not(
    hub: HubNamespace, programs: TcfProcesses, files: MountedSecret
) -> None:
    """The limit is 10 s on a machine that has time. Here, only that it happens is tested."""
    hub.apply()
    programs.operator()
    worker = programs.worker("cluster_1", *files.options, tls=as_client())
    worker.await_active()

    files.write({"tls.crt": pem("renewed-cert"), "tls.key": pem("gate-key")})
    eventually(lambda: "the former certificate stays in use" in worker.log, what="the worker says so")
    ready = worker.get("/readyz")
    assert ready.status == 200
    assert b"the former certificate stays in use" in ready.body

    # Other programs write comments into such files, in any encoding.
    commented = "\ufeff# Aussteller: Städtische CA\n".encode("latin-1", "replace") + pem("renewed-cert")
    files.write({"tls.crt": commented, "tls.key": pem("renewed-key")})

    def renewed() -> bool:
        try:
            return ask(worker.port, "GET", "/readyz", tls=as_client("renewed")).body.startswith(b"ok")
        except ssl.SSLCertVerificationError:
            return False

    eventually(renewed, what="the worker uses the new certificate")
    worker.tls = as_client("renewed")
    assert b"certificate" not in worker.get("/readyz").body
    assert "expires=2126-" in worker.log


@pytest.mark.parametrize("program", ["worker", "operator"])
def test_bad_files_at_the_start_are_told_in_one_line(hub: HubNamespace, tmp_path: Path, program: str) -> None:
    options = ["--tls-cert-file", str(tmp_path / "no.crt"), "--tls-key-file", str(tmp_path / "no.key")]
    member = ["--federation", "shop", "--cluster", "cluster_1"] if program == "worker" else []
    started = subprocess.run(
        command(program, hub.kubeconfig, *member, *options, "--listen", "127.0.0.1:0"),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=PATIENCE,
        check=False,
    )
    assert started.returncode == 1
    (line,) = started.stderr.splitlines()
    assert f"cannot serve HTTPS: cannot read {tmp_path}/no.crt: No such file or directory" in line
