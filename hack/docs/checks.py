"""What is wrong with the pages: broken links, lines with two sentences, pages that the site lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from docs.markdown import anchors, links, prose, sentences
from docs.pages import SITE_CONFIG, named, pages

_ELSEWHERE = ("http://", "https://", "mailto:")
_LEAD = re.compile(r"\s*(?:(?:>|[-*+]|\d+[.)])\s+)*(?:\[[ x]\]\s+)?(?:\*\*[^*]+(?:\*\*\s*|$))?")
"""What a line may begin with beside its sentence: marks of lists and quotations, and a run-in heading."""
_FORMS = ("docs/results/", ".github/")
"""Pages that are no prose: what programs write after they have measured something, and templates."""


def broken_links(root: Path) -> Iterator[str]:
    """Relative links of all pages that lead to no file, or to no heading."""
    for page in pages(root):
        for number, target in links(page.read_text(encoding="utf-8")):
            if trouble := _trouble(root, page, target):
                yield f"{page.relative_to(root)}:{number}: {target}: {trouble}"


def _trouble(root: Path, page: Path, target: str) -> str:
    """What is wrong with a link; "" if nothing is."""
    if target.startswith(_ELSEWHERE):
        return ""
    if target.startswith("/"):
        return "begin with the folder or the file, not with /"
    path, _, anchor = target.partition("#")
    goal = (page.parent / unquote(path)).resolve() if path else page
    if not goal.is_relative_to(root.resolve()):
        return "this leads out of the project"
    if not goal.exists():
        return "there is no such file"
    if anchor and (goal.suffix != ".md" or anchor not in anchors(goal.read_text(encoding="utf-8"))):
        return "there is no such heading"
    return ""


def crowded_lines(root: Path) -> Iterator[str]:
    """Lines with two sentences: each begins a new line, so that a change shows which one has changed."""
    for page in pages(root):
        if page.relative_to(root).as_posix().startswith(_FORMS):
            continue
        for line in prose(page.read_text(encoding="utf-8")):
            if len(found := sentences(_LEAD.sub("", line.text, count=1))) > 1:
                yield f"{page.relative_to(root)}:{line.number}: begin a new line before: {found[1]}"


def left_out(root: Path) -> Iterator[str]:
    """Pages in docs/ that the navigation of the site does not have."""
    config = (root / SITE_CONFIG).read_text(encoding="utf-8")
    for page in named(root, pages(root)):
        if page.startswith("docs/") and page not in config:
            yield f"{page}: add it to nav in {SITE_CONFIG}"
