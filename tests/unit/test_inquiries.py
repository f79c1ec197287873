"""Questions to an authority have a limit, and one client cannot take the turns of all others."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from tcf.auth.authority import DeniedError
from tcf.auth.inquiries import (
    BURST,
    MOST_WAITING,
    MOST_WAITING_OF_ONE,
    PER_SECOND,
    Inquiries,
    NoAnswerError,
)
from tcf.core.model import Refusal
from tcf.core.reasons import Reason
from unit.jumping_loop import CLOCK, jumping, passed


async def yes() -> bool:
    return True


async def one(inquiries: Inquiries, source: str) -> bool:
    return await inquiries.make("who asks", source, yes)


def denials(results: list[bool | BaseException]) -> list[int]:
    return [each.status for each in results if isinstance(each, DeniedError)]


@jumping
async def test_after_a_burst_there_are_so_many_a_second() -> None:
    inquiries = Inquiries("the hub", CLOCK)
    for _ in range(BURST):
        await inquiries.make("who asks", "1.1.1.1", yes)
    assert passed() == pytest.approx(0, abs=1e-6)
    for _ in range(PER_SECOND):
        await inquiries.make("who asks", "1.1.1.1", yes)
    assert passed() == pytest.approx(1, abs=2 / PER_SECOND)


@jumping
async def test_a_client_that_asks_too_much_is_refused_and_others_are_not() -> None:
    inquiries = Inquiries("the hub", CLOCK)

    async def flood() -> list[int]:
        asked = [one(inquiries, "6.6.6.6") for _ in range(1000)]
        return denials(await asyncio.gather(*asked, return_exceptions=True))

    flooding = asyncio.create_task(flood())
    await asyncio.sleep(0)
    assert await inquiries.make("who asks", "1.1.1.1", yes)
    assert passed() <= (MOST_WAITING_OF_ONE + 1) / PER_SECOND
    assert await flooding == [503] * (1000 - MOST_WAITING_OF_ONE)


@jumping
async def test_all_clients_together_have_a_limit() -> None:
    inquiries = Inquiries("the hub", CLOCK)
    asked = [one(inquiries, f"10.0.0.{n}") for n in range(100)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert denials(results) == [503] * (100 - MOST_WAITING)
    assert await inquiries.make("who asks", "10.0.0.99", yes)


@jumping
async def test_a_flood_of_strangers_does_not_hold_up_those_who_are_known() -> None:
    inquiries = Inquiries("the hub", CLOCK)
    strangers = asyncio.gather(*(one(inquiries, f"10.0.0.{n}") for n in range(100)), return_exceptions=True)
    await asyncio.sleep(0)
    for _ in range(BURST):
        assert await inquiries.make("who asks", "10.0.0.1", yes, known=True)
    assert passed() == pytest.approx(0, abs=1e-6)
    await strangers


@jumping
async def test_trouble_is_logged_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    inquiries = Inquiries("the hub", CLOCK)

    async def fail() -> bool:
        raise NoAnswerError("secret detail", reason=Reason.HUB_UNREACHABLE, public="the hub is down")

    for _ in range(3):
        with pytest.raises(DeniedError) as denied:
            await inquiries.make("who asks", "1.1.1.1", fail)
        assert denied.value.status == 500
        assert denied.value.refusal.reason == "HubUnreachable"
        assert denied.value.refusal.message == "cannot check who asks: the hub is down"
    await inquiries.make("who asks", "1.1.1.1", yes)
    await inquiries.make("who asks", "1.1.1.1", yes)
    assert [each.getMessage() for each in caplog.records] == [
        "cannot check who asks: secret detail",
        "the hub answers again",
    ]


@jumping
async def test_nothing_is_remembered_of_clients_of_which_nothing_waits() -> None:
    inquiries = Inquiries("the hub", CLOCK)
    for n in range(3):
        await one(inquiries, f"10.0.0.{n}")
    assert not inquiries._strangers._waiting


def test_the_limits_are_those_of_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "authentication.md").read_text()
    assert f"asks about at most {PER_SECOND} new tokens a second" in page
    assert f"At most {MOST_WAITING} clients wait for an answer, at most {MOST_WAITING_OF_ONE} of them" in page
    assert BURST == PER_SECOND / 2


def test_errors_say_what_they_are_about() -> None:
    """In a trace."""
    assert str(DeniedError(503, Refusal(Reason.TOO_MANY_REQUESTS, "later"))) == "later"
    assert str(NoAnswerError("it is down", reason=Reason.HUB_UNREACHABLE, public="?")) == "it is down"
