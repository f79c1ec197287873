"""When workers say that no operator looks after their namespace."""

from __future__ import annotations

import pytest

from tcf.core.heartbeat import BEAT_SECONDS, HEARTBEAT_DURATION, LOOK_SECONDS, Heartbeat


@pytest.mark.parametrize(
    ("version", "age", "says"),
    [
        ("", 0.0, None),
        ("", LOOK_SECONDS / 2, None),
        ("", 0.8 * LOOK_SECONDS, "does not exist (operators before 0.2.0 do not write it)"),
        ("7", 66.0, None),
        ("7", 66.2, "has not been renewed for 66 s"),
    ],
)
def test_a_heartbeat_that_is_missing_or_silent_for_too_long(
    version: str, age: float, says: str | None
) -> None:
    trouble = Heartbeat(version, 60 if version else 0, 1000.0).trouble("prod", 1000.0 + age)
    assert (trouble is None) == (says is None)
    if says and trouble:
        assert says in trouble
        assert "namespace prod" in trouble


def test_silence_is_counted_from_the_first_sight_of_a_version() -> None:
    first = Heartbeat("7", 60, 1000.0)
    assert first.looked("7", 60, 1010.0) == first
    assert first.looked("8", 60, 1010.0) == Heartbeat("8", 60, 1010.0)
    assert first.looked("", 0, 1010.0) == Heartbeat("", 0, 1010.0)


def test_an_operator_may_fail_to_renew_twice() -> None:
    assert HEARTBEAT_DURATION == 3 * BEAT_SECONDS
