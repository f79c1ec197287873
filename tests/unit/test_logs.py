"""One line for each event, whatever others have written into it."""

from __future__ import annotations

import json
import logging

import pytest

from tcf.runtime import logs

FOREIGN = "a\nb\x1b[2Jc\u202ed\u200b"


@pytest.mark.parametrize("as_json", [False, True])
def test_foreign_text_stays_in_its_line(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:  # noqa: FBT001
    before = logging.root.handlers[:]
    try:
        logs.configure(json=as_json, level="info")
        log = logging.getLogger("test")
        log.warning("refused: %s", FOREIGN, extra={"by": FOREIGN, "term": 7})
        log.warning("long: %s", "x" * 100_000)
    finally:
        logging.root.handlers[:] = before
    first, second = capsys.readouterr().err.splitlines()
    shown = json.loads(first)["message"] if as_json else first
    assert "refused: a b\\x1b[2Jc\\u202ed\\u200b" in shown
    assert first.isprintable()
    assert len(second) < 5000
