"""Notices that no operator looks after the federation of a worker."""

from __future__ import annotations

import asyncio
import logging
import random

from tcf.core.heartbeat import CALM_LOOK_SECONDS, LOOK_SECONDS, Heartbeat
from tcf.hub import errors
from tcf.hub.heartbeat_leases import Heartbeats
from tcf.runtime.clock import Clock
from tcf.runtime.logs import Fields
from tcf.worker.knowledge import Knowledge

_REQUEST_SECONDS = 5.0


class HeartbeatReader:
    """Looks at the heartbeat of the worker's namespace. Use `run` in a task of its own."""

    def __init__(self, knowledge: Knowledge, heartbeats: Heartbeats, *, clock: Clock) -> None:
        self._knowledge = knowledge
        self._heartbeats = heartbeats
        self._clock = clock
        self._presence: Heartbeat | None = None
        self._trouble: str | None = None
        self._log = Fields(logging.getLogger(__name__), knowledge.member.log_fields)

    def remarks(self) -> tuple[str, ...]:
        """What a person should know: one line, or none."""
        return (self._trouble,) if self._trouble else ()

    def _pause(self) -> float:
        calm = self._presence is not None and self._presence.version and not self._trouble
        return CALM_LOOK_SECONDS if calm else LOOK_SECONDS

    async def run(self) -> None:
        """Look until cancelled. A look that fails changes nothing; the worker itself reports such trouble."""
        while True:
            await asyncio.sleep(self._pause() * random.uniform(0.8, 1))
            if self._knowledge.latest is None:
                self._presence = self._trouble = None  # without a federation, there is nothing to look after
                continue
            try:
                seen = await self._heartbeats.look(
                    self._knowledge.member.namespace, deadline=_REQUEST_SECONDS
                )
            except errors.HubError as error:
                self._log.debug("heartbeat: %s", error)
                continue
            now = self._clock.boot()
            known = self._presence
            presence = self._presence = known.looked(*seen, now) if known else Heartbeat(*seen, now)
            before, self._trouble = self._trouble, presence.trouble(self._knowledge.member.namespace, now)
            if self._trouble and not before:
                self._log.warning("%s", self._trouble)
            elif before and not self._trouble:
                self._log.info("an operator looks after this namespace again")
