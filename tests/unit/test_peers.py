"""Which of several operators attends to a federation first, and what the others do meanwhile."""

from __future__ import annotations

from collections import Counter

import pytest

from tcf.core.fencing import silence_needed
from tcf.core.heartbeat import HEARTBEAT_DURATION
from tcf.core.peers import FORGOTTEN, LONGEST_WAIT, MOMENT, Peers

NOW = 1000.0
NAMES = ("operator-a", "operator-b", "operator-c")
MARKS = {name: f"{name}/1" for name in NAMES}
FEDERATIONS = [f"f{n}" for n in range(300)]


def seen_by(own: str, marks: dict[str, str] = MARKS, now: float = NOW) -> Peers:
    return Peers(own).found(marks, now)


def order(federation: str) -> list[str]:
    """The operators in the order in which they attend to the federation."""
    return sorted(NAMES, key=lambda own: len(seen_by(own).before(federation, NOW)))


def test_all_operators_agree_on_the_order() -> None:
    for federation in FEDERATIONS:
        first, second, third = order(federation)
        assert seen_by(first).before(federation, NOW) == []
        assert seen_by(second).before(federation, NOW) == [first]
        assert set(seen_by(third).before(federation, NOW)) == {first, second}


def test_each_is_the_first_for_about_as_many_federations() -> None:
    counted = Counter(order(federation)[0] for federation in FEDERATIONS)
    assert all(60 < counted[name] < 140 for name in NAMES)


def test_when_one_joins_or_leaves_only_its_own_share_moves() -> None:
    two = {name: MARKS[name] for name in NAMES[:2]}
    for federation in FEDERATIONS:
        alone = [own for own in two if not seen_by(own, two).before(federation, NOW)]
        first = order(federation)[0]
        assert first == NAMES[2] or alone == [first]


def test_an_operator_that_knows_of_nobody_acts_at_once() -> None:
    for peers in (Peers("operator-a"), seen_by("operator-a", {"operator-a": "operator-a/1"})):
        assert all(peers.acts_at(federation, NOW, NOW) == NOW for federation in FEDERATIONS)


def test_the_others_wait_a_moment_for_each_that_comes_before() -> None:
    for place, own in enumerate(order("shop")):
        assert seen_by(own).acts_at("shop", NOW, NOW) == NOW + place * MOMENT


def test_whoever_is_in_the_middle_of_a_switchover_comes_first() -> None:
    first, second, third = order("shop")
    assert seen_by(third).before("shop", NOW, at_work=third) == []
    assert seen_by(first).before("shop", NOW, at_work=third) == [third]
    assert set(seen_by(second).before("shop", NOW, at_work=third)) == {first, third}
    assert seen_by(first).acts_at("shop", NOW, NOW, at_work=third) == NOW + MOMENT
    assert seen_by(first).before("shop", NOW, at_work="operator-z") == [], "nobody knows that one"
    slow = seen_by(first).stepped_in([third], NOW)
    assert slow.before("shop", NOW, at_work=third) == []


def test_nobody_is_slow_who_is_not_known() -> None:
    peers = seen_by("operator-a")
    assert peers.stepped_in(["operator-z"], NOW) == peers


def test_a_peer_whose_mark_does_not_change_is_dead_after_a_while() -> None:
    _, second, _ = order("shop")
    peers = seen_by(second)
    assert peers.before("shop", NOW + 66) != []
    assert peers.before("shop", NOW + 66.2) == []
    again = peers.found(MARKS, NOW + 60)
    assert again.before("shop", NOW + 66.2) == []
    alive = peers.found({name: f"{name}/2" for name in NAMES}, NOW + 60)
    assert alive.before("shop", NOW + 66.2) != []


def test_a_peer_whose_mark_is_gone_is_gone() -> None:
    first, second, _ = order("shop")
    left = seen_by(second).found({name: mark for name, mark in MARKS.items() if name != first}, NOW)
    assert left.before("shop", NOW) == []


