"""A local HTTP server that stands for the hosts of official release binaries, with their faults."""

from __future__ import annotations

import hashlib
import io
import platform
import tarfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from controlplane.downloads import ARCHITECTURES

KUBERNETES, ETCD = "v1.37.2", "v3.7.0"
VERSIONS = {"kubernetes": KUBERNETES, "etcd": ETCD}
MACHINE = ARCHITECTURES.get(platform.machine(), "amd64")

FaultyAnswer = Callable[[BaseHTTPRequestHandler, bytes], None]
"""Answers a request instead of the file that it asks for."""


class ReleaseServer:
    """Has kube-apiserver, kubectl and etcd. A fault for a path is what it answers there."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, FaultyAnswer] = {}
        self.asked: list[str] = []
        self.released = threading.Event()
        """Ends the faults that wait."""
        for name in ("kube-apiserver", "kubectl"):
            path = f"/k/release/{KUBERNETES}/bin/linux/{MACHINE}/{name}"
            self.files[path] = program(name, f"Kubernetes {KUBERNETES}")
            self.files[f"{path}.sha256"] = hashlib.sha256(self.files[path]).hexdigest().encode()
        folder = f"etcd-{ETCD}-linux-{MACHINE}"
        archive = _archive(f"{folder}/etcd", program("etcd", f"etcd Version: {ETCD[1:]}"))
        self.files[f"/e/{ETCD}/{folder}.tar.gz"] = archive
        lines = [f"{'0' * 64}  something-else", f"{hashlib.sha256(archive).hexdigest()}  {folder}.tar.gz"]
        self.files[f"/e/{ETCD}/SHA256SUMS"] = "\n".join(lines).encode()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def bases(self) -> dict[str, str]:
        return {"kubernetes": f"{self.url}/k", "etcd": f"{self.url}/e"}

    def hosts_file(self, folder: Path) -> Path:
        """A file for TCF_RELEASE_HOSTS."""
        path = folder / "hosts.toml"
        path.write_text("".join(f'{name} = "{url}"\n' for name, url in self.bases.items()))
        return path

    def path_of(self, suffix: str) -> str:
        """The path of the one file that ends so."""
        [path] = [path for path in self.files if path.endswith(suffix)]
        return path

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                content = server.files.get(self.path)
                if content is None:
                    self.send_error(404)
                else:
                    server.faults.get(self.path, whole)(self, content)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def whole(request: BaseHTTPRequestHandler, content: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)


def broken_off(request: BaseHTTPRequestHandler, content: bytes) -> None:
    """Half of it, and then the connection ends."""
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content[: len(content) // 2])


def changed(request: BaseHTTPRequestHandler, content: bytes) -> None:
    whole(request, content + b"# not what was published\n")


def program(name: str, version: str) -> bytes:
    """A script that only says its version."""
    return f'#!/bin/sh\nif [ "$1" = --version ]; then echo "{version}"; fi\nexit 3 # {name}\n'.encode()


def _archive(path: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        member = tarfile.TarInfo(path)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return out.getvalue()
