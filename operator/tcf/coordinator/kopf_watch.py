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
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any, cast

import kopf

from tcf.coordinator.deliveries import Deliveries
from tcf.coordinator.dispatcher import Dispatcher
from tcf.core.annotations import LABEL_FEDERATION
from tcf.hub import errors, federations, leases, records
from tcf.hub.answers import Json
from tcf.hub.credentials import Connection, Credentials
from tcf.hub.sessions import TLS_CLOSE_SECONDS, open_session
from tcf.runtime.backoff import Backoff
from tcf.runtime.threads import in_thread

_WATCH_SECONDS = 30
_RETRY_SECONDS = 0.2
_LOGIN_SECONDS = 2.0
_STOP_SECONDS = 3.0
_MOST_LIVES = 5
"""So many lives of kopf that do not end mean that something hangs."""
_LASTING_SECONDS = 30.0
"""After so long a life the next one begins without much delay."""
_MIND_SECONDS = 1.0
_BEGIN_SECONDS = 30.0
"""Within this, once it has credentials, all watches have to have begun."""
_WATCH_TASK = "watcher for "
"""How kopf names the task of each watch; tests/integration/test_kopf_watch.py fails if that changes."""

log = logging.getLogger(__name__)


class _Life:
    """One life of kopf, in its thread. What it delivers after it was told to stop does not count."""

    def __init__(self, main: asyncio.AbstractEventLoop, ending: asyncio.Future[Any]) -> None:
        self.stop = threading.Event()
        self.logged_in_at: float | None = None
        self.ended: asyncio.Future[Any] = main.create_future()
        self.connection: Connection | None = None
        self._main = main
        self._ending = ending

    def seconds_logged_in(self) -> float:
        """Since it has had credentials for the last time; 0 if it waits for them."""
        return 0.0 if self.logged_in_at is None else time.monotonic() - self.logged_in_at

    def deliver(self, act: Callable[..., None], *args: Any, **more: Any) -> None:
        """From its thread: have something done in the main one."""

        def unless_over() -> None:
            if not self.stop.is_set():
                act(*args, **more)

        self._main.call_soon_threadsafe(unless_over)

    async def connect(self, credentials: Credentials) -> Connection:
        """Get a connection from the main thread, but not the one before, which was refused."""

        async def have() -> Connection:
            if self.connection:
                credentials.refused(self.connection)
            return await credentials.current()

        self.connection = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(have(), self._main))
        return self.connection

    def restart(self, why: str) -> None:
        """Let the next life begin."""
        if not self._ending.done():
            self._ending.set_result(why)

    async def over(self) -> str:
        """Wait until it is to end, or has ended; why."""
        await asyncio.wait([self.ended, self._ending], return_when=asyncio.FIRST_COMPLETED)
        self.stop.set()
        return (
            str(self._ending.result()) if self._ending.done() else f"kopf ended: {self.ended.exception()!r}"
        )


