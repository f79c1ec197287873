"""What the other programs need to know of a page: its prose, its links, its anchors. And how to write one."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WIDTH = 120
"""Columns at which generated prose wraps."""

FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE = re.compile(r"(`+)(.+?)\1")
_HEADING = re.compile(r"#{1,6}\s+(.*?)\s*#*$")
_LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
_DEFINITION = re.compile(r"^ {0,3}\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
_ANCHOR = re.compile(r"""<\w+[^>]*\b(?:id|name)=["']([^"']+)["']""")
_SENTENCE_END = re.compile(r"""(?<![\s(.]) [.!?] ["'*_)\]]* \s+ (?=["'*_(\[]*[A-Z])""", re.VERBOSE)
_NO_END = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|resp|incl|No|Fig|St|Dr|Mr|Ms|Mrs|Inc|Ltd)|\b[A-Z])\.$"
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a page outside of code blocks and comments, with its number in the file."""

    number: int
    text: str

    @property
    def plain(self) -> str:
        """Without what stands in backticks: that is neither prose nor a link."""
        return _CODE.sub(lambda code: "`" * len(code[0]), self.text)


def lines(page: str) -> Iterator[Line]:
    """The lines that are Markdown: neither code blocks nor comments."""
    page = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), page)
    fence = ""
    for number, text in enumerate(page.splitlines(), 1):
        mark = FENCE.match(text)
        if fence:
            if mark and mark[1].startswith(fence) and not text.strip(f"{fence[0]} "):
                fence = ""
        elif mark:
            fence = mark[1]
        else:
            yield Line(number, text)


def links(page: str) -> Iterator[tuple[int, str]]:
    """The target of each link, with the number of the line on which the link begins."""
    texts = [""] * (page.count("\n") + 1)
    for line in lines(page):
        texts[line.number - 1] = line.plain
    text = "\n".join(texts)
    for kind in (_LINK, _DEFINITION):
        for link in kind.finditer(text):
            yield text.count("\n", 0, link.start()) + 1, link[1]


def anchors(page: str) -> set[str]:
    """What a link to this page may have after `#`."""
    found: set[str] = set()
    for line in lines(page):
        found.update(_ANCHOR.findall(line.text))
        if heading := _HEADING.match(line.text):
            slug, count = slugify(heading[1]), 0
            while (name := f"{slug}-{count}" if count else slug) in found:
                count += 1
            found.add(name)
    return found


def slugify(heading: str) -> str:
    """The anchor of a heading, as GitHub and the site make it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def prose(page: str) -> Iterator[Line]:
    """The lines with sentences: neither headings nor tables."""
    for line in lines(page):
        if line.text.strip() and not line.text.lstrip().startswith(("#", "|")):
            yield line


def sentences(text: str) -> list[str]:
    """Split prose into its sentences. Code in backticks is never split."""
    plain = _CODE.sub(lambda code: "`" * len(code[0]), text)
    ends = [
        end.end() for end in _SENTENCE_END.finditer(plain) if not _NO_END.search(plain[: end.start() + 1])
    ]
    parts = [text[begin:end].strip() for begin, end in zip([0, *ends], [*ends, len(text)], strict=True)]
    return [part for part in parts if part]


def written(text: str) -> str:
    """Prose as this project writes it: a line for each sentence, wrapped where it is too long."""
    return "\n".join(
        textwrap.fill(sentence, WIDTH, break_long_words=False, break_on_hyphens=False)
        for sentence in sentences(" ".join(text.split()))
    )


def row(*cells: str) -> str:
    """A row of a table."""
    return f"| {' | '.join(' '.join(cell.split()).replace('|', '&#124;') for cell in cells)} |"


def code(text: str) -> str:
    """Text in backticks; nothing for no text."""
    return f"`{text}`" if text else ""


def choice(options: Sequence[object]) -> str:
    """A list of which one is to be chosen."""
    *others, last = (code(str(option)) for option in options)
    return f"{', '.join(others)} or {last}" if others else last
