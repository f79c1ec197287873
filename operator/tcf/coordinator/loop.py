"""The loop of one federation: woken by events and by the clock.

Each turn asks `core.decide` what to do, does that one thing, and asks again until there is nothing to do.
Watch events are only hints. The loop also reads its federation after each conflict, and every `_IDLE_SECONDS`
if it has nothing to do. While a request is under way it reads more often: soon after each change, then less
and less often. If a peer comes first, the loop reads the federation seldom.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from tcf.coordinator.cache import FederationCache
from tcf.coordinator.event_writer import EventWriter
from tcf.coordinator.roster import Roster
from tcf.coordinator.turns import Rank, Turns
from tcf.core.decide import AFTERWARDS, Decision, Observation, decide
from tcf.core.history import newly_ended
from tcf.core.model import Federation, Role, WorkerLease
from tcf.hub import errors
from tcf.hub.interfaces import FederationStore, LeaseStore
from tcf.runtime.backoff import Backoff
from tcf.runtime.clock import Clock
from tcf.runtime.logs import Fields
from tcf.runtime.waiting import within

_REQUEST_SECONDS = 5.0
_BUSY_SECONDS = 3.0
"""How soon to read a federation with a request under way. Watches are faster, so few reads find news."""
_OBSTACLE_SECONDS = 1.0
_LONGEST_CONFLICT_SECONDS = 1.0
_IDLE_SECONDS = 60.0
_CONFLICT_SECONDS = 0.01
_AFTER_BUG_SECONDS = 10.0
_SLIGHT_SECONDS = 0.1
"""Every turn takes up to this long. Only longer times are excused."""
_PEERS_SECONDS = 240.0
"""How much later to read a federation for which a peer comes first."""

Key = tuple[str, str]
"""Namespace and name of a federation."""


@dataclass
class Work:
    """Work for a federation, from `since` (boot seconds) until it is at rest.

    `due`: since when a step has been due for the table and the request `of`.
    """

    since: float
    of: tuple[tuple[str, int | None] | None, str]
    due: float


class FederationLoop:
    """The loop of one federation."""

    def __init__(
        self,
        key: Key,
        federations: FederationStore,
        leases: LeaseStore,
        event_writer: EventWriter,
        *,
        clock: Clock,
        turns: Turns,
        roster: Roster,
        announce: Callable[[], None],
    ) -> None:
        """`turns` limits how many loops work at the same time. `announce`: see `FederationCache`."""
        self.key = key
        self.name = "/".join(key)
        self.cache = FederationCache(announce)
        self.wake = asyncio.Event()
        self._federations = federations
        self._leases = leases
        self._event_writer = event_writer
        self._clock = clock
        self._turns = turns
        self._roster = roster
        self._work: Work | None = None
        self._woken_at = math.inf
        self._counted_until = clock.boot()
        """Time before this moment is accounted for: it was spent waiting, or it is excused."""
        self._looks = Backoff(first=_BUSY_SECONDS, longest=_IDLE_SECONDS)
        self._looked_at: Federation | None = None
        self._trouble: str | None = None
        self._obstacle = ""
        self._report_obstacle_at = math.inf
        self._stale = False
        self._refresh_at = -math.inf

    @property
    def _log(self) -> Fields:
        """Every line shows the federation, its term, and the trigger of the request under way."""
        status = self.cache.federation.status if self.cache.federation else None
        fields: dict[str, object] = {"federation": self.name}
        if status:
            fields["term"] = status.term
            fields["trigger"] = status.switchover.trigger if status.switchover else None
        return Fields(logging.getLogger(__name__), fields)

    def woken(self, at: float) -> None:
        """Wake up because of an event that was received at boot time `at`."""
        self._woken_at = min(self._woken_at, at)
        self.wake.set()

    def look_again(self) -> None:
        """Read the federation and its Leases as soon as possible."""
        self._stale = True
        self.wake.set()

    async def run(self) -> None:
        """Work until neither the federation nor any Lease of it is left."""
        backoff, conflicts = Backoff(), Backoff(first=_CONFLICT_SECONDS, longest=_LONGEST_CONFLICT_SECONDS)
        # If the watch has just delivered the federation, it need not be read.
        self._refresh_at = self._next_refresh() if self.cache.federation else -math.inf
        while True:
            self.wake.clear()
            self._woken_at = math.inf
            try:
                decision = self._left_without_a_turn() or await self._have_a_turn()
                if self.cache.federation != self._looked_at:
                    self._refresh_at = self._next_refresh()
                self._report_obstacle(decision.obstacle)
            except errors.ConflictError:
                # Another program was faster, most likely another operator.
                self.cache.tally.conflicts += 1
                self._stale = True
                await asyncio.sleep(conflicts.next())
            except errors.HubError as error:
                self._report(error)
                self._stale = True
                await asyncio.sleep(backoff.next(least=error.retry_after))
            except Exception:  # noqa: BLE001 - a bug that shows in one federation must not affect the others
                self._log.exception(
                    "a bug: the operator leaves this federation alone for %s s", _AFTER_BUG_SECONDS
                )
                self._stale = True
                await asyncio.sleep(_AFTER_BUG_SECONDS)
            else:
                backoff.reset()
                conflicts.reset()
                self._report(None)
                if self.cache.over(self._clock.boot()):
                    return
                # A peer that comes first may die, so look at least once in that time.
                look_at = min(self._read_at, self._clock.boot() + _IDLE_SECONDS)
                times = (look_at, self._report_obstacle_at, decision.wake_at)
                until = min(moment for moment in times if moment is not None)
                self._excuse()
                await within(until - self._clock.boot(), self.wake.wait())
                # If this process was late to wake up, the rest is not the fault of those it waits for.
                self._counted_until = min(until, self._woken_at, self._clock.boot())

    async def _have_a_turn(self) -> Decision:
        """Wait for a turn, and do everything that can be done. Returns the decision to wait."""
        self._excuse()
        while True:
            rank = self._rank()
            async with self._turns.turn(rank):
                self._excuse(queued=True)
                if not rank.of_peers and self._of_peers:
                    continue  # the peers that come first have been at work meanwhile
                if self._outdated:
                    if self._stale or self._before() or not self._decide().acts:
                        self._stale = False
                        await self._refresh()
                    # If there is a step to take, the next reading is due later, whatever becomes of it.
                    self._refresh_at = self._next_refresh()
                return await self._turn()

    def _rank(self) -> Rank:
        """Which turn it is for this federation."""
        federation, of_peers = self.cache.federation, self._of_peers
        since = self._work.since if self._work else self._clock.boot()
        return Rank(
            of_peers=of_peers,
            rests=not self._between,
            priority=-federation.spec.failover.priority if federation else 0,
            since=-since if of_peers else since,
        )

    @property
    def _of_peers(self) -> bool:
        """Do peers come first that have had no time yet for the step that is due?"""
        due = self._work.due if self._work else self._clock.boot()
        return not self._roster.overdue(*self.key, self._at_work, due)

    def _excuse(self, *, queued: bool = False) -> None:
        """Do not count the time since the last wait against the deadline of the request under way.

        It was spent in the queue for a turn, or with the hub. Those from whom something is expected may not
        even have heard of it.
        """
        now = self._clock.boot()
        if now - self._counted_until > _SLIGHT_SECONDS:
            self.cache.excuse(now - self._counted_until, now, queued=queued)
        self._counted_until = now

    @property
    def _outdated(self) -> bool:
        """Is it time to read the federation?"""
        return self._stale or self._clock.boot() >= self._read_at

    @property
    def _read_at(self) -> float:
        """When to read the federation next (boot seconds)."""
        return self._refresh_at + (_PEERS_SECONDS if self._before() else 0.0)

    @property
    def _at_work(self) -> str:
        """The operator that has taken the last step of the switchover under way; "" if none has."""
        federation = self.cache.federation
        status = federation.status if federation else None
        return (status.operator or "") if status and self._between else ""

    @property
    def _between(self) -> bool:
        """Is the role on its way from one member to another?"""
        federation = self.cache.federation
        engaged = federation.status.engaged if federation and federation.status else None
        return engaged is not None and engaged.role is not Role.ACTIVE

    def _before(self) -> list[str]:
        """The operators that come first."""
        return self._roster.before(*self.key, self._at_work)

    def _decide(self, observation: Observation | None = None) -> Decision:
        """By default by what is in the cache."""
        self.cache.tally.decisions += 1
        return decide(observation or self.cache.observation(), self._clock.now())

    def _left_without_a_turn(self) -> Decision | None:
        """The decision to leave the next step to peers for now; None if a turn is needed."""
        if self._outdated or not self._before():
            return None
        until = self._left_to_peers(self._decide())
        return None if until is None else Decision(wake_at=until)

    def _left_to_peers(self, decision: Decision) -> float | None:
        """Until when a step is left to the operators that come first; None if it is to be taken now."""
        federation, now = self.cache.federation, self._clock.boot()
        if not decision.acts:
            if not (federation and federation.status and federation.status.switchover):
                self._work = None
            return None
        switchover = federation.status.switchover if federation and federation.status else None
        of = (self.cache.table, switchover.id if switchover else "")
        work = self._work = self._work or Work(now, of, now)
        if work.of != of:
            work.of, work.due = of, now
        acts_at = self._roster.acts_at(*self.key, self._at_work, work.due)
        return acts_at if now < acts_at else None

    async def _refresh(self) -> None:
        """Read the federation, then list its Leases. In this order, the Leases are never older."""
        await self._read()
        await self._list()

    async def _read(self) -> Federation | None:
        """Read the federation. Returns the hub's answer, even if the watch has delivered a newer version."""
        before = self.cache.federation
        try:
            federation = await self._federations.get(*self.key, deadline=_REQUEST_SECONDS)
        except errors.NotFoundError:
            federation = None
        # If the watch has delivered something while the answer was under way, that is newer.
        if self.cache.federation is before:
            self.cache.read_federation(federation, self._clock.boot())
        return federation

    def _next_refresh(self) -> float:
        """When to read again. While a request is under way: soon after each change, then less often."""
        federation, before = self.cache.federation, self._looked_at
        self._looked_at = federation
        if federation != before:
            self._looks.reset()
        busy = federation is not None and (
            federation.status is None or federation.status.switchover is not None
        )
        seconds = self._looks.next() if busy else _IDLE_SECONDS * random.uniform(0.8, 1)
        return self._clock.boot() + seconds

    async def _list(self) -> float:
        """List the Leases. Returns when the list was sent for (boot seconds)."""
        asked = self._clock.boot()
        leases = await self._leases.list(*self.key, deadline=_REQUEST_SECONDS)
        self.cache.read_leases(leases, asked=asked, now=self._clock.boot())
        return asked

    async def _turn(self) -> Decision:
        """Do everything that can be done now. Returns the last decision, which is to wait."""
        while True:
            observation = self.cache.observation()
            decision = self._decide(observation)
            if (until := self._left_to_peers(decision)) is not None:
                return Decision(wake_at=until)
            if decision.confirm:
                table = self.cache.table
                read = await self._read() if decision.reread else None
                listed = await self._list()
                self._excuse()
                if self.cache.table != table:
                    continue
                reread = read is not None and self.cache.federation is read
                observation = self.cache.observation(listed=listed, reread=reread)
                decision = self._decide(observation)
                if decision.confirm:
                    continue  # a Lease is ahead of a federation that came from the watch, not from a read
            if not await self._apply(decision, observation.federation):
                return decision

    async def _apply(self, decision: Decision, federation: Federation | None) -> bool:
        """Carry out what was decided about `federation`. False if the decision is only to wait.

        Each write names the version by which the decision was made. The cache may have a newer version by
        now. If a write named that one, an old decision would overwrite something that it has not seen.

        Raises:
            ConflictError: the federation or a Lease has changed. Nothing after the failed part was done.
        """
        for lease in decision.delete:
            await self._delete(lease)
        if federation is not None and decision.status is not None:
            before, status = self._before(), replace(decision.status, operator=self._roster.own)
            written = await self._federations.write_status(federation, status, deadline=_REQUEST_SECONDS)
            if written.status != status:
                raise errors.OutdatedKindError(
                    "the CRD on the hub is older than this operator, so parts of what the operator writes are"
                    " lost; apply the present CRD (kubectl apply --server-side -f crds/, or helm upgrade)"
                )
            self.cache.wrote_federation(written, self._clock.boot())
            self._roster.stepped_in(self.key[0], before)
            self._report_events(written, decision)
            self._log_refusals(federation, decision)
            return True
        if federation is not None and decision.annotations:
            written = await self._federations.annotate(
                federation, decision.annotations, deadline=_REQUEST_SECONDS
            )
            self.cache.wrote_federation(written, self._clock.boot())
            return True
        return bool(decision.delete)

    async def _delete(self, lease: WorkerLease) -> None:
        try:
            await self._leases.delete(self.key[0], lease, deadline=_REQUEST_SECONDS)
        except errors.NotFoundError:
            pass
        else:
            extra = {"cluster": lease.cluster, "lease": lease.name, "holder": lease.holder}
            self._log.info("deleted the Lease of a silent worker", extra=extra)
        self.cache.forget_lease(lease, self._clock.boot())

    def _report_events(self, written: Federation, decision: Decision) -> None:
        for event in decision.events:
            level = logging.WARNING if event.warning else logging.INFO
            extra = {"term": event.term, "trigger": event.trigger, "request": event.request}
            self._log.log(level, "%s", event.message, extra=extra)
            self._event_writer.add(written, event, due=self._clock.boot() + AFTERWARDS)

    def _log_refusals(self, before: Federation, decision: Decision) -> None:
        """Log the requests that have failed without an Event, because no role has moved for them."""
        reported = {event.request for event in decision.events}
        for entry in newly_ended(before.status, decision.status) if decision.status else ():
            if entry.id not in reported and not entry.succeeded:
                extra = {"trigger": entry.trigger, "request": entry.id, "reason": entry.outcome}
                self._log.warning("request failed: %s", entry.message, extra=extra)

    def _report_obstacle(self, obstacle: str) -> None:
        """Log, once, what the federation has been waiting for, if that lasts for a second."""
        now = self._clock.boot()
        if obstacle != self._obstacle:
            self._obstacle, self._report_obstacle_at = (
                obstacle,
                now + _OBSTACLE_SECONDS if obstacle else math.inf,
            )
        elif obstacle and now >= self._report_obstacle_at:
            self._log.info("waiting: %s", obstacle)
            self._report_obstacle_at = math.inf

    def _report(self, error: errors.HubError | None) -> None:
        """Log trouble with the hub only when it begins, changes or ends."""
        trouble = error.reason if error else None
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if error:
            self._log.warning("%s", error, extra={"reason": trouble})
        else:
            self._log.info("the hub answers again")
