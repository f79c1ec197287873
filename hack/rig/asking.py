"""HTTP requests to a worker or an operator, and free ports for them."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import http.client
import json
import os
import secrets
import socket
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

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


_TAKEN: set[int] = set()
"""By this process."""


def free_port(count: int = 1) -> int:
    """Return a free port; with a `count`, the first of that many free ports in a row.

    No other call returns it, in any process of this user, as long as this process runs. So it is also free
    for a program that is started again there.
    """
    while True:
        first = secrets.choice(_PORTS[:-count])
        ports = range(first, first + count)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in ports:
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            if _TAKEN.isdisjoint(ports):
                _TAKEN.update(ports)
                return first


@functools.cache
def _reservations() -> int:
    """A file in which processes lock a byte for each port. The kernel unlocks it when the process ends."""
    path = Path(tempfile.gettempdir()) / f"tcf-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