def test_a_peer_that_left_a_step_to_others_is_not_waited_for_again() -> None:
    """Until it gives another sign. So its whole share is late by a moment, once."""
    first, second, _ = order("shop")
    peers = seen_by(second).stepped_in([first], NOW)
    assert peers.before("shop", NOW) == []
    same = [name for name in FEDERATIONS if seen_by(second).before(name, NOW) == [first]]
    assert same
    assert all(peers.acts_at(name, NOW, NOW) == NOW for name in same)
    assert peers.acted(first, NOW).before("shop", NOW) == [first]
    assert peers.found({**MARKS, first: f"{first}/2"}, NOW).before("shop", NOW) == [first]
    assert peers.found(MARKS, NOW + 1).before("shop", NOW + 1) == []


def test_a_peer_that_is_busy_elsewhere_gets_more_time() -> None:
    first, second, _ = order("shop")
    peers = seen_by(second)
    busy = peers.acted(first, NOW + 1)
    assert busy.acts_at("shop", NOW, NOW + 1) == NOW + 1 + MOMENT
    for_ever = peers.acted(first, NOW + 60)
    assert for_ever.acts_at("shop", NOW, NOW + 60) == NOW + LONGEST_WAIT
    assert for_ever.stepped_in([first], NOW + 60).before("shop", NOW + 60) == [first], "it is not slow"


def test_what_one_peer_does_says_nothing_about_another() -> None:
    """So the share of a dead one is late by a moment, no matter how much the others have to do."""
    dead, busy, own = order("shop")
    peers = seen_by(own)
    for _ in range(9):
        peers = peers.acted(busy, NOW + MOMENT)
    orphan = next(name for name in FEDERATIONS if order(name)[:2] == [dead, own])
    assert peers.acts_at(orphan, NOW, NOW + MOMENT) == NOW + MOMENT
    assert peers.stepped_in([dead], NOW + MOMENT).before("shop", NOW + MOMENT) == [busy]


def test_a_step_of_somebody_who_has_left_no_mark_says_nothing() -> None:
    peers = seen_by("operator-a")
    for stranger in ("operator-a", "operator-z"):
        assert peers.acted(stranger, NOW + 5) == peers
    assert Peers("alone").acted("operator-a", NOW) == Peers("alone")


@pytest.mark.parametrize(("after", "forgotten"), [(FORGOTTEN, []), (FORGOTTEN + 1, ["operator-b"])])
def test_marks_of_operators_that_are_long_gone_are_removed(after: float, forgotten: list[str]) -> None:
    peers = seen_by("operator-a", {"operator-a": "operator-a/1", "operator-b": "operator-b/1"})
    assert peers.forgotten(NOW + after) == forgotten


def test_a_step_is_overdue_when_those_before_did_nothing_and_not_when_they_are_only_busy() -> None:
    first, second, _ = order("shop")
    peers = seen_by(second)
    assert peers.overdue_at("shop", NOW, NOW) == NOW + MOMENT
    busy = peers.acted(first, NOW + 60)
    assert busy.overdue_at("shop", NOW, NOW + 60) == NOW + 60 + MOMENT
    assert busy.acts_at("shop", NOW, NOW + 60) < NOW + 60


def test_a_mark_that_changed_once_does_not_make_its_operator_live_for_ever() -> None:
    first, second, _ = order("shop")
    later = {**MARKS, first: f"{first}/2"}
    peers = seen_by(second).found(later, NOW + 60)
    for n in range(2, 5):
        peers = peers.found(later, NOW + 60 * n)
    assert peers.before("shop", NOW + 240) == []


def test_of_several_that_come_before_the_busiest_counts() -> None:
    first, second, third = order("shop")
    peers = seen_by(third).acted(first, NOW + 1).acted(second, NOW + 2)
    assert peers.overdue_at("shop", NOW, NOW + 2) == NOW + 2 + 2 * MOMENT


def test_at_which_moment_a_peer_is_dead_or_slow() -> None:
    first, second, _ = order("shop")
    longest = silence_needed(HEARTBEAT_DURATION)
    peers = seen_by(second, now=0.0)
    assert peers.before("shop", longest) == [first]
    assert peers.before("shop", longest + 0.1) == []
    acted = peers.acted(first, 10.0)
    assert acted.stepped_in([first], 10.0 + MOMENT).before("shop", 10.5) == [first]
    assert acted.stepped_in([first], 10.1 + MOMENT).before("shop", 10.6) == []
