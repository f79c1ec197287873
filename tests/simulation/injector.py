"""Does to the parts of a run what a schedule says, each fault by the function that the table names for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from simulation.actors import WorkerProgram
from simulation.network import Link
from simulation.schedule import ACTIVE, MEMBERS, PASSIVE, Fault
from simulation.testbed import Testbed
from tcf.core.model import Federation, Trigger


class Injector:
    """Injects faults, until the end of all faults.

    It knows which member is engaged, or was so last: faults may be aimed at "the active one".
    """

    def __init__(self, bed: Testbed, table: Mapping[str, Inject]) -> None:
        self.bed = bed
        self._table = table
        self._engaged = MEMBERS[0]
        self._awaiting: list[Fault] = []
        """Each waits until another member has become active."""
        self._awaiting_failover: list[Fault] = []
        bed.listeners.append(self._committed)

    def inject(self, fault: Fault) -> None:
        """Let the fault happen now."""
        if self.bed.calm:
            return
        self.bed.world.note("FAULT", "%s", fault)
        if fault.target in {ACTIVE, PASSIVE}:
            fault = replace(fault, target=self.worker_with(fault.target))
        self._table[fault.kind](self, fault)

    # --- for the functions in the table -------------------------------------------------------------------

    def follow(self, fault: Fault) -> None:
        """Let happen what follows from a fault. What follows at once happens before anything else."""
        for each in fault.then:
            if each.at:
                self.bed.world.after(each.at, self.inject, each)
            else:
                self.inject(each)

    def later(self, delay: float, undo: Callable[[], object]) -> None:
        """Undo a fault after a while, unless the end of all faults has undone it before."""

        def unless_calm() -> None:
            if not self.bed.calm:
                undo()

        self.bed.world.after(delay, unless_calm)

    def for_a_while(self, fault: Fault, whose: object, what: str, value: float) -> None:
        """Set an attribute for as long as the fault lasts; then it is 0, or False."""
        setattr(whose, what, value)
        self.later(fault.seconds, lambda: setattr(whose, what, type(value)()))

    def link_of(self, fault: Fault) -> Link | None:
        """The way to the hub of the program that the fault is aimed at; None if it is not running."""
        return self.bed.programs[fault.target].link

    def worker_of(self, fault: Fault) -> WorkerProgram:
        """The worker that the fault is aimed at."""
        program = self.bed.programs[fault.target]
        assert isinstance(program, WorkerProgram)
        return program

    def worker_with(self, role: str) -> str:
        """A worker of the member that is engaged, or was so last, or of one that is not; else any."""
        workers = self.bed.workers
        fitting = [w.name for w in workers if (w.member == self._engaged) == (role == ACTIVE)]
        return self.bed.world.random.choice(fitting or [w.name for w in workers])

    def await_activation(self, fault: Fault) -> None:
        """Let happen what follows from the fault as soon as another member has become active."""
        self._awaiting.append(fault)

    def await_failover(self, fault: Fault) -> None:
        """Let happen what follows from the fault as soon as a failover has begun."""
        self._awaiting_failover.append(fault)

    def _committed(self, before: Federation | None, after: Federation | None) -> None:
        was = before.status.active_cluster if before and before.status else ""
        if after and after.status and after.status.engaged:
            self._engaged = after.status.engaged.id
        if after and after.status and after.status.active_cluster not in {"", was}:
            for fault in self._awaiting:
                self.follow(fault)
            self._awaiting.clear()
        running = after.status.switchover if after and after.status else None
        if running and running.trigger is Trigger.FAILOVER:
            for fault in self._awaiting_failover:
                self.follow(fault)
            self._awaiting_failover.clear()


Inject = Callable[[Injector, Fault], None]
"""Lets one kind of fault happen."""
