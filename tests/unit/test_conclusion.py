"""When a worker may acknowledge the loss of its role: after everything has ended that "active" had caused."""

from __future__ import annotations

import asyncio

from tcf.worker.conclusion import Conclusion
from unit.turns import at_work, turns


class Pod:
    """A part of the conclusion: it is over when the test says so."""

    def __init__(self) -> None:
        self.started = 0
        self._over = asyncio.Event()

    async def lower(self) -> None:
        self.started += 1
        await self._over.wait()
        self._over.clear()

    async def is_over(self) -> None:
        self._over.set()
        await turns()


class Asked:
    """A conclusion with one part, and how often it has said that a loss may be acknowledged."""

    def __init__(self) -> None:
        self.pod = Pod()
        self.times = 0
        self.conclusion = Conclusion([self.pod.lower], concluded=self._concluded)

    def _concluded(self) -> None:
        assert self.conclusion.allows(), "it was said too early"
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
    asked = Asked()
    async with at_work(asked.conclusion.run()):
        await turns()
        assert asked.pod.started == 0
        assert not await asked.lose()
        assert asked.pod.started == 1
        assert not await asked.lose()
        assert (asked.pod.started, asked.times) == (1, 0), "one loss, one end"
        assert await asked.concluded()
        assert asked.times == 1


async def test_what_is_concluded_stays_so() -> None:
    asked = Asked()
    async with at_work(asked.conclusion.run()):
        await asked.lose()
        assert await asked.concluded()
        for _ in range(3):
            assert await asked.lose()
        assert (asked.pod.started, asked.times) == (1, 1)


async def test_whoever_was_active_again_has_another_loss_to_conclude() -> None:
    asked = Asked()
    async with at_work(asked.conclusion.run()):
        await asked.lose()
        assert await asked.concluded()
        asked.conclusion.held()
        await turns()
        assert asked.pod.started == 1, "nothing ends while this worker is active"
        assert not await asked.lose()
        assert asked.pod.started == 2
        assert await asked.concluded()
        assert asked.times == 2


async def test_the_end_of_an_earlier_loss_does_not_conclude_the_next_one() -> None:
    """The worker has been active again and has lost that, too, while its Pod was still being lowered."""
    asked = Asked()
    async with at_work(asked.conclusion.run()):
        await asked.lose()
        asked.conclusion.held()
        assert not await asked.lose()
        assert not await asked.concluded()
        assert (asked.pod.started, asked.times) == (2, 0)
        assert await asked.concluded()
        assert (asked.pod.started, asked.times) == (2, 1)


async def test_the_end_of_an_earlier_loss_concludes_nothing_while_this_worker_is_active_again() -> None:
    asked = Asked()
    async with at_work(asked.conclusion.run()):
        await asked.lose()
        asked.conclusion.held()
        await asked.pod.is_over()
        assert asked.times == 0
        assert not await asked.lose()
        assert asked.pod.started == 2
        assert await asked.concluded()


async def test_all_parts_are_waited_for_one_after_the_other() -> None:
    first, second = Pod(), Pod()
    conclusion = Conclusion([first.lower, second.lower], concluded=lambda: None)
    async with at_work(conclusion.run()):
        assert not conclusion.allows()
        await turns()
        assert (first.started, second.started) == (1, 0)
        await first.is_over()
        assert (first.started, second.started) == (1, 1)
        assert not conclusion.allows()
        await second.is_over()
        assert conclusion.allows()


async def test_at_a_stop_the_conclusion_is_drawn_without_its_task() -> None:
    asked = Asked()
    assert not asked.conclusion.allows()
    stopping = asyncio.create_task(asked.conclusion.conclude())
    await turns()
    assert not stopping.done()
    await asked.pod.is_over()
    assert stopping.done()
