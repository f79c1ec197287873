"""Can an operator do its work? Its `/readyz` reports this."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Collection
from typing import Protocol

from tcf.coordinator.deliveries import Deliveries
from tcf.core.model import Refusal
from tcf.core.reasons import Reason
from tcf.hub import errors, federations, worker_leases
from tcf.hub.access import Access
from tcf.hub.federations import Federations
from tcf.hub.records import Identity
from tcf.hub.worker_leases import Leases
from tcf.runtime.backoff import Backoff
from tcf.runtime.clock import Clock
from tcf.runtime.waiting import within

_NOT_WATCHING = Reason.NOT_WATCHING
_PERIOD_SECONDS = 5.0
_TROUBLED_SECONDS = 1.0
_PATIENCE_SECONDS = 20.0
_LONGEST_PATIENCE_SECONDS = 600.0
"""How long watches that have just begun may take to deliver something. (They may begin with long lists.)"""

log = logging.getLogger(__name__)


class Watch(Protocol):
    def restart(self, why: str) -> None:
        """Begin again."""


class Readiness:
    """Makes small reads every few seconds, and compares them with what the watches have delivered.

    It has the watches begin again when they will not recover by themselves. Either they
    do not deliver an object that can be read. Or the hub was restored, and they wait for versions that no
    longer exist.
    """

    def __init__(
        self,
        federations: Federations,
        leases: Leases,
        access: Access,
        namespaces: Collection[str],
        *,
        watched: Deliveries,
        watches: Collection[Watch],
        clock: Clock,
    ) -> None:
        self._federations = federations
        self._leases = leases
        self._access = access
        self._namespaces: Collection[str | None] = namespaces or (None,)
        self._watched = watched
        self._watches = watches
        self._readable = asyncio.Event()
        self._wake = asyncio.Event()
        self._clock = clock
        self._missed: dict[str, int] = {}
        """The objects that the last look has found and no watch had delivered: uid and version."""
        self._delivered: dict[str, int] = {}
        """For the objects that looks have found: the version that had been delivered by then, by uid."""
        self._patience = Backoff(first=_PATIENCE_SECONDS, longest=_LONGEST_PATIENCE_SECONDS)
        self._restart_after = math.inf
        self._trouble: Refusal | None = Refusal(Reason.STARTING, "the operator has not reached the hub yet")

    @property
    def trouble(self) -> Refusal | None:
        """What is wrong; None if nothing is."""
        return self._trouble

    async def readable(self) -> None:
        """Look again, and wait until federations and Leases can be read. Only then can watches begin."""
        self._readable.clear()
        self._wake.set()
        await self._readable.wait()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._wake.clear()
            before, self._trouble = self._trouble, await self._look()
            if self._trouble and (before is None or before.reason != self._trouble.reason):
                log.warning("not ready: %s", self._trouble.message, extra={"reason": self._trouble.reason})
            elif before and not self._trouble:
                log.info("ready: federations and Leases can be read and are watched")
            seconds = _TROUBLED_SECONDS if self._trouble or self._missed else _PERIOD_SECONDS
            await within(seconds, self._wake.wait())

    async def _look(self) -> Refusal | None:
        missed: dict[str, Identity] = {}
        try:
            for namespace in self._namespaces:
                if forbidden := await self._may_watch(namespace):
                    return forbidden
                if restored := await self._compare(namespace, missed):
                    self._delivered.clear()
                    self._restart_watches(restored)
        except errors.HubError as error:
            return Refusal(error.reason, str(error))
        self._readable.set()
        before, self._missed = self._missed, {uid: int(one.resource_version) for uid, one in missed.items()}
        if not self._watched.begun:
            self._restart_after = math.inf
            return self._not_watching("federations and Leases can be read, but are not watched yet")
        if self._restart_after == math.inf:
            self._restart_after = self._clock.boot() + self._patience.next()
        # A version that was just written may still be under way to the watch, but not one missed before.
        lost = [one for uid, one in missed.items() if self._watched.version(uid) < before.get(uid, 0)]
        if not missed:
            self._patience.reset()
            self._restart_after = 0.0
        if not lost:
            return None
        message = f"{lost[0].namespace}/{lost[0].name} can be read, but no watch has delivered it yet"
        if self._clock.boot() >= self._restart_after:
            self._restart_watches(message)
        return self._not_watching(message)

    def _restart_watches(self, why: str) -> None:
        for watch in self._watches:
            watch.restart(why)

    def _not_watching(self, message: str) -> Refusal:
        trouble = self._watched.trouble
        return Refusal(_NOT_WATCHING, f"{message} (the last attempt: {trouble})" if trouble else message)

    async def _compare(self, namespace: str | None, missed: dict[str, Identity]) -> str:
        """Add to `missed` what can be read and was not delivered. Returns why the hub was restored, or ""."""
        newest = {kind.PLURAL: self._watched.newest(kind.PLURAL) for kind in (federations, worker_leases)}
        found, version = await self._federations.reach(namespace, deadline=_PERIOD_SECONDS)
        versions = {
            federations.PLURAL: version,
            worker_leases.PLURAL: await self._leases.reach(namespace, deadline=_PERIOD_SECONDS),
        }
        if found:
            shown, delivered = int(found.resource_version), self._watched.version(found.uid)
            before, self._delivered[found.uid] = self._delivered.get(found.uid, 0), delivered
            if shown < before:
                return _restored(f"{found.namespace}/{found.name}", before, shown)
            if delivered < shown:
                missed[found.uid] = found
        for plural, version in versions.items():
            if version < newest[plural]:
                return _restored(plural, newest[plural], version)
        return ""

    async def _may_watch(self, namespace: str | None) -> Refusal | None:
        for kind in (federations, worker_leases):
            if not await self._access.may(
                "watch", kind.GROUP, kind.PLURAL, namespace, deadline=_PERIOD_SECONDS
            ):
                where = f"in namespace {namespace}" if namespace else "in all namespaces"
                right = f"watch {kind.PLURAL}.{kind.GROUP} {where}"
                message = f"this operator may not {right}; grant that right by RBAC"
                return Refusal(errors.ForbiddenError.reason, message)
        return None


def _restored(what: str, watched: int, shown: int) -> str:
    return (
        f"the hub was restored: it shows version {shown} of {what},"
        f" but the watches have delivered version {watched} already"
    )
