"""A short round of `make chaos`."""

from __future__ import annotations

import pytest

from chaos.series import play

SCHEDULES = 3


@pytest.mark.timeout(300)
def test_real_faults_break_no_promise() -> None:
    tally = play(1, SCHEDULES, progress=lambda _: None)
    assert tally.violations == []
    assert tally.yes, tally.table()
    assert tally.spans, tally.table()
