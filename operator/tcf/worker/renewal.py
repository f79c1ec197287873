"""A worker at work: it keeps its Lease and its reading fresh, and stops answering when it can't.

All judgement is in `core.worker.WorkerState`; this is the order of the requests around it. One task runs
the cycles, strictly one at a time, and is the only one to write the Lease; another one watches, and
may lower the answer at any moment, but writes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import secrets
from contextlib import aclosing

from tcf.core.admission import unbelievable
from tcf.core.model import Federation, MemberRef, Refusal, Role, WorkerLease
from tcf.core.reading import STARTING, Reading, Renewal, WorkerState
from tcf.hub import errors
from tcf.hub.client import LASTING_SECONDS
from tcf.hub.federations import Federations
from tcf.hub.leases import Leases
from tcf.hub.pods import Pods
from tcf.hub.records import newer
from tcf.runtime.backoff import Backoff
from tcf.runtime.clock import Clock
from tcf.runtime.logs import Fields
from tcf.runtime.waiting import within
from tcf.worker.pod_marker import Marks, PodMarker

_JITTER = 0.1
"""The part of a period by which a cycle may come early, so that workers do not march in step."""
_LONGEST_RETRY = 2.0
"""Seconds between attempts to reach a hub that is away; a worker soon answers again when it is back."""
_RETRIES = 4
"""Attempts in a period at least. A reading lasts for three periods, and is a period old at most when the
hub goes: so it outlives an outage of half its duration."""
_FAREWELL = 3.0
"""Seconds that a clean stop may take to delete the Lease; without it, the Lease has to run out."""
_POD_SECONDS = 2.0
"""Seconds at most, and a period at most, for which an acknowledgement waits for the Pod to be marked."""
_SAME_TROUBLE_SECONDS = 10.0
"""After these, trouble that is of the same kind but has other words is logged again."""
_STOPPING = Refusal("Stopping", "the worker is being stopped")


class _LeaseChangedError(Exception):
    """The cycle has to begin anew."""


class Worker:
    """One worker. Use `run` in a task of its own; `answer` and `latest` at any time."""

    def __init__(
        self,
        member: MemberRef,
        federations: Federations,
        leases: Leases,
        *,
        holder: str,
        clock: Clock,
        pod: tuple[Pods, Marks] | None = None,
    ) -> None:
        self.member = member
        self._federations = federations
        self.clock = clock
        self.latest: Federation | None = None
        self.stopped = False
        self._leases = leases
        self._holder = holder
        self._state = WorkerState(member)
        self._pod_marker = PodMarker(*pod, self.answer, clock=clock) if pod else None
        self._lowered_pod = False
        self._lease: WorkerLease | None = None
        self._lease_name = _lease_name(member)
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._failing: str | None = None
        self._trouble = ""
        self._reported: str | None = None
        self._reported_trouble = ""
        self._reported_at = 0.0
        self._log = Fields(logging.getLogger(__name__), member.log_fields)

    def answer(self, now: float | None = None) -> Reading | Refusal:
        """What this worker may say at boot time `now`, which is read anew unless it is given."""
        return self._state.answer(self.clock.boot() if now is None else now)

    def known_term(self, uid: str) -> int:
        """The highest term this worker has seen of the object `uid`; 0 if this is not the present one."""
        return self._state.known_term(uid)

    @property
    def pod_trouble(self) -> str | None:
        """Why the Pod still says what an earlier process has left; None if it does not, or is not marked."""
        return self._pod_marker.trouble if self._pod_marker else None

    async def changed(self) -> None:
        """Wait until `latest` or `answer` may have changed (not by the mere passing of time)."""
        await self._changed.wait()

    async def run(self) -> None:
        """Work until cancelled; then answer nothing more, delete the Lease and return."""
        async with asyncio.TaskGroup() as marking:
            if self._pod_marker:
                marking.create_task(self._pod_marker.run(), name=f"mark the pod of {self.member}")
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._renew_forever(), name=f"renew {self.member}")
                    tasks.create_task(self._watch_forever(), name=f"watch {self.member}")
            finally:
                self.stopped = True
                self._state.lost(_STOPPING)
                self._announce()
                await self._lower_pod()
                await self._deregister()

    # --- the cycles ---------------------------------------------------------------------------------

    async def _renew_forever(self) -> None:
        backoff = Backoff()
        due = self.clock.boot()
        while True:
            self._wake.clear()
            now = self.clock.boot()
            try:
                if self._lease is None:
                    self._lease = await self._register()
                if not await self._acknowledge_lowering() or now >= due:
                    await self._cycle()
                    due = now + self._state.period * random.uniform(1 - _JITTER, 1)
            except _LeaseChangedError:
                due = now
            except errors.HubError as error:
                self._state.failed(Refusal(error.reason, error.public))
                self._failing, self._trouble = error.reason, str(error)
                due = self.clock.boot() + backoff.next(min(self._state.period / _RETRIES, _LONGEST_RETRY))
            else:
                self._failing = None
                backoff.reset()
            self._announce()
            await within(due - self.clock.boot(), self._wake.wait())

    async def _cycle(self) -> None:
        cycle = self._state.begin(self.clock.now())
        renewal = self._state.observe(cycle, await self._read())
        if renewal is not None:
            await self._lower_pod()
            await self._write(renewal)
            self._state.renewed(cycle, renewal)

    async def _acknowledge_lowering(self) -> bool:
        """Acknowledge what was watched, without waiting for a cycle. True if a reading goes on."""
        renewal = self._state.pending
        if renewal is None:
            return False
        await self._lower_pod()
        await self._write(renewal)
        self._state.acknowledged(renewal)
        return isinstance(self.answer(), Reading)

    async def _lower_pod(self) -> None:
        """Before others hear that this worker is not active any more, its Pod says so, if it can be told.

        Waits once for each loss of the role, and not for long: a cluster whose API is away must not keep
        the others from taking over.
        """
        answer = self.answer()
        active = isinstance(answer, Reading) and answer.role is Role.ACTIVE
        if active or self._state.rising or self._lowered_pod or self._pod_marker is None:
            return
        self._lowered_pod = True
        if not await self._pod_marker.settle(min(self._state.period, _POD_SECONDS)):
            self._log.warning(
                "this pod may still be marked as active, or be sent requests: its own cluster has not taken"
                " the change, or not acted on it, in time; the role is given up all the same"
            )

    async def _read(self) -> Federation | None:
        member, before = self.member, self.latest
        try:
            federation = await self._federations.get(
                member.namespace, member.federation, deadline=self._state.period
            )
        except errors.NotFoundError:
            self.latest = None
            return None
        if refusal := unbelievable(federation, self.clock.now()):
            raise errors.ImplausibleTermError(refusal.message)
        if self.latest is before:
            self.latest = federation  # even if it is older: then the hub has lost what was known
        else:
            self._publish(federation)
        return federation

    # --- the Lease ----------------------------------------------------------------------------------

    async def _register(self) -> WorkerLease:
        member = self.member
        try:
            lease = await self._leases.create(
                member.namespace,
                self._lease_name,
                federation=member.federation,
                cluster=member.cluster,
                holder=self._holder,
                deadline=self._state.period,
            )
        except errors.ConflictError as error:
            # The name is random, so it is our own: an earlier attempt whose answer was lost.
            lease = await self._leases.get(member.namespace, self._lease_name, deadline=self._state.period)
            if not self._counts(lease):
                self._lose("it has been changed by somebody")
                raise _LeaseChangedError from error
        self._log.info("registered", extra={"lease": lease.name})
        return lease

    async def _write(self, renewal: Renewal) -> None:
        """Renew the Lease.

        Raises:
            _LeaseChangedError: it was not the version known here. That has been put right, or noted as
                lost; what was read before does not count any more.
            HubError: it is that version still, and the hub does not take the write.
        """
        assert self._lease is not None  # noqa: S101 - every turn begins by registering
        namespace, deadline = self.member.namespace, self._state.period
        try:
            self._lease = await self._leases.renew(namespace, self._lease, renewal, deadline=deadline)
        except errors.NotFoundError as error:
            self._lose("it has been deleted")
            raise _LeaseChangedError from error
        except (errors.ConflictError, errors.InvalidError) as error:
            if await self._reclaim():
                raise _LeaseChangedError from error
            raise

    async def _reclaim(self) -> bool:
        """Find out why our Lease has another version: an own write whose answer was lost, or worse.

        As long as it is the same object, nobody has been fenced by its deletion, so its newest version
        is ours to go on with; what was granted before stays as it was.

        Returns:
            False if it has no other version.
        """
        assert self._lease is not None  # noqa: S101
        try:
            found = await self._leases.get(
                self.member.namespace, self._lease.name, deadline=self._state.period
            )
        except errors.NotFoundError:
            self._lose("it has been deleted")
            return True
        if found == self._lease:
            return False
        if found.uid == self._lease.uid and self._counts(found):
            self._lease = found
        else:
            self._lose("it has been changed by somebody, or replaced by another")
        return True

    def _counts(self, lease: WorkerLease) -> bool:
        """Does a coordinator find the Lease, as one of this member? By its labels it has to."""
        return (lease.federation, lease.cluster) == (self.member.federation, self.member.cluster)

    def _lose(self, why: str) -> None:
        self._lease, lost = None, self._lease_name
        self._lease_name = _lease_name(self.member)
        self._state.lost(
            Refusal("LeaseLost", f"the Lease of this worker is lost ({why}); it is registering anew")
        )
        self._log.warning("lease lost: %s", why, extra={"lease": lost})

    async def _deregister(self) -> None:
        if self._lease is None:
            return
        try:
            await self._leases.delete(
                self.member.namespace, self._lease, any_version=True, deadline=_FAREWELL
            )
        except errors.NotFoundError:
            pass
        except errors.HubError as error:
            self._log.warning("the Lease could not be deleted and has to run out: %s", error)
        self._lease = None

    # --- the watch ----------------------------------------------------------------------------------

    async def _watch_forever(self) -> None:
        member, backoff = self.member, Backoff()
        while True:
            began = self.clock.boot()
            try:
                events = self._federations.watch(
                    member.namespace, member.federation, deadline=self._state.period
                )
                async with aclosing(events):
                    async for federation in events:
                        self._take(federation)
            except errors.HubError as error:
                # The cycle meets the same trouble and reports it; the watch only makes things fast.
                self._log.debug("watch: %s", error)
            if self.clock.boot() - began > LASTING_SECONDS:
                backoff.reset()
                self._wake.set()  # what was deleted between two watches is found by a read
            else:
                await asyncio.sleep(backoff.next())

    def _take(self, federation: Federation | None) -> None:
        if federation and unbelievable(federation, self.clock.now()):
            return  # the cycle meets it, too, and reports it
        if self._state.watched(federation):
            self._wake.set()
        if federation is None:
            self.latest = None
        else:
            self._publish(federation)
        self._announce()

    def _publish(self, federation: Federation) -> None:
        """Keep the newest version seen: what was watched may have overtaken what is being read."""
        known = self.latest
        if (
            known is None
            or known.uid != federation.uid
            or newer(federation.resource_version, known.resource_version)
        ):
            self.latest = federation

    def _announce(self) -> None:
        """Wake those who wait for a change, and log what has become of the answer, once."""
        self._changed.set()
        self._changed = asyncio.Event()
        answer = self.answer()
        if isinstance(answer, Reading) and answer.role is Role.ACTIVE:
            self._lowered_pod = False
        if self._pod_marker:
            self._pod_marker.changed()
        if isinstance(answer, Reading):
            state, message = f"{answer.role} {self._failing}", f"{answer.role}"
            extra = {"term": answer.term}
            if self._failing:
                message += f", and cannot renew: {self._trouble}"
        else:
            state, message, extra = answer.reason, f"no answer: {answer.message}", {}
            if answer.reason == self._failing:
                message += f": {self._trouble}"
        now, trouble = self.clock.boot(), self._trouble if self._failing else ""
        # Trouble of the same kind in other words (the next right that is missing) is news, but not at once.
        news = trouble not in {"", self._reported_trouble} and now - self._reported_at > _SAME_TROUBLE_SECONDS
        if state == self._reported and not news:
            return
        self._reported, self._reported_trouble, self._reported_at = state, trouble, now
        healthy = isinstance(answer, Reading) and not self._failing
        expected = answer in {STARTING, _STOPPING}
        level = logging.INFO if healthy or expected else logging.WARNING
        self._log.log(level, "%s", message, extra=extra)


def _lease_name(member: MemberRef) -> str:
    """A fresh name for every registration: a Lease of an earlier life is nobody's to take over."""
    readable = re.sub(r"[^a-z0-9]+", "-", f"{member.federation}-{member.cluster}".lower()).strip("-")
    return f"{readable}-{secrets.token_hex(5)}"
