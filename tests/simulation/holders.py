"""Applications beside the workers that hold the role, and the check that they never act at two members.

A `Holder` behaves as `tcf-run` does: it asks for holds by its own clock, and acts as long as it believes that
it may. It may be paused or killed, and its requests may be lost, come late or come twice.

The second promise: while an application of one member acts under a hold, no application of another does, and
no other member is promoted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Sequence
from enum import StrEnum
from functools import partial
from typing import Any

from simulation.actors import WorkerProgram
from simulation.invariants import Checker
from simulation.network import Rates
from simulation.world import Machine, World
from tcf.core.holds import HoldRequest
from tcf.core.model import Federation, Role
from tcf.core.reading import Reading
from tcf.core.reasons import Outcome
from tcf.worker.holders import HoldAnswer

_SOON, _SELDOM = 0.3, 0.03
"""How likely a holder releases its hold in one turn: when it has to stop, and otherwise."""
_LONGEST_TURN = 0.6
_PATIENCE = 1.5
"""Seconds that a holder waits for an answer before it asks again."""
HOLD_SECONDS = (1, 2, 5)
_NAME = "app"


class Habit(StrEnum):
    """What a holder does when it has to stop."""

    RELEASES = "releases"
    DRAINS = "drains"
    """It asks for more time as long as it can."""
    STUBBORN = "is stubborn"
    """It acts until its hold has run out."""


class Holder:
    """One application. It asks any worker of its member, as through a Service.

    Attributes:
        term: the highest term of an answer by which it acts or has acted.
        epoch: how often it has released its hold.
    """

    def __init__(
        self,
        name: str,
        member: str,
        workers: Sequence[WorkerProgram],
        machine: Machine,
        world: World,
        *,
        habit: Habit,
        rates: Rates,
    ) -> None:
        self.name = name
        self.member = member
        self.habit = habit
        self.term = 0
        self.acts: Callable[[Holder], object] = lambda _: None
        """Called when it believes that it may act, or may act for longer."""
        self._workers = workers
        self.machine = machine
        self._rates = rates
        self._world = world
        self._until = -math.inf
        self.epoch = 0
        self._has_to_stop = False
        self._paused_until = 0.0
        self._asked: set[WorkerProgram] = set()
        self._waiting_since: float | None = None

    @property
    def instance(self) -> str:
        """Another one after each release. (All holders have the same name.)"""
        return f"{self.name}-{self.epoch}"

    @property
    def acting(self) -> bool:
        """Does it believe that it may act?"""
        return self.machine.boot() < self._until

    def begin(self) -> None:
        self._world.after(self._world.random.random(), self._turn)

    def pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, self._world.now + seconds)

    def crash(self) -> None:
        """The application dies, and starts again without a hold."""
        self._world.note(self.name, "crashes")
        self._forget()

    def calm(self) -> None:
        """From now on it releases as soon as it has to stop."""
        self._paused_until = 0.0
        self._rates = Rates()
        self.habit = Habit.RELEASES

    # --- what it does -----------------------------------------------------------------------------------

    def _turn(self) -> None:
        chance, now = self._world.random.random, self._world.now
        if now < self._paused_until:
            self._world.at(self._paused_until, self._turn)
            return
        self._world.after(0.02 + _LONGEST_TURN * chance(), self._turn)
        willing = self._has_to_stop and self.habit is Habit.RELEASES
        if self.acting and chance() < (_SOON if willing else _SELDOM):
            self._release()
        elif self._waiting_since is None or now > self._waiting_since + _PATIENCE:
            self._ask()

    def _ask(self) -> None:
        world = self._world
        self._waiting_since = world.now
        request = HoldRequest(
            _NAME,
            self.instance,
            seconds=float(world.random.choice(HOLD_SECONDS)),
            draining=self.acting and self._has_to_stop and self.habit is Habit.DRAINS,
        )
        wait = world.random.choice((0.0, 0.0, 0.5)) * request.seconds
        worker, epoch, sent = world.random.choice(self._workers), self.epoch, self.machine.boot()
        self._asked.add(worker)

        async def ask(program: WorkerProgram) -> None:
            if program.worker is None:
                return
            given = await program.worker.holders.ask(request, wait)
            if given:
                self._send(lambda: self.take(given, epoch, sent))

        self._send(partial(_serve, worker, ask))

    def _release(self) -> None:
        instance = self.instance
        self._world.note(self.name, "releases %s", instance)
        asked = tuple(sorted(self._asked, key=lambda worker: worker.name))
        self._forget()

        async def release(program: WorkerProgram) -> None:
            if program.worker:
                program.worker.holders.release(_NAME, instance)

        for worker in asked:
            self._send(partial(_serve, worker, release))

    def _forget(self) -> None:
        self._until = -math.inf
        self.epoch += 1
        self._has_to_stop = False
        self._asked.clear()
        self._waiting_since = None

    def take(self, given: HoldAnswer, epoch: int, sent: float) -> None:
        """Take in an answer. `sent`: when the request was sent, by the holder's own clock."""
        if self._world.now < self._paused_until:
            self._world.at(self._paused_until, self.take, given, epoch, sent)
            return
        if epoch != self.epoch:
            return  # the answer is about a hold that it has released
        self._waiting_since = None
        if isinstance(given.answer, Reading):
            self._has_to_stop = not given.active
        until = sent + given.held_for
        if given.held_for and self.may_take(given) and until > self._until:
            self._until = until
            if isinstance(given.answer, Reading) and given.active:
                self.term = max(self.term, given.answer.term)
            self._world.note(self.name, "may act for %.3f s, term %d", until - self.machine.boot(), self.term)
            if self.acting:
                self.acts(self)

    def may_take(self, given: HoldAnswer) -> bool:
        """Only a holder that still acts may go on because of an answer that is not "active"."""
        return given.active or self.acting

    # --- the way to the workers, on the same machine or through a Service -------------------------------

    def _send(self, deliver: Callable[[], object]) -> None:
        chance, rates, world = self._world.random.random, self._rates, self._world
        for _ in range(1 + (chance() < rates.twice)):
            if chance() < rates.lost:
                continue
            late = chance() * rates.longest if chance() < rates.late else 0.0
            world.after(0.001 + 0.004 * chance() + late, deliver)


