"""What becomes of a federation when something is down for an hour, and other stories with a known end.

Each ends as the documentation promises.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from simulation.network import Rates
from simulation.schedule import ACTIVE, PASSIVE, WALLS_RIGHT, Fault, Schedule
from simulation.schedule_player import Outcome, play
from tcf.core.model import Application, HistoryEntry, Status

HOUR = 3600.0


def quiet(*faults: Fault, **more: Any) -> Schedule:
    """Two members, a worker each, two operators; nothing happens but these faults."""
    values: dict[str, Any] = {
        "seed": 1,
        "profile": "story",
        "members": 2,
        "workers": 1,
        "operators": 2,
        "duration": 5,
        "keep_role": False,
        "automatic": False,
        "failover_timeout": 1,
        "cooldown": 0,
        "length": HOUR + 60,
        "stops": 0.0,
        "stop_spread": 2.0,
        "longest_stop": 1.0,
        "wall_runs": True,
        "wall_error": WALLS_RIGHT,
        "slew": 0.04,
        "rates": Rates(),
        **more,
    }
    return Schedule(**values, faults=faults)


def story(*faults: Fault, **more: Any) -> tuple[Outcome, Status]:
    outcome = play(quiet(*faults, **more))
    assert not outcome.broken
    assert outcome.end
    assert outcome.end.status
    return outcome, outcome.end.status


def both_operators(kind: str, at: float, seconds: float) -> tuple[Fault, ...]:
    return Fault(at, kind, "op1", seconds), Fault(at, kind, "op2", seconds)


def past(status: Status) -> list[tuple[str, str, str]]:
    """Requests from the oldest on: trigger, target, outcome."""
    entries: list[HistoryEntry] = list(reversed(status.history))
    return [(entry.trigger, entry.to, entry.outcome) for entry in entries]


BEGUN = ("bootstrap", "a", "Succeeded")


@pytest.mark.parametrize("automatic", [True, False])
def test_the_hub_is_down_for_long(automatic: bool) -> None:  # noqa: FBT001
    down = HOUR if automatic else HOUR / 10
    _, status = story(Fault(20, "hub down", seconds=down), automatic=automatic, length=down + 60)
    assert past(status) == [BEGUN]
    assert status.active_cluster == "a"


def test_all_workers_are_down_for_an_hour() -> None:
    gone = [Fault(20, "kill member", member, HOUR) for member in "ab"]
    _, status = story(*gone, automatic=True)
    assert past(status) == [BEGUN]
    assert status.active_cluster == "a"


def test_all_workers_are_down_for_an_hour_and_the_passive_one_is_back_first() -> None:
    """It takes over when it has been there for a full period; the other one is back too late."""
    gone = (Fault(20, "kill member", "a", HOUR), Fault(20, "kill member", "b", HOUR - 60))
    _, status = story(*gone, automatic=True)
    assert past(status) == [BEGUN, ("failover", "b", "Succeeded")]


def test_everything_restarts_at_once() -> None:
    gone = [Fault(20, "kill member", member, 8.0) for member in "ab"]
    _, status = story(*gone, *both_operators("crash", 20, 8.0), automatic=True, length=60.0)
    assert past(status) == [BEGUN]


@pytest.mark.parametrize("automatic", [True, False])
def test_no_operator_for_an_hour(automatic: bool) -> None:  # noqa: FBT001
    """Roles stay as they are; what is asked for meanwhile is taken back, and not done later."""
    asked = Fault(100, "ask", PASSIVE, value="promote")
    _, status = story(*both_operators("crash", 20, HOUR), asked, automatic=automatic)
    assert past(status) == [BEGUN, ("api", "b", "NoCoordinator")]
    assert status.active_cluster == "a"


@pytest.mark.parametrize("kind", ["crash", "stop"])
@pytest.mark.parametrize("after", [0.012, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08])
def test_no_operator_for_an_hour_from_the_middle_of_a_switchover_on(kind: str, after: float) -> None:
    """Whatever was written before is finished, or undone, when one is back."""
    asked = Fault(20, "ask", PASSIVE, value="promote")
    _, status = story(asked, *both_operators(kind, 20 + after, HOUR))
    (_, (trigger, to, outcome)) = past(status)
    assert (trigger, to) == ("api", "b")
    assert outcome in {"Succeeded", "NoCoordinator", "RolledBack"}
    assert status.active_cluster == ("b" if outcome == "Succeeded" else "a")


def test_the_active_member_dies_while_no_operator_is_there() -> None:
    gone = Fault(30, "kill member", "a", HOUR)
    _, status = story(*both_operators("crash", 20, 1000.0), gone, automatic=True)
    assert past(status) == [BEGUN, ("failover", "b", "Succeeded")]


def test_a_worker_that_crashes_again_and_again_leaves_no_heap_of_leases() -> None:
    """Leases of the dead are collected after ten times their silence: here, of 5.6 s."""
    crashes = [Fault(20 + 2.0 * n, "crash", "b1", 1.0) for n in range(200)]
    schedule = quiet(*crashes, length=420.0)
    outcome = play(schedule, tracing=True)
    assert not outcome.broken
    there = most = 0
    for line in outcome.trace:
        there += " POST Lease: done" in line
        there -= ": done" in line and " DELETE Lease " in line
        most = max(most, there)
    assert most <= 2 + 60 / 2 + 2


def test_a_member_that_is_cut_off_is_replaced_and_stays_passive() -> None:
    _, status = story(Fault(20, "cut", ACTIVE, 100.0), automatic=True, length=300.0)
    assert past(status) == [BEGUN, ("failover", "b", "Succeeded")]
    assert status.active_cluster == "b"


def moments(outcome: Outcome, who: str, text: str) -> list[float]:
    """When a line of the trace is about somebody and contains this text."""
    lines = (line.split(maxsplit=2) for line in outcome.trace)
    return [float(moment) for moment, name, rest in lines if name == who and text in rest]


def ending(seed: int, longest: float, **more: Any) -> Outcome:
    """Somebody asks for b at 20 s; what the role of a has caused takes up to `longest` seconds to end."""
    asked = Fault(20, "ask", "b1", value="promote")
    schedule = quiet(asked, seed=seed, longest_conclusion=longest, length=60.0, **more)
    outcome = play(schedule, tracing=True)
    assert not outcome.broken
    return outcome


@pytest.mark.parametrize("seed", range(5))
def test_the_next_member_takes_over_as_soon_as_what_the_role_has_caused_is_over(seed: int) -> None:
    """It takes longer than a Lease lasts without renewals, but the worker renews meanwhile."""
    outcome = ending(seed, 6.0, duration=2)
    (over,) = (moment for moment in moments(outcome, "a1", "has concluded") if moment > 20)
    (promoted,) = moments(outcome, "hub", "a=passive b=promoting")
    assert over < promoted < over + 0.1
    assert not moments(outcome, "op1", "deleted the Lease") + moments(outcome, "op2", "deleted the Lease")


def test_a_role_that_comes_back_before_that_is_answered_for_at_once() -> None:
    """The request times out first. Renewals are up to 1.7 s apart, but the worker does not wait for that."""
    came_back = 0
    for seed in range(20):
        outcome = ending(seed, 14.0, duration=5)
        assert outcome.end
        assert outcome.end.status
        if past(outcome.end.status) != [BEGUN, ("api", "b", "RolledBack")]:
            continue  # what the role has caused was over before the request timed out
        back = [moment for moment in moments(outcome, "hub", "a=active b=passive") if moment > 21]
        active = [moment for moment in moments(outcome, "a1", "log: active") if moment > 21]
        assert back[0] < active[0] < back[0] + 0.1
        came_back += 1
    assert came_back >= 3


# --- roles that follow applications ---------------------------------------------------------------------

ILL = Application.UNHEALTHY
FOLLOWING: dict[str, Any] = {"automatic": True, "following": True, "failover_timeout": 8, "length": 300.0}


@pytest.mark.parametrize("report", [ILL, None])
def test_an_application_that_stays_ill_or_is_not_reported_on_any_more(report: Application | None) -> None:
    """Nothing fails back when it is well again."""
    _, status = story(Fault(20, "ill member", "a", 200.0, value=report), **FOLLOWING)
    assert past(status) == [BEGUN, ("failover", "b", "Succeeded")]
    assert status.active_cluster == "b"
    assert status.history[0].silent_since is None


def test_an_application_that_is_ill_again_and_again_but_never_for_long() -> None:
    ill = [Fault(20 + 8.0 * n, "ill member", "a", 5.0, value=ILL) for n in range(30)]
    _, status = story(*ill, **FOLLOWING)
    assert past(status) == [BEGUN]


def test_all_applications_are_ill() -> None:
    """There is nobody to move the role to. The first one that is well again gets it or keeps it."""
    for longer, ends in (("b", [BEGUN]), ("a", [BEGUN, ("failover", "b", "Succeeded")])):
        both = (Fault(20, "ill member", m, 200.0 if m == longer else 150.0, value=ILL) for m in "ab")
        _, status = story(*both, **FOLLOWING)
        assert past(status) == ends


def test_only_force_moves_the_role_to_an_application_that_is_ill() -> None:
    ill = Fault(20, "ill member", "b", 60.0, value=ILL)
    wish, force = (
        Fault(30, "ask", PASSIVE, value="promote"),
        Fault(40, "ask", PASSIVE, value="promote force"),
    )
    _, status = story(ill, wish, force, **FOLLOWING | {"automatic": False})
    assert past(status) == [BEGUN, ("api", "b", "ApplicationUnhealthy"), ("api", "b", "Succeeded")]


def test_a_failover_that_was_rolled_back_is_not_tried_again_before_the_cooldown() -> None:
    stuck = Fault(20, "once failing over", then=(Fault(0.0, "cut", "b1", 10.0),))
    ill = Fault(20, "ill member", "a", 280.0, value=ILL)
    _, status = story(stuck, ill, **FOLLOWING | {"cooldown": 60})
    assert past(status) == [BEGUN, ("failover", "b", "RolledBack"), ("failover", "b", "Succeeded")]
    again, failed = status.history[:2]
    begun, ended = (datetime.fromisoformat(when) for when in (again.started_at, failed.finished_at))
    assert 60 - 2 * WALLS_RIGHT <= (begun - ended).total_seconds() < 80
