"""kopf's watch of federations: what it delivers, and when it begins again.

The tests of the lower half put something else in place of kopf, to have it fail and hang as it rarely does.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import kopf
import pytest
from rig.patience import PATIENCE, eventually
from support.federation_server import FederationServer, federation_object

from tcf.coordinator import kopf_watch
from tcf.coordinator.deliveries import Deliveries
from tcf.coordinator.dispatcher import Dispatcher
from tcf.coordinator.kopf_watch import KopfWatch
from tcf.core.model import Federation
from tcf.hub import errors, records, worker_leases
from tcf.hub.answers import Json
from tcf.hub.credentials import Connection, Credentials
from tcf.hub.federations import PLURAL
from tcf.runtime.backoff import Backoff
from unit.build import BOOT, ClockAt
from unit.turns import at_work

CHECK_SECONDS = LOGIN_SECONDS = 0.02
NOWHERE = "http://127.0.0.1:1"
EVERYWHERE = f"/apis/tcf.dev/v1alpha1/{PLURAL}"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(kopf_watch, "_CHECK_SECONDS", CHECK_SECONDS)
    monkeypatch.setattr(kopf_watch, "_LOGIN_SECONDS", LOGIN_SECONDS)
    yield
    eventually(lambda: not threads(), what="kopf has ended")


@pytest.fixture
def server() -> Iterator[FederationServer]:
    with FederationServer() as server:
        yield server


class _Deliveries(Deliveries):
    def __init__(self) -> None:
        super().__init__()
        self.begin(worker_leases.PLURAL)
        self.begins = 0

    def begin(self, plural: str) -> None:
        super().begin(plural)
        if plural == PLURAL:
            self.begins += 1


class Site:
    """A watch, the clock it looks at, and the dispatcher to which it delivers."""

    def __init__(self, url: str = NOWHERE, *namespaces: str) -> None:
        self.now = BOOT
        self.given: list[tuple[str, str, bool]] = []
        self.lives = 0
        """How many runs of kopf have begun."""
        self.waits = 0
        """How often a run has waited until the kinds can be read."""
        self.connections = 0
        self.not_configured = False
        self._url = url
        self.deliveries = _Deliveries()
        self.watch = KopfWatch(
            cast("Dispatcher", self),
            self.deliveries,
            Credentials(self._connect),
            ClockAt(lambda: self.now),
            namespaces=namespaces,
            identity="operator-1",
            user_agent="tcf-test",
        )

    async def run(self) -> None:
        await self.watch.run(self._readable)

    def federation_event(self, about: Federation, *, at: float, deleted: bool) -> None:
        assert at == self.now
        assert threading.current_thread() is threading.main_thread()
        self.given.append((about.name, about.resource_version, deleted))

    def look_again(self) -> None:
        assert self.waits == self.lives + 1, "the next run waits until the kinds can be read"
        assert not self.deliveries.begun
        self.lives += 1

    async def _readable(self) -> None:
        self.waits += 1

    async def _connect(self) -> Connection:
        self.connections += 1
        if self.not_configured:
            raise errors.NotConfiguredError("there is no kubeconfig")
        return Connection(self._url, None, f"Bearer token-{self.connections}")


async def until(reached: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if reached():
                return
            await asyncio.sleep(0.005)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "kopf"]


def complaints(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What asyncio logs of tasks that nobody looks after."""
    return [each for each in caplog.records if each.name == "asyncio" and each.levelno > logging.DEBUG]


async def test_what_is_there_and_what_changes_is_delivered(server: FederationServer) -> None:
    site = Site(server.url)
    async with at_work(site.run()):
        await until(lambda: site.given and server.watching[EVERYWHERE])
        assert site.given == [("shop", "11", False)]
        await until(lambda: site.deliveries.begun)
        server.give("MODIFIED", federation_object(version=21))
        server.give("ADDED", federation_object("bank", version=22))
        await until(lambda: len(site.given) == 3)
        assert site.given[1:] == [("shop", "21", False), ("bank", "22", False)]
        assert site.deliveries.version("uid-of-shop") == 21
        server.give("DELETED", federation_object(version=23))
        await until(lambda: len(site.given) == 4)
        assert site.given[3] == ("shop", "23", True)
        assert site.deliveries.newest(PLURAL) == 23
        assert site.deliveries.version("uid-of-shop") == 0
        assert not site.deliveries.trouble
    assert site.lives == site.deliveries.begins == 1
    assert server.users == {("tcf-test", "Bearer token-1")}


