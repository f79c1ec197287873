"""What a terminal can show: colours, signs and aligned columns."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TextIO

from tcf.runtime.text import printable


class Colour(Enum):
    GOOD = "32"
    BAD = "31"
    WARNING = "33"
    QUIET = "2"
    STRONG = "1"


@dataclass(frozen=True, slots=True)
class Cell:
    """A text with a colour."""

    text: str
    colour: Colour | None = None


class Sign(Enum):
    """A sign, and what stands for it where the locale cannot show it."""

    YES = ("✓", "ok", Colour.GOOD)
    NO = ("✗", "NO", Colour.BAD)
    NOTE = ("!", "!", Colour.WARNING)
    TO = ("→", "->", None)


@dataclass(frozen=True, slots=True)
class Terminal:
    """`colours` and `unicode`: whether it shows them. `live`: whether a cursor can be moved."""

    colours: bool
    unicode: bool
    live: bool

    @classmethod
    def of(cls, stream: TextIO) -> Terminal:
        """The terminal behind a stream, or what stands for it if the stream is a file or a pipe."""
        live = stream.isatty() and os.environ.get("TERM") != "dumb"
        try:
            "".join(sign.value[0] for sign in Sign).encode(stream.encoding or "ascii")
            unicode = True
        except (UnicodeError, LookupError):
            unicode = False
        colours = live and not os.environ.get("NO_COLOR")  # https://no-color.org
        return cls(colours, unicode, live)

    def sign(self, sign: Sign) -> Cell:
        shown, instead, colour = sign.value
        return Cell(shown if self.unicode else instead, colour)

    def paint(self, cell: Cell | str) -> str:
        """The text with its colour. Nothing in it can act on the terminal."""
        cell = Cell(cell) if isinstance(cell, str) else cell
        text = printable(cell.text, 4096)
        if not self.unicode:
            text = text.encode("ascii", "backslashreplace").decode()
        return f"\x1b[{cell.colour.value}m{text}\x1b[0m" if cell.colour and self.colours and text else text

    def indented(self, line: str) -> str:
        """The text, which may begin with blanks."""
        text = line.lstrip(" ")
        return " " * (len(line) - len(text)) + self.paint(text)

    def table(self, rows: Iterable[Sequence[Cell | str]]) -> list[str]:
        """Lines of aligned columns, two blanks apart. The last column is as long as it is."""
        plain = Terminal(colours=False, unicode=self.unicode, live=False)
        cells = [[(plain.paint(cell), self.paint(cell)) for cell in row] for row in rows]
        if not cells:
            return []
        widths = [
            max(_width(row[n][0]) for row in cells if n < len(row)) for n in range(max(map(len, cells)))
        ]
        return [
            "  ".join(
                shown + " " * (widths[n] - _width(text)) if n + 1 < len(row) else shown
                for n, (text, shown) in enumerate(row)
            ).rstrip()
            for row in cells
        ]


def _width(text: str) -> int:
    """How many columns a text takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def can_ask() -> bool:
    """Is there a person at a terminal who can be asked?"""
    return sys.stdin.isatty() and sys.stderr.isatty()


@contextlib.contextmanager
def ctrl_c_ends_the_process() -> Iterator[None]:
    """While a person is asked, let the kernel act on Ctrl-C.

    Python only takes note of a signal that arrives just before it begins to read a line.
    It would then go on to wait for that line, and Ctrl-C would seem to do nothing.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
