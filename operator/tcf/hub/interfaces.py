"""What workers and coordinators need from the hub.

`Federations`, `Leases` and `Events` of this package provide it over HTTP. Their docstrings say what each
method does. The simulation provides the same over a simulated network.

Every method raises `HubError`; deadlines are in seconds.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

from tcf.core.lease_content import Renewal
from tcf.core.model import Event, Federation, Status, WorkerLease


class FederationStore(Protocol):
    """ClusterFederations."""

    async def get(self, namespace: str, name: str, *, deadline: float) -> Federation: ...

    async def write_status(
        self, federation: Federation, status: Status, *, deadline: float
    ) -> Federation: ...

    async def annotate(
        self, federation: Federation, annotations: Mapping[str, str], *, deadline: float
    ) -> Federation: ...

    def watch(self, namespace: str, name: str, *, deadline: float) -> AsyncGenerator[Federation | None]: ...


class LeaseStore(Protocol):
    """The workers' Leases."""

    async def list(self, namespace: str, federation: str, *, deadline: float) -> tuple[WorkerLease, ...]: ...

    async def get(self, namespace: str, name: str, *, deadline: float) -> WorkerLease: ...

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
    ) -> WorkerLease: ...

    async def renew(
        self, namespace: str, lease: WorkerLease, renewal: Renewal, *, deadline: float
    ) -> WorkerLease: ...

    async def delete(
        self, namespace: str, lease: WorkerLease, *, any_version: bool = False, deadline: float
    ) -> None: ...


class EventStore(Protocol):
    """Kubernetes Events."""

    async def write(self, federation: Federation, event: Event, *, deadline: float) -> None: ...
