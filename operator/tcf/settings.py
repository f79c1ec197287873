"""The settings of the two programs. The command line reads them once and passes them on as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tcf.core.authorization import RoleNames
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
class OAuth2Settings:
    """An identity provider that introspects tokens. `roles_claim`: where an answer has the user's roles."""

    url: str
    client_id: str
    client_secret_file: Path
    ca_file: Path | None
    roles_claim: str
    roles: RoleNames


class AuthMode(StrEnum):
    """Who knows the users: nobody, the hub or an identity provider."""

    NONE = "none"
    KUBERNETES = "kubernetes"
    OAUTH2 = "oauth2"


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Who may change roles. `reads`: GETs need a right, too. `oauth2`: only in that mode.

    `audiences`: for which of them a token must be. `certificate_prefix`: of names from client certificates.
    """

    mode: AuthMode
    reads: bool
    audiences: tuple[str, ...]
    certificate_prefix: str
    oauth2: OAuth2Settings | None


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """The settings of a worker. If `pod` is None, no Pod is marked. `audit_log`: `-` is stdout.

    With `tls`, `listen` takes HTTPS only; `probe_listen` is for plain probes in any case. `holds_listen`: a
    loopback address for holders, who need no token there.
    """

    hub: HubSettings
    member: MemberRef
    listen: Address
    identity: str
    auth: AuthSettings
    audit_log: Path | None
    pod: PodSettings | None = None
    tls: TlsSettings | None = None
    probe_listen: Address | None = None
    holds_listen: Address | None = None


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """The settings of an operator. No `namespaces` means all of them. `serve`: members to answer for.

    With `tls`, all addresses but `probe_listen` take HTTPS only. `console`: where the console is served.
    """

    hub: HubSettings
    namespaces: tuple[str, ...]
    listen: Address
    identity: str
    auth: AuthSettings
    audit_log: Path | None
    serve: tuple[tuple[MemberRef, Address], ...]
    tls: TlsSettings | None = None
    probe_listen: Address | None = None
    console: Address | None = None
