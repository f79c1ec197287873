"""Leases as the API server keeps them, for tests of those who write them: in memory, and with troubles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from tcf.core.lease_content import Renewal
from tcf.core.model import Isolation, WorkerLease
from tcf.hub import errors
from tcf.hub.worker_leases import Leases

DOWN = errors.UnreachableError("it is down")
CHANGED = errors.ConflictError("it has another version")


@dataclass
class Trouble:
    """The next request of a kind fails with `error`, after it was carried out if `done`."""

    error: errors.HubError
    done: bool = False
    between: Callable[[], None] = lambda: None
    """What somebody else does right before the answer."""


class LeaseServer:
    """One namespace. Each of the `troubles`, by the name of the method, happens once, in order."""

    def __init__(self) -> None:
        self.leases: dict[str, WorkerLease] = {}
        self.troubles: dict[str, list[Trouble]] = {}
        self.slow = 0.0
        """Seconds that a renewal takes."""
        self.down: errors.HubError | None = None
        """The error of every request."""
        self.asked: list[str] = []
        self.deadlines: set[float] = set()
        self.renewals: list[Renewal] = []
        self._count = 0

    @property
    def as_leases(self) -> Leases:
        return cast("Leases", self)

    def edit(self, name: str, **changes: object) -> WorkerLease:
        """Somebody writes the Lease; without changes, only its version is another one."""
        self.leases[name] = replace(self.leases[name], resource_version=self._next(), **changes)  # type: ignore[arg-type]
        return self.leases[name]

    def recreate(self, name: str) -> None:
        """Somebody deletes the Lease and creates one like it."""
        self.edit(name, uid=f"uid-{self._next()}")

    async def create(
        self,
        namespace: str,
        name: str,
        *,
        federation: str,
        cluster: str,
        holder: str,
        duration: int,
        deadline: float,
    ) -> WorkerLease:
        trouble = self._begin("create", namespace, deadline)
        if trouble is None or trouble.done:
            if name in self.leases:
                raise errors.ConflictError("it exists already")
            version = self._next()
            self.leases[name] = WorkerLease(
                name=name,
                uid=f"uid-{version}",
                resource_version=version,
                federation=federation,
                cluster=cluster,
                holder=holder,
                acknowledged=None,
                isolation=Isolation.FENCE,
                duration=duration,
            )
        self._end(trouble)
        return self.leases[name]

    async def get(self, namespace: str, name: str, *, deadline: float) -> WorkerLease:
        self._end(self._begin("get", namespace, deadline))
        if name not in self.leases:
            raise errors.NotFoundError("there is no such Lease")
        return self.leases[name]

    async def renew(
        self, namespace: str, lease: WorkerLease, renewal: Renewal, *, deadline: float
    ) -> WorkerLease:
        trouble = self._begin("renew", namespace, deadline)
        self.renewals.append(renewal)
        await asyncio.sleep(self.slow)
        if trouble is None or trouble.done:
            self._check(lease, any_version=False)
            self.edit(
                lease.name,
                acknowledged=renewal.acknowledged,
                isolation=renewal.isolation,
                duration=renewal.duration,
                last_active=renewal.last_active,
                application=renewal.application,
                held_by=renewal.held_by,
            )
        self._end(trouble)
        return self.leases[lease.name]

    async def delete(
        self, namespace: str, lease: WorkerLease, *, any_version: bool = False, deadline: float
    ) -> None:
        trouble = self._begin("delete", namespace, deadline)
        if trouble is None or trouble.done:
            self._check(lease, any_version=any_version)
            del self.leases[lease.name]
        self._end(trouble)

    def _check(self, lease: WorkerLease, *, any_version: bool) -> None:
        found = self.leases.get(lease.name)
        if found is None:
            raise errors.NotFoundError("there is no such Lease")
        if found.uid != lease.uid or (not any_version and found.resource_version != lease.resource_version):
            raise CHANGED

    def _begin(self, what: str, namespace: str, deadline: float) -> Trouble | None:
        assert namespace == "ns"
        self.asked.append(what)
        self.deadlines.add(deadline)
        if self.down:
            raise self.down
        waiting = self.troubles.get(what)
        return waiting.pop(0) if waiting else None

    def _end(self, trouble: Trouble | None) -> None:
        if trouble:
            trouble.between()
            raise trouble.error

    def _next(self) -> str:
        self._count += 1
        return str(self._count)
