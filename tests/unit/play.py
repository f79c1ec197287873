"""A hub in sightings, coordinators that may stop after every write, and workers that may be dead or stalled.

Every write is checked against the invariants of the protocol, and every turn against what the workers
would answer to a client.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tcf.core.decide import Observation, decide
from tcf.core.lease_content import REGISTRATION_DURATION, Renewal
from tcf.core.model import (
    Federation,
    Isolation,
    Refusal,
    Role,
    Status,
    WorkerLease,
)
from tcf.core.reading import Cycle, Reading
from tcf.core.sightings import Sightings
from unit.build import BOOT, at, machine_of

TICK = 0.25
PATIENCE = 24
"""Turns that may pass with nothing to do: 6 s, more than any deadline or silence of the stories."""


@dataclass
class Hub:
    """Objects with versions, and nothing else: each write names the version that it replaces."""

    federation: Federation | None
    leases: dict[str, WorkerLease] = field(default_factory=dict)
    writes: int = 0
    _names: Iterator[int] = field(default_factory=lambda: iter(range(1, 10_000)))

    def _version(self) -> str:
        self.writes += 1
        return str(1000 + self.writes)

    def put(self, seen: Federation, new: Federation) -> bool:
        if self.federation is None or self.federation.resource_version != seen.resource_version:
            return False
        self.federation = replace(new, resource_version=self._version())
        if new.status and seen.status:
            check(seen.status, new.status)
        return True

    def register(self, cluster: str) -> WorkerLease:
        name = f"{cluster}-{next(self._names)}"
        lease = WorkerLease(
            name, name, self._version(), "shop", cluster, name, None, Isolation.FENCE, REGISTRATION_DURATION
        )
        self.leases[name] = lease
        return lease

    def renew(self, lease: WorkerLease, renewal: Renewal) -> WorkerLease | None:
        if self.leases.get(lease.uid) != lease:
            return None
        self.leases[lease.uid] = replace(
            lease,
            resource_version=self._version(),
            acknowledged=renewal.acknowledged,
            isolation=renewal.isolation,
            duration=renewal.duration,
            last_active=renewal.last_active,
            application=renewal.application,
            held_by=renewal.held_by,
        )
        return self.leases[lease.uid]

    def delete(self, lease: WorkerLease) -> bool:
        """False if it has another version by now; gone already is as good as deleted."""
        if lease.uid in self.leases and self.leases[lease.uid] != lease:
            return False
        self.leases.pop(lease.uid, None)
        return True


def check(before: Status, after: Status) -> None:
    """The invariants of one status write."""
    assert sum(m.role.engaged for m in after.clusters) <= 1, after.clusters
    roles = {m.id: m.role for m in before.clusters}, {m.id: m.role for m in after.clusters}
    assert after.term == before.term + (roles[0] != roles[1])
    names = [past.id for past in after.history]
    assert len(names) == len(set(names)), f"a request has ended twice: {names}"
    now = after.switchover.id if after.switchover else None
    if before.switchover and before.switchover.id != now:
        assert before.switchover.id in names, "a request has vanished"
    assert now not in names, "a request goes on after its end"


@dataclass
class Worker:
    """Reads and writes in turns. A stalled one stops between the two, and may go on there later."""

    cluster: str
    stalled: bool = False
    dead: bool = False
    lease: WorkerLease | None = None
    half: tuple[Cycle, Renewal] | None = None

    def __post_init__(self) -> None:
        self.machine = machine_of(self.cluster)

    def step(self, hub: Hub, now: float) -> None:
        if self.stalled or self.dead:
            return
        if self.half is None:
            self.lease = self.lease or hub.register(self.cluster)
            cycle = self.machine.begin(at(now))
            renewal = self.machine.observe(cycle, hub.federation)
            self.half = (cycle, renewal) if renewal else None
            return
        assert self.lease
        (cycle, renewal), self.half = self.half, None
        self.lease = hub.renew(self.lease, renewal)
        if self.lease:
            self.machine.renewed(cycle, renewal)
        else:
            self.machine.lost(Refusal("LeaseLost", ""))


class Coordinator:
    """One replica: each step is a look with a decision, or one write of that decision."""

    def __init__(self) -> None:
        self.sightings = Sightings()
        self.done = 0
        self.plan: list[WorkerLease | Federation] = []
        self.seen: Federation | None = None

    def step(self, hub: Hub, now: float) -> bool:
        """False if there was nothing to do."""
        if not self.plan:
            self._look(hub, now)
            return bool(self.plan)
        todo = self.plan.pop(0)
        self.done += 1
        if isinstance(todo, WorkerLease):
            done = hub.delete(todo)
        else:
            assert self.seen
            done = hub.put(self.seen, todo)
        if not done:
            self.plan.clear()
        return True

    def _look(self, hub: Hub, now: float) -> None:
        self.seen, leases = hub.federation, tuple(hub.leases.values())
        self.sightings = self.sightings.see_federation(self.seen, now).see_leases(leases, now)
        decision = decide(Observation(self.seen, leases, self.sightings, listed=now, reread=True), at(now))
        self.plan = [*decision.delete]
        if self.seen and decision.status:
            self.plan.append(replace(self.seen, status=decision.status))
        elif self.seen and decision.annotations:
            notes = {**self.seen.annotations, **decision.annotations}
            self.plan.append(replace(self.seen, annotations=notes))


class World:
    """A hub with workers and a clock."""

    def __init__(self, federation: Federation, workers: list[Worker]) -> None:
        self.hub = Hub(federation)
        self.workers = workers
        self.now = BOOT
        self.highest_yes = 0

    @property
    def status(self) -> Status:
        assert self.hub.federation
        assert self.hub.federation.status
        return self.hub.federation.status

    def work(self) -> None:
        """A turn of every worker, and a moment passes."""
        for worker in self.workers:
            worker.step(self.hub, self.now)
            self.probe()
        self.now += TICK
        self.probe()

    def probe(self) -> None:
        """What clients see: after a "yes" at a term, no other member says "yes" at a lower one."""
        answers = [
            (worker.cluster, worker.machine.answer(self.now)) for worker in self.workers if not worker.dead
        ]
        yes = {
            (answer.term, cluster)
            for cluster, answer in answers
            if isinstance(answer, Reading) and answer.role is Role.ACTIVE
        }
        assert len({cluster for _, cluster in yes}) <= 1, yes
        if yes:
            term = min(yes)[0]
            assert term >= self.highest_yes, f"an older yes at {term} after {self.highest_yes}"
            self.highest_yes = max(yes)[0]

    def turn(self, coordinator: Coordinator) -> bool:
        busy = coordinator.step(self.hub, self.now)
        self.probe()
        return busy

    def until(self, coordinator: Coordinator, writes: int, *, planned: bool = False) -> bool:
        """Until it has made so many writes (and knows the next, if `planned`); False if there are fewer."""
        for _ in range(3 * PATIENCE):
            if coordinator.done == writes and (coordinator.plan or not planned):
                return True
            self.turn(coordinator)
            self.work()
        return False

    def finish(self, *coordinators: Coordinator) -> Status:
        """Let everybody go on until nothing happens for longer than anything may take."""
        quiet = 0
        for _ in range(20 * PATIENCE):
            busy = [self.turn(coordinator) for coordinator in coordinators]
            self.work()
            quiet = 0 if any(busy) else quiet + 1
            if quiet == PATIENCE:
                return self.status
        raise AssertionError(f"it never comes to rest: {self.status}")
