"""The coordinator's loop: one task per federation, woken by events and by the clock.

Each turn asks the core what to do about what has been seen, does that one thing, and asks again until
there is nothing to do. Watch events are a hint: a federation is read afresh after each conflict, soon
and then ever less often while something is under way, and every `_IDLE_SECONDS` else.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from dataclasses import dataclass

from tcf.coordinator.cache import FederationCache
from tcf.core.decide import AFTERWARDS, Decision, Event, decide
from tcf.core.model import Federation, WorkerLease
from tcf.hub import errors
from tcf.hub.events import Events
from tcf.hub.federations import Federations
from tcf.hub.leases import Leases
from tcf.runtime.backoff import Backoff
from tcf.runtime.clock import Clock
from tcf.runtime.logs import Fields
from tcf.runtime.waiting import within

_REQUEST_SECONDS = 5.0
_BUSY_SECONDS = 1.0
_IDLE_SECONDS = 60.0
_AT_ONCE = 32
"""Federations that are worked on at a time, so that a thousand of them do not besiege the hub at a start."""
_CONFLICT_SECONDS = 0.01
_AFTER_BUG_SECONDS = 10.0
_UNTOLD_EVENTS = 1000

Key = tuple[str, str]
"""Namespace and name of a federation."""
_Untold = tuple[float, Federation, Event]
"""An Event that is to be written, and when (boot seconds)."""


@dataclass(frozen=True, slots=True)
class Hub:
    """The coordinator's access to the hub."""

    federations: Federations
    leases: Leases
    events: Events


class Coordinator:
    """Looks after every federation it is told of. Use `run` in a task of its own."""

    def __init__(self, hub: Hub, *, clock: Clock) -> None:
        self._hub = hub
        self._clock = clock
        self._loops: dict[Key, FederationLoop] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._tasks: asyncio.TaskGroup | None = None
        self._untold: asyncio.Queue[_Untold] = asyncio.Queue(_UNTOLD_EVENTS)

    async def run(self) -> None:
        """Work until cancelled. A request under way then is finished by another replica, or later."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for loop in self._loops.values():
                self._start(loop)
            tasks.create_task(self._tell_events(), name="events")

    def namespaces(self) -> set[str]:
        """Those with a federation."""
        return {key[0] for key, loop in self._loops.items() if loop.view.federation}

    def look_again(self) -> None:
        """The watches begin again, and may have missed anything: read everything anew."""
        for loop in self._loops.values():
            loop.look_again()

    def federation_event(self, federation: Federation, *, deleted: bool) -> None:
        """A watch event about a federation (also the first sight of it)."""
        loop = self._loop((federation.namespace, federation.name))
        if loop.view.watched_federation(federation, self._clock.boot(), deleted=deleted):
            loop.wake.set()
        elif not deleted and loop.view.is_ahead_of(federation):
            loop.look_again()  # old news, or a hub that was set back: only a read can tell

    def lease_event(self, key: Key, lease: WorkerLease, *, deleted: bool) -> None:
        """A watch event about a worker's Lease of the federation `key`, whether that exists or not."""
        loop = self._loop(key)
        if loop.view.watched_lease(lease, self._clock.boot(), deleted=deleted):
            loop.wake.set()

    def _loop(self, key: Key) -> FederationLoop:
        loop = self._loops.get(key)
        if loop is None:
            loop = FederationLoop(key, self._hub, self._clock, self._turns, self._untold)
            self._loops[key] = loop
            self._start(loop)
        return loop

    def _start(self, loop: FederationLoop) -> None:
        if self._tasks is None:
            return  # `run` starts those that were told of before it
        self._tasks.create_task(self._attend(loop), name=f"attend {loop.name}")

    async def _attend(self, loop: FederationLoop) -> None:
        await loop.run()
        # Nothing is awaited since it found nothing left, so no event can have come in between.
        del self._loops[loop.key]

    async def _tell_events(self) -> None:
        """Write Events beside the loops, which must not wait for what people will read later."""
        backoff = Backoff()
        while True:
            due, federation, event = await self._untold.get()
            await asyncio.sleep(due - self._clock.boot())
            try:
                await self._hub.events.tell(federation, event, deadline=_REQUEST_SECONDS)
                backoff.reset()
            except errors.HubError as error:
                logging.getLogger(__name__).warning(
                    "the Event %s could not be written: %s",
                    event.reason,
                    error,
                    extra={"federation": f"{federation.namespace}/{federation.name}"},
                )
                await asyncio.sleep(backoff.next())


