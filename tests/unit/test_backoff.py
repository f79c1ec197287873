"""How long to wait after failures."""

from __future__ import annotations

import pytest

from tcf.runtime.backoff import Backoff


def test_delays_double_up_to_a_limit_and_begin_small_again() -> None:
    backoff = Backoff(first=1.0, longest=5.0)
    for most in (1.0, 2.0, 4.0, 5.0, 5.0):
        assert most / 2 <= backoff.next() <= most
    backoff.reset()
    assert backoff.next() <= 1.0


def test_the_limit_may_be_lower_for_one_delay() -> None:
    backoff = Backoff(first=1.0, longest=5.0)
    for _ in range(5):
        assert backoff.next(0.5) <= 0.5


@pytest.mark.parametrize(("longest", "expected"), [(None, (2.0, 3.0)), (0.5, (0.5, 0.5))])
def test_the_other_side_may_ask_for_more_within_the_limit(
    longest: float | None, expected: tuple[float, float]
) -> None:
    delays = [Backoff().next(longest, least=2.0) for _ in range(50)]
    assert min(delays) >= expected[0]
    assert max(delays) <= expected[1]
    assert longest or len(set(delays)) > 1, "programs do not come back in step"
