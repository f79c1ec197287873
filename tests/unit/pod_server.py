"""One Pod as its API server keeps it, for tests of those who mark it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from tcf.core.pod_marks import Mark
from tcf.hub import errors
from tcf.hub.pods import Pod

LONGEST_ANSWER = 5.0
"""Seconds until a client gives up a write that is held."""


class ApiServer:
    """One Pod with versions, as the API server keeps it; what is written may be held, and land late."""

    def __init__(self) -> None:
        self.pod = Pod("uid", "1", None, None, None)
        self.writes: list[str] = []
        """The reasons of conditions, in order."""
        self.labels: list[str] = []
        self.reads = 0
        self.held: list[tuple[Pod, Mark]] | None = None
        self.failing: errors.HubError | None = None
        self.refusing: errors.HubError | None = None
        """The error of every condition that says "not active"."""
        self.unanswered = False
        """Whether the next condition is written and no answer given."""
        self.kubelet_after = 0
        """The read from which on it turns out that a kubelet has made the Pod unready; 0 for never."""
        self.slices: list[frozenset[str] | errors.HubError] = []
        """Which EndpointSlices lead to the Pod, look by look."""
        self.looked: list[object] = []
        self._written = asyncio.Event()

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait for something that comes with a write, landed or held."""
        while not reached():
            self._written.clear()
            await asyncio.wait_for(self._written.wait(), 5)

    async def get(self, **_: object) -> Pod:
        self._fail()
        self.reads += 1
        if not self.pod.active and self.kubelet_after and self.reads >= self.kubelet_after:
            self.pod = replace(self.pod, ready=False, resource_version=self._next())
        return self.pod

    async def reached_by(self, _: Pod, *, among: object, **__: object) -> frozenset[str]:
        self.looked.append(among)
        found = self.slices.pop(0) if self.slices else frozenset()
        if isinstance(found, errors.HubError):
            raise found
        return found

    async def set_condition(self, pod: Pod, wanted: Mark, **_: object) -> Pod:
        self._fail()
        if self.held is not None and wanted.active:
            self.held.append((pod, wanted))
            self._written.set()
            await asyncio.sleep(LONGEST_ANSWER)
            raise errors.UnreachableError("no answer", ambiguous=True)
        if self.refusing and not wanted.active:
            raise self.refusing
        landed = self.land(pod, wanted)
        if self.unanswered:
            self.unanswered = False
            raise errors.UnreachableError("no answer", ambiguous=True)
        return landed

    async def label(self, pod: Pod, wanted: Mark, **_: object) -> Pod:
        self._check(pod)
        self.labels.append(wanted.role)
        self.pod = replace(self.pod, role=wanted.role, resource_version=self._next())
        self._written.set()
        return self.pod

    def land(self, pod: Pod, wanted: Mark) -> Pod:
        self._check(pod)
        self.writes.append(wanted.reason)
        self.pod = replace(
            self.pod, active=wanted.active, reason=wanted.reason, resource_version=self._next()
        )
        self._written.set()
        return self.pod

    def edited(self) -> None:
        """Somebody else, such as the kubelet, has written."""
        self.pod = replace(self.pod, resource_version=self._next())

    def _next(self) -> str:
        return str(int(self.pod.resource_version) + 1)

    def _check(self, pod: Pod) -> None:
        if pod.resource_version != self.pod.resource_version:
            raise errors.ConflictError("it has changed")

    def _fail(self) -> None:
        if self.failing:
            raise self.failing
