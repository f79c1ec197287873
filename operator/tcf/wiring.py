"""The two programs, wired together: their parts, and the order in which these start and end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tcf.auth.authority import Authority
from tcf.core.model import MemberRef
from tcf.core.pod_marks import Marks
from tcf.core.reading import not_ready
from tcf.hub.client import HubClient
from tcf.hub.credentials import Credentials, in_cluster, kubeconfig
from tcf.hub.federations import Federations
from tcf.hub.heartbeat_leases import Heartbeats
from tcf.hub.pods import Pods
from tcf.hub.worker_leases import Leases
from tcf.runtime.address import Address
from tcf.runtime.audit_log import AuditLog
from tcf.runtime.clock import Clock
from tcf.settings import AuthMode, AuthSettings, HubSettings, OperatorSettings, TlsSettings, WorkerSettings
from tcf.web import health, tcf_handlers
from tcf.web.audit_trail import AuditTrail
from tcf.web.client_certificate import certificate_user
from tcf.web.guard import Guard
from tcf.web.server import HttpServer, Tls
from tcf.worker.heartbeat_reader import HeartbeatReader
from tcf.worker.renewal import Worker
from tcf.worker.switchovers import Switchovers

if TYPE_CHECKING:
    from tcf.web.server_certificate import ServerCertificate

_REQUESTS_OF_CLIENTS = 8
"""How many requests to the hub a worker makes at a time for all POSTs together."""
_REVIEWS = 4
"""How many tokens and rights a process has reviewed by the hub at a time."""
_EXPOSED = "anybody who can reach this worker may move the roles: use --auth kubernetes or --auth oauth2"

Work = Callable[[], Coroutine[None, None, None]]
"""Something to run until the process ends."""

log = logging.getLogger(__name__)


async def run_worker(settings: WorkerSettings) -> int:
    """Answer for one member until SIGTERM or SIGINT. Returns the exit status."""
    _raise_descriptors()
    async with AsyncExitStack() as stack:
        credentials = _credentials(settings.hub)
        pod = None
        if marked := settings.pod:
            # This needs a client of its own even if the hub is the same cluster: the credentials may differ.
            own = _client(stack, _credentials(marked.api), "tcf-worker", called="the pod's cluster")
            pods = Pods(own, marked.namespace, marked.name, marked.uid)
            pod = (pods, marked.marks)
        serving = _serving(stack, credentials, settings)
        if not serving:
            return 1
        works = await _serve(serving, settings.member, settings.listen, pod, probes=settings.probe_listen)
        return await _until_stopped([*works, *serving.works]) if works else 1


async def run_operator(settings: OperatorSettings) -> int:
    """Look after federations, and answer for members with --serve, until SIGTERM or SIGINT.

    Returns the exit status.
    """
    _raise_descriptors()
    async with AsyncExitStack() as stack:
        credentials = _credentials(settings.hub)
        serving = _serving(stack, credentials, settings)
        works = await _coordinate(serving, settings) if serving else []
        if not serving or not works:
            return 1
        for member, address in settings.serve:
            more = await _serve(serving, member, address)
            if not more:
                return 1
            works += more
        return await _until_stopped([*works, *serving.works])


async def _coordinate(serving: _Serving, settings: OperatorSettings) -> list[Work]:
    """Listen for health checks. Returns what to run to look after federations; [] if it cannot listen."""
    # A worker must not load kopf and everything that kopf needs.
    from tcf.coordinator.deliveries import Deliveries  # noqa: PLC0415
    from tcf.coordinator.dispatcher import Dispatcher  # noqa: PLC0415
    from tcf.coordinator.heartbeat_writer import HeartbeatWriter  # noqa: PLC0415
    from tcf.coordinator.kopf_watch import KopfWatch  # noqa: PLC0415
    from tcf.coordinator.readiness import Readiness  # noqa: PLC0415
    from tcf.hub.access import Access  # noqa: PLC0415
    from tcf.hub.events import Events  # noqa: PLC0415

    name, namespaces, identity = "tcf-operator", settings.namespaces, settings.identity
    credentials = serving.credentials
    client = _client(serving.stack, credentials, name)
    federations, leases, clock, deliveries = Federations(client), Leases(client), Clock(), Deliveries()
    events = Events(client, component=name, instance=identity)
    dispatcher = Dispatcher(federations, leases, events, clock=clock)
    watch = KopfWatch(
        dispatcher, deliveries, credentials, namespaces=namespaces, identity=identity, user_agent=name
    )
    readiness = Readiness(
        federations,
        leases,
        Access(client),
        namespaces,
        watched=deliveries,
        restart_watches=watch.restart,
        clock=clock,
    )
    heartbeat = HeartbeatWriter(
        Heartbeats(client),
        holder=identity,
        namespaces=dispatcher.namespaces,
        at_work=lambda: readiness.trouble() is None,
        clock=clock,
    )

    def remarks() -> Iterable[str]:
        yield from deliveries.unreadable.values()
        yield from serving.remarks()

    routes = health.routes(alive=lambda: None, ready=readiness.trouble, remarks=remarks)
    server = HttpServer(routes, settings.listen, tls=serving.tls)
    if not await _listen(serving.stack, server, "health"):
        return []
    probes = settings.probe_listen
    if probes and not await _listen(serving.stack, HttpServer(routes, probes), "probes"):
        return []
    return [dispatcher.run, lambda: watch.run(readiness.readable), readiness.run, heartbeat.run]


def _raise_descriptors() -> None:
    """Raise the limit of file descriptors to the hard one. (The soft one is for programs with select(2).)"""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems refuse it, but the soft limit will do
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _client(stack: AsyncExitStack, credentials: Credentials, user_agent: str, **more: Any) -> HubClient:
    client = HubClient(credentials, user_agent=user_agent, **more)
    stack.push_async_callback(client.close)
    return client


def _credentials(hub: HubSettings) -> Credentials:
    return Credentials(kubeconfig(hub.kubeconfig, hub.context) if hub.kubeconfig else in_cluster())


@dataclass(frozen=True, slots=True)
class _Serving:
    """What the listeners in a process share. `certificate`: None without TLS."""

    stack: AsyncExitStack
    credentials: Credentials
    identity: str
    authority: Authority | None
    auth: AuthSettings
    audit_log: AuditLog | None
    certificate: ServerCertificate | None

    @property
    def tls(self) -> Tls | None:
        if self.certificate is None:
            return None
        from tcf.web.tls_transport import over_tls  # noqa: PLC0415 - with TLS only

        return partial(over_tls, self.certificate)

    @property
    def works(self) -> list[Work]:
        return [self.certificate.run] if self.certificate else []

    def remarks(self) -> Iterable[str]:
        """What a person should know, for /readyz."""
        if self.certificate:
            yield from self.certificate.remarks()
        if self.audit_log and self.audit_log.trouble:
            yield f"the audit log cannot be written: {self.audit_log.trouble}"


def _serving(
    stack: AsyncExitStack, credentials: Credentials, settings: WorkerSettings | OperatorSettings
) -> _Serving | None:
    """None if the audit log cannot be opened, or the certificate cannot be used."""
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
    authority = _authority(stack, credentials, settings.auth)
    return _Serving(stack, credentials, settings.identity, authority, settings.auth, audit_log, certificate)


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

        client = _client(stack, credentials, "tcf-worker", requests=_REVIEWS)
        return HubAuthority(Reviews(client), auth.audiences, clock=Clock())
    if auth.oauth2:
        from tcf.auth.introspection import IntrospectionAuthority  # noqa: PLC0415 - in this mode only

        provider = IntrospectionAuthority(auth.oauth2, clock=Clock())
        stack.push_async_callback(provider.close)
        return provider
    return None


def _guard(serving: _Serving, member: MemberRef, audit: AuditTrail | None) -> Guard:
    return Guard(
        member,
        authority=serving.authority,
        reads=serving.auth.reads,
        certificate=partial(certificate_user, prefix=serving.auth.certificate_prefix),
        audit=audit,
    )


async def _serve(
    serving: _Serving,
    member: MemberRef,
    address: Address,
    pod: tuple[Pods, Marks] | None = None,
    probes: Address | None = None,
) -> list[Work]:
    """Listen for one member. Returns everything to run to answer for it; [] if it cannot listen."""
    stack, credentials, clock = serving.stack, serving.credentials, Clock()
    # Renewals and POSTs do not share connections, so that neither has to wait for the other.
    own = _client(stack, credentials, "tcf-worker")
    clients = Federations(_client(stack, credentials, "tcf-worker", requests=_REQUESTS_OF_CLIENTS))
    worker = Worker(member, Federations(own), Leases(own), holder=serving.identity, clock=clock, pod=pod)
    heartbeat = HeartbeatReader(worker.knowledge, Heartbeats(own), clock=clock)
    audit = AuditTrail(serving.audit_log, member) if serving.audit_log else None
    guard = _guard(serving, member, audit)
    exposed = ""

    def remarks() -> Iterable[str]:
        yield from heartbeat.remarks()
        yield from serving.remarks()
        if exposed:
            yield exposed

    probing = health.routes(
        alive=lambda: None,
        ready=lambda: not_ready(worker.knowledge.answer(), worker.pod_trouble),
        remarks=remarks,
    )
    routes = tcf_handlers.routes(worker.knowledge, Switchovers(worker.knowledge, clients), guard)
    server = HttpServer({**routes, **probing}, address, audit, serving.tls)
    if not await _listen(stack, server, str(member)):
        return []
    if probes:
        # Whoever can reach that address may ask. Nothing can be changed there, so nobody has to be known.
        gets = tcf_handlers.get_routes(worker.knowledge, Guard(member))
        if not await _listen(stack, HttpServer({**gets, **probing}, probes, audit), "probes"):
            return []
    exposed = _EXPOSED if not serving.authority and not server.loopback else ""
    if exposed:
        log.warning("%s", exposed, extra=dict(member.log_fields))
    return [worker.run, heartbeat.run]


async def _listen(stack: AsyncExitStack, server: HttpServer, what: str) -> bool:
    try:
        address = await server.start()
    except OSError as error:
        log.error("cannot listen for %s: %s", what, error)  # noqa: TRY400 - a traceback would not help
        return False
    stack.push_async_callback(server.stop)
    log.info("listening on %s://%s", server.scheme, address, extra={"for": what})
    return True


async def _until_stopped(works: list[Work]) -> int:
    """Run everything until a signal comes (then return 0), or until something ends by itself (1)."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    tasks = [asyncio.create_task(work()) for work in works]
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait([*tasks, waiting], return_when=asyncio.FIRST_COMPLETED)
    failed = not stop.is_set()
    log.info("stopping")
    for task in (*tasks, waiting):
        task.cancel()
    for result in await asyncio.gather(*tasks, waiting, return_exceptions=True):
        if isinstance(result, Exception):
            log.error("ended by an error", exc_info=result)
            failed = True
    return 1 if failed else 0
