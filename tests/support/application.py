"""An application that holds the role, one request at a time, as a test tells it to."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from rig.asking import Answer, ask


@dataclass
class Application:
    """A holder of one worker. `headers`: of all its requests."""

    port: int
    name: str = "pg-0"
    headers: Mapping[str, str] = field(default_factory=dict)
    instance: str = field(default_factory=lambda: secrets.token_hex(8))

    def hold(self, length: str = "10s", **more: str) -> Answer:
        """Ask for a hold, or for more of it."""
        query = urlencode({"id": self.instance, "for": length, **more})
        return ask(self.port, "PUT", f"/tcf/holds/{self.name}?{query}", headers=dict(self.headers))

    def release(self) -> Answer:
        query = urlencode({"id": self.instance})
        return ask(self.port, "DELETE", f"/tcf/holds/{self.name}?{query}", headers=dict(self.headers))


def held_for(answer: Answer) -> float:
    """Seconds for which the holder may act; 0 if the answer does not say so."""
    return float(answer.headers.get("X-TCF-Held-For", 0))


def holders(port: int) -> list[dict[str, Any]]:
    """Everybody whom the worker knows."""
    answer = ask(port, "GET", "/tcf/holds")
    assert answer.status == 200
    rows: list[dict[str, Any]] = json.loads(answer.body)
    return rows
