"""Breaks of what has to be over before a worker acknowledges that it has lost its role."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from simulation import profiles
from simulation.mutant import Mutant, Patch, changed
from tcf.core.lease_content import Renewal
from tcf.worker.conclusion import Conclusion
from tcf.worker.lease_keeper import LeaseKeeper


def _not_concluded() -> Iterable[Patch]:
    def allows(original: Any, conclusion: Conclusion) -> bool:
        original(conclusion)
        return True

    yield changed(Conclusion, "allows", allows)


def _never_acknowledged() -> Iterable[Patch]:
    withheld: set[Conclusion] = set()

    def allows(original: Any, conclusion: Conclusion) -> bool:
        if not original(conclusion):
            withheld.add(conclusion)
        return conclusion not in withheld

    def held(original: Any, conclusion: Conclusion) -> None:
        withheld.discard(conclusion)
        original(conclusion)

    yield changed(Conclusion, "allows", allows)
    yield changed(Conclusion, "held", held)


def _silent_while_concluding() -> Iterable[Patch]:
    locks: dict[asyncio.AbstractEventLoop, asyncio.Lock] = defaultdict(asyncio.Lock)
    """For each process."""

    async def conclude(original: Any, conclusion: Conclusion) -> None:
        async with locks[asyncio.get_running_loop()]:
            await original(conclusion)

    async def renew(original: Any, keeper: LeaseKeeper, renewal: Renewal, *, deadline: float) -> None:
        async with locks[asyncio.get_running_loop()]:
            await original(keeper, renewal, deadline=deadline)

    yield changed(Conclusion, "conclude", conclude)
    yield changed(LeaseKeeper, "renew", renew)


def _earlier_loss() -> Iterable[Patch]:
    concluded: set[Conclusion] = set()

    async def conclude(original: Any, conclusion: Conclusion) -> None:
        await original(conclusion)
        concluded.add(conclusion)

    def allows(original: Any, conclusion: Conclusion) -> bool:
        return original(conclusion) or conclusion in concluded

    def held(original: Any, conclusion: Conclusion) -> None:
        concluded.discard(conclusion)
        original(conclusion)

    yield changed(Conclusion, "conclude", conclude)
    yield changed(Conclusion, "allows", allows)
    yield changed(Conclusion, "held", held)


def _earlier_process() -> Iterable[Patch]:
    active: set[Conclusion] = set()
    """Those of processes that have been active."""

    def allows(original: Any, conclusion: Conclusion) -> bool:
        return original(conclusion) or conclusion not in active

    def held(original: Any, conclusion: Conclusion) -> None:
        active.add(conclusion)
        original(conclusion)

    yield changed(Conclusion, "allows", allows)
    yield changed(Conclusion, "held", held)


def _stopped_too_soon() -> Iterable[Patch]:
    def allows(original: Any, conclusion: Conclusion) -> bool:
        task = asyncio.current_task()
        return original(conclusion) or (task is not None and task.cancelling() > 0)

    yield changed(Conclusion, "allows", allows)


CONCLUSION_MUTANTS = (
    Mutant(
        "not concluded",
        "a loss is acknowledged although what the role has caused is not over",
        _not_concluded,
        profiles.CONCLUSIONS,
    ),
    Mutant(
        "never acknowledged",
        "an acknowledgement that was withheld is never sent",
        _never_acknowledged,
        profiles.CONCLUSIONS,
    ),
    Mutant(
        "silent while concluding",
        "a worker does not renew while it concludes",
        _silent_while_concluding,
        profiles.CONCLUSIONS,
    ),
    Mutant(
        "earlier loss",
        "the conclusion of an earlier loss ends that of a later one",
        _earlier_loss,
        profiles.GIVEN_BACK,
    ),
    Mutant(
        "earlier process",
        "a new process has nothing to conclude",
        _earlier_process,
        profiles.INTERRUPTED,
    ),
    Mutant(
        "stopped too soon",
        "a clean stop deletes the Lease although what the role has caused is not over",
        _stopped_too_soon,
        profiles.INTERRUPTED,
    ),
)
