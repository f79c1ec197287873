"""Rows of the system tests: did two sites write in overlapping time, and for how long did nobody write?"""

from __future__ import annotations

import pytest
from rig.committed_rows import downtime, parsed, written_by_two
from rig.promise import Probe


def row(sent: float, site: str, timeline: int) -> Probe:
    return Probe(sent, sent + 0.5, site, 200, timeline)


@pytest.mark.parametrize(
    ("rows", "faults"),
    [
        ([row(1, "a", 1), row(2, "b", 2), row(3, "a", 3)], 0),
        ([row(1, "a", 1), row(2, "b", 2), row(3, "a", 1)], 1),
        ([row(1, "a", 2), row(2, "b", 2)], 1),
        # It may have been committed before the other one was.
        ([row(1, "b", 2), Probe(0, 5, "a", 200, 1)], 0),
    ],
    ids=["one after the other", "in overlapping time", "on the same timeline", "an answer that comes late"],
)
def test_who_wrote(rows: list[Probe], faults: int) -> None:
    assert len(written_by_two(rows)) == faults


def test_a_record_may_end_in_the_middle_of_a_line() -> None:
    assert parsed("7 1.000000 1.500000 a 1\n8 2.0") == {7: row(1, "a", 1)}


def test_downtime_is_the_longest_pause_in_a_period() -> None:
    rows = {number: row(at, "a", 1) for number, at in enumerate((0, 10, 12, 15, 16, 40))}
    assert downtime(rows, 5, 20) == 3
