"""Which hub a command of `kubectl tcf` is for, chosen as kubectl does."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tcf.ctl.exits import StopError
from tcf.ctl.patient_client import PatientClient
from tcf.hub.access import Access
from tcf.hub.client import HubClient
from tcf.hub.credentials import SERVICE_ACCOUNT, Credentials, in_cluster, kubeconfig
from tcf.hub.federations import Federations
from tcf.hub.kubeconfig_files import UnusableError, read_kubeconfig
from tcf.hub.worker_leases import Leases
from tcf.runtime.clock import CLOCK, Clock

SECONDS = 10.0
"""The deadline of each request that a person waits for."""


@dataclass(frozen=True, slots=True)
class HubChoice:
    """The options of the same names; None if they are not given."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files to read; none for the ServiceAccount of a Pod."""
        if self.kubeconfig:
            return (Path(self.kubeconfig),)
        if named := [Path(each) for each in os.environ.get("KUBECONFIG", "").split(os.pathsep) if each]:
            return tuple(named)
        usual = Path.home() / ".kube" / "config"
        inside = (SERVICE_ACCOUNT / "token").exists() and not self.context
        return (usual,) if usual.exists() or not inside else ()

    def own_namespace(self) -> str:
        """The namespace of the option, or else of the context.

        Raises:
            StopError: the kubeconfig cannot be used.
        """
        if self.namespace:
            return self.namespace
        if not self.paths:
            mounted = SERVICE_ACCOUNT / "namespace"
            return mounted.read_text(encoding="utf-8").strip() if mounted.exists() else "default"
        try:
            return read_kubeconfig(self.paths, self.context).namespace or "default"
        except UnusableError as error:
            where = os.pathsep.join(map(str, self.paths))
            raise StopError(
                f"cannot use the kubeconfig {where}: {error}", "name one with --kubeconfig, or set KUBECONFIG"
            ) from error


@dataclass(frozen=True, slots=True)
class OpenHub:
    """The hub, reached with the rights of the person. `namespace`: the one that was chosen."""

    namespace: str
    client: HubClient
    credentials: Credentials
    clock: Clock

    @property
    def federations(self) -> Federations:
        return Federations(self.client)

    @property
    def leases(self) -> Leases:
        return Leases(self.client)

    @property
    def access(self) -> Access:
        return Access(self.client)


@asynccontextmanager
async def open_hub(choice: HubChoice) -> AsyncIterator[OpenHub]:
    """Raises StopError if the kubeconfig cannot be used. (The hub may still be out of reach.)"""
    namespace = choice.own_namespace()
    credentials = Credentials(kubeconfig(choice.paths, choice.context) if choice.paths else in_cluster())
    client = PatientClient(credentials, user_agent="kubectl-tcf")
    try:
        yield OpenHub(namespace, client, credentials, CLOCK)
    finally:
        await client.close()
