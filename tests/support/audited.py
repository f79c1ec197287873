"""What an audit log has recorded. A thread writes it, so the latest entries come a little later."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rig.patience import eventually

Entries = list[dict[str, Any]]


def audited(log: Path, complete: Callable[[Entries], bool]) -> Entries:
    """The entries, as soon as they are complete."""

    def read() -> Entries | None:
        lines = log.read_text().split("\n")[:-1]
        entries = [json.loads(line) for line in lines]
        return entries if complete(entries) else None

    return eventually(read, what=f"the entries of {log} are complete")


def count(number: int) -> Callable[[Entries], bool]:
    """So many entries, or more."""
    return lambda entries: len(entries) >= number
