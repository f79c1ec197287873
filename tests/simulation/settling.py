"""Has a federation come to rest after the last fault? And how long may that take?"""

from __future__ import annotations

from collections.abc import Sequence

from simulation.actors import WorkerProgram
from simulation.invariants import describe
from simulation.schedule import DURATIONS, TIMEOUTS
from simulation.sim_hub import SimHub
from simulation.testbed import Testbed
from tcf.core.annotations import Acknowledgement
from tcf.core.fencing import silence_needed
from tcf.core.heartbeat import HEARTBEAT_DURATION
from tcf.core.model import Federation, MemberStatus, Refusal, Status, Trigger

_IDLE_REFRESH = 60.0
_PATIENCE = 10.0
_LOOK_SECONDS = 0.25


def settling_bound(longest_conclusion: float = 0.0) -> float:
    """Seconds within which the federation is at rest once nothing goes wrong any more.

    The longest silence that a Lease may demand, twice (a worker that came back may have to be waited for by
    a bootstrap and by a request after it); three deadlines of requests that were under way, and as much
    for a worker to give up waiting for them; and what a coordinator that has missed an event sleeps at most,
    after the silence of the one that came first.
    Where roles take time to end, the same three requests have to wait for that.
    """
    silence, asleep = silence_needed(max(DURATIONS)), silence_needed(HEARTBEAT_DURATION) + _IDLE_REFRESH
    return 2 * silence + 6 * max(TIMEOUTS) + 2 * _PATIENCE + asleep + 3 * longest_conclusion


class Settling:
    """Watches a federation come to rest."""

    def __init__(self, bed: Testbed) -> None:
        self._bed = bed
        self._look_again = 0.0
        self._rested_since: float | None = None

    def over(self) -> bool:
        """Has it been at rest for as long as anything that is still in flight may take?"""
        now = self._bed.world.now
        if now < self._look_again:
            return False
        self._look_again = now + _LOOK_SECONDS
        if self.obstacle():
            self._rested_since = None
        elif self._rested_since is None:
            self._rested_since = now
        return self._rested_since is not None and now - self._rested_since > 2 * max(DURATIONS)

    def obstacle(self) -> str:
        """Why the federation has not come to rest; "" when it has."""
        bed = self._bed
        if bed.hub.federation is None:
            return "there is no federation"
        if any(ask.result is None and not ask.abandoned for ask in bed.asks):
            return "a client is waiting"
        return _unsettled(bed.hub, bed.hub.federation, bed.workers)


def _unsettled(hub: SimHub, federation: Federation, workers: Sequence[WorkerProgram]) -> str:
    status = federation.status
    if status is None:
        return "there is no status"
    members = [(member.id, member.name) for member in federation.spec.clusters]
    if _names(status.clusters) != members:
        return f"the table is not about {members}: {describe(status)}"
    request = status.switchover
    # A bootstrap for a member that has no worker waits until somebody starts one.
    awaited = request.to if request and request.trigger is Trigger.BOOTSTRAP else ""
    unserved = bool(awaited) and all(worker.member != awaited for worker in workers)
    if request and not unserved:
        return f"a request is under way: {request}"
    past = next((p for p in status.history if p.succeeded), None)
    if not (status.active_cluster or unserved) and (past is None or past.to):
        return "nobody is active"
    table = Acknowledgement(federation.uid, status.term)
    return next(
        (
            why
            for worker in workers
            if (why := _behind(worker, status, members) or _unacknowledged(worker, table, hub))
        ),
        "",
    )


def _behind(program: WorkerProgram, status: Status, members: list[tuple[str, str]]) -> str:
    """Why a worker does not answer by the present table; "" if it does."""
    answer, row = program.answer(), status.member(program.member)
    if isinstance(answer, Refusal) or answer is None:
        if row is None and isinstance(answer, Refusal) and answer.reason in {"NoRoleYet", "UnknownCluster"}:
            return ""
        return f"{program.name} has no answer: {answer}"
    if row is None or (answer.term, answer.role) != (status.term, row.role):
        return f"{program.name} answers {answer.role} at term {answer.term}"
    if _names(answer.clusters) != members:
        return f"{program.name} answers for {answer.clusters}"
    return ""


def _unacknowledged(program: WorkerProgram, table: Acknowledgement, hub: SimHub) -> str:
    """Why the Lease of a worker that answers does not acknowledge the present table; "" if it does."""
    held = program.link.lease if program.link else None
    lease = hub.leases.get(held.name) if held else None
    if lease is None or lease.acknowledged == table or isinstance(program.answer(), Refusal):
        return ""
    return f"{program.name} acknowledges {lease.acknowledged}, not {table}"


def _names(rows: Sequence[MemberStatus]) -> list[tuple[str, str]]:
    return [(row.id, row.name) for row in rows]
