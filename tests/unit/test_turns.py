"""Who is next when many federations have to wait for a turn."""

from __future__ import annotations

import asyncio

import pytest

from tcf.coordinator.turns import Rank, Turns


class Queue:
    """Some that want a turn, and in which order they got one."""

    def __init__(self, at_once: int = 1) -> None:
        self.turns = Turns(at_once)
        self.had: list[str] = []
        self.release = asyncio.Event()

    def ask(self, name: str, rank: Rank) -> asyncio.Task[None]:
        return asyncio.create_task(self._have(name, rank))

    async def _have(self, name: str, rank: Rank) -> None:
        async with self.turns.turn(rank):
            self.had.append(name)
            await self.release.wait()


def rank(since: float = 0.0, *, priority: int = 0, of_peers: bool = False, rests: bool = True) -> Rank:
    return Rank(of_peers, rests, -priority, since)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_only_so_many_have_a_turn_at_a_time() -> None:
    queue = Queue(at_once=2)
    tasks = [queue.ask(name, rank()) for name in "abc"]
    await settle()
    assert queue.had == ["a", "b"]
    queue.release.set()
    await asyncio.gather(*tasks)
    assert queue.had == ["a", "b", "c"]


async def test_who_is_next() -> None:
    """Own work, then whoever is between two members, then by priority, then who has waited longest."""
    queue = Queue()
    tasks = [queue.ask("at work", rank())]
    await settle()
    for name, its in {
        "of a peer, urgent": rank(0, priority=9, of_peers=True),
        "of a peer": rank(0, of_peers=True),
        "late": rank(5),
        "early": rank(3),
        "as early": rank(3),
        "urgent": rank(7, priority=1),
        "between": rank(8, rests=False),
    }.items():
        tasks.append(queue.ask(name, its))
    await settle()
    queue.release.set()
    await asyncio.gather(*tasks)
    assert queue.had == [
        "at work",
        "between",
        "urgent",
        "early",
        "as early",
        "late",
        "of a peer, urgent",
        "of a peer",
    ]


@pytest.mark.parametrize("called", [False, True])
async def test_a_turn_is_not_lost_when_whoever_waits_is_cancelled(*, called: bool) -> None:
    """Also if it happens just when its turn has come."""
    queue = Queue()
    first, second, third = (queue.ask(name, rank()) for name in ("first", "second", "third"))
    await settle()
    if called:
        queue.turns._end()  # the first one's turn passes to the second, which does not know it yet
        second.cancel()
        await settle()
        assert queue.had == ["first", "third"]
        first.cancel()
        third.cancel()
        await asyncio.gather(first, second, third, return_exceptions=True)
        return
    second.cancel()
    await settle()
    assert queue.had == ["first"], "the turn is not free"
    queue.release.set()
    await asyncio.gather(first, second, third, return_exceptions=True)
    assert queue.had == ["first", "third"]
    async with asyncio.timeout(1), queue.turns.turn(rank()):
        pass
