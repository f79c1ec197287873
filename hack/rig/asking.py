"""HTTP requests to a worker or an operator, and free ports for them."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import socket
import ssl
from dataclasses import dataclass

from rig.patience import PATIENCE


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def reason(self) -> str | None:
        return self.headers.get("X-TCF-Reason")

    @property
    def error(self) -> str:
        """The message of an error. The body of an error holds nothing else."""
        value = json.loads(self.body)
        assert set(value) == {"error"}
        message: str = value["error"]
        return message


def ask(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
) -> Answer:
    """Send one request on a connection of its own, by HTTPS with a `tls`."""
    connection = (
        http.client.HTTPSConnection(host, port, timeout=PATIENCE * 3, context=tls)
        if tls
        else http.client.HTTPConnection(host, port, timeout=PATIENCE * 3)
    )
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


_PORTS = range(15_000, 30_000)
"""No system gives these ports to outgoing connections, of which tests have thousands. Otherwise one of those
might take a port before the program listens for which it was found."""


def free_port(count: int = 1) -> int:
    """Return a free port; with a `count`, the first of that many free ports in a row."""
    while True:
        first = secrets.choice(_PORTS[:-count])
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
