"""A worker with in-cluster credentials, and a bare aiohttp server that answers with the same bytes.

Both can speak HTTPS, with the same certificate.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import psutil
from controlplane.children import end, spawn
from controlplane.plane import ControlPlane
from rig.asking import Answer, ask, free_port
from rig.files import ROOT
from rig.hub_namespace import HubNamespace
from rig.kubectl import install_crd, kubectl_of

from tcf.web.server import AT_ONCE

PATH = "/tcf/is_active"
STREAM = "/tcf/events"
_BARE = """
import asyncio, contextlib, json, ssl, sys
from aiohttp import web
from multidict import CIMultiDict
status, headers, body = json.loads(sys.argv[2])
headers, body = CIMultiDict(headers), body.encode()
async def handle(request):
    return web.Response(status=status, headers=headers, body=body)
async def stream(request):
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    with contextlib.suppress(ConnectionResetError):
        while True:
            await response.write(b":\\n\\n")
            await asyncio.sleep(10)
    return response
app = web.Application()
app.router.add_get("/tcf/is_active", handle)
app.router.add_get("/tcf/events", stream)
tls = None
if sys.argv[4:]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*sys.argv[4:])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None,
            backlog=int(sys.argv[3]), ssl_context=tls)
"""
_WORKER = """
import functools, sys
from pathlib import Path
import tcf.wiring
port, folder, *options = sys.argv[1:]
tcf.wiring.in_cluster = functools.partial(tcf.wiring.in_cluster, Path(folder))
sys.argv = ["tcf-worker", "--namespace", "default", "--federation", "shop", "--cluster", "cluster_1",
            "--listen", f"127.0.0.1:{port}", "--log-level", "error", *options]
from tcf.cli import worker
worker()
"""


_CERTIFICATE, _KEY = (str(ROOT / f"tests/support/certificates/gate-{what}.pem") for what in ("cert", "key"))
"""Of a server on 127.0.0.1, with an ECDSA key."""
_TRUSTING = ssl.create_default_context(cafile=_CERTIFICATE)
_PATIENCE = 60.0
_GRACE = 5.0


def resident(process: subprocess.Popen[bytes]) -> float:
    """MiB."""
    return float(psutil.Process(process.pid).memory_info().rss) / 2**20


def computed(process: subprocess.Popen[bytes]) -> float:
    """Seconds of CPU so far."""
    return computed_by(process.pid)


def computed_by(pid: int) -> float:
    """Seconds of CPU so far, to the nanosecond, from the clock that clock_getcpuclockid(3) names on Linux."""
    return time.clock_gettime((~pid << 3) | 2)


@dataclass(frozen=True)
class Server:
    """A process that answers `PATH`.

    Seconds from its start: `started` to its first answer, `ready` to its first 200.
    """

    process: subprocess.Popen[bytes]
    port: int
    tls: bool
    started: float
    ready: float

    @property
    def rss(self) -> float:
        return resident(self.process)

    @property
    def cpu(self) -> float:
        return computed(self.process)

    def looks(self) -> tuple[int, list[str], bytes]:
        """What its answers look like: status, names of headers, body."""
        answer = self.ask("GET", PATH)
        return answer.status, sorted(answer.headers), answer.body

    def ask(self, method: str, path: str) -> Answer:
        return ask(self.port, method, path, tls=_TRUSTING if self.tls else None)

    def connect(self, timeout: float) -> socket.socket:
        """`timeout`: in seconds, also for what is read later."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout)
        return _TRUSTING.wrap_socket(plain, server_hostname="127.0.0.1") if self.tls else plain


class Servers:
    """Starts either kind in the same way, with a hub for the worker."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.plane = plane
        self._folder = folder
        config = json.loads(plane.kubeconfig.read_text())
        (folder / "token").write_text(config["users"][0]["user"]["token"])
        authority = config["clusters"][0]["cluster"]["certificate-authority-data"]
        (folder / "ca.crt").write_bytes(base64.b64decode(authority))
        host, port = plane.server.removeprefix("https://").split(":")
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("TCF_")}
        self._environment |= {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        install_crd(plane)
        hub = HubNamespace(kubectl_of(plane), "default", plane.kubeconfig)
        hub.apply()
        rows = [
            {"id": f"cluster_{n}", "name": f"cluster{n}", "status": role}
            for n, role in enumerate(("active", "passive"), 1)
        ]
        hub.set_status(
            {"protocol": 1, "term": int(time.time()), "activeCluster": "cluster_1", "clusters": rows}
        )

    @contextlib.contextmanager
    def worker(self, *options: str, tls: bool = False) -> Iterator[Server]:
        """`options`: more for the command line."""
        files = ["--tls-cert-file", _CERTIFICATE, "--tls-key-file", _KEY] if tls else []
        with self._running(_WORKER, str(self._folder), *files, *options, tls=tls) as server:
            yield server

    @contextlib.contextmanager
    def bare(self, *, tls: bool = False) -> Iterator[Server]:
        """It always gives the same answer, one that the worker could give."""
        headers = {
            "X-TCF-Term": str(int(time.time())),
            "X-TCF-Cluster": "cluster_1",
            "X-TCF-Valid-For": "12.345",
            "Content-Type": "text/plain; charset=utf-8",
            "Cache-Control": "no-store",
            "Server": "tcf",
        }
        answer, files = json.dumps([200, headers, "active"]), [_CERTIFICATE, _KEY] if tls else []
        with self._running(_BARE, answer, str(AT_ONCE), *files, tls=tls) as server:
            yield server

    @contextlib.contextmanager
    def _running(self, code: str, *args: str, tls: bool) -> Iterator[Server]:
        port = free_port()
        begin = time.monotonic()
        command = [sys.executable, "-c", code, str(port), *args]
        process = spawn(command, cwd=self._folder, output=sys.stdout.fileno(), env=self._environment)
        started = 0.0
        try:
            while (answer := _ask(port, tls=tls)) is None or answer.status != HTTPStatus.OK:
                took = time.monotonic() - begin
                if process.poll() is not None or took > _PATIENCE:
                    raise RuntimeError(f"no 200 after {took:.0f} s, but {answer}")
                started = started or (took if answer else 0.0)
                time.sleep(0.002)
            ready = time.monotonic() - begin
            yield Server(process, port, tls, started or ready, ready)
        finally:
            end(process, grace=_GRACE)


@contextlib.contextmanager
def servers() -> Iterator[Servers]:
    """With a control plane of their own."""
    with tempfile.TemporaryDirectory(prefix="tcf-bench-") as folder, ControlPlane.start() as plane:
        yield Servers(plane, Path(folder))


def _ask(port: int, *, tls: bool) -> Answer | None:
    """None if there is no answer."""
    try:
        return ask(port, "GET", PATH, tls=_TRUSTING if tls else None)
    except OSError:
        return None


def import_seconds(module: str) -> float:
    """How long the import of a module takes in a new process."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_PATIENCE)
    return float(done.stdout)