class FederationLoop:
    """The loop of one federation."""

    def __init__(
        self,
        key: Key,
        hub: Hub,
        clock: Clock,
        turns: asyncio.Semaphore,
        untold: asyncio.Queue[_Untold],
    ) -> None:
        self.key = key
        self.name = "/".join(key)
        self.view = FederationCache()
        self.wake = asyncio.Event()
        self._hub = hub
        self._clock = clock
        self._turns = turns
        self._untold = untold
        self._looks = Backoff(first=_BUSY_SECONDS, longest=_IDLE_SECONDS)
        self._looked_at: Federation | None = None
        self._trouble: str | None = None
        self._obstacle = ""
        self._tell_obstacle_at = math.inf
        self._stale = False

    @property
    def _log(self) -> Fields:
        """Every line tells which federation, at which term, moved by what."""
        status = self.view.federation.status if self.view.federation else None
        fields: dict[str, object] = {"federation": self.name}
        if status:
            fields["term"] = status.term
            fields["trigger"] = status.switchover.trigger if status.switchover else None
        return Fields(logging.getLogger(__name__), fields)

    def look_again(self) -> None:
        """Read the federation and its Leases as soon as possible."""
        self._stale = True
        self.wake.set()

    async def run(self) -> None:
        """Until there is neither a federation nor a Lease of it left."""
        backoff, conflicts = Backoff(), Backoff(first=_CONFLICT_SECONDS, longest=_BUSY_SECONDS)
        # What has just been watched need not be read.
        refresh_at = self._next_refresh() if self.view.federation else 0.0
        while True:
            self.wake.clear()
            try:
                async with self._turns:
                    if self._stale or self._clock.boot() >= refresh_at:
                        self._stale = False
                        await self._refresh()
                        refresh_at = self._next_refresh()
                    decision = await self._turn()
                if self.view.federation != self._looked_at:
                    refresh_at = self._next_refresh()
                self._report_obstacle(decision.obstacle)
            except errors.ConflictError:
                # Somebody else was faster, another replica most likely.
                refresh_at = 0.0
                await asyncio.sleep(conflicts.next())
            except errors.HubError as error:
                self._report(error)
                refresh_at = 0.0
                await asyncio.sleep(backoff.next())
            except Exception:  # noqa: BLE001 - a bug met by one must not leave all others without care
                self._log.exception("this federation is left alone for %s s", _AFTER_BUG_SECONDS)
                refresh_at = 0.0
                await asyncio.sleep(_AFTER_BUG_SECONDS)
            else:
                backoff.reset()
                conflicts.reset()
                self._report(None)
                if self.view.over(self._clock.boot()):
                    return
                times = (refresh_at, self._tell_obstacle_at, decision.wake_at)
                until = min(moment for moment in times if moment is not None)
                await within(until - self._clock.boot(), self.wake.wait())

    async def _refresh(self) -> None:
        """Read the federation, then list its Leases: in this order, so that no Lease is older news."""
        await self._read()
        await self._list()

    async def _read(self) -> Federation | None:
        """Returns what the hub has answered, though something newer may have been watched meanwhile."""
        before = self.view.federation
        try:
            federation = await self._hub.federations.get(*self.key, deadline=_REQUEST_SECONDS)
        except errors.NotFoundError:
            federation = None
        # What was watched while the answer was on its way is the newer news.
        if self.view.federation is before:
            self.view.read_federation(federation, self._clock.boot())
        else:
            self.wake.set()
        return federation

    def _next_refresh(self) -> float:
        """When to read again: soon after each change while something is under way, then ever less often."""
        federation, before = self.view.federation, self._looked_at
        self._looked_at = federation
        if federation != before:
            self._looks.reset()
        busy = federation is not None and (
            federation.status is None or federation.status.switchover is not None
        )
        seconds = self._looks.next() if busy else _IDLE_SECONDS * random.uniform(0.8, 1)
        return self._clock.boot() + seconds

    async def _list(self) -> float:
        """Returns when the list was sent for (boot seconds)."""
        asked = self._clock.boot()
        leases = await self._hub.leases.list(*self.key, deadline=_REQUEST_SECONDS)
        self.view.read_leases(leases, asked=asked, now=self._clock.boot())
        return asked

    async def _turn(self) -> Decision:
        """Do all there is to do now; the last decision, which is to wait."""
        while True:
            observation = self.view.observation()
            decision = decide(observation, self._clock.now())
            if decision.confirm:
                table = self.view.table
                read = await self._read() if decision.reread else None
                listed = await self._list()
                if self.view.table != table:
                    continue
                reread = read is not None and self.view.federation is read
                observation = self.view.observation(listed=listed, reread=reread)
                decision = decide(observation, self._clock.now())
                if decision.confirm:
                    continue  # a Lease is ahead of a federation that was not read but watched
            if not await self._apply(decision, observation.federation):
                return decision

    async def _apply(self, decision: Decision, federation: Federation | None) -> bool:
        """Do what was decided about `federation`; False if there was nothing to do but wait.

        The writes name the version that the decision rests on. The view may have moved on meanwhile;
        under a newer version than that, an old decision would be written over what it never saw.

        Raises:
            ConflictError: what it rested on has changed; nothing after the failed part was done.
        """
        for lease in decision.delete:
            await self._delete(lease)
        if federation is not None and decision.status is not None:
            written = await self._hub.federations.write_status(
                federation, decision.status, deadline=_REQUEST_SECONDS
            )
            if written.status != decision.status:
                raise errors.OutdatedKindError(
                    "the CRD on the hub is older than this operator and drops parts of what it writes; apply"
                    " the present one (kubectl apply --server-side -f crds/, or helm upgrade)"
                )
            self.view.wrote_federation(written, self._clock.boot())
            self._tell(written, decision)
            self._log_refusals(federation, decision)
            return True
        if federation is not None and decision.annotations:
            written = await self._hub.federations.annotate(
                federation, decision.annotations, deadline=_REQUEST_SECONDS
            )
            self.view.wrote_federation(written, self._clock.boot())
            return True
        return bool(decision.delete)

    async def _delete(self, lease: WorkerLease) -> None:
        try:
            await self._hub.leases.delete(self.key[0], lease, deadline=_REQUEST_SECONDS)
        except errors.NotFoundError:
            pass
        else:
            extra = {"cluster": lease.cluster, "lease": lease.name, "holder": lease.holder}
            self._log.info("deleted the Lease of a silent worker", extra=extra)
        self.view.forget_lease(lease, self._clock.boot())

    def _tell(self, written: Federation, decision: Decision) -> None:
        for event in decision.events:
            level = logging.WARNING if event.warning else logging.INFO
            extra = {"term": event.term, "trigger": event.trigger, "request": event.request}
            self._log.log(level, "%s", event.message, extra=extra)
            if self._untold.full():
                self._log.warning("too many Events wait to be written; one is dropped")
            else:
                self._untold.put_nowait((self._clock.boot() + AFTERWARDS, written, event))

    def _log_refusals(self, before: Federation, decision: Decision) -> None:
        """What ended without an Event moved no role; whoever asked still wants to know why."""
        known = {past.id for past in before.status.history} if before.status else set()
        told = {event.request for event in decision.events}
        for entry in decision.status.history if decision.status else ():
            if entry.id not in known | told and not entry.succeeded:
                extra = {"trigger": entry.trigger, "request": entry.id, "reason": entry.outcome}
                self._log.warning("request not granted: %s", entry.message, extra=extra)

    def _report_obstacle(self, obstacle: str) -> None:
        """Log what has stood in the way for a second, once."""
        now = self._clock.boot()
        if obstacle != self._obstacle:
            self._obstacle, self._tell_obstacle_at = obstacle, now + _BUSY_SECONDS if obstacle else math.inf
        elif obstacle and now >= self._tell_obstacle_at:
            self._log.info("waiting: %s", obstacle)
            self._tell_obstacle_at = math.inf

    def _report(self, error: errors.HubError | None) -> None:
        """Log trouble with the hub when it begins, changes or ends, not every time it is met."""
        trouble = error.reason if error else None
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if error:
            self._log.warning("%s", error, extra={"reason": trouble})
        else:
            self._log.info("the hub answers again")
