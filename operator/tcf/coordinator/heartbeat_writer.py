"""Renews the heartbeat in every namespace with a federation, to show that this operator looks after it.

The answer to each renewal shows the marks of the other operators there.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Collection

from tcf.coordinator.roster import Roster
from tcf.core.heartbeat import BEAT_SECONDS
from tcf.hub import errors
from tcf.hub.heartbeat_leases import Heartbeats
from tcf.runtime.clock import Clock

_TICK_SECONDS = 1.0
_REQUEST_SECONDS = 5.0
_AT_ONCE = 8
_JITTER = 0.2
"""A renewal may come early by this part of a period, so that not all namespaces are renewed at once."""

log = logging.getLogger(__name__)


class HeartbeatWriter:
    """Renews the heartbeats of `namespaces()` as long as `at_work()` is true."""

    def __init__(
        self,
        heartbeats: Heartbeats,
        *,
        roster: Roster,
        namespaces: Callable[[], Collection[str]],
        at_work: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._heartbeats = heartbeats
        self._roster = roster
        self._namespaces = namespaces
        self._at_work = at_work
        self._clock = clock
        self._due: dict[str, float] = {}
        """When to renew each namespace next (boot seconds)."""
        self._failing: dict[str, str] = {}
        """The reason of the last failure, by namespace; "" if the last renewal succeeded."""
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                if self._at_work():
                    self._begin(tasks)
                await asyncio.sleep(_TICK_SECONDS)

    def _begin(self, tasks: asyncio.TaskGroup) -> None:
        """Begin to renew the namespaces that are due, except those that are being renewed already."""
        present, now = self._namespaces(), self._clock.boot()
        self._roster.keep(present)
        self._due = {namespace: self._due.get(namespace, now) for namespace in present}
        self._failing = {namespace: self._failing.get(namespace, "") for namespace in present}
        for namespace in present:
            if self._due[namespace] <= now:
                self._due[namespace] = math.inf
                tasks.create_task(self._beat(namespace), name=f"heartbeat in {namespace}")

    async def _beat(self, namespace: str) -> None:
        trouble, wait = "", BEAT_SECONDS * random.uniform(1 - _JITTER, 1)
        try:
            async with self._turns:
                forgotten = self._roster.forgotten(namespace)
                marks = await self._heartbeats.beat(
                    namespace, self._roster.own, forgotten, deadline=_REQUEST_SECONDS
                )
            if namespace in self._due:
                self._roster.found(namespace, marks)
        except errors.ConflictError:
            wait = 0.0  # another operator has created it just now, and has not seen this one's mark
        except errors.HubError as error:
            trouble = error.reason
            if self._failing.get(namespace) != trouble:
                log.warning("cannot renew the heartbeat in namespace %s: %s", namespace, error)
        if namespace in self._due:  # otherwise it has lost its federations meanwhile
            self._failing[namespace] = trouble
            self._due[namespace] = self._clock.boot() + wait
