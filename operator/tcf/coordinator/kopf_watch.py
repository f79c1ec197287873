"""kopf: watches ClusterFederations, and passes each event to the dispatcher.

kopf runs in a thread of its own, with an event loop of its own. It installs signal handlers if it can, and it
cancels all tasks of its loop when it ends. In its own thread it can do neither to the rest of the process. It
decides nothing and writes nothing: no finalizers, no annotations, no status.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any, cast

import kopf

from tcf.coordinator.deliveries import Deliveries
from tcf.coordinator.dispatcher import Dispatcher
from tcf.hub import errors, federations, records
from tcf.hub.answers import Json
from tcf.hub.credentials import Connection, Credentials
from tcf.hub.sessions import open_session
from tcf.runtime.backoff import Backoff
from tcf.runtime.clock import Clock
from tcf.runtime.threads import in_thread

_WATCH_SECONDS = 30
_RETRY_SECONDS = 0.2
_LOGIN_SECONDS = 2.0
_STOP_SECONDS = 3.0
_MOST_LIVES = 5
"""If so many runs of kopf have not ended, something hangs."""
_LASTING_SECONDS = 30.0
"""After a run that lasted this long, the next one begins without much delay."""
_CHECK_SECONDS = 1.0
_BEGIN_SECONDS = 30.0
"""All watches have to begin within this time after kopf got its credentials."""
_WATCH_TASK = "watcher for "
"""kopf gives the task of each watch this name; tests/integration/test_kopf_watch.py fails if that changes."""

log = logging.getLogger(__name__)


class _Life:
    """One run of kopf, in its thread. Events that it delivers after it was asked to stop are dropped."""

    def __init__(self, main: asyncio.AbstractEventLoop, ending: asyncio.Future[Any]) -> None:
        self.stop = threading.Event()
        self.logged_in_at = math.inf
        """When kopf got its latest credentials, in boot seconds."""
        self.ended: asyncio.Future[Any] = main.create_future()
        self.connection: Connection | None = None
        self._main = main
        self._ending = ending

    def deliver(self, act: Callable[..., None], *args: Any, **more: Any) -> None:
        """Called in kopf's thread: have `act` called in the main thread."""

        def unless_over() -> None:
            if not self.stop.is_set():
                act(*args, **more)

        self._main.call_soon_threadsafe(unless_over)

    async def connect(self, credentials: Credentials) -> Connection:
        """Get a connection from the main thread, other than the previous one, which the hub has refused."""

        async def have() -> Connection:
            if self.connection:
                credentials.refused(self.connection)
            return await credentials.current()

        self.connection = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(have(), self._main))
        return self.connection

    def restart(self, why: str) -> None:
        """End this run, so that the next one begins."""
        if not self._ending.done():
            self._ending.set_result(why)

    async def over(self) -> str:
        """Wait until this run has ended or has to end. Returns the reason."""
        await asyncio.wait([self.ended, self._ending], return_when=asyncio.FIRST_COMPLETED)
        self.stop.set()
        return (
            str(self._ending.result()) if self._ending.done() else f"kopf ended: {self.ended.exception()!r}"
        )


class KopfWatch:
    """kopf in its thread. It is started again when it ends, when it loses a watch, and on `restart`."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        deliveries: Deliveries,
        credentials: Credentials,
        clock: Clock,
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
        self._clock = clock
        self._life: _Life | None = None

    async def run(self, readable: Callable[[], Awaitable[None]]) -> None:
        """Watch until cancelled. Each run begins when both kinds are `readable`. Returns if kopf hangs."""
        backoff = Backoff(first=_RETRY_SECONDS)
        lives: list[_Life] = []
        try:
            while len(lives) < _MOST_LIVES:
                # kopf looks for the kind only when it begins. By then it must be able to read it.
                await readable()
                began = self._clock.boot()
                self._deliveries.forget(federations.PLURAL)
                self._dispatcher.look_again()
                lives = [life for life in lives if not life.ended.done()]
                lives.append(life := self._begin())
                # kopf may take seconds to end, if one of its watches has failed. The next run does not wait.
                log.warning("the watches begin again: %s", await life.over())
                if self._clock.boot() - began > _LASTING_SECONDS:
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
        checks = asyncio.create_task(self._check_watches(life), name="check the watches")
        try:
            await kopf.operator(
                registry=self._registry(life),
                settings=_settings(),
                # Without it, kopf asks for the name of the user, and in a container the user has no name.
                identity=cast("Any", self._identity),  # kopf does not export its type
                standalone=True,  # operators work side by side; the resourceVersion decides which was first
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                stop_flag=life.stop,
            )
        finally:
            checks.cancel()
            life.stop.set()  # kopf waits for this in a thread, which would keep the loop from closing

    async def _check_watches(self, life: _Life) -> None:
        """Count kopf's tasks, one for each watch. If an error ends one, kopf does not start it again."""
        wanted, begun = max(1, len(self._namespaces)), False
        while not life.stop.is_set():
            await asyncio.sleep(_CHECK_SECONDS)
            there = sum(task.get_name().startswith(_WATCH_TASK) for task in asyncio.all_tasks())
            if there == wanted and not begun:
                begun = True
                life.deliver(self._deliveries.begin, federations.PLURAL)
            elif there < wanted and (begun or self._clock.boot() - life.logged_in_at > _BEGIN_SECONDS):
                life.deliver(
                    life.restart, f"{wanted - there} of {wanted} watches have ended or could not begin"
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

        return registry

    async def _log_in(self, life: _Life) -> kopf.AiohttpSession:
        """Get a session for kopf, which asks for one at the start and after every 401. Never give up."""
        if life.connection:
            await asyncio.sleep(_LOGIN_SECONDS)
        while True:
            try:
                connection = await life.connect(self._credentials)
            except errors.NotConfiguredError:  # `Readiness` meets this, too, and reports it
                await asyncio.sleep(_LOGIN_SECONDS)
            else:
                failed = partial(life.deliver, self._deliveries.fail)
                session = open_session(connection, self._user_agent, failed)
                life.logged_in_at = self._clock.boot()
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
            unreadable = f"{error}; the operator leaves it alone until it is corrected"
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
            life.deliver(self._dispatcher.federation_event, found, at=self._clock.boot(), deleted=deleted)


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # the coordinator writes its own Events, each only once
    # An error that lasts must not end the process: try again forever, quickly at first.
    settings.networking.error_backoffs = _Endless()
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    # kopf must not look for namespaces or CRDs: that would need rights on the whole cluster.
    settings.scanning.disabled = True
    # The server ends each watch after a while. If it does not, the connection is dead.
    settings.watching.server_timeout = _WATCH_SECONDS
    settings.watching.inactivity_timeout = _WATCH_SECONDS + 5
    return settings


class _Endless:
    """Seconds between attempts. They never end."""

    def __iter__(self) -> itertools.chain[float]:
        return itertools.chain((0.2, 0.5, 1.0, 2.0), itertools.repeat(5.0))
