"""The settings of the two programs. The command line reads them once and passes them on as values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tcf.core.model import MemberRef
from tcf.core.pod_marks import Marks
from tcf.runtime.address import Address


@dataclass(frozen=True, slots=True)
class HubSettings:
    """How to reach the hub: by a kubeconfig, or without one by the Pod's ServiceAccount."""

    kubeconfig: Path | None
    context: str | None


@dataclass(frozen=True, slots=True)
class PodSettings:
    """The Pod to mark, and how to reach its cluster. If `uid` is None, it is the first Pod with that name."""

    api: HubSettings
    namespace: str
    name: str
    uid: str | None
    marks: Marks


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """The PEM files of a server: its certificate with the chain, its key, and the authorities of clients."""

    cert: Path
    key: Path
    client_ca: Path | None


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """The settings of a worker. If `pod` is None, no Pod is marked.

    With `tls`, `listen` takes HTTPS only; `probe_listen` is for plain probes in any case.
    """

    hub: HubSettings
    member: MemberRef
    listen: Address
    identity: str
    pod: PodSettings | None = None
    tls: TlsSettings | None = None
    probe_listen: Address | None = None


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """The settings of an operator. No `namespaces` means all of them. `serve`: members to answer for.

    With `tls`, all addresses but `probe_listen` take HTTPS only.
    """

    hub: HubSettings
    namespaces: tuple[str, ...]
    listen: Address
    identity: str
    serve: tuple[tuple[MemberRef, Address], ...]
    tls: TlsSettings | None = None
    probe_listen: Address | None = None
