"""The two programs, wired together: their parts, and the order in which these start and end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
from collections.abc import Iterable
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from tcf.core.model import MemberRef
from tcf.core.pod_marks import Marks
from tcf.core.reading import not_ready
from tcf.hub.credentials import Credentials, in_cluster, kubeconfig
from tcf.hub.federations import Federations
from tcf.hub.heartbeat_leases import Heartbeats
from tcf.hub.pods import Pods
from tcf.hub.worker_leases import Leases
from tcf.runtime.address import Address
from tcf.runtime.clock import Clock
from tcf.serving import Serving, Work, begin_serving, client_of
from tcf.settings import HubSettings, OperatorSettings, WorkerSettings
from tcf.web import health, tcf_handlers
from tcf.web.event_stream import EventFeed, event_routes
from tcf.web.guard import CONSOLE, Guard
from tcf.web.hold_handlers import hold_routes
from tcf.web.info_handlers import info_routes
from tcf.web.server import HttpServer, Routes, for_health_checks
from tcf.web.worker_metrics import worker_metrics
from tcf.worker.heartbeat_reader import HeartbeatReader
from tcf.worker.renewal import Worker
from tcf.worker.switchovers import Switchovers

_REQUESTS_OF_CLIENTS = 8
"""How many requests to the hub a worker makes at a time for all POSTs together."""
_CONSOLE = 8
"""The same for the console of an operator."""
_EXPOSED = "anybody who can reach this worker may move the roles: use --auth kubernetes or --auth oauth2"

if TYPE_CHECKING:
    from tcf.coordinator.deliveries import Deliveries
    from tcf.coordinator.dispatcher import Dispatcher
    from tcf.coordinator.readiness import Readiness

log = logging.getLogger(__name__)


async def run_worker(settings: WorkerSettings) -> int:
    """Answer for one member until SIGTERM or SIGINT. Returns the exit status."""
    _raise_descriptors()
    async with AsyncExitStack() as stack:
        credentials = _credentials(settings.hub)
        pod = None
        if marked := settings.pod:
            # This needs a client of its own even if the hub is the same cluster: the credentials may differ.
            own = client_of(stack, _credentials(marked.api), "tcf-worker", called="the pod's cluster")
            pods = Pods(own, marked.namespace, marked.name, marked.uid)
            pod = (pods, marked.marks)
        serving = begin_serving(stack, credentials, settings)
        if not serving:
            return 1
        works = await _serve(
            serving, settings.member, settings.listen, pod, settings.probe_listen, settings.holds_listen
        )
        return await _until_stopped([*works, *serving.works]) if works else 1


async def run_operator(settings: OperatorSettings) -> int:
    """Look after federations, and answer for members with --serve, until SIGTERM or SIGINT.

    Returns the exit status.
    """
    _raise_descriptors()
    async with AsyncExitStack() as stack:
        credentials = _credentials(settings.hub)
        serving = begin_serving(stack, credentials, settings)
        works = await _coordinate(serving, settings) if serving else []
        if not serving or not works:
            return 1
        for member, address in settings.serve:
            more = await _serve(serving, member, address)
            if not more:
                return 1
            works += more
        return await _until_stopped([*works, *serving.works])


async def _coordinate(serving: Serving, settings: OperatorSettings) -> list[Work]:
    """Listen for health checks. Returns what to run to look after federations; [] if it cannot listen."""
    # A worker must not load kopf and everything that kopf needs.
    from tcf.coordinator.deliveries import Deliveries  # noqa: PLC0415
    from tcf.coordinator.dispatcher import Dispatcher  # noqa: PLC0415
    from tcf.coordinator.heartbeat_writer import HeartbeatWriter  # noqa: PLC0415
    from tcf.coordinator.kopf_watch import KopfWatch  # noqa: PLC0415
    from tcf.coordinator.lease_watch import LeaseWatch  # noqa: PLC0415
    from tcf.coordinator.readiness import Readiness  # noqa: PLC0415
    from tcf.coordinator.roster import Roster  # noqa: PLC0415
    from tcf.hub.access import Access  # noqa: PLC0415
    from tcf.hub.events import Events  # noqa: PLC0415
    from tcf.web.operator_metrics import operator_metrics  # noqa: PLC0415

    name, namespaces, identity = "tcf-operator", settings.namespaces, settings.identity
    credentials = serving.credentials
    client = client_of(serving.stack, credentials, name)
    federations, leases, clock, deliveries = Federations(client), Leases(client), Clock(), Deliveries()
    events = Events(client, component=name, instance=identity)
    roster = Roster(identity, clock=clock)
    dispatcher = Dispatcher(federations, leases, events, roster=roster, clock=clock)
    watch = KopfWatch(
        dispatcher, deliveries, credentials, clock, namespaces=namespaces, identity=identity, user_agent=name
    )
    lease_watch = LeaseWatch(leases, dispatcher, deliveries, namespaces=namespaces, clock=clock)
    watches, stores = (watch, lease_watch), (federations, leases, Access(client))
    readiness = Readiness(*stores, namespaces, watched=deliveries, watches=watches, clock=clock)
    heartbeat = HeartbeatWriter(
        Heartbeats(client),
        roster=roster,
        namespaces=dispatcher.namespaces,
        at_work=lambda: readiness.trouble is None,
        clock=clock,
    )

    serving.metrics.add(partial(operator_metrics, dispatcher, clock))
    routes = _operator_health(serving, deliveries, readiness)
    listening = await _listen_for_health(serving, routes, settings.listen, settings.probe_listen)
    if not listening or not await _listen_for_console(serving, dispatcher, readiness, settings.console):
        return []
    watching = (partial(each.run, readiness.readable) for each in watches)
    return [dispatcher.run, *watching, readiness.run, heartbeat.run]


def _operator_health(serving: Serving, deliveries: Deliveries, readiness: Readiness) -> Routes:
    def not_ready() -> str | None:
        return readiness.trouble.message if readiness.trouble else None

    def remarks() -> Iterable[str]:
        yield from deliveries.unreadable.values()
        yield from serving.remarks()

    return health.routes(alive=lambda: None, ready=not_ready, remarks=remarks)


async def _listen_for_console(
    serving: Serving, dispatcher: Dispatcher, readiness: Readiness, address: Address | None
) -> bool:
    if not address:
        return True
    from tcf.web.console.routes import console_routes  # noqa: PLC0415 - a worker must not load it

    # Requests of people and the operator do not share connections, so that neither waits for the other.
    client = client_of(serving.stack, serving.credentials, "tcf-console", requests=_CONSOLE)
    federations = Federations(client)
    guard = serving.guard(CONSOLE)
    routes = console_routes(dispatcher, federations, guard, trouble=lambda: readiness.trouble, clock=Clock())
    return await _listen(serving.stack, serving.server(routes, address), "console")


async def _listen_for_health(
    serving: Serving, routes: Routes, address: Address, probes: Address | None
) -> bool:
    routes = {**routes, "/metrics": for_health_checks(serving.metrics.handle)}
    if not await _listen(serving.stack, serving.server(routes, address), "health"):
        return False
    return not probes or await _listen(serving.stack, serving.server(routes, probes, plain=True), "probes")


def _raise_descriptors() -> None:
    """Raise the limit of file descriptors to the hard one. (The soft one is for programs with select(2).)"""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems refuse it, but the soft limit will do
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _credentials(hub: HubSettings) -> Credentials:
    return Credentials(kubeconfig(hub.kubeconfig, hub.context) if hub.kubeconfig else in_cluster())


async def _serve(
    serving: Serving,
    member: MemberRef,
    address: Address,
    pod: tuple[Pods, Marks] | None = None,
    probes: Address | None = None,
    beside: Address | None = None,
) -> list[Work]:
    """Listen for one member, also for `probes` and for holders `beside` the worker.

    Returns what to run to answer for the member; [] if it cannot listen.
    """
    stack, credentials, clock = serving.stack, serving.credentials, Clock()
    # Renewals and POSTs do not share connections, so that neither has to wait for the other.
    own = client_of(stack, credentials, "tcf-worker")
    clients = Federations(client_of(stack, credentials, "tcf-worker", requests=_REQUESTS_OF_CLIENTS))
    worker = Worker(member, Federations(own), Leases(own), holder=serving.identity, clock=clock, pod=pod)
    heartbeat = HeartbeatReader(worker.knowledge, Heartbeats(own), clock=clock)
    exposed = ""

    def remarks() -> Iterable[str]:
        yield from heartbeat.remarks()
        yield from serving.remarks()
        if exposed:
            yield exposed

    known, feed = worker.knowledge, EventFeed(worker.knowledge)
    serving.metrics.add(partial(worker_metrics, worker, feed))
    for_all = health.routes(
        alive=lambda: None, ready=lambda: not_ready(known.answer(), worker.pod_trouble), remarks=remarks
    )
    routes = _routes(serving, worker, Switchovers(known, clients), feed)
    server = serving.server({**routes, **for_all}, address, member)
    for_probes = {**_probe_routes(serving, worker), **for_all}
    beside_it = hold_routes(worker.holders, Guard(member))
    if not (
        await _listen(stack, server, str(member))
        and await _listen_without_tls(serving, member, for_probes, probes, "probes")
        and await _listen_without_tls(serving, member, beside_it, beside, "holds")
    ):
        return []
    if exposed := _EXPOSED if not serving.authority and not server.loopback else "":
        log.warning("%s", exposed, extra=dict(member.log_fields))
    return [worker.run, heartbeat.run, feed.run]


def _routes(serving: Serving, worker: Worker, switchovers: Switchovers, feed: EventFeed) -> Routes:
    """What a worker serves, apart from its health."""
    known = worker.knowledge
    guard = serving.guard(known.member)
    return {
        **tcf_handlers.routes(known, switchovers, guard),
        **info_routes(known, guard),
        **event_routes(feed, guard),
        **hold_routes(worker.holders, guard),
        "/metrics": for_health_checks(guard.reading(serving.metrics.handle)),
    }


def _probe_routes(serving: Serving, worker: Worker) -> Routes:
    """What it serves to probes. They carry no credentials, so there is less if reading needs a right."""
    only_the_role = serving.auth.reads
    metrics = {} if only_the_role else {"/metrics": for_health_checks(serving.metrics.handle)}
    return {**tcf_handlers.probe_routes(worker.knowledge, role_only=only_the_role), **metrics}


async def _listen_without_tls(
    serving: Serving, member: MemberRef, routes: Routes, address: Address | None, what: str
) -> bool:
    """False if there is such an address, and it is impossible to listen there."""
    return not address or await _listen(
        serving.stack, serving.server(routes, address, member, plain=True), what
    )


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
