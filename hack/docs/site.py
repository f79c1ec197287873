"""Puts together what the site is built from: every page, and the files that pages link to, at their paths.

Links between pages are relative, so they work in the project and on the site alike. mkdocs has stricter
rules for lists than GitHub has. The copies of the pages follow those.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from docs.markdown import FENCE, links
from docs.pages import pages

_MARK = re.compile(r"\s*([-*+]|\d+[.)])\s+(?=\S)")
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#]+)[^)]*\)")
_INDENT = 4


def stage(root: Path, folder: Path) -> None:
    """Empty `folder`, and copy README.md, docs/ and everything that they link to into it."""
    shutil.rmtree(folder, ignore_errors=True)
    waiting = [page for page in pages(root) if page.is_relative_to(root / "docs") or page.name == "README.md"]
    done = set(waiting)
    while waiting:
        source = waiting.pop()
        target = folder / source.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix != ".md":
            shutil.copyfile(source, target)
            continue
        text = source.read_text(encoding="utf-8")
        target.write_text(adapted(text, source.parent), encoding="utf-8")
        new = {goal for goal in _files(text, source.parent) if goal.is_relative_to(root)} - done
        done |= new
        waiting += sorted(new)


def _files(text: str, folder: Path) -> Iterator[Path]:
    """The files that the links of a page lead to."""
    for _, target in links(text):
        goal = (folder / unquote(target.partition("#")[0])).resolve()
        if "://" not in target and goal.is_file():
            yield goal


def adapted(text: str, folder: Path) -> str:
    """A page as mkdocs needs it: lists indented by four, a blank line before each, no links to folders."""

    def unlinked(link: re.Match[str]) -> str:
        return link[1] if (folder / link[2]).is_dir() else link[0]

    return _LINK.sub(unlinked, "\n".join(_with_lists(text.splitlines())) + "\n")


def _with_lists(lines: list[str]) -> Iterator[str]:
    offsets: list[int] = []  # of the text of each open item
    fence, before = "", ""
    for line in lines:
        indent = len(line) - len(line.lstrip())
        mark = None if fence else _MARK.match(line)
        if line.strip() and not fence and (mark or not before.strip()):
            while offsets and indent < offsets[-1]:
                offsets.pop()
        depth = len(offsets)
        if mark:
            if before.strip() and not _MARK.match(before) and not depth and not _open_item(before):
                yield ""
            yield " " * _INDENT * depth + line.lstrip()
            offsets.append(len(mark[0]))
        else:
            kept = line[min(indent, offsets[-1]) :] if offsets else line
            yield (" " * _INDENT * depth + kept).rstrip()
        if found := FENCE.match(line):
            fence = "" if fence and found[1].startswith(fence) else fence or found[1]
        before = line


def _open_item(line: str) -> bool:
    """Does this line go on with an item of a list?"""
    return line.startswith(" ")
