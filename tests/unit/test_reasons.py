"""The tables of reasons in the documentation are complete, and name nothing that does not exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest

from tcf.core.reasons import ConditionReason, EventReason, Outcome, Reason

DOCS = Path(__file__).resolve().parents[2] / "docs"
CODE = re.compile(r"`(\w+)`")


def rows(page: str, header: str) -> Iterator[list[str]]:
    """The cells of every table of a page whose header line begins so."""
    within = False
    for line in (DOCS / page).read_text().splitlines():
        if not line.startswith("|"):
            within = False
        elif line.startswith(header):
            within = True
        elif within and not line.startswith("|---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def documented(page: str, header: str, column: int = 0) -> set[str]:
    return {word for row in rows(page, header) for word in CODE.findall(row[column])}


def values(*kinds: type[StrEnum]) -> set[str]:
    return {word.value for kind in kinds for word in kind}


def test_the_reasons_of_answers() -> None:
    """An outcome that is no success is a reason as well."""
    in_tables = documented("http-api.md", "| `X-TCF-Reason`") | documented("http-api.md", "| Reason")
    assert in_tables == (values(Reason, Outcome) - {Outcome.SUCCEEDED})


@pytest.mark.parametrize(
    ("header", "column", "kind"),
    [
        ("| Condition | Reason", 1, ConditionReason),
        ("| Outcome in history", 0, Outcome),
        ("| Event", 0, EventReason),
    ],
)
def test_the_reasons_in_the_resource(header: str, column: int, kind: type[StrEnum]) -> None:
    assert documented("operations.md", header, column) == values(kind)
