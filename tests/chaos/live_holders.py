"""Applications that hold the role while everything goes wrong. No two members' may act at once."""

from __future__ import annotations

import http.client
import random
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from itertools import combinations

from rig.until_end import UntilEnd

_FOR = "10s"
_PATIENCE = 2.0
_RELEASES, _DRAINS, _STUBBORN = "releases", "drains", "is stubborn"


@dataclass(frozen=True, order=True)
class Span:
    """A time in which a holder acted without a break (monotonic seconds), by answers up to this term."""

    began: float
    ended: float
    member: str
    term: int


def overlaps(spans: Iterable[Span]) -> list[tuple[Span, Span]]:
    """The pairs of spans in which holders of two members acted at the same time."""
    return [
        (one, other)
        for one, other in combinations(sorted(spans), 2)
        if one.member != other.member and other.began < one.ended
    ]


class LiveHolders(UntilEnd):
    """One holder for each worker, in a thread, until the block ends. `spans`: when they acted."""

    def __init__(self, ports: Mapping[int, str], seed: int) -> None:
        """`ports`: of the workers, with the member of each."""
        super().__init__(
            partial(_Holder(port, member, random.Random(f"{seed} {port}")).run, self)
            for port, member in ports.items()
        )
        self.spans: list[Span] = []


class _Holder:
    def __init__(self, port: int, member: str, chance: random.Random) -> None:
        self._port = port
        self._member = member
        self._chance = chance
        self._instance = secrets.token_hex(8)
        self._began: float | None = None
        self._until = 0.0
        self._term = 0
        self._has_to_stop = False
        self._habit = _RELEASES

    def run(self, holders: LiveHolders) -> None:
        while not holders.ended.wait(0.05 + 0.3 * self._chance.random()):
            self._ask()
            self._end_if_over(holders)
            willing = self._has_to_stop and self._habit == _RELEASES
            if self._began is not None and (willing or self._chance.random() < 0.01):
                self._release(holders)
        self._release(holders)

    def _ask(self) -> None:
        draining = "true" if self._has_to_stop and self._habit == _DRAINS else "false"
        sent = time.monotonic()
        try:
            status, headers = self._request("PUT", f"&for={_FOR}&draining={draining}")
        except (OSError, http.client.HTTPException):
            return
        now, held = time.monotonic(), float(headers.get("X-TCF-Held-For", 0))
        acting = self._began is not None and now < self._until
        if status in {HTTPStatus.OK, HTTPStatus.IM_A_TEAPOT}:
            self._has_to_stop = status != HTTPStatus.OK
        if held and (acting or status == HTTPStatus.OK):
            if not acting and now < sent + held:
                self._began = self._began if self._began is not None else now
                self._habit = self._chance.choice((_RELEASES, _RELEASES, _DRAINS, _STUBBORN))
            self._until = max(self._until, sent + held)
            self._term = (
                max(self._term, int(headers.get("X-TCF-Term", 0))) if not self._has_to_stop else self._term
            )

    def _end_if_over(self, holders: LiveHolders) -> None:
        if self._began is not None and time.monotonic() >= self._until:
            self._close(holders, self._until)

    def _release(self, holders: LiveHolders) -> None:
        if self._began is None:
            return
        self._close(holders, min(self._until, time.monotonic()))
        instance, self._instance = self._instance, secrets.token_hex(8)
        try:
            self._request("DELETE", "", instance)
        except (OSError, http.client.HTTPException):
            return  # the hold runs out

    def _close(self, holders: LiveHolders, ended: float) -> None:
        if self._began is not None and ended > self._began:
            holders.spans.append(Span(self._began, ended, self._member, self._term))
        self._began, self._until, self._term, self._has_to_stop = None, 0.0, 0, False

    def _request(self, method: str, query: str, instance: str = "") -> tuple[int, Mapping[str, str]]:
        worker = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE)
        try:
            worker.request(method, f"/tcf/holds/app?id={instance or self._instance}{query}")
            response = worker.getresponse()
            response.read()
            return response.status, dict(response.getheaders())
        finally:
            worker.close()
