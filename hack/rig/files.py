"""The repository's folder, and files that change while programs read them."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def place(path: Path, text: str) -> Path:
    """Write a file in one step, as programs that rotate files do: nobody ever reads half of it."""
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(text)
    beside.rename(path)
    return path
