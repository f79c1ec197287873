"""A worker at work, with a hub that a test has in hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast

from tcf.core.model import Federation, MemberRef, WorkerLease
from tcf.core.pod_marks import Marks
from tcf.core.reading import Reading
from tcf.hub import errors
from tcf.hub.pods import Pods
from tcf.worker.renewal import Worker
from unit.build import TERM, federation
from unit.jumping_loop import CLOCK
from unit.lease_server import LeaseServer
from unit.pod_server import ApiServer
from unit.role_server import RoleServer

ACTIVE, PASSIVE = federation("active passive"), federation("passive active")
DEMOTING = federation("demoting passive", term=TERM + 1)


class Site:
    """A worker of c1, and the hub it talks to."""

    def __init__(self, about: Federation | None = ACTIVE, pod: ApiServer | None = None) -> None:
        self.roles, self.leases = RoleServer(about), LeaseServer()
        marks = (cast("Pods", pod), Marks(condition=True, label=True)) if pod else None
        self.worker = Worker(
            MemberRef("ns", "shop", "c1"),
            self.roles.as_federations,
            self.leases.as_leases,
            holder="host-1",
            clock=CLOCK,
            pod=marks,
        )

    @property
    def says(self) -> str:
        """The role, or the reason why there is none."""
        answer = self.worker.knowledge.answer()
        return str(answer.role) if isinstance(answer, Reading) else answer.reason

    @property
    def lease(self) -> WorkerLease:
        """The only one there is."""
        (lease,) = self.leases.leases.values()
        return lease

    def knows(self, about: Federation | None) -> bool:
        """Is this the latest status that it has seen?"""
        latest = self.worker.knowledge.latest
        return (latest and latest.status) == (about and about.status)

    @property
    def acknowledged(self) -> int | None:
        """The term that the Lease acknowledges."""
        return self.lease.acknowledged.term if self.lease.acknowledged else None

    def fail(self, error: errors.HubError | None) -> None:
        """The hub is down, or up again."""
        self.roles.down = error
        self.leases.down = error
        if error:
            self.roles.deliver(error)


@contextlib.asynccontextmanager
async def at_work(site: Site) -> AsyncIterator[Site]:
    task = asyncio.create_task(site.worker.run())
    try:
        await asyncio.sleep(0.01)
        yield site
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
