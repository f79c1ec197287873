"""Plays a schedule: its faults, then time to settle; reports what was broken, with a trace if wanted."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import tcf.worker.lease_keeper
import tcf.worker.switchovers
from simulation.checks import Checker, settled
from simulation.failovers import Failovers
from simulation.hub import NAME, SimHub
from simulation.network import Network
from simulation.profiles import OUTAGES
from simulation.programs import Ask, OperatorProgram, Program, WorkerProgram
from simulation.schedule import (
    ACTIVE,
    DURATIONS,
    MEMBERS,
    PASSIVE,
    TIMEOUTS,
    WALLS_RIGHT,
    Fault,
    Schedule,
    operators,
    programs,
)
from simulation.world import Machine, Process, World
from tcf.core.admission import Kind
from tcf.core.annotations import ANNOTATION_LAST_ACTIVE, Acknowledgement, parse_pair
from tcf.core.model import (
    Failover,
    FailoverMode,
    Federation,
    Isolation,
    Member,
    Role,
    Spec,
    Status,
    WorkerLease,
)
from tcf.worker.switchovers import Wish

_IDLE_REFRESH = 60.0
_PATIENCE = 10.0
_READ_TO_RENEWAL = 2
"""Callbacks from the arrival of what was read to where the renewal is sent."""
_FORCE_AFTER = 0.3
"""Part of the time to settle after which a person overrides what no wait will fence."""


def settling_bound() -> float:
    """Seconds within which the federation is at rest once nothing goes wrong any more.

    The longest silence that a Lease may demand, twice (a worker that came back may have to be waited for by
    a bootstrap and by a request after it); three deadlines of requests that were under way, and as much
    for a worker to give up waiting for them; and what a coordinator that has missed an event sleeps at most.
    """
    silence = 1.1 * max(DURATIONS) + 0.1
    return 2 * silence + 6 * max(TIMEOUTS) + 2 * _PATIENCE + _IDLE_REFRESH


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was wrong (nothing: the run was good), and what happened."""

    broken: tuple[str, ...]
    trace: tuple[str, ...]
    switchovers: int
    failovers: int
    settled_after: float
    end: Federation | None = None
    """The federation as it was at rest."""


def play(schedule: Schedule, *, tracing: bool = False) -> Outcome:
    """Run a schedule to its end."""
    random.seed(schedule.seed)  # the product's jitter
    run = _Run(schedule, tracing=tracing)
    with _named(run), _logs(run.world):
        return run.play()