async def test_kopf_asks_for_what_the_operator_has_the_right_to_read_and_writes_nothing(
    server: FederationServer,
) -> None:
    site = Site(server.url)
    async with at_work(site.run()):
        await until(lambda: site.given and server.watching[EVERYWHERE])
    assert set(server.asked) == {
        *("GET /api", "GET /api/v1", "GET /apis", "GET /apis/apiextensions.k8s.io/v1"),
        *("GET /apis/tcf.dev/v1alpha1", f"GET {EVERYWHERE}"),
    }


async def test_each_namespace_has_a_watch(server: FederationServer) -> None:
    site = Site(server.url, "ns-1", "ns-2")
    async with at_work(site.run()):
        await until(lambda: server.watching.total() == 2)
        assert set(server.watching) == {
            f"/apis/tcf.dev/v1alpha1/namespaces/{each}/{PLURAL}" for each in ("ns-1", "ns-2")
        }
        await until(lambda: site.deliveries.begun)
    assert site.lives == 1


async def test_an_object_that_cannot_be_read_leaves_the_others_alone(
    server: FederationServer, caplog: pytest.LogCaptureFixture
) -> None:
    broken, nameless = federation_object("bank", version=12), federation_object("nameless")
    broken["spec"] = {"clusters": 1}
    nameless["metadata"]["resourceVersion"] = "what?"
    server.there = [nameless, broken, federation_object(version=13)]
    site = Site(server.url)
    async with at_work(site.run()):
        await until(lambda: site.given and site.deliveries.unreadable and server.watching[EVERYWHERE])
        assert site.given == [("shop", "13", False)]
        (said,) = site.deliveries.unreadable.values()
        assert said.startswith("ClusterFederation ns/bank does not fit the schema")
        assert said.endswith("the operator leaves it alone until it is corrected")
        assert said in caplog.messages
        assert any("what?" in each for each in caplog.messages)
        server.give("DELETED", {**broken, "metadata": {**broken["metadata"], "resourceVersion": "14"}})
        await until(lambda: not site.deliveries.unreadable)


async def test_it_begins_again_when_it_has_to(
    server: FederationServer, caplog: pytest.LogCaptureFixture
) -> None:
    broken = federation_object("bank") | {"spec": {}}
    server.there = [broken]
    site = Site(server.url)
    site.watch.restart("it does not run yet")
    async with at_work(site.run()):
        await until(lambda: site.deliveries.begun and site.deliveries.unreadable)
        server.there = [federation_object(version=31)]
        site.watch.restart("for a test")
        site.watch.restart("twice")
        await until(lambda: site.given and site.lives == 2 and site.deliveries.begun)
        assert site.given == [("shop", "31", False)]
        assert not site.deliveries.unreadable, "what was delivered before is forgotten"
        assert caplog.messages.count("the watches begin again: for a test") == 1
        await until(lambda: server.watching.total() == 1)
        await until(lambda: threads() == ["kopf"])