class KopfWatch:
    """kopf in its thread, started again when it ends, loses a watch, or is asked to."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        deliveries: Deliveries,
        credentials: Credentials,
        *,
        namespaces: Collection[str],
        identity: str,
        user_agent: str,
    ) -> None:
        self._dispatcher = dispatcher
        self._deliveries = deliveries
        self._credentials = credentials
        self._namespaces = namespaces
        self._identity = identity
        self._user_agent = user_agent
        self._life: _Life | None = None

    async def run(self, readable: Callable[[], Awaitable[None]]) -> None:
        """Watch until cancelled, whenever the kinds are `readable`. Returns if kopf hangs at its ends."""
        backoff = Backoff(first=_RETRY_SECONDS)
        lives: list[_Life] = []
        try:
            while len(lives) < _MOST_LIVES:
                # kopf looks for the kinds once, when it begins: they have to be there, and readable, by then.
                await readable()
                began = time.monotonic()
                self._deliveries.forget()
                self._dispatcher.look_again()
                lives = [life for life in lives if not life.ended.done()]
                lives.append(life := self._begin())
                # It takes its time to end, seconds if a watch of it has failed; the next one does not wait.
                log.warning("the watches begin again: %s", await life.over())
                if time.monotonic() - began > _LASTING_SECONDS:
                    backoff.reset()
                await asyncio.sleep(backoff.next())
            log.error("kopf does not end, so it cannot be started again")
        finally:
            for life in lives:
                life.stop.set()
            if lives:
                await asyncio.wait([life.ended for life in lives], timeout=_STOP_SECONDS)

    def restart(self, why: str) -> None:
        """Have the watches begin again."""
        if self._life:
            self._life.restart(why)

    def _begin(self) -> _Life:
        loop = asyncio.get_running_loop()
        life = self._life = _Life(loop, loop.create_future())
        life.ended = in_thread(lambda: asyncio.run(self._operate(life)), name="kopf")
        return life

    async def _operate(self, life: _Life) -> None:
        # When an error ends kopf, its tasks complain of each other; what matters is reported elsewhere.
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: log.debug("kopf: %s", context.get("message"))
        )
        minding = asyncio.create_task(self._mind_watches(life), name="mind the watches")
        try:
            await kopf.operator(
                registry=self._registry(life),
                settings=_settings(),
                # Else kopf asks for the user's name, and containers run as users that have none.
                identity=cast("Any", self._identity),  # kopf does not export its type
                standalone=True,  # replicas work side by side; the resourceVersion decides who was first
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                stop_flag=life.stop,
            )
        finally:
            minding.cancel()
            life.stop.set()  # kopf waits for it in a thread, which would keep this loop from closing
            await asyncio.sleep(TLS_CLOSE_SECONDS)

    async def _mind_watches(self, life: _Life) -> None:
        """kopf has a task for each watch. One that an error has ended is not begun again, and not missed."""
        wanted, begun = 2 * max(1, len(self._namespaces)), False
        while not life.stop.is_set():
            await asyncio.sleep(_MIND_SECONDS)
            there = sum(task.get_name().startswith(_WATCH_TASK) for task in asyncio.all_tasks())
            if there == wanted and not begun:
                begun = True
                life.deliver(self._deliveries.begin)
            elif there < wanted and (begun or life.seconds_logged_in() > _BEGIN_SECONDS):
                life.deliver(
                    life.restart, f"{wanted - there} of {wanted} watches have ended, or could not begin"
                )
                return

    def _registry(self, life: _Life) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> kopf.AiohttpSession:
            return await self._log_in(life)

        @kopf.on.event(federations.GROUP, federations.VERSION, federations.PLURAL, registry=registry)
        async def federation(event: Mapping[str, Any], **_: Any) -> None:
            self._take_federation(life, dict(event["object"]), deleted=event["type"] == "DELETED")

        @kopf.on.event(
            leases.GROUP,
            leases.VERSION,
            leases.PLURAL,
            labels={LABEL_FEDERATION: kopf.PRESENT},
            registry=registry,
        )
        async def lease(event: Mapping[str, Any], **_: Any) -> None:
            self._take_lease(life, dict(event["object"]), deleted=event["type"] == "DELETED")

        return registry

    async def _log_in(self, life: _Life) -> kopf.AiohttpSession:
        """kopf asks at the start and after every 401. There is no state in which to give up."""
        if life.logged_in_at is not None:
            await asyncio.sleep(_LOGIN_SECONDS)
        while True:
            try:
                connection = await life.connect(self._credentials)
            except errors.NotConfiguredError:  # `Readiness` has met it too, and reports it
                await asyncio.sleep(_LOGIN_SECONDS)
            else:
                failed = partial(life.deliver, self._deliveries.fail)
                session = open_session(connection, self._user_agent, failed)
                life.logged_in_at = time.monotonic()
                return kopf.AiohttpSession(server=connection.server, aiohttp_session=session)

    def _take_federation(self, life: _Life, value: Json, *, deleted: bool) -> None:
        found, unreadable = None, None
        try:
            which = records.identity(value)
        except errors.MalformedError as error:
            log.warning("%s", error)
            return
        try:
            found = records.federation(value)
        except errors.MalformedError as error:
            unreadable = f"{error}; it is left alone until it is mended"
            log.warning("%s", unreadable)
        life.deliver(
            self._deliveries.note_object,
            federations.PLURAL,
            which.uid,
            which.resource_version,
            deleted=deleted,
            unreadable=unreadable,
        )
        if found:
            life.deliver(self._dispatcher.federation_event, found, deleted=deleted)

    def _take_lease(self, life: _Life, value: Json, *, deleted: bool) -> None:
        try:
            which, found = records.identity(value), records.lease(value)
        except errors.MalformedError as error:
            log.warning("%s; it counts when it is listed, if the list has it in full", error)
            return
        key = (which.namespace, found.federation)
        life.deliver(self._deliveries.note, leases.PLURAL, found.resource_version)
        life.deliver(self._dispatcher.lease_event, key, found, deleted=deleted)


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
