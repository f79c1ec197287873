"""What the listeners of a process share: who may ask, the certificate, and the audit log."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tcf.auth.authority import Authority
from tcf.core.model import MemberRef
from tcf.hub.client import HubClient
from tcf.hub.credentials import Credentials
from tcf.runtime.address import Address
from tcf.runtime.audit_log import AuditLog
from tcf.runtime.clock import Clock
from tcf.settings import AuthMode, AuthSettings, OperatorSettings, TlsSettings, WorkerSettings
from tcf.web.audit_trail import AuditTrail
from tcf.web.client_certificate import certificate_user
from tcf.web.guard import CONSOLE, Guard
from tcf.web.metrics import Metrics, certificate_metrics
from tcf.web.server import HttpServer, Routes, Tls

if TYPE_CHECKING:
    from tcf.web.server_certificate import ServerCertificate

_REVIEWS = 4
"""How many tokens and rights a process has reviewed by the hub at a time."""

Work = Callable[[], Coroutine[None, None, None]]
"""Something to run until the process ends."""

log = logging.getLogger(__name__)


def client_of(stack: AsyncExitStack, credentials: Credentials, user_agent: str, **more: Any) -> HubClient:
    """A client that is closed with the stack."""
    client = HubClient(credentials, user_agent=user_agent, **more)
    stack.push_async_callback(client.close)
    return client


@dataclass(frozen=True, slots=True)
class Serving:
    """What the listeners in a process share. `certificate`: None without TLS."""

    stack: AsyncExitStack
    credentials: Credentials
    identity: str
    authority: Authority | None
    auth: AuthSettings
    audit_log: AuditLog | None
    certificate: ServerCertificate | None
    metrics: Metrics

    def server(
        self, routes: Routes, address: Address, member: MemberRef | None = None, *, plain: bool = False
    ) -> HttpServer:
        """A listener. `member`: for whom it answers. `plain`: without TLS."""
        server = HttpServer(routes, address, self.audit(member), None if plain else self.tls)
        self.metrics.count(server)
        return server

    @property
    def tls(self) -> Tls | None:
        if self.certificate is None:
            return None
        from tcf.web.tls_transport import over_tls  # noqa: PLC0415 - with TLS only

        return partial(over_tls, self.certificate)

    @property
    def works(self) -> list[Work]:
        return [self.certificate.run] if self.certificate else []

    def audit(self, member: MemberRef | None = None) -> AuditTrail | None:
        """`member`: for whom the listener answers."""
        return AuditTrail(self.audit_log, member) if self.audit_log else None

    def guard(self, member: MemberRef) -> Guard:
        return Guard(
            member,
            authority=self.authority,
            reads=self.auth.reads,
            certificate=partial(certificate_user, prefix=self.auth.certificate_prefix),
            audit=self.audit(None if member is CONSOLE else member),
        )

    def remarks(self) -> Iterable[str]:
        """What a person should know, for /readyz."""
        if self.certificate:
            yield from self.certificate.remarks()
        if self.audit_log and self.audit_log.trouble:
            yield f"the audit log cannot be written: {self.audit_log.trouble}"


def begin_serving(
    stack: AsyncExitStack, credentials: Credentials, settings: WorkerSettings | OperatorSettings
) -> Serving | None:
    """None if the audit log cannot be opened, or the certificate cannot be used; the log says why."""
    certificate = _certificate(settings.tls) if settings.tls else None
    if settings.tls and not certificate:
        return None
    audit_log = None
    if path := settings.audit_log:
        try:
            audit_log = AuditLog(path, clock=Clock())
        except OSError as error:
            log.error("cannot open the audit log: %s", error)  # noqa: TRY400 - a traceback would not help
            return None
        stack.callback(audit_log.close)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, audit_log.reopen)
    metrics = Metrics()
    if certificate:
        metrics.add(partial(certificate_metrics, certificate))
    return Serving(
        stack,
        credentials,
        settings.identity,
        _authority(stack, credentials, settings.auth),
        settings.auth,
        audit_log,
        certificate,
        metrics,
    )


def _certificate(tls: TlsSettings) -> ServerCertificate | None:
    from tcf.web.server_certificate import ServerCertificate, TlsFilesError  # noqa: PLC0415 - with TLS only

    try:
        return ServerCertificate(tls)
    except TlsFilesError as error:
        log.error("cannot serve HTTPS: %s", error)  # noqa: TRY400 - a traceback would not help
        return None


def _authority(stack: AsyncExitStack, credentials: Credentials, auth: AuthSettings) -> Authority | None:
    if auth.mode is AuthMode.KUBERNETES:
        from tcf.auth.hub_authority import HubAuthority  # noqa: PLC0415 - in this mode only
        from tcf.hub.reviews import Reviews  # noqa: PLC0415

        client = client_of(stack, credentials, "tcf-worker", requests=_REVIEWS)
        return HubAuthority(Reviews(client), auth.audiences, clock=Clock())
    if auth.oauth2:
        from tcf.auth.introspection import IntrospectionAuthority  # noqa: PLC0415 - in this mode only

        provider = IntrospectionAuthority(auth.oauth2, clock=Clock())
        stack.push_async_callback(provider.close)
        return provider
    return None
