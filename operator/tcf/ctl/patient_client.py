"""The client of a command: a busy hub is asked again, as kubectl does."""

from __future__ import annotations

import asyncio
from typing import Any

from tcf.hub.answers import Json
from tcf.hub.client import HubClient
from tcf.hub.errors import UnreachableError
from tcf.runtime.backoff import Backoff
from tcf.runtime.clock import CLOCK


class PatientClient(HubClient):
    """While the hub is busy, and asks to be left alone for a while, its requests wait for that long."""

    async def request(self, method: str, path: str, *, deadline: float, **how: Any) -> Json:
        """As `HubClient.request`. A write is sent again only if it was certainly not carried out."""
        until, backoff = CLOCK.boot() + deadline, Backoff()
        while True:
            try:
                return await super().request(method, path, deadline=until - CLOCK.boot(), **how)
            except UnreachableError as error:
                wait = backoff.next(least=error.retry_after)
                certain = method == "GET" or not error.ambiguous
                if not (error.retry_after and certain and CLOCK.boot() + wait < until):
                    raise
            await asyncio.sleep(wait)