class _Run:
    def __init__(self, schedule: Schedule, *, tracing: bool) -> None:
        self.schedule = schedule
        self.world = World(schedule.seed, tracing=tracing)
        self.workers: list[WorkerProgram] = []
        walls_agree = schedule.wall_runs and schedule.wall_error <= WALLS_RIGHT
        failovers = Failovers(self.world, walls_agree=walls_agree)
        self.checker = Checker(self.world, self.workers, failovers, walls_agree=walls_agree)
        self.hub = SimHub(self.world, self._committed)
        self.hub.watchers[WorkerLease].append(failovers)
        self.network = Network(self.world, self.hub, schedule.rates)
        self.asks: list[Ask] = []
        self.names = itertools.count(1)
        self.calm = False
        self.engaged = MEMBERS[0]
        self.once_active: list[Fault] = []
        for name, member in programs(schedule).items():
            self.workers.append(WorkerProgram(name, member, self.network, self._state(), self._new_process))
        coordinators = (
            OperatorProgram(name, self.network, self._state(), self._new_process)
            for name in operators(schedule)
        )
        self.programs: dict[str, Program] = {p.name: p for p in (*self.workers, *coordinators)}

    def play(self) -> Outcome:
        schedule, world = self.schedule, self.world
        isolation = Isolation.KEEP_ROLE if schedule.keep_role else Isolation.FENCE
        mode = FailoverMode.AUTOMATIC if schedule.automatic else FailoverMode.MANUAL
        self.spec = Spec(
            clusters=_members(MEMBERS[: schedule.members]),
            active_cluster=MEMBERS[0],
            lease_duration=schedule.duration,
            switchover_timeout=TIMEOUTS[0],
            isolation=isolation,
            failover=Failover(mode, schedule.failover_timeout, schedule.cooldown),
        )
        self.hub.create(self.spec, {})
        for program in self.programs.values():
            world.at(0.5 * world.random.random(), program.start)
        for fault in schedule.faults:
            world.at(fault.at, self._do, fault)
        world.run(schedule.length)
        calm_at = world.now
        self._calm()
        bound = settling_bound()
        world.at(calm_at + _FORCE_AFTER * bound, self._force)
        world.run(
            calm_at + bound, enough=lambda: bool(self.checker.broken or world.errors) or self._at_rest()
        )
        if why := self._unsettled():
            self.checker._fail(f"not at rest {bound:.0f} s after the last fault: {why}")
        if schedule.profile == OUTAGES.name and self.checker.failovers:
            self.checker._fail("a member was replaced though nobody was dead")
        took = world.now - calm_at
        self.checker.check_asks(self.asks)
        end = self.hub.federation
        for program in self.programs.values():
            program.crash()
        return Outcome(
            (*self.checker.broken, *world.errors),
            tuple(world.trace or ()),
            self.checker.switchovers,
            self.checker.failovers,
            took,
            end,
        )

    # --- the parts --------------------------------------------------------------------------------------

    def _state(self) -> Machine:
        chance = self.world.random
        rate = 1.0 + self.schedule.slew * (2 * chance.random() - 1)
        return Machine(
            self.world,
            rate=rate,
            boot=1000 * chance.random(),
            skew=self.schedule.wall_error * (2 * chance.random() - 1),
            wall_runs=self.schedule.wall_runs,
        )

    def _new_process(self, program: Program) -> Process:
        def ran() -> None:
            if isinstance(program, WorkerProgram):
                self.checker.look(program)

        return Process(  # type: ignore[abstract]  # a loop without I/O needs no more
            program.name, self.world, program.machine, stops=self._stops, ran=ran
        )

    def _stops(self) -> tuple[int, float]:
        """After how many callbacks a process is stopped next, and for how long."""
        if self.calm or not self.schedule.stops:
            return 1 << 60, 0.0
        chance = self.world.random
        callbacks = int(chance.expovariate(self.schedule.stops)) + 1
        return callbacks, self.schedule.longest_stop * 10 ** (-self.schedule.stop_spread * chance.random())

    # --- faults -----------------------------------------------------------------------------------------

    def _do(self, fault: Fault) -> None:
        if self.calm:
            return
        self.world.note("FAULT", "%s", fault)
        if fault.target in {ACTIVE, PASSIVE}:
            fault = replace(fault, target=self._who(fault.target))
        getattr(self, "_" + fault.kind.replace(" ", "_"))(fault)

    def _then(self, fault: Fault) -> None:
        """What follows at once happens before anything else."""
        for each in fault.then:
            if each.at:
                self.world.after(each.at, self._do, each)
            else:
                self._do(each)

    def _who(self, role: str) -> str:
        """A worker of the member that is engaged, or was so last, or of one that is not; else any."""
        fitting = [w.name for w in self.workers if (w.member == self.engaged) == (role == ACTIVE)]
        return self.world.random.choice(fitting or [w.name for w in self.workers])

    def _unless_calm(self, delay: float, act: object, *args: object) -> None:
        """Undo a fault after a while, if the end of all faults has not undone it before."""

        def undo() -> None:
            if not self.calm:
                act(*args)  # type: ignore[operator]

        self.world.after(delay, undo)

    def _while(self, fault: Fault, whose: object, what: str, value: float) -> None:
        """Something is so for as long as the fault lasts."""
        setattr(whose, what, value)
        self._unless_calm(fault.seconds, setattr, whose, what, type(value)())

    def _stop(self, fault: Fault) -> None:
        process = self.programs[fault.target].process
        if process:
            process.stop_for(fault.seconds)

    def _stop_after_read(self, fault: Fault) -> None:
        """Stop a worker when it has read the federation and is about to renew."""
        program = self.programs[fault.target]
        if program.link is None or program.process is None:
            return
        process = program.process

        def stop() -> None:
            process.stop_after(_READ_TO_RENEWAL, fault.seconds)
            self._then(fault)

        program.link.once_read = stop

    def _once_read(self, fault: Fault) -> None:
        """Wait until somebody is about to take in the federation as it was read."""
        link = self.programs[fault.target].link
        if link:
            link.once_read = lambda: self._then(fault)

    def _crash(self, fault: Fault) -> None:
        self.programs[fault.target].crash()
        self._unless_calm(fault.seconds, self.programs[fault.target].start)

    def _kill_member(self, fault: Fault) -> None:
        for worker in self._of(fault.target):
            worker.crash()
            self._unless_calm(fault.seconds, worker.start)

    def _restart(self, fault: Fault) -> None:
        program = self.programs[fault.target]
        assert isinstance(program, WorkerProgram)
        program.stop(then=lambda: self.world.after(0.0 if self.calm else fault.seconds, program.start))

    def _cut(self, fault: Fault) -> None:
        link = self.programs[fault.target].link
        if link:
            link.loses_requests = fault.value != "answers"
            link.loses_answers = fault.value != "requests"
            if self.world.random.random() < 0.5:
                for watch in link.watches:
                    watch.end()
            self._unless_calm(fault.seconds, link.mend)

    def _cut_member(self, fault: Fault) -> None:
        for worker in self._of(fault.target):
            self._cut(replace(fault, target=worker.name))

    def _slow(self, fault: Fault) -> None:
        if link := self.programs[fault.target].link:
            self._while(fault, link, "delay", fault.value)

    def _deafen(self, fault: Fault) -> None:
        """Its watch brings nothing any more, and does not break either."""
        if link := self.programs[fault.target].link:
            self._while(fault, link, "deaf_to_leases" if fault.value == "Leases" else "deaf", True)

    def _refuse(self, fault: Fault) -> None:
        if link := self.programs[fault.target].link:
            self._while(fault, link, "refusing", True)

    def _watch_break(self, fault: Fault) -> None:
        link = self.programs[fault.target].link
        if link:
            link.break_watches()

    def _hub_down(self, fault: Fault) -> None:
        self._while(fault, self.network, "down", True)
        self.network.break_watches()

    def _ask(self, fault: Fault) -> None:
        program = self.programs[fault.target]
        assert isinstance(program, WorkerProgram)
        kind, _, force = fault.value.partition(" ")
        if force and not self.calm and _may_keep_role(self.schedule):
            return  # nobody can be certain that a worker is dead that may answer for ever
        wish = Wish(Kind(kind), force=bool(force))
        present = self.hub.federation
        table = (present.uid, present.status.term) if present and present.status else ("", 0)
        ask = Ask(wish, program.member, self.world.now, table, f"ask-{next(self.names)}")
        if program.ask(ask):
            self.asks.append(ask)

    def _shown(self, federation: Federation | None) -> int:
        """The highest term on any Lease and in the annotation."""
        note = parse_pair(federation.annotations.get(ANNOTATION_LAST_ACTIVE)) if federation else None
        acknowledged = (lease.acknowledged for lease in self.hub.leases.values())
        return max([note[1] if note else 0, *(table.term for table in acknowledged if table)])

    def _once_active(self, fault: Fault) -> None:
        """Wait until the hub says that another member is active."""
        self.once_active.append(fault)

    def _committed(self, before: Federation | None, after: Federation | None) -> None:
        self.checker.committed(before, after, by=self.network.writer, shown=self._shown(after))
        was = before.status.active_cluster if before and before.status else ""
        if after and after.status and after.status.engaged:
            self.engaged = after.status.engaged.id
        if after and after.status and after.status.active_cluster not in {"", was}:
            for fault in self.once_active:
                self._then(fault)
            self.once_active.clear()

    def _edit(self, fault: Fault) -> None:
        what, value = fault.value
        done = self.hub.edit(lambda spec: _edited(spec, what, value))
        self.world.note("FAULT", "the edit is %s", "taken" if done else "refused")

    def _lose_status(self, _: Fault) -> None:
        self.hub.lose_status()

    def _recreate(self, fault: Fault) -> None:
        """Delete the federation; after a while somebody applies it again, from a backup or from a file."""
        present = self.hub.federation
        if present is None:
            return
        members, annotated, active = fault.value
        if active == PASSIVE:
            active = self.programs[self._who(PASSIVE)].member
        if members in {"", PASSIVE}:
            engaged = present.status.engaged if present.status else None
            left = engaged.id if engaged and members else ""
            members = "".join(m for m in MEMBERS[: self.schedule.members] if m != left)
        self.hub.delete()
        spec = replace(
            present.spec,
            clusters=_members(members),
            active_cluster=active if active in members else None,
        )
        note = present.annotations.get(ANNOTATION_LAST_ACTIVE)
        annotations = {ANNOTATION_LAST_ACTIVE: note} if annotated and note else {}

        def again() -> None:
            if self.hub.federation is None and not self.hub.kind_is_gone:
                self.hub.create(spec, annotations)

        self.world.after(min(fault.seconds, self.schedule.length - self.world.now), again)

    def _restore(self, fault: Fault) -> None:
        backup = self.hub.backup(fault.seconds)
        self.checker.forget(for_good=_may_keep_role(self.schedule))
        self.hub.restore(backup, bump=fault.value)
        self.network.break_watches()

    # --- third parties ----------------------------------------------------------------------------------

    def _lease_of(self, fault: Fault) -> WorkerLease | None:
        """The newest Lease of a worker."""
        held = [lease for lease in self.hub.leases.values() if lease.holder == fault.target]
        return max(held, key=lambda lease: int(lease.resource_version), default=None)

    def _touch_lease(self, fault: Fault) -> None:
        """None of this makes anybody be fenced too early."""
        changes: dict[str, dict[str, Any]] = {
            "annotation": {},
            "forget": {"acknowledged": None},
            "keep role": {"isolation": Isolation.KEEP_ROLE},
            "longer": {"duration": max(DURATIONS)},
        }
        if lease := self._lease_of(fault):
            self.hub.edit_lease(lease.name, **changes[fault.value])

    def _rob_lease(self, fault: Fault) -> None:
        """A worker's answers are not counted any more: no promise until they end."""
        lease = self._lease_of(fault)
        if lease is None:
            return
        self.checker.excuse(for_good=_may_keep_role(self.schedule))
        match fault.value:
            case "delete":
                self.hub.drop_lease(lease.name)
            case "replace":
                self.hub.drop_lease(lease.name)
                self.hub.forge_lease(lease)
            case "relabel":
                other = next(member for member in MEMBERS if member != lease.cluster)
                self.hub.edit_lease(lease.name, cluster=other)
            case "unlabel":
                self.hub.edit_lease(lease.name, federation="")
            case "shorter":
                self.hub.edit_lease(lease.name, duration=1)
            case "forge":
                self.hub.edit_lease(lease.name, acknowledged=self._table())

    def _foreign_lease(self, fault: Fault) -> None:
        whose, acknowledges = fault.value
        table = self._table() or Acknowledgement("uid-0", 1)
        said = {
            "": None,
            "present": table,
            "other object": Acknowledgement("uid-0", table.term + 1000),
            "ahead": replace(table, term=table.term + 50),
            "absurd": replace(table, term=10**17),
        }[acknowledges]
        if acknowledges == "ahead":
            self.checker.forged()
        name = f"foreign-{next(self.names)}"
        self.hub.forge_lease(
            WorkerLease(name, "", "", NAME, whose, "somebody", said, Isolation.FENCE, int(fault.seconds))
        )

    def _table(self) -> Acknowledgement | None:
        present = self.hub.federation
        return Acknowledgement(present.uid, present.status.term) if present and present.status else None

    def _touch_status(self, fault: Fault) -> None:
        match fault.value:
            case "history":
                # With nobody active, the history is what says whether that is on purpose.
                self.hub.edit_status(lambda s: replace(s, history=()) if s.active_cluster else s)
            case "request":
                self.hub.edit_status(lambda s: replace(s, switchover=None))
            case "conditions":
                self.hub.edit_status(lambda s: replace(s, conditions=()))
            case "counts":
                self.hub.edit_status(
                    lambda s: replace(
                        s, clusters=tuple(replace(c, workers=9, live_workers=0) for c in s.clusters)
                    )
                )

    def _rewrite_roles(self, fault: Fault) -> None:
        """Roles that no coordinator has moved: no promise until all answers by others have run out."""
        present = self.hub.federation
        if present is None or present.status is None:
            return
        self.checker.excuse(for_good=_may_keep_role(self.schedule))
        ids = [row.id for row in present.status.clusters if present.spec.member(row.id)]
        chosen = self.world.random.choice(ids)
        role = {
            "swap": Role.ACTIVE,
            "nobody": Role.PASSIVE,
            "demoting": Role.DEMOTING,
            "promoting": Role.PROMOTING,
        }[fault.value]
        raised = self.world.random.choice((0, 1, 5))

        def rewritten(status: Status) -> Status:
            rows = tuple(
                replace(row, role=role if row.id == chosen else Role.PASSIVE) for row in status.clusters
            )
            active = chosen if role is Role.ACTIVE else ""
            return replace(status, clusters=rows, term=status.term + raised, active_cluster=active)

        self.hub.edit_status(rewritten)

    def _remove_crd(self, fault: Fault) -> None:
        """With everything of that kind; it comes back, and somebody applies the federation again."""
        present = self.hub.federation
        if present is None:
            return
        self.hub.delete()
        self.hub.kind_is_gone = True
        self.network.break_watches()

        def back() -> None:
            self.hub.kind_is_gone = False
            if self.hub.federation is None:
                self.hub.create(present.spec, {})

        self.world.after(min(fault.seconds, self.schedule.length - self.world.now), back)

    def _of(self, member: str) -> Iterator[WorkerProgram]:
        return (worker for worker in self.workers if worker.member == member)

    # --- the end of all faults --------------------------------------------------------------------------

    def _calm(self) -> None:
        self.world.note("FAULT", "no more faults")
        self.calm = True
        self.checker.calm()
        self.network.heal()
        self.hub.kind_is_gone = False
        if self.hub.federation is None:
            self.hub.create(self.spec, {})
        for program in self.programs.values():
            program.machine.skew = 0.0
            if program.process:
                program.process._next_stop = 1 << 60
                program.process.resume()
            program.start()

    def _force(self) -> None:
        """What only a person can decide: the workers that are silent under KeepRole are dead."""
        status = self.hub.federation.status if self.hub.federation else None
        if status is None or not status.unfenceable or not self._unsettled():
            return
        worker = next(program for program in self.workers if status.member(program.member))
        self._ask(Fault(self.world.now, "ask", worker.name, value="promote force"))

    def _unsettled(self) -> str:
        federation = self.hub.federation
        if federation is None:
            return "there is no federation"
        if any(ask.result is None and not ask.abandoned for ask in self.asks):
            return "a client is waiting"
        return settled(federation, self.workers)

    def _at_rest(self) -> bool:
        """At rest, for as long as anything that is still in flight may take."""
        if self.world.now < self._look_again:
            return False
        self._look_again = self.world.now + 0.25
        if self._unsettled():
            self._rested_since = None
        elif self._rested_since is None:
            self._rested_since = self.world.now
        elif self.world.now - self._rested_since > 2 * max(DURATIONS):
            return True
        return False

    _look_again = 0.0
    _rested_since: float | None = None


