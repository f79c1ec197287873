"""When a loss of the role may be acknowledged: not before everything is over that "active" has caused."""

from __future__ import annotations

import asyncio

from tcf.worker.conclusion import Conclusion
from unit.turns import at_work, turns


class Pod:
    """A part of the conclusion: it is over when the test says so."""

    def __init__(self) -> None:
        self.begun = 0
        self._over = asyncio.Event()

    async def lower(self) -> None:
        self.begun += 1
        await self._over.wait()
        self._over.clear()

    async def is_over(self) -> None:
        self._over.set()
        await turns()


class Told:
    """A conclusion with one part, and how often it has said that a loss may be acknowledged."""

    def __init__(self) -> None:
        self.pod = Pod()
        self.times = 0
        self.conclusion = Conclusion([self.pod.lower], concluded=self._concluded)

    def _concluded(self) -> None:
        assert self.conclusion.allows(), "it was said before it was so"
        self.times += 1

    async def lose(self) -> bool:
        """Ask for permission, as each turn of a worker does that is not active."""
        allowed = self.conclusion.allows()
        await turns()
        return allowed

    async def concluded(self) -> bool:
        """End what is under way, and ask again."""
        await self.pod.is_over()
        return self.conclusion.allows()


async def test_with_nothing_to_end_every_loss_may_be_acknowledged_at_once() -> None:
    conclusion = Conclusion([], concluded=lambda: None)
    assert conclusion.allows()
    conclusion.held()
    assert conclusion.allows()


async def test_it_begins_with_a_loss() -> None:
    """An earlier process of this worker may have been active, and have left its Pod marked."""
    told = Told()
    async with at_work(told.conclusion.run()):
        await turns()
        assert told.pod.begun == 0
        assert not await told.lose()
        assert told.pod.begun == 1
        assert not await told.lose()
        assert (told.pod.begun, told.times) == (1, 0), "one loss, one end"
        assert await told.concluded()
        assert told.times == 1


async def test_what_is_concluded_stays_so() -> None:
    told = Told()
    async with at_work(told.conclusion.run()):
        await told.lose()
        assert await told.concluded()
        for _ in range(3):
            assert await told.lose()
        assert (told.pod.begun, told.times) == (1, 1)


async def test_whoever_was_active_again_has_another_loss_to_conclude() -> None:
    told = Told()
    async with at_work(told.conclusion.run()):
        await told.lose()
        assert await told.concluded()
        told.conclusion.held()
        await turns()
        assert told.pod.begun == 1, "nothing ends while this worker is active"
        assert not await told.lose()
        assert told.pod.begun == 2
        assert await told.concluded()
        assert told.times == 2


async def test_the_end_of_an_earlier_loss_does_not_conclude_the_next_one() -> None:
    """The worker has been active again and has lost that, too, while its Pod was still being lowered."""
    told = Told()
    async with at_work(told.conclusion.run()):
        await told.lose()
        told.conclusion.held()
        assert not await told.lose()
        assert not await told.concluded()
        assert (told.pod.begun, told.times) == (2, 0)
        assert await told.concluded()
        assert (told.pod.begun, told.times) == (2, 1)


async def test_the_end_of_an_earlier_loss_concludes_nothing_while_this_worker_is_active_again() -> None:
    told = Told()
    async with at_work(told.conclusion.run()):
        await told.lose()
        told.conclusion.held()
        await told.pod.is_over()
        assert told.times == 0
        assert not await told.lose()
        assert told.pod.begun == 2
        assert await told.concluded()


async def test_all_parts_are_waited_for_one_after_the_other() -> None:
    first, second = Pod(), Pod()
    conclusion = Conclusion([first.lower, second.lower], concluded=lambda: None)
    async with at_work(conclusion.run()):
        assert not conclusion.allows()
        await turns()
        assert (first.begun, second.begun) == (1, 0)
        await first.is_over()
        assert (first.begun, second.begun) == (1, 1)
        assert not conclusion.allows()
        await second.is_over()
        assert conclusion.allows()


async def test_at_a_stop_the_conclusion_is_drawn_without_its_task() -> None:
    told = Told()
    assert not told.conclusion.allows()
    stopping = asyncio.create_task(told.conclusion.conclude())
    await turns()
    assert not stopping.done()
    await told.pod.is_over()
    assert stopping.done()
