"""A stand-in for a worker that grants holds, as docs/http-api.md has it, with its troubles."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web
from rig.patience import eventually

from support.loopback_server import LoopbackServer
from tcf.runtime.clock import CLOCK

Trouble = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
"""Answers a request in place of the stand-in."""
_PATH = re.compile(r"/tcf/holds/([A-Za-z0-9._-]{1,63})")
_DURATION = re.compile(r"(?:(\d+)m)?(?:(\d+)s)?")
_PARAMETERS = {"id", "for", "wait", "draining", "healthy", "message"}


@dataclass
class Hold:
    """What one holder with one id was told. Times are CLOCK_BOOTTIME of this machine.

    `granted`, `until`: when the hold begins and ends by the worker's clock; None if it was never granted.
    `released`: when the DELETE arrived.
    """

    name: str
    id: str
    granted: float | None = None
    until: float | None = None
    released: float | None = None
    draining: bool = False
    healthy: bool = True
    message: str = ""
    asked: int = 0

    def outstanding(self, now: float) -> bool:
        return self.released is None and self.until is not None and now < self.until


@dataclass
class HoldsServer(LoopbackServer):
    """A worker of cluster_1 whose role a test sets, from any thread.

    Attributes:
        role: what it answers; "" is unknown (500).
        cap: grants at most so many seconds, as a short leaseDuration would.
        drains: for how many seconds in all it extends a hold that drains; 0 is not at all.
        trouble: answers everything in its place, if there is one.
        token: demands this bearer token, if there is one.
        holds: by id, in the order in which they were first asked for.
    """

    role: str = "passive"
    term: int = 1000
    cap: float = 300.0
    drains: float = 60.0
    trouble: Trouble | None = None
    token: str = ""
    tls: ssl.SSLContext | None = None
    port: int = 0
    holds: dict[str, Hold] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    connections: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._news = asyncio.Event()
        self._lowered = 0.0
        self._lock = threading.Lock()
        super().__init__(self.tls, port=self.port)

    def become(self, role: str) -> None:
        """Change the role, and tell everybody who waits."""
        if role == "active":
            self.term += 3
        elif self.role == "active":
            self._lowered = CLOCK.boot()
        self.role = role
        self._loop.loop.call_soon_threadsafe(self._wake)

    def hang_up(self) -> None:
        """From now on, end every connection without an answer, as if the worker were dead."""
        self.fail(hang_up)

    def fail(self, trouble: Trouble) -> None:
        """From now on, answer with this trouble only, also to those who wait for an answer."""
        self.trouble = trouble
        self._loop.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    @property
    def last(self) -> Hold:
        """The hold that was asked for last."""
        return eventually(lambda: [*self.holds.values()], what="somebody asks for a hold")[-1]

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append(f"{request.method} {request.path_qs}")
        self.connections.add(id(request.transport))
        if self.trouble:
            return await self.trouble(request)
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return self._error(401, "Unauthenticated", "send a token")
        found = _PATH.fullmatch(request.path)
        query = request.query
        if not found or request.method not in {"PUT", "DELETE"}:
            return self._error(404, "NotFound", "no such path")
        if set(query) - _PARAMETERS or len(set(query)) != len(query):
            return self._error(400, "UnknownParameter", "no such parameter")
        hold = self.holds.setdefault(query["id"], Hold(found[1], query["id"]))
        if request.method == "DELETE":
            hold.released = hold.released or CLOCK.boot()
            return web.Response(status=204)
        return await self._put(request, hold)

    async def _put(self, request: web.BaseRequest, hold: Hold) -> web.StreamResponse:
        query = request.query
        seconds, wait = _seconds(query["for"]), _seconds(query.get("wait", "0s"))
        assert 1 <= seconds <= 300, "1s to 300s"
        assert wait <= seconds / 2, "wait is at most half of for"
        received = CLOCK.boot()
        hold.asked += 1
        hold.draining = query.get("draining") == "true"
        hold.healthy, hold.message = query.get("healthy") != "false", query.get("message", "")
        self._extend(hold, seconds)
        knows = "active" if hold.outstanding(received) else "passive"
        deadline = received + wait
        while self.role == knows and not self.trouble and (left := deadline - CLOCK.boot()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left)
        if self.trouble:
            return await self.trouble(request)
        self._extend(hold, seconds)
        return self._role_answer(hold, received)

    def _extend(self, hold: Hold, seconds: float) -> None:
        now = CLOCK.boot()
        until = now + min(seconds, self.cap)
        drains = hold.draining and hold.outstanding(now) and now < self._lowered + self.drains
        if self.role == "active" and hold.released is None:
            hold.granted = hold.granted or now
            hold.until = max(hold.until or 0.0, until)
        elif self.role and drains:
            hold.until = max(hold.until or 0.0, min(until, self._lowered + self.drains))

    def _role_answer(self, hold: Hold, received: float) -> web.Response:
        headers = self._headers()
        if hold.until is not None and hold.outstanding(CLOCK.boot()):
            headers["X-TCF-Held-For"] = f"{0.9 * (hold.until - received):.3f}"
        if not self.role:
            return self._error(500, "ReadingExpired", "the reading has expired", **headers)
        return web.Response(status=200 if self.role == "active" else 418, text=self.role, headers=headers)

    def _headers(self) -> dict[str, str]:
        names = {"X-TCF-Cluster": "cluster_1", "X-TCF-Federation": "default/shop"}
        return {"X-TCF-Term": str(self.term), "X-TCF-Valid-For": "10.000", **names}

    def _error(self, status: int, reason: str, text: str, **headers: str) -> web.Response:
        return web.json_response({"error": text}, status=status, headers={**headers, "X-TCF-Reason": reason})


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text)
    assert found, text
    assert text, "a duration"
    minutes, seconds = found.groups()
    return float(int(minutes or 0) * 60 + int(seconds or 0))


async def hang_up(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport:
        request.transport.close()
    return web.Response()
