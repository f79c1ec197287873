"""How the Lease covers the holds: what it says as long as there are any, and how long they may last."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tcf.core.annotations import Acknowledgement
from tcf.core.cover import Cover
from tcf.core.holds import HoldRequest
from tcf.core.lease_content import Renewal
from tcf.core.model import Application, Isolation, Role, WorkerLease
from unit.build import TERM, UID

T = 1000.0
TIMEOUT = 30
OLD, NEW = Acknowledgement(UID, TERM), Acknowledgement(UID, TERM + 1)
LEASE = WorkerLease("w", "uid", "1", "shop", "c1", "host", OLD, Isolation.FENCE, 15)
RENEWAL = Renewal(NEW, Isolation.FENCE, 15)
ASKS = HoldRequest("pg-0", "x", 10.0)
DRAINS = replace(ASKS, draining=True)


def ask(cover: Cover, request: HoldRequest = ASKS, now: float = T, until: float = math.inf) -> float:
    """The end of the hold after this request of a worker that answers active until then."""
    hold = cover.hold(request, now, active_until=until, keep=False)
    assert hold
    return hold.until


def lowered(*, hold: HoldRequest = ASKS, at: float = T, role: Role | None = Role.DEMOTING) -> Cover:
    """A worker that has granted a hold, and has written its Lease; then it loses its role."""
    cover = Cover()
    cover.saw(Role.ACTIVE, TIMEOUT, T)
    cover.sending(RENEWAL, T)
    cover.written()
    ask(cover, hold)
    cover.saw(role, TIMEOUT, at)
    return cover


def drained(cover: Cover, now: float, seconds: float = 100.0) -> float:
    return ask(cover, replace(DRAINS, seconds=seconds), now, -math.inf)


@pytest.mark.parametrize("role", [Role.DEMOTING, Role.PASSIVE, None])
def test_a_loss_is_not_acknowledged_while_somebody_holds(role: Role | None) -> None:
    cover = lowered(role=role)
    content = cover.composed(RENEWAL, LEASE, T + 1)
    assert (content.acknowledged, content.held_by) == (OLD, '"pg-0" (holding)')
    after = cover.composed(RENEWAL, LEASE, T + 10)
    assert (after.acknowledged, after.held_by) == (NEW, "")


@pytest.mark.parametrize("role", [Role.ACTIVE, Role.PROMOTING])
def test_a_table_in_which_the_member_may_act_is_acknowledged_at_once(role: Role) -> None:
    content = lowered(role=role).composed(RENEWAL, LEASE, T + 1)
    assert (content.acknowledged, content.held_by) == (NEW, "")


def test_an_old_acknowledgement_of_the_same_table_is_taken_back() -> None:
    assert lowered().composed(RENEWAL, replace(LEASE, acknowledged=NEW), T + 1).acknowledged is None


def test_without_a_hold_nothing_is_changed() -> None:
    cover = Cover()
    cover.saw(Role.DEMOTING, TIMEOUT, T)
    assert cover.composed(RENEWAL, LEASE, T) == RENEWAL
    assert cover.registration_duration(T) == 1


def test_the_health_of_the_application_is_written() -> None:
    assert lowered().composed(RENEWAL, LEASE, T + 1).application is Application.HEALTHY


def test_the_lease_lasts_until_the_last_hold_has_ended() -> None:
    """Once longer, it stays so: each change would look like a break to a coordinator."""
    cover, short = lowered(hold=replace(ASKS, seconds=9.5)), replace(RENEWAL, duration=2)
    fresh = replace(LEASE, duration=2)
    assert cover.composed(short, fresh, T).duration == 10
    assert cover.composed(short, fresh, T + 1).duration == 9
    assert cover.composed(short, replace(LEASE, duration=10), T + 5).duration == 10
    assert cover.composed(short, LEASE, T + 5).duration == 15
    assert cover.composed(short, LEASE, T + 7.5).duration == 2


def test_a_new_lease_covers_them_too() -> None:
    assert lowered().registration_duration(T + 0.5) == 10


# --- draining -----------------------------------------------------------------------------------------


def test_a_holder_that_drains_gets_what_the_lease_promises() -> None:
    cover = lowered()
    assert drained(cover, T + 1, seconds=10) == T + 11
    assert drained(cover, T + 2) == T + 15


def test_it_gets_half_of_the_switchover_at_most() -> None:
    cover = lowered(at=T + 0.5)
    cover.sending(replace(RENEWAL, duration=60), T + 1)
    cover.written()
    assert drained(cover, T + 2) == T + 0.5 + TIMEOUT / 2
    cover.saw(Role.PASSIVE, TIMEOUT, T + 9)
    assert drained(cover, T + 9) == T + 0.5 + TIMEOUT / 2, "it counts from the loss"


def test_a_role_that_comes_back_ends_the_count() -> None:
    cover = lowered()
    cover.saw(Role.ACTIVE, TIMEOUT, T + 1)
    ask(cover, now=T + 2)
    cover.saw(Role.DEMOTING, TIMEOUT, T + 8)
    cover.sending(replace(RENEWAL, duration=60), T + 9)
    cover.written()
    assert drained(cover, T + 10) == T + 8 + TIMEOUT / 2


def test_a_hold_that_has_run_out_is_not_revived() -> None:
    assert drained(lowered(), T + 10) == T + 10
    assert drained(Cover(), T) == -math.inf


def test_without_draining_it_gets_no_more_time() -> None:
    assert ask(lowered(), replace(ASKS, seconds=100), T + 1, -math.inf) == T + 10


def test_a_write_under_way_may_take_time_away_but_never_gives_any() -> None:
    shorter, longer = lowered(), lowered()
    shorter.sending(replace(RENEWAL, duration=11), T + 1)
    assert drained(shorter, T + 2) == T + 12
    longer.sending(replace(RENEWAL, duration=100), T + 1)
    assert drained(longer, T + 2) == T + 15


def test_a_write_that_has_succeeded_decides_all_before_it() -> None:
    cover = lowered()
    cover.sending(replace(RENEWAL, duration=11), T + 1)
    cover.sending(replace(RENEWAL, duration=13), T + 1.5)
    cover.written()
    assert drained(cover, T + 2) == T + 14.5


def test_without_a_lease_nothing_is_promised() -> None:
    cover = lowered()
    cover.lost()
    assert drained(cover, T + 2) == T + 10
    cover.sending(RENEWAL, T + 3)
    assert drained(cover, T + 4) == T + 10
    cover.written()
    assert drained(cover, T + 4, seconds=9) == T + 13


# --- KeepRole -----------------------------------------------------------------------------------------


def test_under_keep_role_a_hold_outlasts_the_reading() -> None:
    hold = Cover().hold(ASKS, T, active_until=T - 5, keep=True)
    assert hold
    assert hold.until == T + 10


def test_a_holder_that_drains_while_the_member_is_active_gets_as_long_as_any_other() -> None:
    cover = Cover()
    cover.saw(Role.ACTIVE, TIMEOUT, T)
    cover.sending(RENEWAL, T)
    cover.written()
    ask(cover, replace(ASKS, seconds=1.0), until=T + 5)
    assert ask(cover, DRAINS, until=T + 5) == T + 5
