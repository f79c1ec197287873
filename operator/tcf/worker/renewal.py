"""The loop of a worker: it renews the Lease and the reading, and stops answering when it cannot.

`core.reading` makes all decisions; this module makes the requests, in the right order. One task runs the
cycles, strictly one at a time, and only this task writes the Lease. Another task watches. It may lower the
worker at any moment, but writes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

from tcf.core.admission import unbelievable
from tcf.core.lease_content import Renewal
from tcf.core.model import Federation, Isolation, MemberRef, Refusal, Role
from tcf.core.pod_marks import Marks
from tcf.core.reading import Reading
from tcf.core.reasons import Reason
from tcf.hub import errors
from tcf.hub.interfaces import FederationStore, LeaseStore
from tcf.hub.pods import Pods
from tcf.hub.sessions import LASTING_SECONDS
from tcf.runtime.backoff import Backoff
from tcf.runtime.clock import Clock
from tcf.runtime.logs import Fields
from tcf.runtime.waiting import within
from tcf.worker.answer_log import AnswerLog
from tcf.worker.conclusion import Conclusion, Part
from tcf.worker.holders import Holders
from tcf.worker.knowledge import Knowledge
from tcf.worker.lease_keeper import LeaseChangedError, LeaseKeeper, LeaseLostError
from tcf.worker.pod_marker import PodMarker

_JITTER = 0.1
"""A cycle may come early by this part of a period, so that workers do not all renew at the same time."""
_LONGEST_RETRY = 2.0
"""The longest wait, in seconds, between attempts to reach a hub that is down. So a worker soon answers again
when the hub is back."""
_RETRIES = 4
"""The least number of attempts in a period. A reading lasts for three periods, and is at most one period old
when the hub stops answering. So it outlives an outage of half its duration."""
_LONGEST_STOP = 20.0
"""For how many seconds a clean stop waits for holders: less than the 30 s that Kubernetes gives a Pod."""


class Worker:
    """One worker. Use `run` in a task of its own; `knowledge` and `holders` at any time."""

    def __init__(
        self,
        member: MemberRef,
        federations: FederationStore,
        leases: LeaseStore,
        *,
        holder: str,
        clock: Clock,
        pod: tuple[Pods, Marks] | None = None,
        parts: Sequence[Part] = (),
    ) -> None:
        """`parts`: what else has to be over before a loss of the role is acknowledged."""
        self.knowledge = Knowledge(member, clock=clock)
        self._member = member
        self._clock = clock
        self._federations = federations
        self._state = self.knowledge.state
        self._log = Fields(logging.getLogger(__name__), member.log_fields)
        self._answer_log = AnswerLog(self._log)
        self._keeper = LeaseKeeper(leases, member, holder=holder, log=self._log)
        marker = self._marker = PodMarker(*pod, self.knowledge.answer, clock=clock) if pod else None
        marks: list[Part] = [lambda: marker.lower(self._state.period)] if marker else []
        self._wake = asyncio.Event()
        self.holders = Holders(self.knowledge, released=self._wake.set)
        self._conclusion = Conclusion([*marks, *parts], concluded=self._wake.set)

    @property
    def pod_trouble(self) -> str | None:
        """Why the Pod may still have the marks of an earlier process; None if it has none of them."""
        return self._marker.trouble if self._marker else None

    async def run(self) -> None:
        """Work until cancelled. Then stop answering, delete the Lease and return."""
        async with asyncio.TaskGroup() as marking:
            if self._marker:
                marking.create_task(self._marker.run(), name=f"mark the pod of {self._member}")
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._renew_forever(), name=f"renew {self._member}")
                    tasks.create_task(self._watch_forever(), name=f"watch {self._member}")
                    tasks.create_task(self._conclusion.run(), name=f"conclude {self._member}")
            finally:
                self.knowledge.stopped = True
                self._state.stop()
                self._announce()
                if not self._conclusion.allows():
                    await self._conclusion.conclude()
                await self._let_go()

    async def _let_go(self) -> None:
        """Delete the Lease, once all holds are released. If they are not, leave it to run out."""
        limit = self._clock.boot() + _LONGEST_STOP
        while (end := self.holders.end()) and (left := min(end, limit) - self._clock.boot()) > 0:
            self._wake.clear()
            await within(left, self._wake.wait())
        if self.holders.end() is None:
            await self._keeper.deregister()
            return
        self._log.warning("the Lease is left to run out, because of holds: %s", self.holders.named())
        lease = self._keeper.lease
        if lease and lease.isolation is Isolation.KEEP_ROLE:
            # It would never run out. But this worker answers no more, and the holds are finite.
            renewal = replace(self._state.grant, acknowledged=lease.acknowledged, isolation=Isolation.FENCE)
            content = self._state.composed(renewal, lease, self._clock.boot(), concluded=True)
            await self._keeper.leave(content)

    # --- the cycles ---------------------------------------------------------------------------------

    async def _renew_forever(self) -> None:
        backoff = Backoff()
        due = self._clock.boot()
        while True:
            self._wake.clear()
            now = self._clock.boot()
            try:
                if self._keeper.lease is None:
                    await self._register()
                if not await self._acknowledge_lowering() or now >= due:
                    await self._cycle()
                    due = now + self._state.period * random.uniform(1 - _JITTER, 1)
            except LeaseChangedError:
                due = now
            except LeaseLostError as error:
                why = f"this worker has lost its Lease ({error}) and registers again"
                self._state.lost(Refusal(Reason.LEASE_LOST, why))
                due = now
            except errors.HubError as error:
                self._state.failed(Refusal(error.reason, error.public))
                self._answer_log.fail(error)
                longest = min(self._state.period / _RETRIES, _LONGEST_RETRY)
                due = self._clock.boot() + backoff.next(longest, least=error.retry_after)
            else:
                self._answer_log.succeed()
                backoff.reset()
            self._announce()
            await within(self._wake_at(due) - self._clock.boot(), self._wake.wait())

    def _wake_at(self, due: float) -> float:
        """The time of the next cycle, or of the end of the last hold if an acknowledgement waits for that."""
        end = self.holders.end()
        return min(due, end) if end and self._state.pending else due

    async def _register(self) -> None:
        duration = self._state.cover.registration_duration(self._clock.boot())
        await self._keeper.register(duration, deadline=self._state.period)

    async def _cycle(self) -> None:
        cycle = self._state.begin(self._clock.now())
        renewal = self._state.observe(cycle, await self._read())
        if renewal is not None:
            content = self._composed(renewal)
            await self._write(content)
            self._state.renewed(cycle, content)
            self.knowledge.renewed_at = cycle.t0

    async def _acknowledge_lowering(self) -> bool:
        """Acknowledge a lowering before the next cycle. True if a reading is still good after that."""
        renewal = self._state.pending
        if renewal is None:
            return False
        content = self._composed(renewal)
        if content.acknowledged == renewal.acknowledged:
            await self._write(content)
            self._state.written(content)
        return isinstance(self.knowledge.answer(), Reading)

    def _composed(self, renewal: Renewal) -> Renewal:
        """What to write instead of `renewal`.

        If this worker is active, or is about to become active, there is nothing to conclude.
        """
        lease = self._keeper.lease
        assert lease is not None  # noqa: S101 - every turn begins by registering
        concluded = self._active() or self._state.rising or self._conclusion.allows()
        return self._state.composed(renewal, lease, self._clock.boot(), concluded=concluded)

    async def _write(self, content: Renewal) -> None:
        self._state.cover.sending(content, self._clock.boot())
        await self._keeper.renew(content, deadline=self._state.period)

    def _active(self) -> bool:
        answer = self.knowledge.answer()
        return isinstance(answer, Reading) and answer.role is Role.ACTIVE

    async def _read(self) -> Federation | None:
        member, before = self._member, self.knowledge.latest
        try:
            federation = await self._federations.get(
                member.namespace, member.federation, deadline=self._state.period
            )
        except errors.NotFoundError:
            self.knowledge.latest = None
            return None
        if refusal := unbelievable(federation, self._clock.now()):
            raise errors.ImplausibleTermError(refusal.message)
        self.knowledge.read(federation, before)
        return federation

    # --- the watch ----------------------------------------------------------------------------------

    async def _watch_forever(self) -> None:
        member, backoff = self._member, Backoff()
        while True:
            began = self._clock.boot()
            try:
                events = self._federations.watch(
                    member.namespace, member.federation, deadline=self._state.period
                )
                async with aclosing(events):
                    async for federation in events:
                        self._take(federation)
            except errors.HubError as error:
                # The cycle meets the same trouble and reports it; the watch is only there for speed.
                self._log.debug("watch: %s", error)
            # If the federation is deleted between two watches, the next cycle finds out. That is not early:
            # with a thousand workers, every watch that ends would cost the hub a read and a write.
            if self._clock.boot() - began > LASTING_SECONDS:
                backoff.reset()
            else:
                await asyncio.sleep(backoff.next())

    def _take(self, federation: Federation | None) -> None:
        if federation and unbelievable(federation, self._clock.now()):
            return  # the cycle meets the same trouble and reports it
        if self._state.watched(federation, self._clock.boot()):
            self._wake.set()
        if federation is None:
            self.knowledge.latest = None
        else:
            self.knowledge.watched(federation)
        self._announce()

    def _announce(self) -> None:
        """Let all parts of the worker act on the present answer."""
        self.knowledge.announce()
        if self._active():
            self._conclusion.held()
        if self._marker:
            self._marker.changed()
        self._answer_log.report(self.knowledge.answer(), self._clock.boot())
