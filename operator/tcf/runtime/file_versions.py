"""Notices that a file has changed."""

from __future__ import annotations

from pathlib import Path

Version = tuple[int, int, int] | None
Versions = tuple[tuple[Path, Version], ...]
"""Files, each with its version."""


def versions(*paths: Path) -> Versions:
    """The present version of each file, which changes with the file; None if there is no file."""
    return tuple((path, _version(path)) for path in paths)


def changed(known: Versions) -> bool:
    """Has one of these files changed since?"""
    return any(_version(path) != version for path, version in known)


def _version(path: Path) -> Version:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
