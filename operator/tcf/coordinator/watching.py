"""kopf: watches ClusterFederations and workers' Leases, and hands each event to the coordinator.

It runs in a thread of its own with its own event loop. kopf installs signal handlers where it can and
cancels every task of its loop when it ends; in a loop of its own it can do neither to us. It decides
nothing and writes nothing: no finalizers, no annotations, no status.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, cast

import kopf

from tcf.coordinator.coordinator import Coordinator
from tcf.core.model import LABEL_FEDERATION
from tcf.hub import errors, federations, leases, records
from tcf.hub.client import TLS_CLOSE_SECONDS, open_session
from tcf.hub.credentials import Connect
from tcf.runtime.threads import in_thread

_WATCH_SECONDS = 30
_RETRY_SECONDS = 2.0
_STOP_SECONDS = 3.0

log = logging.getLogger(__name__)


class Watching:
    """kopf in its thread."""

    def __init__(
        self,
        coordinator: Coordinator,
        connect: Connect,
        *,
        namespaces: Collection[str],
        identity: str,
        user_agent: str,
        readable: Callable[[], Awaitable[None]],
    ) -> None:
        self._coordinator = coordinator
        self._connect = connect
        self._namespaces = namespaces
        self._identity = identity
        self._user_agent = user_agent
        self._readable = readable
        self._logged_in = False

    async def run(self) -> None:
        """Watch until cancelled. Returns if kopf ends by itself."""
        # kopf looks for the kinds once, when it begins: they have to be there, and readable, by then.
        await self._readable()
        stop = threading.Event()
        loop = asyncio.get_running_loop()
        ended = in_thread(lambda: asyncio.run(self._operate(loop, stop)), name="kopf")
        try:
            await asyncio.shield(ended)
            log.error("kopf has ended")
        except Exception as error:  # noqa: BLE001 - kopf's errors are its own
            log.error("kopf has ended: %r", error)  # noqa: TRY400 - and so is the trace
        finally:
            stop.set()
            await asyncio.wait([ended], timeout=_STOP_SECONDS)

    async def _operate(self, main: asyncio.AbstractEventLoop, stop: threading.Event) -> None:
        # When an error ends kopf, its tasks complain of each other; what matters is told elsewhere.
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: log.debug("kopf: %s", context.get("message"))
        )
        try:
            await kopf.operator(
                registry=self._registry(main),
                settings=_settings(),
                # Else kopf asks for the user's name, and containers run as users that have none.
                identity=cast("Any", self._identity),  # kopf does not export its type
                standalone=True,  # replicas work side by side; the resourceVersion decides who was first
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                stop_flag=stop,
            )
        finally:
            stop.set()  # kopf waits for it in a thread, which would keep this loop from closing
            await asyncio.sleep(TLS_CLOSE_SECONDS)

    def _registry(self, main: asyncio.AbstractEventLoop) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> kopf.AiohttpSession:
            """Called at the start and after every 401; there is no state in which to give up."""
            if self._logged_in:
                await asyncio.sleep(_RETRY_SECONDS)
            self._logged_in = True
            while True:
                try:
                    connection = await self._connect()
                except errors.NotConfiguredError:  # `Reach` has met it too, and tells
                    await asyncio.sleep(_RETRY_SECONDS)
                else:
                    session = open_session(connection, self._user_agent)
                    return kopf.AiohttpSession(server=connection.server, aiohttp_session=session)

        @kopf.on.event(federations.GROUP, federations.VERSION, federations.PLURAL, registry=registry)
        async def federation(event: Mapping[str, Any], **_: Any) -> None:
            deleted = event["type"] == "DELETED"
            try:
                found = records.federation(dict(event["object"]))
            except errors.MalformedError as error:
                log.warning("%s; it is left alone until it is mended", error)
                return
            main.call_soon_threadsafe(lambda: self._coordinator.federation_event(found, deleted=deleted))

        @kopf.on.event(
            leases.GROUP,
            leases.VERSION,
            leases.PLURAL,
            labels={LABEL_FEDERATION: kopf.PRESENT},
            registry=registry,
        )
        async def lease(event: Mapping[str, Any], **_: Any) -> None:
            metadata = event["object"]["metadata"]
            key = (metadata["namespace"], metadata["labels"][LABEL_FEDERATION])
            deleted = event["type"] == "DELETED"
            found = records.lease(dict(event["object"]))
            main.call_soon_threadsafe(lambda: self._coordinator.lease_event(key, found, deleted=deleted))

        return registry


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # the coordinator writes its own Events, once for all replicas
    # An error that lasts must not end the process: try again for ever, soon at first.
    settings.networking.error_backoffs = _Endless()
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    # Neither namespaces nor CRDs are looked for, so that no right on the whole cluster is needed.
    settings.scanning.disabled = True
    # A half-open connection is noticed when the server's own end of the watch does not come.
    settings.watching.server_timeout = _WATCH_SECONDS
    settings.watching.inactivity_timeout = _WATCH_SECONDS + 5
    settings.watching.reconnect_backoff = 0.2
    # Without this, the kubelet's Lease of every node would wake the operator every ten seconds.
    settings.watching.label_selectors[leases.GROUP, leases.VERSION, leases.PLURAL] = LABEL_FEDERATION
    return settings


class _Endless:
    """Seconds between attempts, for as many attempts as it takes."""

    def __iter__(self) -> itertools.chain[float]:
        return itertools.chain((0.2, 0.5, 1.0, 2.0), itertools.repeat(5.0))
