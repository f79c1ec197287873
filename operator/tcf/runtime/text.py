"""Makes text from unknown sources safe for a line of a log or a message."""

from __future__ import annotations

import unicodedata

LONGEST = 500
LONGEST_TEXT = 256
"""How many characters a text for people may have: the limit of the schema."""
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories of characters that move the cursor, turn text around, or are invisible."""


def hidden(character: str) -> bool:
    """Is the character invisible, or does it change the terminal or the text around it?"""
    return unicodedata.category(character) in _HIDDEN


def unfit(text: str) -> str:
    """What is wrong with a text for people that is to be recorded; "" if it is fit to be shown."""
    if len(text) > LONGEST_TEXT:
        return f"is longer than {LONGEST_TEXT} characters"
    if any(map(hidden, text)):
        return "contains control characters, line breaks or invisible characters"
    return ""


def printable(text: str, most: int = LONGEST) -> str:
    """`text` in one line, with escapes for hidden characters, cut after `most` characters."""
    line = " ".join(text[: 4 * most].split())
    shown = line if line.isprintable() else "".join(_escaped(c) if hidden(c) else c for c in line)
    return shown if len(shown) <= most and len(text) <= 4 * most else f"{shown[:most]}..."


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
