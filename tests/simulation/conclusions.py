"""Does a worker acknowledge the loss of its role only when all that its role has caused is over?

The simulation stands in for what a role causes (a mark on a Pod, for example) by an `Effect` for each worker.
It is there from the moment at which the worker answers "active", outlives the process, and takes some time to
end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from simulation.actors import WorkerProgram
from simulation.network import Network
from tcf.core.annotations import Acknowledgement
from tcf.core.model import Federation, Role, WorkerLease
from tcf.core.reading import Reading


class Conclusions:
    """Sees every write of a Lease, and every "active".

    `undisturbed`: nothing but requests of clients happens in this run. Then no worker is silent, so nobody
    may be promoted beside an effect.
    """

    def __init__(
        self,
        network: Network,
        workers: Sequence[WorkerProgram],
        fail: Callable[[str], None],
        *,
        undisturbed: bool,
    ) -> None:
        self._network = network
        self._workers = workers
        self._fail = fail
        self._undisturbed = undisturbed
        self._tables: dict[Acknowledgement, list[Mapping[str, Role]]] = defaultdict(list)
        """The roles of each table. There may be several of one number: a hub that was set back, an edit."""
        self._written: dict[str, set[Acknowledgement]] = defaultdict(set)
        """What workers have acknowledged, by the uid of the Lease."""

    def said_yes(self, program: WorkerProgram, reading: Reading) -> None:
        """A worker answers "active"."""
        program.effect.cause()
        lease = program.link.lease if program.link else None
        table = Acknowledgement(reading.uid, reading.term)
        if lease is None or table not in self._written[lease.uid]:
            self._fail(f"{program.name} answers active by {table}, which its Lease has not acknowledged")

    def renewed(self, before: WorkerLease, after: WorkerLease) -> None:
        """A worker's renewal has been carried out."""
        table, program = after.acknowledged, self._writing()
        if table is None:
            return
        self._written[after.uid].add(table)
        if program is None or not program.effect.present or table == before.acknowledged:
            return  # nothing is open, or nothing is acknowledged that was not before
        if self._network.sent < program.effect.since:
            return  # a late request, from before the effect, which a hub that was set back carries out
        tables = self._tables[table]
        if tables and not any(roles.get(program.member) is Role.ACTIVE for roles in tables):
            self._fail(f"{program.name} acknowledges {table} although what its role has caused is not over")

    def changed(self, value: Federation | WorkerLease, *, deleted: bool) -> None:
        """A Lease was written or deleted."""
        program = self._writing()
        if deleted and program and program.effect.present:
            self._fail(f"{program.name} deletes its Lease although what its role has caused is not over")

    def committed(self, _: Federation | None, after: Federation | None) -> None:
        """The federation was written."""
        status = after.status if after else None
        if after is None or status is None:
            return
        roles = {row.id: row.role for row in status.clusters}
        self._tables[Acknowledgement(after.uid, status.term)].append(roles)
        engaged = status.engaged
        if engaged is None or not self._undisturbed:
            return
        for program in self._workers:
            if program.effect.present and program.member != engaged.id:
                self._fail(f"{engaged.id} is engaged although what {program.name} has caused is not over")

    def _writing(self) -> WorkerProgram | None:
        """The worker whose request the hub carries out; None if it is nobody's whose process still runs."""
        link = self._network.writer
        return next((worker for worker in self._workers if link and worker.link is link), None)
