"""The holders of a worker at work: when they are answered, and what waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from tcf.core.annotations import Acknowledgement
from tcf.core.holds import MOST_HOLDERS, HoldRequest, HoldState
from tcf.core.model import Application, Federation, Isolation
from tcf.core.reading import Reading
from tcf.worker.holders import MOST_WAITING, HoldAnswer, Holders
from unit.build import TERM, UID, WALL, D, federation
from unit.jumping_loop import jumping, passed
from unit.lease_server import DOWN, Trouble
from unit.worker_site import ACTIVE, DEMOTING, PASSIVE, Site, at_work

PERIOD = D / 3
LONG = 120
"""A lease duration with which holds outlast a clean stop."""
LASTING = federation("active passive", lease_duration=LONG, switchover_timeout=2 * LONG)
assert DEMOTING.status
LOWERED = DEMOTING.status
SOON = 0.001
"""Seconds within which everything has happened that happens at once."""


def request(seconds: float = 5.0, instance: str = "a", **more: Any) -> HoldRequest:
    return HoldRequest("app", instance, seconds, **more)


async def asked(site: Site, seconds: float = 5.0, wait: float = 0.0, **more: Any) -> HoldAnswer:
    answer = await site.worker.holders.ask(request(seconds, **more), wait)
    assert answer
    return answer


def told(answer: HoldAnswer) -> str:
    """The role, or the reason why there is none."""
    return str(answer.answer.role) if isinstance(answer.answer, Reading) else answer.answer.reason


async def timed(asking: Coroutine[Any, Any, HoldAnswer]) -> tuple[str, float]:
    """What was answered, and after how many seconds (in steps of 10 ms)."""
    began = passed()
    answer = await asking
    return told(answer), round(passed() - began, 2)


# --- answers ------------------------------------------------------------------------------------------


@jumping
async def test_what_is_granted_counts_from_the_request_and_ends_with_the_reading() -> None:
    async with at_work(Site()) as site:
        answer = await asked(site, 5.0)
        assert (told(answer), answer.active, answer.held_for) == ("active", True, 0.9 * 5)
        answer = await asked(site, 5.0, wait=2.0)
        assert answer.held_for == pytest.approx(0.9 * (2 + 5)), "it was extended two seconds later"
        answer = await asked(site, 300.0)
        assert 0.9 * (D - PERIOD) <= answer.held_for < 0.9 * D
        longest = answer.held_for
        answer = await asked(site, 1.0)
        assert answer.held_for == longest, "no request shortens a hold"


@jumping
async def test_a_member_that_is_not_active_grants_nothing() -> None:
    async with at_work(Site(PASSIVE)) as site:
        answer = await asked(site)
        assert (told(answer), answer.active, answer.held_for) == ("passive", False, 0)
        site.roles.put(None)
        await asyncio.sleep(SOON)
        answer = await asked(site)
        assert (told(answer), answer.active, answer.held_for) == ("FederationNotFound", False, 0)


@pytest.mark.parametrize("about", [ACTIVE, PASSIVE])
@pytest.mark.parametrize("wait", [0.0, 2.5])
@jumping
async def test_without_news_the_answer_comes_when_the_wait_is_over(about: Federation, wait: float) -> None:
    """However often the worker renews meanwhile."""
    async with at_work(Site(about)) as site:
        await asked(site)
        for _ in range(5):
            assert await timed(asked(site, wait=wait)) == (site.says, wait)


@jumping
async def test_a_holder_that_may_begin_does_not_wait() -> None:
    async with at_work(Site()) as site:
        assert await timed(asked(site, wait=2.5)) == ("active", 0)
        assert await timed(asked(site, wait=2.5)) == ("active", 2.5), "it has begun"
        await asyncio.sleep(6)
        assert await timed(asked(site, wait=2.5)) == ("active", 0), "its hold has run out"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (ACTIVE, DEMOTING, "demoting"),
        (ACTIVE, None, "FederationNotFound"),
        (PASSIVE, federation("active passive", term=TERM + 1), "active"),
    ],
)
@jumping
async def test_news_are_told_at_once(before: Federation, after: Federation | None, says: str) -> None:
    async with at_work(Site(before)) as site:
        await asked(site)
        asking = asyncio.create_task(timed(asked(site, wait=2.5)))
        await asyncio.sleep(1)
        assert not asking.done()
        site.roles.put(after)
        assert await asking == (says, 1)


@jumping
async def test_what_is_no_news_to_a_holder_is_not_told() -> None:
    """Neither a higher term nor another role in which it may not act."""
    async with at_work(Site()) as site:
        await asked(site)
        asking = asyncio.create_task(timed(asked(site, wait=2.5)))
        await asyncio.sleep(1)
        site.roles.put(federation("active passive", term=TERM + 3))
        assert await asking == ("active", 2.5)
    async with at_work(Site(PASSIVE)) as site:
        asking = asyncio.create_task(timed(asked(site, wait=2.5)))
        await asyncio.sleep(1)
        site.roles.put(federation("promoting passive", term=TERM + 1))
        assert await asking == ("promoting", 2.5)


@jumping
async def test_a_worker_that_is_cut_off_tells_its_holders_when_it_knows_nothing_any_more() -> None:
    """It tries to renew at least four times in a period, and looks each time."""
    async with at_work(Site()) as site:
        site.fail(DOWN)
        await asked(site, 300.0)
        answer = await asked(site, 300.0, wait=150.0)
        assert (told(answer), answer.held_for) == ("HubUnreachable", 0)
        assert D <= passed() < D + PERIOD


@jumping
async def test_only_so_many_requests_wait() -> None:
    """Each takes a connection, and probes need some."""
    async with at_work(Site(PASSIVE)) as site:
        waiting = [asyncio.create_task(asked(site, 10.0, wait=5.0)) for _ in range(MOST_WAITING)]
        await asyncio.sleep(SOON)
        assert not any(task.done() for task in waiting)
        assert await timed(asked(site, 10.0, wait=5.0)) == ("passive", 0.0)
        await asyncio.gather(*waiting)
        assert await timed(asked(site, 10.0, wait=5.0)) == ("passive", 5.0)
        waiting = [asyncio.create_task(asked(site, 10.0, wait=5.0)) for _ in range(MOST_WAITING)]
        await asyncio.sleep(SOON)
        assert await timed(asked(site, 10.0, wait=5.0)) == ("passive", 0.0), "as many as before, and no more"
        await asyncio.gather(*waiting)


@jumping
async def test_who_holds_nothing_hears_at_once_that_nobody_knows() -> None:
    async with at_work(Site(PASSIVE)) as site:
        site.fail(DOWN)
        await asyncio.sleep(2 * D)
        assert await timed(asked(site, 10.0, wait=5.0)) == ("HubUnreachable", 0.0)


@jumping
async def test_under_keep_role_a_hold_goes_on_during_an_outage() -> None:
    async with at_work(Site(federation("active passive", isolation=Isolation.KEEP_ROLE))) as site:
        site.fail(DOWN)
        await asyncio.sleep(3 * D)
        answer = await asked(site, 50.0)
        assert (told(answer), answer.held_for) == ("active", 0.9 * 50)


@jumping
async def test_a_worker_has_only_so_many_holders() -> None:
    async with at_work(Site()) as site:
        for number in range(MOST_HOLDERS):
            await asked(site, instance=str(number))
        assert await site.worker.holders.ask(request(instance="more"), 2.5) is None
        await asked(site, instance="0")
        assert site.worker.holders.release("app", "0")
        await asked(site, instance="more")


@jumping
async def test_the_holders_are_listed_by_name_with_the_time_of_their_state() -> None:
    async with at_work(Site()) as site:
        await site.worker.holders.ask(HoldRequest("web", "", 2.0, healthy=False, message="no disk"))
        began = passed()
        await asyncio.sleep(1)
        await asked(site)
        first, second = site.worker.holders.rows()
        assert (first.name, first.state, first.seconds_left) == ("app", HoldState.HOLDING, 5)
        assert (second.name, second.state, round(second.seconds_left, 2)) == ("web", HoldState.HOLDING, 1)
        assert (second.healthy, second.message) == (False, "no disk")
        assert (second.since - WALL).total_seconds() == pytest.approx(began)
        await asyncio.sleep(1.5)
        (first,) = site.worker.holders.rows()
        assert first.name == "app", "nobody has heard of the other one any more"


@jumping
async def test_whoever_does_not_want_to_wait_is_answered_at_once() -> None:
    async with at_work(Site()) as site:
        for begun in (True, False, False):
            answer = await site.worker.holders.ask(request())
            assert answer
            assert answer.begun == begun
            assert passed() < 0.1
        await asyncio.sleep(6)
        assert (await asked(site)).begun
        assert (await asked(site, 0.5, instance="short")).begun
    async with at_work(Site(PASSIVE)) as site:
        assert not (await asked(site)).begun
        (row,) = site.worker.holders.rows()
        assert row.seconds_left == 0


@pytest.mark.parametrize("gone", [False, True])
@jumping
async def test_a_holder_that_has_gone_while_it_waited_gets_nothing(*, gone: bool) -> None:
    """Either it has hung up, or it has been released."""
    async with at_work(Site(PASSIVE)) as site:
        holders = site.worker.holders
        asking = asyncio.create_task(holders.ask(request(), 2.5, there=lambda: not gone))
        await asyncio.sleep(1)
        if not gone:
            holders.release("app", "a")
        site.roles.put(federation("active passive", term=TERM + 1))
        answer = await asking
        assert answer
        assert (answer.held_for, answer.begun) == (0, False)
        assert holders.end() is None


@jumping
async def test_only_the_last_release_lets_a_worker_go_on() -> None:
    async with at_work(Site()) as site:
        told: list[str] = []
        holders = Holders(site.worker.knowledge, released=lambda: told.append("released"))
        for instance in ("a", "b"):
            await asked(site, 9.0, instance=instance)
        holders.release("app", "c")
        await lose_the_role(site)
        holders.release("app", "a")
        assert told == []
        holders.release("app", "b")
        assert told == ["released"]


def test_twice_as_many_may_wait_as_may_hold() -> None:
    assert MOST_WAITING == 128


# --- the acknowledgement ------------------------------------------------------------------------------


async def lose_the_role(site: Site) -> None:
    site.roles.put(DEMOTING)
    await asyncio.sleep(SOON)
    assert (site.says, site.acknowledged) == ("demoting", TERM)


@jumping
async def test_the_release_of_the_last_hold_is_acknowledged_at_once() -> None:
    async with at_work(Site()) as site:
        for instance in ("a", "b"):
            await asked(site, 9.0, instance=instance)
        await lose_the_role(site)
        assert site.worker.holders.release("app", "a")
        assert not site.worker.holders.release("app", "a"), "it is released already"
        assert not site.worker.holders.release("web", "b"), "there is no such hold"
        await asyncio.sleep(SOON)
        assert site.acknowledged == TERM
        assert site.worker.holders.release("app", "b")
        await asyncio.sleep(SOON)
        assert site.acknowledged == TERM + 1


@jumping
async def test_the_end_of_the_last_hold_is_acknowledged_at_once() -> None:
    async with at_work(Site()) as site:
        for instance, seconds in (("a", 1.5), ("b", 2.0)):
            await asked(site, seconds, instance=instance)
        await lose_the_role(site)
        await asyncio.sleep(2 - 3 * SOON)
        assert site.acknowledged == TERM
        await asyncio.sleep(4 * SOON)
        assert site.acknowledged == TERM + 1


@jumping
async def test_a_hold_that_drains_is_waited_for_to_its_new_end() -> None:
    async with at_work(Site()) as site:
        await asked(site, 1.0)
        await lose_the_role(site)
        await asyncio.sleep(0.5)
        answer = await asked(site, 2.0, draining=True)
        assert (told(answer), round(answer.held_for, 2)) == ("demoting", 0.9 * 2)
        await asyncio.sleep(2 - SOON)
        assert site.acknowledged == TERM
        await asyncio.sleep(2 * SOON)
        assert site.acknowledged == TERM + 1


@jumping
async def test_the_lease_says_who_holds_as_long_as_somebody_is_waited_for() -> None:
    async with at_work(Site()) as site:
        await asked(site, 9.0)
        await asyncio.sleep(PERIOD)
        assert site.lease.held_by == "", "nobody waits for it yet"
        await lose_the_role(site)
        await asyncio.sleep(PERIOD)
        assert (site.lease.held_by, site.acknowledged) == ('"app" (holding)', TERM)
        site.worker.holders.release("app", "a")
        await asyncio.sleep(SOON)
        assert (site.lease.held_by, site.acknowledged) == ("", TERM + 1)


@jumping
async def test_an_acknowledgement_that_waits_causes_no_writes() -> None:
    """Neither do holders that go on asking, nor releases of others, nor watch events."""
    async with at_work(Site(LASTING)) as site:
        await asked(site, 60.0)
        reads, writes = len(site.roles.reads), len(site.leases.renewals)
        for number in range(1, 50):
            site.roles.put(replace(DEMOTING, spec=LASTING.spec, status=replace(LOWERED, term=TERM + number)))
            await asked(site, 1.0, draining=True)
            site.worker.holders.release("app", "another")
            await asyncio.sleep(0.1)
        assert (site.says, site.acknowledged) == ("demoting", TERM)
        assert (len(site.roles.reads), len(site.leases.renewals)) == (reads, writes)


@pytest.mark.parametrize("about", [ACTIVE, PASSIVE])
@jumping
async def test_holders_cause_no_writes_between_the_cycles(about: Federation) -> None:
    async with at_work(Site(about)) as site:
        await asked(site)
        writes, reads = len(site.leases.renewals), len(site.roles.reads)
        for number in range(300):
            await asked(site, instance=str(number % 3), healthy=number % 2 == 0)
            site.worker.holders.release("app", str(number % 5))
            await asyncio.sleep(0.1)
        cycles = len(site.roles.reads) - reads
        assert 9 <= cycles <= 10
        assert len(site.leases.renewals) - writes == cycles


@jumping
async def test_without_holders_the_lease_says_nothing_of_them() -> None:
    async with at_work(Site()) as site:
        await asyncio.sleep(D)
        site.roles.put(DEMOTING)
        await asyncio.sleep(SOON)
        assert site.acknowledged == TERM + 1
        assert {(each.application, each.held_by) for each in site.leases.renewals} == {(None, "")}


@jumping
async def test_the_lease_says_how_the_application_is() -> None:
    said = []
    async with at_work(Site(PASSIVE)) as site:
        for healthy in (False, True):
            await asked(site, 60.0, healthy=healthy)
            await asyncio.sleep(PERIOD)
            said.append(site.lease.application)
        site.worker.holders.release("app", "a")
        await asyncio.sleep(PERIOD)
        said.append(site.lease.application)
    assert said == [Application.UNHEALTHY, Application.HEALTHY, None]


# --- stopping -----------------------------------------------------------------------------------------


async def holding(site: Site, seconds: float) -> asyncio.Task[None]:
    """A worker at work, with a holder that asks for so many seconds."""
    running = asyncio.create_task(site.worker.run())
    await asyncio.sleep(0.01)
    await asked(site, seconds)
    return running


async def stopping(site: Site) -> asyncio.Task[None]:
    """A worker that has just been told to stop, and may have to wait for a holder."""
    running = await holding(site, 300.0)
    running.cancel()
    await asyncio.sleep(SOON)
    assert not running.done()
    return running


@jumping
async def test_a_clean_stop_waits_for_a_release() -> None:
    site = Site(LASTING)
    running = await stopping(site)
    assert await timed(asked(site, wait=2.5)) == ("Stopping", 0)
    assert (await asked(site)).held_for > 90, "it may finish"
    await asyncio.sleep(10)
    assert len(site.leases.leases) == 1
    site.worker.holders.release("app", "a")
    await asyncio.wait([running], timeout=SOON)
    assert (running.done(), site.leases.leases) == (True, {})


@jumping
async def test_a_clean_stop_waits_until_the_last_hold_has_run_out() -> None:
    site = Site()
    running = await stopping(site)
    await asyncio.wait([running])
    assert D - 0.1 <= passed() <= D + 0.1
    assert site.leases.leases == {}


@jumping
async def test_a_clean_stop_ends_long_polls() -> None:
    """Also that of a holder that has no hold yet, because its member is not active."""
    site = Site(LASTING)
    running = await holding(site, 60.0)
    asking = asyncio.create_task(timed(asked(site, 60.0, wait=30.0)))
    await asyncio.sleep(1)
    running.cancel()
    assert await asking == ("Stopping", 1)
    assert await timed(asked(site, instance="b", wait=2.5)) == ("Stopping", 0)
    site.worker.holders.release("app", "a")
    await asyncio.wait([running], timeout=SOON)
    assert running.done()


@jumping
async def test_a_lease_is_left_to_run_out_if_nobody_lets_go(caplog: pytest.LogCaptureFixture) -> None:
    """A coordinator waits for it, which covers every hold."""
    site = Site(LASTING)
    running = await stopping(site)
    stopped_at, writes = passed(), len(site.leases.renewals)
    await asyncio.wait([running])
    assert passed() - stopped_at == pytest.approx(20, abs=0.1)
    assert site.lease.duration == LONG
    assert "delete" not in site.leases.asked
    assert len(site.leases.renewals) == writes, "there is nothing else to say"
    assert 'the Lease is left to run out, because of holds: "app" (holding)' in caplog.text


@jumping
async def test_a_lease_that_is_left_runs_out_under_keep_role_too() -> None:
    """The worker answers no more, and its holds are finite. So nobody needs force to get past it."""
    site = Site(replace(LASTING, spec=replace(LASTING.spec, isolation=Isolation.KEEP_ROLE)))
    running = await stopping(site)
    assert site.lease.isolation is Isolation.KEEP_ROLE
    await asyncio.wait([running])
    assert (site.lease.isolation, site.lease.acknowledged) == (Isolation.FENCE, Acknowledgement(UID, TERM))
    assert site.lease.duration >= 300 - 21, "as long as the hold that is left"


@jumping
async def test_a_stop_without_holders_takes_no_time() -> None:
    async with at_work(Site(PASSIVE)) as site:
        await asked(site, 300.0)
        began = passed()
    assert passed() == began
    assert site.leases.leases == {}


@jumping
async def test_the_end_of_a_hold_that_nobody_waits_for_costs_no_cycle() -> None:
    async with at_work(Site()) as site:
        await asked(site, PERIOD + 1.0)
        reads = len(site.roles.reads)
        await asyncio.sleep(PERIOD + 2.0)
        assert len(site.roles.reads) == reads + 1


@jumping
async def test_a_clean_stop_waits_for_the_shortest_hold_too() -> None:
    """Also if there is news while a renewal is on its way."""
    site = Site()
    running = await holding(site, 0.5)
    site.leases.slow = 10.0
    for term in (TERM + 1, TERM + 2):
        site.roles.put(federation("active passive", term=term))
        await asyncio.sleep(SOON)
    running.cancel()
    await asyncio.wait([running])
    assert passed() == pytest.approx(0.51, abs=0.01)
    assert site.leases.leases == {}


@jumping
async def test_a_worker_without_a_lease_may_stop_although_somebody_holds() -> None:
    site = Site(LASTING)
    running = await holding(site, 100.0)
    site.leases.leases.clear()
    site.leases.troubles["create"] = [Trouble(DOWN)] * 1000
    await asyncio.sleep(LONG / 3)
    assert site.says == "HubUnreachable"
    running.cancel()
    done, _ = await asyncio.wait([running])
    assert [task.cancelled() for task in done] == [True]


@jumping
async def test_a_lease_that_is_left_does_not_acknowledge_what_was_withheld() -> None:
    """Not even if the role has come back since."""
    keeping = replace(LASTING, spec=replace(LASTING.spec, isolation=Isolation.KEEP_ROLE))
    assert keeping.status
    site = Site(keeping)
    running = await holding(site, 300.0)
    site.leases.down = DOWN
    site.roles.put(replace(DEMOTING, spec=keeping.spec))
    await asyncio.sleep(LONG / 3)
    site.roles.down = DOWN  # but what is watched gets through
    site.roles.put(replace(keeping, status=replace(keeping.status, term=TERM + 2)))
    await asyncio.sleep(SOON)
    site.leases.down = None
    running.cancel()
    await asyncio.wait([running])
    assert (site.lease.isolation, site.acknowledged) == (Isolation.FENCE, TERM)


@jumping
async def test_when_a_worker_has_renewed_is_known() -> None:
    """It is the moment at which the cycle began."""
    async with at_work(Site()) as site:
        began = site.worker.knowledge.renewed_at
        assert began
        await asyncio.sleep(PERIOD)
        again = site.worker.knowledge.renewed_at
        assert again
        assert PERIOD * 0.8 <= again - began <= PERIOD
