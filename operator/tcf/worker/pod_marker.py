"""Keeps the marks on the worker's own Pod in step with its answer, if the Pod's cluster can be reached.

One task writes, one write at a time, whenever the marks differ from the answer. A write that marks the Pod as
active is cancelled as soon as the worker does not answer "active" any more. A cancelled write cannot take
effect after the next one, since each write names the version that it replaces.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import replace

from tcf.core.model import Refusal
from tcf.core.pod_marks import CONDITION_ACTIVE, Mark, Marks, mark
from tcf.core.reading import Reading
from tcf.hub import errors
from tcf.hub.pods import Pod, Pods
from tcf.runtime.backoff import Backoff
from tcf.runtime.clock import Clock
from tcf.runtime.waiting import within

_REQUEST_SECONDS = 5.0
_LONGEST_RETRY = 2.0
_LOWERING_SECONDS = 2.0
"""How long a loss of the role waits for the Pod: until it is marked as not active, and until Kubernetes sends
it no more requests. (It never waits for more than a period of the worker.)"""
_UNREADY_LOOK_SECONDS = 0.05
_LOOK_SECONDS = 30.0
"""How often to read the Pod even if the answer has not changed: somebody may have edited it."""

log = logging.getLogger(__name__)


class PodMarker:
    """Use `run` in a task of its own, and call `changed` whenever the answer may have changed.

    Attributes:
        trouble: why this process has not marked the Pod yet; None when it has. Until then, the Pod may still
            have the marks of an earlier process.
    """

    def __init__(
        self, pods: Pods, marks: Marks, answer: Callable[[], Reading | Refusal], *, clock: Clock
    ) -> None:
        self.trouble: str | None = "this pod is not marked with its role yet"
        self._pods = pods
        self._marks = marks
        self._answer = answer
        self._clock = clock
        self._pod: Pod | None = None
        self._shown: Mark | None = None
        """What the Pod says for certain; None while a write is under way, or if its outcome is unknown."""
        self._look_due = 0.0
        """Boot time from which `_pod` and `_shown` are too old, so the Pod is read again."""
        self._raising: asyncio.Timeout | None = None
        """Cancels a write that marks the Pod as active."""
        self._yes_may_land = False
        """Is the outcome of a write unknown that marks the Pod as active?"""
        self._patience: float | None = None
        """Boot time until which to wait for Kubernetes to act on "not active"; None if there is no need."""
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._failing: str | None = None
        self._warned = False

    def changed(self) -> None:
        """Take in that the answer may have changed."""
        answer = self._answer()
        wanted = mark(answer)
        if self._raising and not self._raising.expired():
            if wanted.active:
                self._raising.reschedule(self._end_of_yes(answer))
            else:
                self._raising.reschedule(asyncio.get_running_loop().time())
                self._raising = None
        if not self._says(wanted):
            self._settled.clear()
        self._wake.set()

    async def settle(self, seconds: float) -> bool:
        """Wait until the marks match the answer; False if they do not match in time.

        If the condition is a readiness gate of the Pod, "not active" counts only when the Pod gets no more
        requests, as far as can be seen.
        """
        self.changed()
        await within(seconds, self._settled.wait())
        return self._settled.is_set()

    async def lower(self, period: float) -> None:
        """Mark the Pod as not active before the hub hears of it, if that is possible in time.

        The wait is short: a cluster whose API is down must not keep other members from taking over.
        """
        if not await self.settle(min(period, _LOWERING_SECONDS)):
            log.warning(
                "this pod may still be marked as active, or still get requests: its own cluster has not taken"
                " the change, or has not acted on it, in time; the worker gives up the role anyway"
            )

    async def run(self) -> None:
        """Work until cancelled."""
        backoff = Backoff(first=0.1, longest=_LONGEST_RETRY)
        while True:
            self._wake.clear()
            answer = self._answer()
            wanted = mark(answer)
            wait = self._look_due - self._clock.boot()
            if wait <= 0:
                self._pod = self._shown = None
            if self._says(wanted):
                self._settled.set()
                await within(min(wait, self._good_for(answer)), self._wake.wait())
                continue
            try:
                await self._write(answer, wanted)
            except errors.HubError as error:
                self._pod = None
                if not isinstance(error, errors.ConflictError):  # the kubelet writes the Pod, too
                    self._report(error)
                await within(backoff.next(), self._wake.wait())
            else:
                backoff.reset()
                self._report(None)

    def _good_for(self, answer: Reading | Refusal) -> float:
        """Seconds until `answer` expires; infinite if it does not expire."""
        if isinstance(answer, Refusal) or answer.keep:
            return math.inf
        return answer.valid_for(self._clock.boot())

    def _end_of_yes(self, answer: Reading | Refusal) -> float | None:
        """When (in the event loop's time) a write that marks the Pod as active has to end; None for never."""
        left = self._good_for(answer)
        return None if math.isinf(left) else asyncio.get_running_loop().time() + left

    def _says(self, wanted: Mark) -> bool:
        shown = self._shown
        return shown is not None and (shown.role, shown.reason) == (wanted.role, wanted.reason)

    async def _write(self, answer: Reading | Refusal, wanted: Mark) -> None:
        self._shown = None
        try:
            async with asyncio.timeout_at(self._end_of_yes(answer) if wanted.active else None) as patience:
                self._raising = patience if wanted.active else None
                await self._put(wanted)
        except TimeoutError:  # cancelled, so its outcome is unknown
            self._pod = None
        finally:
            self._raising = None

    async def _put(self, wanted: Mark) -> None:
        pod = self._pod or await self._read()
        if wanted.active:
            self._patience = None
        elif self._marks.condition and pod.active:
            # Set this before the write. If the answer is lost, the wait is needed as well.
            self._patience = self._clock.boot() + _LOWERING_SECONDS
        if self._yes_may_land:
            # Write even what the Pod seems to say already: a new version stops the write that is on its way.
            pod = replace(pod, active=None)
        self._yes_may_land = self._yes_may_land or wanted.active
        if self._marks.condition and (pod.active, pod.reason) != (wanted.active, wanted.reason):
            pod = await self._pods.set_condition(pod, wanted, deadline=_REQUEST_SECONDS)
        if self._marks.label and pod.role != wanted.role:
            pod = await self._pods.label(pod, wanted, deadline=_REQUEST_SECONDS)
        if self._patience is not None:
            pod = await self._unready(pod, self._patience)
            self._patience = None
        self._yes_may_land = False
        self._pod, self._shown, self.trouble = pod, wanted, None

    async def _read(self) -> Pod:
        pod = await self._pods.get(deadline=_REQUEST_SECONDS)
        self._look_due = self._clock.boot() + _LOOK_SECONDS
        if self._marks.condition and not pod.gated and not self._warned:
            self._warned = True
            log.warning(
                "this pod has no readiness gate %s, so its condition does not keep requests away",
                CONDITION_ACTIVE,
            )
        return pod

    async def _unready(self, pod: Pod, patience: float) -> Pod:
        """Wait for a limited time until Kubernetes has acted on the condition.

        First the kubelet makes the Pod unready. Then the EndpointSlices drop it, which may take a second
        more. A client must not find this Pod and that of another member at the same time.
        """
        while pod.gated and pod.ready and self._clock.boot() < patience:
            await asyncio.sleep(_UNREADY_LOOK_SECONDS)
            pod = await self._pods.get(deadline=_REQUEST_SECONDS)
        slices: frozenset[str] | None = None
        while pod.gated and slices != frozenset() and self._clock.boot() < patience:
            try:
                slices = await self._pods.reached_by(pod, among=slices, deadline=_REQUEST_SECONDS)
            except (errors.ForbiddenError, errors.KindNotFoundError) as error:
                log.info("the worker does not wait for the EndpointSlices of this pod: %s", error)
                break
            await asyncio.sleep(_UNREADY_LOOK_SECONDS if slices else 0)
        return pod

    def _report(self, error: errors.HubError | None) -> None:
        """Log trouble when it begins, changes or ends."""
        reason = error.reason if error else None
        if error and self.trouble:
            self.trouble = f"this pod cannot be marked with its role: {error}"
        if reason == self._failing:
            return
        self._failing = reason
        if error:
            log.warning("this pod cannot be marked with its role: %s", error, extra={"reason": reason})
        else:
            log.info("this pod is marked with its role again")
