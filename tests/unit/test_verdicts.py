"""Answers about tokens and rights are remembered for seconds, and asked for once at a time."""

from __future__ import annotations

import asyncio
import gc

import pytest

from tcf.auth import verdicts
from tcf.auth.inquiries import BURST, PER_SECOND
from tcf.auth.verdicts import BAD_SECONDS, GOOD_SECONDS, Verdicts
from unit.jumping_loop import CLOCK, jumping


class Oracle:
    """Gives the `answers` in turn. Each takes a second."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self) -> bool:
        self.asked += 1
        answer = self.answers.pop(0)
        await asyncio.sleep(1)
        if isinstance(answer, Exception):
            raise answer
        return answer


def remembered() -> Verdicts[str, bool]:
    return Verdicts(CLOCK, good=bool)


@jumping
@pytest.mark.parametrize(("answer", "seconds"), [(True, GOOD_SECONDS), (False, BAD_SECONDS)])
async def test_an_answer_counts_from_the_moment_of_the_question(*, answer: bool, seconds: float) -> None:
    known, oracle = remembered(), Oracle(answer, not answer)
    assert await known.of("q", oracle) is answer
    await asyncio.sleep(seconds - 1 - 0.001)
    assert await known.of("q", oracle) is answer
    assert oracle.asked == 1
    await asyncio.sleep(0.001)
    assert await known.of("q", oracle) is not answer


def test_nobody_keeps_a_right_for_more_than_ten_seconds() -> None:
    assert BAD_SECONDS < GOOD_SECONDS <= 10


@jumping
async def test_whoever_was_known_before_stays_known_until_the_answer_changes() -> None:
    known, oracle = remembered(), Oracle(True, False)
    assert not known.good_before("q")
    await known.of("q", oracle)
    await asyncio.sleep(3600)
    assert known.good_before("q")
    await known.of("q", oracle)
    assert not known.good_before("q")


@jumping
async def test_many_who_ask_at_once_get_one_answer() -> None:
    known, oracle = remembered(), Oracle(True)
    assert await asyncio.gather(*(known.of("q", oracle) for _ in range(50))) == [True] * 50
    assert oracle.asked == 1


@jumping
async def test_no_answer_is_not_remembered_and_reaches_all_who_wait() -> None:
    known, oracle = remembered(), Oracle(ValueError("no"), True)
    waiting = await asyncio.gather(*(known.of("q", oracle) for _ in range(3)), return_exceptions=True)
    assert [str(each) for each in waiting] == ["no"] * 3
    assert await known.of("q", oracle) is True


@jumping
async def test_the_answer_outlives_the_client_that_asked_first() -> None:
    known, oracle = remembered(), Oracle(True)
    first = asyncio.create_task(known.of("q", oracle))
    await asyncio.sleep(0.5)
    second = asyncio.create_task(known.of("q", oracle))
    await asyncio.sleep(0)
    first.cancel()
    assert await second is True
    assert oracle.asked == 1


@jumping
async def test_only_the_latest_answers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "MOST", 2)
    known, oracle = remembered(), Oracle(*[True] * 4)
    for key in "abc":
        await known.of(key, oracle)
    await known.of("c", oracle)
    await known.of("b", oracle)
    assert oracle.asked == 3
    await known.of("a", oracle)
    assert oracle.asked == 4


@jumping
async def test_only_the_latest_of_those_who_were_known_stay_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "MOST", 2)
    known, oracle = remembered(), Oracle(*[True] * 3)
    for key in "ab":
        await known.of(key, oracle)
    assert known.good_before("a")
    await known.of("c", oracle)
    assert [key for key in "abc" if known.good_before(key)] == ["b", "c"]


@jumping
async def test_an_answer_that_was_asked_for_again_is_among_the_latest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verdicts, "MOST", 2)
    known, oracle = remembered(), Oracle(*[True] * 6)
    for key in "ab":
        await known.of(key, oracle)
    await asyncio.sleep(GOOD_SECONDS)
    await known.of("a", oracle)
    await known.of("c", oracle)
    await known.of("a", oracle)
    assert oracle.asked == 4


@jumping
async def test_an_error_that_nobody_waits_for_any_more_is_not_reported_as_forgotten(
    caplog: pytest.LogCaptureFixture,
) -> None:
    known, oracle = remembered(), Oracle(ValueError("no"))
    asking = asyncio.create_task(known.of("q", oracle))
    await asyncio.sleep(0.5)
    asking.cancel()
    del asking  # it keeps the question's task, and with it the error
    await asyncio.sleep(1)
    gc.collect()
    assert oracle.answers == []
    assert not caplog.records


def test_a_program_may_end_while_a_question_is_open(caplog: pytest.LogCaptureFixture) -> None:
    oracle = Oracle(True)

    @jumping
    async def program() -> None:
        known = remembered()
        asking = asyncio.create_task(known.of("q", oracle))
        await asyncio.sleep(0.5)
        asking.cancel()

    program()
    assert oracle.asked == 1
    assert not caplog.records


def test_more_answers_are_remembered_than_can_be_got_while_they_count() -> None:
    lanes = 2
    assert lanes * (PER_SECOND * max(GOOD_SECONDS, BAD_SECONDS) + BURST) <= verdicts.MOST <= 2048
