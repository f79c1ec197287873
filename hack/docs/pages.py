"""Which files belong to the documentation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATTERNS = ("*.md", "docs/**/*.md", ".github/**/*.md")
SITE_CONFIG = "mkdocs.yml"


def pages(root: Path) -> list[Path]:
    """All pages of the project, in a stable order."""
    return sorted({page for pattern in PATTERNS for page in root.glob(pattern)})


def named(root: Path, paths: Iterable[Path]) -> list[str]:
    """Paths as a person writes them: relative to the project."""
    return [path.relative_to(root).as_posix() for path in paths]
