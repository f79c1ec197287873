"""`kubectl port-forward`, as a person uses it: the API server's own proxy passes no tokens on."""

from __future__ import annotations

import contextlib
import http.client
import re
import subprocess
from pathlib import Path

import pytest
from rig.asking import Answer


class PortForwards:
    """Forwards that last as long as the Pods to which they lead. Use as a context."""

    def __init__(self, kubectl: list[str | Path], port: int) -> None:
        """`kubectl`: the command with its kubeconfig and namespace. `port`: of the Pods."""
        self._kubectl = kubectl
        self._port = port
        self._running: dict[str, tuple[subprocess.Popen[str], int]] = {}

    def close(self) -> None:
        for process, _ in self._running.values():
            _end(process)
        self._running.clear()

    def ask(self, whom: str, method: str, path: str, token: str = "") -> Answer:
        """One request, by a new forward if the Pod of the old one is gone. `whom`: such as services/NAME."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self._ask(self._port_to(whom), method, path, token)
        _end(self._running.pop(whom)[0])
        return self._ask(self._port_to(whom), method, path, token)

    def _ask(self, port: int, method: str, path: str, token: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        with contextlib.closing(connection):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())

    def _port_to(self, whom: str) -> int:
        if whom not in self._running:
            command = [*self._kubectl, "port-forward", whom, f":{self._port}"]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            line = process.stdout.readline() if process.stdout else ""
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            if not found:
                pytest.fail(f"no port is forwarded to {whom}: {line}{_end(process)}")
            self._running[whom] = process, int(found[1])
        return self._running[whom][1]


def _end(process: subprocess.Popen[str]) -> str:
    """Return what it has written to its standard error."""
    process.terminate()
    return process.communicate()[1]
