"""Text that anybody may have written, made fit for a line of a log or a message."""

from __future__ import annotations

import unicodedata

LONGEST = 500
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories of what moves the cursor, turns the text around, or cannot be seen."""


def hidden(character: str) -> bool:
    """Does it do something to a terminal, or to the text around it, instead of being seen?"""
    return unicodedata.category(character) in _HIDDEN


def printable(text: str, most: int = LONGEST) -> str:
    """`text` in one line, with what is hidden as escapes; of more than `most` characters the beginning."""
    line = " ".join(text[: 4 * most].split())
    shown = line if line.isprintable() else "".join(_escaped(c) if hidden(c) else c for c in line)
    return shown if len(shown) <= most and len(text) <= 4 * most else f"{shown[:most]}..."


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