async def test_what_an_earlier_run_delivers_late_is_dropped(
    server: FederationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, read = Site(server.url), records.federation
    stuck, go_on = threading.Event(), threading.Event()

    def stick(value: Json) -> Federation:
        if value["metadata"]["resourceVersion"] == "21":
            stuck.set()
            go_on.wait(PATIENCE)
        return read(value)

    monkeypatch.setattr(records, "federation", stick)
    async with at_work(site.run()):
        await until(lambda: site.given and server.watching[EVERYWHERE])
        server.give("MODIFIED", federation_object(version=21))
        await until(stuck.is_set)
        site.watch.restart("kopf does not go on")
        await until(lambda: site.lives == 2 and site.deliveries.begun and len(site.given) == 2)
        go_on.set()
        await until(lambda: threads() == ["kopf"])
        assert site.given == [("shop", "11", False)] * 2
        assert site.deliveries.version("uid-of-shop") == 11


@pytest.mark.parametrize("gone", [False, True])
async def test_a_watch_with_an_error_begins_again(
    server: FederationServer, caplog: pytest.LogCaptureFixture, *, gone: bool
) -> None:
    """Also if kopf cannot list what it watched, because the CRD was removed."""
    site = Site(server.url)
    async with at_work(site.run()):
        await until(lambda: site.deliveries.begun and server.watching[EVERYWHERE])
        if gone:
            server.trouble = lambda request: 404 if request.path == EVERYWHERE else 0
        server.give("ERROR", {"kind": "Status", "code": 410 if gone else 500})
        await until(lambda: site.lives == 2)
        server.trouble = lambda _: 0
        await until(lambda: len(site.given) == 2 and site.deliveries.begun)
    assert not complaints(caplog)


async def test_when_kopf_ends_the_reason_is_logged_once_and_it_begins_again(
    server: FederationServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends where an answer is not what it expects."""
    server.trouble = lambda request: 200 if request.path == "/apis" else 0
    site = Site(server.url)
    async with at_work(site.run()):
        await until(lambda: site.lives > 1)
        assert "the watches begin again: kopf ended: KeyError('groups')" in caplog.messages
        server.trouble = lambda _: 0
        await until(lambda: site.given and site.deliveries.begun)
    assert not complaints(caplog)


async def test_what_the_hub_answers_until_a_watch_begins_is_known(server: FederationServer) -> None:
    server.trouble = lambda request: 403 if request.path == EVERYWHERE else 0
    site = Site(server.url)
    async with at_work(site.run()):
        await until(lambda: f"answers 403 to GET {EVERYWHERE}" in site.deliveries.trouble)
        server.trouble = lambda _: 0
        await until(lambda: site.given)
        assert not site.deliveries.trouble


async def test_watches_that_cannot_begin_are_tried_again_after_half_a_minute(
    server: FederationServer, caplog: pytest.LogCaptureFixture
) -> None:
    """kopf looks for the kind only once."""
    again = "the watches begin again: 1 of 1 watches have ended or could not begin"
    server.trouble = lambda request: 404 if request.path == "/apis/tcf.dev/v1alpha1" else 0
    site = Site(server.url)
    async with at_work(site.run()):
        await until(lambda: "GET /apis/tcf.dev/v1alpha1" in server.asked)
        site.now += 30
        await asyncio.sleep(5 * CHECK_SECONDS)
        assert not site.deliveries.begun
        assert again not in caplog.messages
        server.trouble = lambda _: 0
        site.now += 0.1
        await until(lambda: site.lives == 2 and site.deliveries.begun)
        assert again in caplog.messages


async def test_it_waits_for_a_configuration_as_long_as_it_takes(server: FederationServer) -> None:
    site = Site(server.url)
    site.not_configured = True
    async with at_work(site.run()):
        await until(lambda: site.connections)
        site.now += 3600
        assert await attempts(site) <= 1
        assert site.lives == 1
        site.not_configured = False
        await until(lambda: site.given and site.deliveries.begun)
        assert site.lives == 1


async def test_after_a_refusal_it_goes_on_with_another_connection(server: FederationServer) -> None:
    refused = {"Bearer token-1", "Bearer token-2"}
    server.trouble = lambda request: 401 if request.headers["Authorization"] in refused else 0
    site = Site(server.url)
    async with at_work(site.run()):
        await until(lambda: site.given and site.deliveries.begun)
    assert (site.connections, site.lives) == (3, 1)


async def test_a_hub_that_refuses_all_is_not_asked_all_the_time(server: FederationServer) -> None:
    server.trouble = lambda _: 401
    site = Site(server.url)
    async with at_work(site.run()):
        await until(lambda: site.connections > 1)
        assert await attempts(site) <= 1
        server.trouble = lambda _: 0


async def attempts(site: Site) -> float:
    """How often it gets a connection, for every pause that it should make."""
    connections, began = site.connections, time.monotonic()
    await asyncio.sleep(10 * LOGIN_SECONDS)
    return (site.connections - connections - 1) * LOGIN_SECONDS / (time.monotonic() - began)


# --- something else in place of kopf ---------------------------------------------------------------------


class StandIn:
    """Begins so many watches, and runs until it is stopped, `end` is set, or for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, watches: int = 1) -> None:
        self.given: list[dict[str, Any]] = []
        self.watches = watches
        """How many of them have not ended."""
        self.end = False
        self.hang = threading.Event()
        self.hang.set()
        self.ended = False
        monkeypatch.setattr(kopf, "operator", self._operator)

    async def _operator(self, **given: Any) -> None:
        self.given.append(given)
        watches = [
            asyncio.create_task(self._watch(number), name=f"watcher for {number}")
            for number in range(self.watches)
        ]
        self.hang.wait(PATIENCE)
        await until(lambda: self.end or given["stop_flag"].is_set())
        for each in watches:
            each.cancel()
        self.ended = True
        if self.end:
            raise RuntimeError("it has to end")

    async def _watch(self, number: int) -> None:
        await until(lambda: number >= self.watches)


@pytest.mark.parametrize("namespaces", [(), ("ns-1", "ns-2")])
async def test_how_kopf_is_started(monkeypatch: pytest.MonkeyPatch, namespaces: tuple[str, ...]) -> None:
    """It asks again for ever, each time with a deadline, and does what an operator beside others may do."""
    kopf_in, site = StandIn(monkeypatch), Site(NOWHERE, *namespaces)
    async with at_work(site.run()):
        await until(lambda: kopf_in.given)
    (given,) = kopf_in.given
    assert given["standalone"]
    assert given["identity"] == "operator-1"
    assert (given["clusterwide"], given["namespaces"]) == (not namespaces, namespaces)
    settings: kopf.OperatorSettings = given["settings"]
    assert not settings.posting.enabled
    assert settings.scanning.disabled
    assert 0 < (settings.networking.connect_timeout or 0) <= 10
    assert 0 < (settings.networking.request_timeout or 0) <= 30
    server_timeout, inactivity = settings.watching.server_timeout, settings.watching.inactivity_timeout
    assert server_timeout
    assert inactivity
    assert server_timeout <= 30
    assert server_timeout < inactivity <= server_timeout + 5
    pauses = iter(cast("Any", settings.networking.error_backoffs))
    last = next(pauses)
    assert 0 < last <= 0.2
    for _ in range(1000):
        pause = next(pauses)
        assert last < pause <= 2.5 * last or pause == last == 5
        last = pause


async def test_a_watch_that_has_ended_is_noticed_while_kopf_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kopf_in = StandIn(monkeypatch, watches=3)
    site = Site(NOWHERE, "ns-1", "ns-2", "ns-3")
    async with at_work(site.run()):
        await until(lambda: site.deliveries.begun)
        await asyncio.sleep(5 * CHECK_SECONDS)
        assert site.lives == site.deliveries.begins == 1
        kopf_in.watches = 1
        await until(lambda: site.lives == 2)
        assert caplog.messages == ["the watches begin again: 2 of 3 watches have ended or could not begin"]
        assert not site.deliveries.begun
        kopf_in.watches = 3
        site.watch.restart("for a test")
        await until(lambda: site.lives == 3 and site.deliveries.begun)


async def test_when_it_is_stopped_kopf_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    kopf_in, site = StandIn(monkeypatch), Site()
    async with at_work(site.run()):
        await until(lambda: site.deliveries.begun)
    assert kopf_in.ended


async def test_a_kopf_that_keeps_ending_is_started_ever_more_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backoffs: list[_Recorded] = []

    class _Recorded(Backoff):
        resets = 0

        def __init__(self, *, first: float) -> None:
            super().__init__(first=first / 10)
            backoffs.append(self)

        def reset(self) -> None:
            self.resets += 1
            super().reset()

    monkeypatch.setattr(kopf_watch, "Backoff", _Recorded)
    kopf_in, site = StandIn(monkeypatch), Site()
    kopf_in.end = True
    async with at_work(site.run()) as task:
        began = time.monotonic()
        await until(lambda: site.lives == 7)
        assert time.monotonic() - began > 0.3, "half of 0.02 s, 0.04 s, and so on"
        kopf_in.end = False
        (backoff,) = backoffs
        await lasts(30, kopf_in, site)
        assert backoff.resets == 0
        await lasts(30.5, kopf_in, site)
        assert backoff.resets == 1
        assert not task.done()


async def lasts(seconds: float, kopf_in: StandIn, site: Site) -> None:
    """Have a run of kopf that ends after so many seconds."""
    await until(lambda: site.deliveries.begun)
    lives = site.lives
    site.now += seconds
    kopf_in.end = True
    await until(lambda: site.lives > lives)
    kopf_in.end = False


async def test_a_kopf_that_does_not_end_is_not_started_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The program ends then, and is started again."""
    monkeypatch.setattr(kopf_watch, "_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(kopf_watch, "_STOP_SECONDS", 0.01)
    kopf_in, site = StandIn(monkeypatch), Site()
    kopf_in.hang.clear()
    async with at_work(site.run()) as task:
        for lives in range(1, 6):
            await begun(lives, kopf_in, site)
            assert not task.done()
            site.watch.restart("it hangs")
        await until(task.done)
    assert (caplog.records[-1].levelno, caplog.messages[-1]) == (
        logging.ERROR,
        "kopf does not end, so it cannot be started again",
    )
    assert site.lives == 5
    kopf_in.hang.set()


async def begun(lives: int, kopf_in: StandIn, site: Site) -> None:
    await until(lambda: site.lives == len(kopf_in.given) == lives)
