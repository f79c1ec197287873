"""Measure a worker against a bare aiohttp server: memory, and the time to its first answer.

    .venv/bin/python hack/measure_worker.py

The worker uses in-cluster credentials (a folder as Kubernetes mounts it) against a control plane of
its own. Both processes run the same interpreter with the same settings. Prints one line a figure.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from controlplane.client import ControlPlane

ROUNDS = 5
PROBES = 20_000
ROOT = Path(__file__).resolve().parents[1]

BARE = """
from aiohttp import web
async def handle(request):
    return web.Response(body=b"passive", status=418)
app = web.Application()
app.router.add_get("/tcf/is_active", handle)
web.run_app(app, host="127.0.0.1", port={port}, access_log=None, print=None)
"""
WORKER = """
import functools, sys
from pathlib import Path
import tcf.processes
tcf.processes.in_cluster = functools.partial(tcf.processes.in_cluster, Path({folder!r}))
sys.argv = ["tcf-worker", "--namespace", "default", "--federation", "shop", "--cluster", "cluster_1",
            "--listen", "127.0.0.1:{port}", "--log-level", "error"]
from tcf.cli import worker
worker()
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name, ControlPlane.start() as plane:
        folder = Path(name)
        environment = _service_account(plane, folder)
        _federation(plane)
        results: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for kind, code in (("bare", BARE), ("worker", WORKER)):
                port = _free_port()
                script = code.format(port=port, folder=name)
                for figure, value in _measure(script, port, environment).items():
                    results.setdefault(f"{kind}: {figure}", []).append(value)
    for figure, values in results.items():
        middle = statistics.median(values)
        print(f"{figure:40} median {middle:8.2f}  min {min(values):8.2f}  max {max(values):8.2f}")
    pairs = zip(results[f"worker: {_RSS}"], results[f"bare: {_RSS}"], strict=True)
    print(f"worker over bare, pair by pair: {statistics.median(w - b for w, b in pairs):.2f} MiB")


_RSS = f"RSS after {PROBES} probes, MiB"


def _measure(script: str, port: int, environment: dict[str, str]) -> dict[str, float]:
    begin = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", script], env=environment)
    try:
        while not _answers(port):
            time.sleep(0.005)
        first = time.monotonic() - begin
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for _ in range(PROBES):
            connection.request("GET", "/tcf/is_active")
            connection.getresponse().read()
        rss = psutil.Process(process.pid).memory_info().rss / 2**20
        return {"start to first answer, s": first, _RSS: rss}
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/tcf/is_active")
        connection.getresponse().read()
    except OSError:
        return False
    return True


def _service_account(plane: ControlPlane, folder: Path) -> dict[str, str]:
    config = json.loads(plane.kubeconfig.read_text())
    (folder / "token").write_text(config["users"][0]["user"]["token"])
    ca = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"])
    (folder / "ca.crt").write_bytes(ca)
    host, port = plane.server.removeprefix("https://").split(":")
    return {**os.environ, "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}


def _federation(plane: ControlPlane) -> None:
    """A federation with roles, so that the worker has a reading and does its full work."""
    run = [str(plane.kubectl), "--kubeconfig", str(plane.kubeconfig)]
    subprocess.run([*run, "apply", "-f", str(ROOT / "crds")], check=True, capture_output=True)
    subprocess.run(
        [*run, "wait", "--for=condition=Established", "-f", str(ROOT / "crds")],
        check=True,
        capture_output=True,
    )
    subprocess.run([*run, "apply", "-f", str(ROOT / "examples/shop.yaml")], check=True, capture_output=True)
    rows = [{"id": f"cluster_{n}", "name": f"cluster{n}", "status": "passive"} for n in (1, 2)]
    patch = {"status": {"protocol": 1, "term": 1, "clusters": rows}}
    subprocess.run(
        [*run, "patch", "cfed", "shop", "--subresource=status", "--type=merge", "-p", json.dumps(patch)],
        check=True,
        capture_output=True,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
