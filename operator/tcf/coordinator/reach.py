"""Whether the hub can be read at all: what an operator's `/readyz` tells."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from tcf.hub import errors
from tcf.hub.federations import Federations

_PERIOD_SECONDS = 5.0

log = logging.getLogger(__name__)


class Reach:
    """Tries a small read every few seconds; `trouble` is None while it succeeds."""

    def __init__(self, federations: Federations, namespaces: Collection[str]) -> None:
        self._federations = federations
        self._namespaces: Collection[str | None] = namespaces or (None,)
        self._trouble: str | None = "the hub has not been reached yet"
        self._reason: str | None = "Starting"

    def trouble(self) -> str | None:
        return self._trouble

    async def run(self) -> None:
        while True:
            try:
                for namespace in self._namespaces:
                    await self._federations.reach(namespace, deadline=_PERIOD_SECONDS)
                if self._reason:
                    log.info("federations can be read")
                self._trouble = self._reason = None
            except errors.HubError as error:
                if error.reason != self._reason:
                    log.warning("federations cannot be read: %s", error, extra={"reason": error.reason})
                self._trouble, self._reason = str(error), error.reason
            await asyncio.sleep(_PERIOD_SECONDS)
