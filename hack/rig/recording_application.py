"""A stand-in for an application that is served by HTTP."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from typing import Self


class RecordingApplication(http.server.ThreadingHTTPServer):
    """A member's application; it remembers when it was asked (monotonic seconds)."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[float] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a proxy may cut off a request
            super().handle()

    def do_GET(self) -> None:
        assert isinstance(self.server, RecordingApplication)
        self.server.asked.append(time.monotonic())
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...
