"""What an operator counts about a federation, and from when."""

from __future__ import annotations

from typing import Any

import pytest

from tcf.coordinator.federation_tally import FederationTally
from tcf.core.model import Federation, Trigger
from unit.build import BOOT, UID, entry, federation, request


def after(*seen: Federation | None, every: float = 10.0) -> FederationTally:
    """The tally after these versions were seen, one every so many seconds from BOOT on."""
    tally, before = FederationTally(), None
    for number, version in enumerate(seen):
        tally.saw(before, version, BOOT + every * number)
        before = version
    return tally


def lasted(tally: FederationTally, trigger: str = Trigger.API) -> tuple[int, float]:
    """How many requests have succeeded, and how long they took in all."""
    durations = tally.durations[trigger]
    return sum(durations.counts), durations.total


def ended(*past: Any, uid: str = UID) -> Federation:
    return federation("passive active", history=past, uid=uid)


IDLE = federation("active passive")
ASKED = federation("active passive", switchover=request())
R0, R1 = entry("r0"), entry("r1")


def test_at_first_nothing_has_happened() -> None:
    tally = FederationTally()
    assert (tally.decisions, tally.conflicts, tally.ended, tally.durations) == (0, 0, {}, {})
    assert tally.without_active(BOOT) == 0


def test_a_request_is_counted_when_it_has_ended() -> None:
    tally = after(ASKED, ended(R1))
    assert tally.ended == {("api", "Succeeded"): 1}
    assert lasted(tally) == (1, 10)
    again = after(ASKED, ended(R1), ended(entry("r2"), R1))
    assert again.ended == {("api", "Succeeded"): 2}


def test_it_lasts_from_when_it_was_seen_first() -> None:
    assert lasted(after(ASKED, ASKED, ended(R1))) == (1, 20)
    assert lasted(after(ASKED, IDLE, ASKED, ended(R1))) == (1, 30)
    other = federation("active passive", switchover=request(id="r2"))
    assert lasted(after(ASKED, other, ended(entry("r2")))) == (1, 10)


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        (("2026-11-23T11:59:00Z", "2026-11-23T11:59:07Z"), 7),
        (("2026-11-23T11:59:07Z", "2026-11-23T11:59:00Z"), 0),
        (("?", "2026-11-23T11:59:07Z"), 0),
    ],
)
def test_one_that_was_not_seen_under_way_has_the_times_of_its_record(
    times: tuple[str, str], seconds: float
) -> None:
    past = entry("r1", started_at=times[0], finished_at=times[1])
    assert lasted(after(IDLE, ended(past))) == (1, seconds)


def test_what_has_not_succeeded_has_no_duration() -> None:
    tally = after(ASKED, ended(entry("r1", outcome="RolledBack")))
    assert tally.ended == {("api", "RolledBack"): 1}
    assert lasted(tally) == (0, 0)


@pytest.mark.parametrize(
    "before", [None, federation(None), ended(uid="uid-2")], ids=["nothing", "no status", "another object"]
)
def test_what_had_ended_before_this_operator_looked_is_not_counted(before: Federation | None) -> None:
    assert after(before, ended(R1)).ended == {}
    assert after(ended(R0), ended(R1, R0)).ended == {("api", "Succeeded"): 1}
    assert after(ended(R0), federation(None), None).ended == {}


NOBODY = federation("passive passive")


@pytest.mark.parametrize(
    ("seen", "seconds"),
    [
        ((IDLE, IDLE), 0),
        ((NOBODY,), 5),
        ((NOBODY, NOBODY), 15),
        ((NOBODY, IDLE), 10),
        ((NOBODY, IDLE, NOBODY), 15),
        ((NOBODY, IDLE, IDLE), 10),
        ((NOBODY, None), 10),
        ((NOBODY, federation(None)), 10),
        ((None, federation(None)), 0),
    ],
)
def test_the_time_without_an_active_member(seen: tuple[Federation | None, ...], seconds: float) -> None:
    """Until five seconds after the last version was seen."""
    tally = after(*seen)
    assert tally.without_active(BOOT + 10 * (len(seen) - 1) + 5) == seconds
