"""A client of a stream of Server-Sent Events, on a socket of its own."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from rig.patience import PATIENCE


@dataclass(frozen=True)
class ServerSentEvent:
    """One event as a browser would get it. `id`: None if the event has no field of that name."""

    kind: str
    id: str | None
    data: Any


class EventReader:
    """A stream. `next` waits for an event; comments are counted, in `comments`."""

    def __init__(self, port: int, path: str = "/tcf/events", *, last_id: str = "", **headers: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE * 3)
        more = {"Last-Event-ID": last_id} if last_id else {}
        self._connection.request("GET", path, headers={"Accept": "text/event-stream", **more, **headers})
        self.sock: socket.socket = self._connection.sock
        self.response = self._connection.getresponse()
        self.status = self.response.status
        self.comments = 0

    def next(self) -> ServerSentEvent | None:
        """The next event; None at the end of the stream."""
        fields: dict[str, str] = {}
        while line := self.response.readline():
            text = line.decode().removesuffix("\n")
            if text.startswith(":"):
                self.comments += 1
            elif text:
                name, _, value = text.partition(":")
                fields[name] = value.removeprefix(" ")
            elif "data" in fields:
                return ServerSentEvent(
                    fields.get("event", "message"), fields.get("id"), json.loads(fields["data"])
                )
        return None

    def close(self) -> None:
        self.response.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
