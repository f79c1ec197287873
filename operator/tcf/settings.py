"""The settings of the two programs, read once by the command line and passed on as values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tcf.core.model import Place
from tcf.web.server import Address


@dataclass(frozen=True, slots=True)
class HubSettings:
    """How to reach the hub: a kubeconfig, or in-cluster without one."""

    kubeconfig: Path | None
    context: str | None


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    hub: HubSettings
    place: Place
    listen: Address
    identity: str


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """`namespaces` empty: all of them. `serve`: members to answer for in this process."""

    hub: HubSettings
    namespaces: tuple[str, ...]
    listen: Address
    identity: str
    serve: tuple[tuple[Place, Address], ...]