def _members(names: str | tuple[str, ...]) -> tuple[Member, ...]:
    return tuple(Member(name, f"site {name}", priority=-MEMBERS.index(name)) for name in names)


def _may_keep_role(schedule: Schedule) -> bool:
    return schedule.keep_role or any(
        fault.value == ("isolation", Isolation.KEEP_ROLE) for fault in schedule.faults
    )


def _edited(spec: Spec, what: str, value: Any) -> Spec:
    part, _, field = what.partition(".")
    match part:
        case "active_cluster":
            known = value is None or spec.member(value)
            return replace(spec, active_cluster=value) if known else spec
        case "clusters":
            spec = replace(spec, clusters=_members(value))
            wanted = spec.active_cluster
            return replace(spec, active_cluster=wanted if wanted and spec.member(wanted) else None)
        case "member":
            who, told = value
            changed = (replace(m, **{field: told}) if m.id == who else m for m in spec.clusters)
            return replace(spec, clusters=tuple(changed))
        case "failover":
            return replace(spec, failover=replace(spec.failover, **{field: value}))
    return replace(spec, **{what: value})


@contextlib.contextmanager
def _named(run: _Run) -> Iterator[None]:
    """Names that a reader of the trace can follow, and that are the same in every run."""
    names = itertools.count(1)

    class Secrets:
        @staticmethod
        def token_hex(_: int) -> str:
            return str(next(names))

    with (
        mock.patch.object(tcf.worker.lease_keeper, "secrets", Secrets),
        mock.patch.object(tcf.worker.switchovers, "uuid", _Requests(run.network)),
    ):
        yield


class _Requests:
    """Stands in for the module uuid: a request is named by the client whose turn it is."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def uuid4(self) -> _Requests:
        return self

    @property
    def hex(self) -> str:
        return self._network.asking


@contextlib.contextmanager
def _logs(world: World) -> Iterator[None]:
    """What the programs log goes into the trace, or nowhere."""
    logger = logging.getLogger("tcf")
    if world.trace is None:
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
        return

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            process = asyncio._get_running_loop()
            name = process.name if isinstance(process, Process) else "?"
            world.note(name, "log: %s", record.getMessage())

    handler = Handler()
    logger.addHandler(handler)
    level, logger.level = logger.level, logging.INFO
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