def _serve(program: WorkerProgram, work: Callable[[WorkerProgram], Coroutine[Any, Any, None]]) -> None:
    """A worker's process answers when it runs again; nobody answers if there is none."""
    process = program.process
    if process is not None and not process.dead:
        process.call_soon(lambda: process.create_task(work(program)))


class SecondPromise:
    """Sees every belief of a holder, and every table.

    `undisturbed`: nothing but requests of clients happens in this run. Then holders may delay a switchover,
    but none is rolled back because of them.
    """

    def __init__(self, holders: Sequence[Holder], checker: Checker, *, undisturbed: bool) -> None:
        self._undisturbed = undisturbed
        self._holders = holders
        self._checker = checker
        for holder in holders:
            holder.acts = self._acts

    def _acts(self, one: Holder) -> None:
        for other in self._holders:
            if (
                other.member != one.member
                and other.acting
                and self._checker.promises(max(one.term, other.term))
            ):
                self._checker.fail(
                    f"{one.name} acts for {one.member} (term {one.term})"
                    f" while {other.name} acts for {other.member} (term {other.term})"
                )

    def committed(self, _: Federation | None, after: Federation | None) -> None:
        """The federation was written."""
        latest = after.status.history[:1] if after and after.status else ()
        if self._undisturbed and any(past.outcome == Outcome.ROLLED_BACK for past in latest):
            self._checker.fail(f"a switchover was rolled back because of holders: {latest}")
        engaged = after.status.engaged if after and after.status else None
        if after is None or after.status is None or engaged is None or engaged.role is Role.DEMOTING:
            return
        for holder in self._holders:
            if holder.member != engaged.id and holder.acting and self._checker.promises(after.status.term):
                self._checker.fail(
                    f"{engaged.id} is {engaged.role} while {holder.name} acts for {holder.member}"
                )
