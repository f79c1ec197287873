"""Builds everything that takes part in one run: the world, the hub, the network, the programs, the checks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

from simulation.actors import Ask, Effect, OperatorProgram, Program, WorkerProgram
from simulation.conclusions import Conclusions
from simulation.failovers import Failovers
from simulation.holders import Habit, Holder, SecondPromise
from simulation.invariants import Checker
from simulation.network import Network
from simulation.reports import Reports
from simulation.schedule import MEMBERS, TIMEOUTS, WALLS_RIGHT, Schedule, holders, operators, programs
from simulation.sim_hub import SimHub
from simulation.world import START, Machine, Process, World
from tcf.core.annotations import ANNOTATION_LAST_ACTIVE, parse_pair
from tcf.core.model import (
    Failover,
    FailoverMode,
    Federation,
    Follows,
    Isolation,
    Member,
    Now,
    Spec,
    WorkerLease,
)

NEVER = 1 << 60
"""Callbacks: more than a process ever runs."""

Listener = Callable[[Federation | None, Federation | None], None]
"""Called with the federation before and after a write."""


class Testbed:
    """The parts of one run. Faults and checks reach everything through it.

    Attributes:
        spec: of the federation as it is created first.
        asks: what clients have asked for so far.
        calm: the faults are over.
        listeners: they are called after the checker, whenever the federation was written.
    """

    def __init__(self, schedule: Schedule, *, tracing: bool) -> None:
        self.schedule = schedule
        self.spec = _first_spec(schedule)
        self.calm = False
        self.asks: list[Ask] = []
        self.listeners: list[Listener] = []
        self.world = World(schedule.seed, tracing=tracing)
        self.workers: list[WorkerProgram] = []
        walls_agree = schedule.wall_runs and schedule.wall_error <= WALLS_RIGHT
        failovers = Failovers(self.world, walls_agree=walls_agree)
        self.reports = Reports(self.world)
        self.checker = Checker(self.world, self.workers, failovers, self.reports, walls_agree=walls_agree)
        self.hub = SimHub(self.world, self._committed)
        self.hub.watchers[WorkerLease] += [failovers, self.reports]
        self.network = Network(self.world, self.hub, schedule.rates)
        self.network.fail = self.checker.fail
        self.programs: dict[str, Program] = {program.name: program for program in self._build_programs()}
        self._numbers = itertools.count(1)
        self.holders = {holder.name: holder for holder in self._build_holders()}
        if self.holders:
            self.listeners.append(
                SecondPromise(
                    tuple(self.holders.values()), self.checker, undisturbed=schedule.undisturbed
                ).committed
            )
        if schedule.longest_conclusion:
            self._watch_conclusions()

    def begin(self) -> None:
        """Create the federation, and start every program within half a second."""
        self.hub.create(self.spec, {})
        for program in self.programs.values():
            self.world.at(0.5 * self.world.random.random(), program.start)
        for holder in self.holders.values():
            holder.begin()

    def number(self) -> int:
        """Another one with each call: for names that occur once in a run."""
        return next(self._numbers)

    def workers_of(self, member: str) -> Iterator[WorkerProgram]:
        return (worker for worker in self.workers if worker.member == member)

    def end_faults(self) -> None:
        """From now on nothing goes wrong any more, and everybody who is missing comes back."""
        self.world.note("FAULT", "no more faults")
        self.calm = True
        self.checker.calm()
        self.network.heal()
        self.hub.kind_is_gone = False
        if self.hub.federation is None:
            self.hub.create(self.spec, {})
        for program in self.programs.values():
            program.machine.skew = 0.0
            if isinstance(program, WorkerProgram):
                program.recover()
            if program.process:
                program.process.stop_after(NEVER, 0.0)
                program.process.resume()
            program.start()
        for holder in self.holders.values():
            holder.calm()

    # --- programs and their machines ----------------------------------------------------------------------

    def _build_programs(self) -> Iterator[Program]:
        for name, member in programs(self.schedule).items():
            effect = Effect(self.world, name, longest=self.schedule.longest_conclusion)
            machine = self._new_machine()
            worker = WorkerProgram(
                name,
                member,
                self.network,
                machine,
                self._new_process,
                effect=effect,
                reports=self.schedule.following,
            )
            self.workers.append(worker)
            yield worker
        for name in operators(self.schedule):
            yield OperatorProgram(name, self.network, self._new_machine(), self._new_process)

    def _build_holders(self) -> Iterator[Holder]:
        for name, member in holders(self.schedule).items():
            habit = Habit(self.world.random.choice(self.schedule.habits))
            workers, machine = tuple(self.workers_of(member)), self._new_machine()
            yield Holder(
                name, member, workers, machine, self.world, habit=habit, rates=self.schedule.holder_rates
            )

    def _new_machine(self) -> Machine:
        schedule, chance = self.schedule, self.world.random
        rate = 1.0 + schedule.slew * (2 * chance.random() - 1)
        return Machine(
            self.world,
            rate=rate,
            boot=1000 * chance.random(),
            skew=schedule.wall_error * (2 * chance.random() - 1),
            wall_runs=schedule.wall_runs,
        )

    def _new_process(self, program: Program) -> Process:
        def ran() -> None:
            if isinstance(program, WorkerProgram):
                self.checker.look(program)

        return Process(  # type: ignore[abstract]  # a loop without I/O needs no more
            program.name, self.world, program.machine, stops=self._next_stop, ran=ran
        )

    def _next_stop(self) -> tuple[int, float]:
        """After how many callbacks a process is stopped next, and for how long."""
        schedule, chance = self.schedule, self.world.random
        if self.calm or not schedule.stops:
            return NEVER, 0.0
        callbacks = int(chance.expovariate(schedule.stops)) + 1
        return callbacks, schedule.longest_stop * 10 ** (-schedule.stop_spread * chance.random())

    def _watch_conclusions(self) -> None:
        undisturbed = self.schedule.undisturbed
        conclusions = Conclusions(self.network, self.workers, self.checker.fail, undisturbed=undisturbed)
        self.hub.renewal_listeners.append(conclusions.renewed)
        self.hub.watchers[WorkerLease].append(conclusions)
        self.checker.yes_listeners.append(conclusions.said_yes)
        self.listeners.append(conclusions.committed)

    # --- writes of the federation -------------------------------------------------------------------------

    def _committed(self, before: Federation | None, after: Federation | None) -> None:
        self.checker.committed(before, after, by=self.network.writer, shown=self._highest_shown(after))
        for listener in self.listeners:
            listener(before, after)

    def _highest_shown(self, federation: Federation | None) -> int:
        """The highest term on any Lease and in the annotation, without those that prove nothing."""
        note = parse_pair(federation.annotations.get(ANNOTATION_LAST_ACTIVE)) if federation else None
        acknowledged = (lease.acknowledged for lease in self.hub.leases.values())
        terms = [note[1] if note else 0, *(table.term for table in acknowledged if table)]
        return max(filter(Now(0.0, START).plausible, terms), default=0)


def members(names: Iterable[str]) -> tuple[Member, ...]:
    """`spec.clusters` with these members; the earlier a member's letter, the higher its priority."""
    return tuple(Member(name, f"site {name}", priority=-MEMBERS.index(name)) for name in names)


def _first_spec(schedule: Schedule) -> Spec:
    follows = Follows.APPLICATIONS if schedule.following else Follows.WORKERS
    mode = FailoverMode.AUTOMATIC if schedule.automatic else FailoverMode.MANUAL
    return Spec(
        clusters=members(MEMBERS[: schedule.members]),
        active_cluster=MEMBERS[0],
        lease_duration=schedule.duration,
        switchover_timeout=TIMEOUTS[0],
        isolation=Isolation.KEEP_ROLE if schedule.keep_role else Isolation.FENCE,
        failover=Failover(mode, schedule.failover_timeout, schedule.cooldown, follows),
    )
