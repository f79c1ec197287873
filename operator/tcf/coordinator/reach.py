"""Whether an operator can do its work: what its `/readyz` tells."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from tcf.core.model import Refusal
from tcf.hub import errors, federations, leases
from tcf.hub.access import Access
from tcf.hub.federations import Federations
from tcf.hub.leases import Leases

_NOT_WATCHING = "NotWatching"
_PERIOD_SECONDS = 5.0
_TROUBLED_SECONDS = 1.0
_HOPELESS_LOOKS = 60
"""So many times in a row kopf has not delivered what is there: it will not recover by itself."""

log = logging.getLogger(__name__)


class Reach:
    """Tries small reads every few seconds, and whether what they find has been watched as well."""

    def __init__(
        self,
        federations: Federations,
        leases: Leases,
        access: Access,
        namespaces: Collection[str],
        *,
        watched: Callable[[str, str], bool],
    ) -> None:
        self._federations = federations
        self._leases = leases
        self._access = access
        self._namespaces: Collection[str | None] = namespaces or (None,)
        self._watched = watched
        self._readable = asyncio.Event()
        self._begun = False
        self._missed: set[tuple[str, str]] = set()
        self._trouble: Refusal | None = Refusal("Starting", "the hub has not been reached yet")

    def trouble(self) -> str | None:
        """What is wrong, in words for a person; None when nothing is."""
        return self._trouble.message if self._trouble else None

    async def readable(self) -> None:
        """Wait until federations and Leases can be read, to begin watching them."""
        await self._readable.wait()
        self._begun = True

    async def run(self) -> None:
        """Look until cancelled; returns when only a new process can help.

        kopf looks for the kinds once, when it begins. When the CRD goes, it ends or is stuck.
        """
        unwatched = 0
        while True:
            before, self._trouble = self._trouble, await self._look()
            reason = self._trouble.reason if self._trouble else None
            unwatched = unwatched + 1 if reason == _NOT_WATCHING else 0
            gone = self._begun and reason == errors.KindNotFoundError.reason
            if self._trouble and (gone or unwatched > _HOPELESS_LOOKS):
                log.error("ending, to be started anew: %s", self._trouble.message, extra={"reason": reason})
                return
            if self._trouble and (before is None or before.reason != self._trouble.reason):
                log.warning("not ready: %s", self._trouble.message, extra={"reason": self._trouble.reason})
            elif before and not self._trouble:
                log.info("ready: federations and Leases can be read and are watched")
            await asyncio.sleep(_TROUBLED_SECONDS if self._trouble else _PERIOD_SECONDS)

    async def _look(self) -> Refusal | None:
        missed = set()
        try:
            for namespace in self._namespaces:
                if forbidden := await self._may_watch(namespace):
                    return forbidden
                found = await self._federations.reach(namespace, deadline=_PERIOD_SECONDS)
                await self._leases.reach(namespace, deadline=_PERIOD_SECONDS)
                if found and not self._watched(*found):
                    missed.add(found)
        except errors.HubError as error:
            return Refusal(error.reason, str(error))
        self._readable.set()
        # One that has just been created may be on its way; one that is missed twice is not.
        self._missed, lost = missed, missed & self._missed
        for namespace, name in lost:
            return Refusal(
                _NOT_WATCHING, f"{namespace}/{name} can be read, but no watch has delivered it yet"
            )
        return None

    async def _may_watch(self, namespace: str | None) -> Refusal | None:
        for kind in (federations, leases):
            if not await self._access.may(
                "watch", kind.GROUP, kind.PLURAL, namespace, deadline=_PERIOD_SECONDS
            ):
                where = f"in namespace {namespace}" if namespace else "in all namespaces"
                what = f"this operator may not watch {kind.PLURAL}.{kind.GROUP} {where}; grant it by RBAC"
                return Refusal(errors.ForbiddenError.reason, what)
        return None
