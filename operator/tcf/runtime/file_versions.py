"""Notices that a file has changed."""

from __future__ import annotations

from pathlib import Path

Versions = tuple[tuple[Path, int], ...]
"""Files, each with its version."""


def versions(*paths: Path) -> Versions:
    """The present version of each file: a number that changes with the file; -1 if there is no file."""
    return tuple((path, _version(path)) for path in paths)


def changed(known: Versions) -> bool:
    """Has one of these files changed since?"""
    return any(_version(path) != version for path, version in known)


def _version(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1
