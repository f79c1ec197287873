"""Holders that release their hold as soon as their worker says so, as a quick application would."""

from __future__ import annotations

import http.client
import secrets
from collections.abc import Iterable
from functools import partial
from http import HTTPStatus

from rig.until_end import UntilEnd

_FOR, _WAIT = "10s", "5s"
_PATIENCE = 30.0


class ReleasingHolders(UntilEnd):
    """One holder for each worker, in a thread, until the block ends. `released`: how often they let go."""

    def __init__(self, ports: Iterable[int]) -> None:
        super().__init__(partial(self._hold, port) for port in ports)
        self.released = 0

    def _hold(self, port: int) -> None:
        worker = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        instance, holding = secrets.token_hex(8), False
        while not self.ended.is_set():
            status = _ask(worker, "PUT", f"id={instance}&for={_FOR}&wait={_WAIT}")
            if holding and status != HTTPStatus.OK:
                _ask(worker, "DELETE", f"id={instance}")
                self.released += 1
                instance = secrets.token_hex(8)
            holding = status == HTTPStatus.OK
        _ask(worker, "DELETE", f"id={instance}")
        worker.close()


def _ask(worker: http.client.HTTPConnection, method: str, query: str) -> int:
    worker.request(method, f"/tcf/holds/bench?{query}")
    response = worker.getresponse()
    response.read()
    return response.status
