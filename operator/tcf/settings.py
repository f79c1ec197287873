"""The settings of the two programs, read once by the command line and passed on as values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tcf.core.model import MemberRef
from tcf.core.pod_marks import Marks
from tcf.runtime.address import Address


@dataclass(frozen=True, slots=True)
class HubSettings:
    """How to reach the hub: a kubeconfig, or in-cluster without one."""

    kubeconfig: Path | None
    context: str | None


@dataclass(frozen=True, slots=True)
class PodSettings:
    """The Pod to mark, and how to reach the cluster that it is in; `uid` None: whichever is found first."""

    api: HubSettings
    namespace: str
    name: str
    uid: str | None
    marks: Marks


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """`pod` None: no Pod is marked."""

    hub: HubSettings
    member: MemberRef
    listen: Address
    identity: str
    pod: PodSettings | None = None


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """`namespaces` empty: all of them. `serve`: members to answer for in this process."""

    hub: HubSettings
    namespaces: tuple[str, ...]
    listen: Address
    identity: str
    serve: tuple[tuple[MemberRef, Address], ...]
