"""The record of holds: what is granted, what ends, and what people see of it."""

from __future__ import annotations

import math

import pytest

from tcf.core.holds import LONGEST_NAMES, MOST_HOLDERS, Hold, HoldRequest, Holds, HoldState
from tcf.core.model import Application

T = 1000.0
ASKS = HoldRequest("pg-0", "x", 10.0)
DRAINS = HoldRequest("pg-0", "x", 10.0, draining=True)
OTHER = HoldRequest("pg-0", "y", 10.0)
ILL = HoldRequest("web", "z", 10.0, healthy=False, message="no disk")
NEVER = -math.inf


def holds_with(*requests: HoldRequest, limit: float = math.inf) -> Holds:
    holds = Holds()
    for request in requests:
        holds.note(request, T, limit)
    return holds


def note(holds: Holds, request: HoldRequest, now: float, limit: float) -> Hold:
    hold = holds.note(request, now, limit)
    assert hold
    return hold


def test_a_hold_lasts_as_long_as_asked_for_or_as_it_may() -> None:
    assert note(Holds(), ASKS, T, math.inf).until == T + 10
    assert note(Holds(), ASKS, T, T + 3).until == T + 3
    assert not note(Holds(), ASKS, T, NEVER).outstanding(T)


def test_it_ends_at_its_time_exactly() -> None:
    hold = note(Holds(), ASKS, T, T + 3)
    assert hold.outstanding(T + 2.999)
    assert not hold.outstanding(T + 3)


def test_no_request_makes_it_shorter() -> None:
    holds = holds_with(ASKS)
    assert note(holds, HoldRequest("pg-0", "x", 1.0), T + 1, NEVER).until == T + 10


def test_each_instance_has_a_hold_of_its_own() -> None:
    holds = holds_with(ASKS, OTHER, limit=T + 5)
    holds.release("pg-0", "x")
    assert not holds.outstanding("pg-0", "x", T)
    assert holds.outstanding("pg-0", "y", T)
    holds.release("pg-0", "unknown")
    assert holds.end(T) == T + 5


def test_the_end_is_that_of_the_last_hold() -> None:
    holds = holds_with(ASKS)
    note(holds, OTHER, T + 2, math.inf)
    assert holds.end(T + 3) == T + 12
    assert holds.end(T + 13) == T + 13
    assert Holds().end(T) == T


def test_there_are_only_so_many_holders() -> None:
    holds = holds_with(*(HoldRequest("app", str(n), 10.0) for n in range(MOST_HOLDERS)), limit=NEVER)
    assert holds.note(ASKS, T + 1, math.inf) is None
    assert holds.note(HoldRequest("app", "0", 10.0), T + 1, math.inf)
    assert holds.note(ASKS, T + 10, math.inf), "the others have not reported for so long"
    assert len(list(holds.known(T + 10))) == 2


def test_the_states() -> None:
    holds = holds_with(ILL, limit=NEVER)
    hold = note(holds, ASKS, T, T + 5)
    assert (hold.state(T), hold.state_since(T)) == (HoldState.HOLDING, T)
    assert note(holds, ASKS, T + 1, T + 5).state_since(T + 1) == T
    drained = note(holds, DRAINS, T + 2, T + 6)
    assert (drained.state(T + 3), drained.state_since(T + 3)) == (HoldState.DRAINING, T + 2)
    assert (drained.state(T + 7), drained.state_since(T + 7)) == (HoldState.IDLE, T + 6)
    assert [hold.state(T) for hold in holds.known(T + 1)] == [HoldState.IDLE, HoldState.DRAINING]


@pytest.mark.parametrize(
    ("requests", "health"),
    [
        ([], None),
        ([ASKS], Application.HEALTHY),
        ([ILL], Application.UNHEALTHY),
        ([ASKS, ILL], Application.UNHEALTHY),
        ([DRAINS], None),
        ([HoldRequest("pg-0", "x", 10.0, draining=True, healthy=False), OTHER], Application.HEALTHY),
    ],
)
def test_the_application_is_healthy_if_all_say_so_that_do_not_drain(
    requests: list[HoldRequest], health: Application | None
) -> None:
    holds = holds_with(*requests)
    assert holds.application(T + 9.9) is health
    assert holds.application(T + 10) is None


def test_who_never_holds_reports_as_well() -> None:
    assert holds_with(ASKS, limit=NEVER).application(T) is Application.HEALTHY
    assert holds_with(DRAINS, limit=NEVER).application(T) is Application.HEALTHY, "it has nothing to drain"


def test_the_names_fit_into_the_lease() -> None:
    assert (
        holds_with(ASKS, DRAINS, HoldRequest("web", "", 1.0)).named(T) == '"pg-0" (draining), "web" (holding)'
    )
    assert not holds_with(ASKS, limit=NEVER).named(T)
    many = holds_with(*(HoldRequest("n" * 63, str(n), 10.0) for n in range(64)))
    assert many.named(T).endswith('" (holding), 61 more')
    assert len(many.named(T)) <= LONGEST_NAMES


def test_names_may_be_just_as_long_as_the_lease_allows() -> None:
    name = "n" * (LONGEST_NAMES - len('"" (holding)'))
    assert len(holds_with(HoldRequest(name, "", 1.0)).named(T)) == LONGEST_NAMES
    assert holds_with(HoldRequest(name + "n", "", 1.0)).named(T) == ""


def test_the_limits_are_those_of_the_docs_and_of_what_a_lease_may_say() -> None:
    assert (MOST_HOLDERS, LONGEST_NAMES) == (64, 253)
