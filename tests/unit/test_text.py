"""Foreign text, in one line."""

from __future__ import annotations

import pytest

from tcf.runtime.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("plain text", "plain text"),
        ("Größe 大小 😀", "Größe 大小 😀"),
        ("  two\nlines\t ", "two lines"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u200bb", "a\\u200bb"),
        ("a\x00b", "a\\x00b"),
        ("a\U000e0001b", "a\\U000e0001b"),
        ("a\ud800b", "a\\ud800b"),
        ("a\u2028b", "a b"),
        ("x" * 501, "x" * 500 + "..."),
        ("x" * 500, "x" * 500),
        (" " * 10_000 + "x", "..."),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_what_is_printable_is_short() -> None:
    assert len(printable("\x1b" * 10_000_000, 64)) == 67
