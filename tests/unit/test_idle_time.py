"""For how long nobody is active, as a command sees it."""

from __future__ import annotations

from tcf.ctl.idle_time import IdleTime
from unit.build import status


def measured(first: str, *seen: tuple[float, str]) -> float | None:
    idle = IdleTime(status(first) if first else None)
    for at, roles in seen:
        idle.see(at, status(roles) if roles else None)
    return idle.seconds


def test_the_time_between_two_active_members() -> None:
    demoting, promoting = "demoting passive", "passive promoting"
    assert measured("active passive", (1, demoting), (2, promoting), (4, "passive active")) == 3
    assert measured("active passive", (1, ""), (4, "passive active")) == 3


def test_all_times_count() -> None:
    back = ((1, "demoting passive"), (2, "active passive"), (5, "demoting passive"), (7, "passive active"))
    assert measured("active passive", *back) == 3


def test_what_was_not_seen_is_not_known() -> None:
    assert measured("active passive") is None
    assert measured("active passive", (1, "passive active")) is None
    assert measured("active passive", (1, "demoting passive")) is None
    assert measured("passive passive", (1, "passive promoting"), (2, "passive active")) is None
    assert measured("", (1, "active passive")) is None
