"""What the programs are given in place of `tcf.hub`: the same methods and errors, over a simulated link."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from simulation.network import READ, WATCH_SECONDS, Link, Watch
from tcf.core.lease_content import Renewal
from tcf.core.model import Application, Event, Federation, Status, WorkerLease
from tcf.hub import errors
from tcf.hub.interfaces import EventStore, FederationStore, LeaseStore


async def watch(link: Link, kind: type, *, deadline: float) -> AsyncGenerator[tuple[Any, bool]]:
    """(object, deleted): what is there first, then each change, until the watch ends."""
    hub = link.network.hub
    opened: list[Watch] = []

    def begin() -> list[Any]:
        if opened or link.process.dead:
            return []  # the same request, come twice
        if kind is Federation and hub.kind_is_gone:
            hub.get()
        opened.append(Watch(link, kind))
        if kind is Federation:
            return [hub.federation] if hub.federation else []
        return list(hub.list_leases())

    try:
        for value in await link.request(f"watch of {kind.__name__}", begin, deadline=deadline):
            yield value, False
        link.process.call_later(WATCH_SECONDS, opened[0].end)
        while (event := await opened[0].next()) is not None:
            yield event
    finally:
        for each in opened:
            each.close()


class SimFederations(FederationStore):
    """`renewing`: each read is for a renewal."""

    def __init__(self, link: Link, *, renewing: bool = False) -> None:
        self._link = link
        self._renewing = renewing

    async def get(self, namespace: str, name: str, *, deadline: float) -> Federation:
        link = self._link
        if self._renewing:
            link.reads()
        try:
            federation = await link.request(READ, link.network.hub.get, deadline=deadline)
        except errors.NotFoundError:
            self._note_read()
            raise
        self._note_read()
        return federation

    def _note_read(self) -> None:
        if self._renewing:
            self._link.read_at = self._link.world.now

    async def write_status(self, federation: Federation, status: Status, *, deadline: float) -> Federation:
        hub = self._link.network.hub
        what = f"PUT status, term {status.term}"
        return await self._link.request(what, lambda: hub.write_status(federation, status), deadline=deadline)

    async def annotate(
        self, federation: Federation, annotations: Mapping[str, str], *, deadline: float
    ) -> Federation:
        hub = self._link.network.hub
        return await self._link.request(
            f"annotate {dict(annotations)}", lambda: hub.annotate(federation, annotations), deadline=deadline
        )

    async def watch(
        self,
        namespace: str,
        name: str,
        *,
        deadline: float,
    ) -> AsyncGenerator[Federation | None]:
        async for federation, deleted in watch(self._link, Federation, deadline=deadline):
            yield None if deleted else federation


class SimLeases(LeaseStore):
    """`report`: how the application is as a worker renews, instead of what its holders say."""

    def __init__(self, link: Link, *, report: Callable[[], Application | None] | None = None) -> None:
        self._link = link
        self._report = report

    async def list(self, namespace: str, federation: str, *, deadline: float) -> tuple[WorkerLease, ...]:
        link = self._link
        hub, world = link.network.hub, link.world
        link.listed, leases = await link.request(
            "LIST Leases", lambda: (world.now, hub.list_leases()), deadline=deadline
        )
        return leases

    async def get(self, namespace: str, name: str, *, deadline: float) -> WorkerLease:
        hub = self._link.network.hub
        return await self._heard("GET Lease", lambda: hub.get_lease(name), deadline)

    async def _heard(self, what: str, work: Callable[[], WorkerLease], deadline: float) -> WorkerLease:
        link = self._link
        try:
            lease = await link.request(what, work, deadline=deadline)
        except errors.NotFoundError:
            link.lease_lost()
            raise
        known, link.lease = link.lease, lease
        if known and known.name == lease.name and _whose(known) != _whose(lease):
            link.lease_lost()
        return lease

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
        hub = self._link.network.hub
        return await self._heard(
            "POST Lease", lambda: hub.create_lease(name, cluster, holder, duration), deadline
        )

    async def renew(
        self,
        namespace: str,
        lease: WorkerLease,
        renewal: Renewal,
        *,
        deadline: float,
    ) -> WorkerLease:
        hub = self._link.network.hub
        self._link.renews()
        if self._report:
            renewal = replace(renewal, application=self._report())
        what = f"PATCH Lease {lease.name}, {renewal.acknowledged}, {renewal.duration} s"
        return await self._heard(what, lambda: hub.renew_lease(lease, renewal), deadline)

    async def delete(
        self,
        namespace: str,
        lease: WorkerLease,
        *,
        any_version: bool = False,
        deadline: float,
    ) -> None:
        hub = self._link.network.hub
        await self._link.request(
            f"DELETE Lease {lease.name}",
            lambda: hub.delete_lease(lease, any_version=any_version),
            deadline=deadline,
        )


def _whose(lease: WorkerLease) -> tuple[str, str, str]:
    return lease.uid, lease.federation, lease.cluster


class SimHeartbeats:
    """All that an operator does with heartbeats."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def beat(
        self, namespace: str, holder: str, forgotten: Iterable[str], *, deadline: float
    ) -> dict[str, str]:
        hub, world = self._link.network.hub, self._link.world

        def beat() -> dict[str, str]:
            for name in forgotten:
                hub.marks.pop(name, None)
            hub.marks[holder] = f"{holder}/{world.now}"
            return dict(hub.marks)

        return await self._link.request("heartbeat", beat, deadline=deadline)


class SimEvents(EventStore):
    def __init__(self, link: Link) -> None:
        self._link = link

    async def write(self, federation: Federation, event: Event, *, deadline: float) -> None:
        await self._link.request(f"Event {event.reason}", lambda: None, deadline=deadline)
