"""A server with the page's files, whose stream and answers are a test's own: slow, wrong, or never ending."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import tcf.web.console

_ASSETS = Path(tcf.web.console.__file__).parent / "assets"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

Json = dict[str, Any]
MOMENT = "2026-11-27T12:00:{:02}Z"


def past(finished: int, from_: str | None, to: str | None, outcome: str = "Succeeded", **more: Any) -> Json:
    """An entry of the history, that ended in this second."""
    at = MOMENT.format(finished)
    entry = {"id": f"request-{finished}", "finishedAt": at, "startedAt": at, "from": from_, "to": to}
    told = {"trigger": "api", "outcome": outcome, "term": finished, "requestedBy": "ada", "reason": None}
    return {**entry, **told, "message": None, **more}


def summary(name: str = "shop", *, active: str | None = "cluster_1", term: int = 7, **more: Any) -> Json:
    state = {"ready": True, "switching": False, "degraded": False, "paused": False, "lastChange": None}
    return {"namespace": "prod", "name": name, "active": active, "term": term, **state, **more}


def selected(name: str = "shop", *, active: str | None = "cluster_1", **more: Any) -> Json:
    def member(id_: str) -> Json:
        role = "active" if id_ == active else "passive"
        counts = {"workers": 1, "liveWorkers": 1, "application": None, "silentSince": None, "heldBy": None}
        return {"id": id_, "name": id_, "role": role, **counts, "obstacles": [], "workerDetails": []}

    return {
        **summary(name, active=active),
        "failover": {"mode": "Manual", "follows": "Workers"},
        "isolation": "Fence",
        "leaseSeconds": 15,
        "trouble": None,
        "switchover": None,
        "conditions": [],
        "history": [past(1, None, "cluster_1")],
        "members": [member("cluster_1"), member("cluster_2")],
        "failoverState": {"state": "Manual", "message": "no member takes over by itself"},
        "waitsFor": "",
        "may": {"switch": True, "force": True},
        "boot": 1000.0,
        "wall": 1795780810.0,  # 2026-11-27T12:00:10Z
        **more,
    }


PLAN: Json = {
    "lines": ["cluster_1 stops being active", "then cluster_2 becomes active"],
    "from": "cluster_1",
    "to": "cluster_2",
    "refusal": None,
    "objection": None,
    "changes": True,
    "term": 7,
}


class StubConsole:
    """`shown` and `federations`: what new streams begin with. `streaming`: may they send anything?"""

    def __init__(self) -> None:
        self.shown: Json | None = selected()
        self.federations: list[Json] = [summary()]
        self.user: str | None = None
        self.streaming = threading.Event()
        self.streaming.set()
        self.denied = False
        self.broken = False
        self.post: Callable[[Json], tuple[int, Json]] = lambda _: (200, PLAN)
        self.tokens: list[str | None] = []
        self._streams: set[queue.Queue[bytes | None]] = set()
        handler = type("Handler", (_Handler,), {"stub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self.streaming.set()
        self._server.shutdown()
        self._server.server_close()

    def send(self, kind: str, data: object) -> None:
        """An event to every stream."""
        for each in list(self._streams):
            each.put(_event(kind, data))

    def cut(self) -> None:
        """End all streams."""
        for each in list(self._streams):
            each.put(None)

    def _first(self, query: dict[str, list[str]]) -> bytes:
        first = _event("session", {"user": self.user, "version": "0"})
        first += _event("federations", self.federations)
        first += _event("selected", self.shown) if "selected" in query else b""
        return first + _event("live", {"complete": True})


class _Handler(BaseHTTPRequestHandler):
    stub: StubConsole
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/console/events":
            self._stream(parse_qs(url.query))
            return
        name = url.path.lstrip("/") or "index.html"
        found = next((each for each in _ASSETS.rglob("*") if each.name == name), None)
        if found is None:
            self._answer(404, b"{}", "application/json")
        else:
            self._answer(200, found.read_bytes(), _TYPES.get(found.suffix, "text/plain"))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, found = self.stub.post({"path": self.path, **body})
        self._answer(status, json.dumps(found).encode(), "application/json")

    def _answer(self, status: int, body: bytes, type_: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", type_)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, query: dict[str, list[str]]) -> None:
        self.stub.tokens.append(self.headers["Authorization"])
        if self.stub.denied:
            self._answer(401, b'{"error": "the token is not valid"}', "application/json")
            return
        if self.stub.broken:
            self._answer(503, b'{"error": "try again later"}', "application/json")
            return
        self.close_connection = True
        events: queue.Queue[bytes | None] = queue.Queue()
        self.stub._streams.add(events)
        try:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.stub.streaming.wait(60)
            self.wfile.write(self.stub._first(query))
            while (event := self._next(events)) is not None:
                self.wfile.write(event)
        except OSError:
            pass
        finally:
            self.stub._streams.discard(events)

    def _next(self, events: queue.Queue[bytes | None]) -> bytes | None:
        while True:
            try:
                return events.get(timeout=2)
            except queue.Empty:
                if self.stub.streaming.is_set():
                    return b":\n\n"


def _event(kind: str, data: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()
