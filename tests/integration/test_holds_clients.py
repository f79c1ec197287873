"""The clients of examples/clients beside real workers: each acts only while its hold lasts."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rig.gate import Gate
from rig.hub_namespace import HubNamespace
from rig.patience import eventually
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.application import holders
from support.holding_client import NEEDS, HoldingClient, Start, compiled

from tcf.runtime.clock import CLOCK

# With an empty cache, Go compiles its library first.
pytestmark = pytest.mark.timeout(300)

Pair = tuple[TcfProcess, TcfProcess]
Clients = tuple[HoldingClient, HoldingClient]

ROUNDED = 0.01
"""Seconds by which a stamp may be too early: Java rounds them down."""


@pytest.fixture(scope="session", params=NEEDS)
def words(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of the client in each language. All xdist workers share what is compiled."""
    if not shutil.which(NEEDS[request.param]):
        pytest.skip(f"{NEEDS[request.param]} is not on the PATH")
    own = tmp_path_factory.getbasetemp()
    return compiled(request.param, (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "clients")


@pytest.fixture
def start(words: list[str], tmp_path: Path) -> Iterator[Start]:
    """Starts a client that asks whatever is at a URL. When the test is over, all have to end."""
    started: list[HoldingClient] = []

    def begin(url: str, name: str, *options: str) -> HoldingClient:
        started.append(HoldingClient(words, tmp_path / f"{name}.log", url, name, *options))
        return started[-1]

    try:
        yield begin
    finally:
        for client in started:
            client.close()


@pytest.fixture
def pair(programs: TcfProcesses) -> Pair:
    """A worker for each member. cluster_1 is active."""
    return programs.switchable_pair(leaseDuration="5s", switchoverTimeout="30s")


def active_worker(hub: HubNamespace, programs: TcfProcesses, lease: str) -> TcfProcess:
    """A worker of cluster_1, which is active, and none of the other member."""
    hub.apply(leaseDuration=lease)
    programs.operator()
    worker = programs.worker("cluster_1")
    worker.await_active()
    return worker


def url_of(worker: TcfProcess) -> str:
    return f"http://127.0.0.1:{worker.port}"


def beside(start: Start, pair: Pair, *options: str) -> Clients:
    """A client beside each worker. The one of cluster_1 acts, and the other one waits."""
    one, two = (
        start(url_of(worker), name, *options) for worker, name in zip(pair, ("one", "two"), strict=True)
    )
    one.await_act()
    two.await_line("worker: passive")
    assert not two.stamps("acting")
    return one, two


def check_turns(*clients: HoldingClient) -> list[HoldingClient]:
    """No two of them have acted at the same time. Return who has acted, in this order."""
    turns = [(turn, client) for client in clients for turn in client.turns()]
    turns.sort(key=lambda each: each[0].began)
    for (before, _), (after, _) in itertools.pairwise(turns):
        assert before.stopped <= after.began + ROUNDED
    return [client for _, client in turns]


def test_clients_act_in_turn(pair: Pair, start: Start) -> None:
    clients = before, after = beside(start, pair)
    for _ in range(2):
        answer = pair[0].post("/tcf/toggle")
        assert answer.status == 200, answer.error
        after.await_act(after=before.await_stop(after=before.stamps("acting")[-1]))
        term = answer.headers["X-TCF-Term"]
        assert any(line.startswith("acting") and line.endswith(f"term={term}") for line in after.lines)
        before.await_line("stop: demoting")
        before, after = after, before
    for client in clients:
        client.close()
    one, two = clients
    assert check_turns(one, two) == [one, two, one]
    assert [holders(worker.port) for worker in pair] == [[], []], "they have let go"


def test_a_switchover_waits_until_the_work_is_finished(pair: Pair, start: Start) -> None:
    """The work takes longer than the hold would have lasted."""
    one, two = beside(start, pair, "--finish", "6")
    assert pair[1].post("/tcf/toggle").status == 200
    (turn,) = one.turns()
    assert turn.stopped - one.stamps("finishing")[0] >= 6 - ROUNDED
    two.await_act()
    two.close()
    assert check_turns(one, two) == [one, two]


def test_a_client_that_was_frozen_does_not_act_on(pair: Pair, start: Start) -> None:
    one, two = beside(start, pair)
    one.process.send_signal(signal.SIGSTOP)
    assert pair[1].post("/tcf/promote").status == 200
    other = two.await_act()
    one.process.send_signal(signal.SIGCONT)
    one.await_stop(after=other)
    one.await_line("worker: passive")
    assert max(one.stamps("acting")) < other


def test_a_client_stops_when_its_worker_is_dead(pair: Pair, start: Start) -> None:
    one, two = beside(start, pair)
    pair[0].kill()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(pair[1].post, "/tcf/promote")
        one.await_line("stop: no answer in time")
        assert answer.result().status == 200
    two.await_act()
    two.close()
    assert check_turns(one, two) == [one, two]


def test_a_late_answer_does_not_make_a_hold_longer(
    hub: HubNamespace, programs: TcfProcesses, start: Start
) -> None:
    """The answer that grants the hold comes late, and then none comes for a while."""
    worker = active_worker(hub, programs, "12s")
    with Gate(url_of(worker)) as gate:
        gate.open(delay=3.0)
        client = start(gate.server, "one")

        def granted_until() -> float:
            asked = CLOCK.boot()
            left = [row["seconds_left"] for row in holders(worker.port) if row["state"] == "holding"]
            return asked + float(left[0]) if left else 0.0

        until = eventually(granted_until, what="the worker grants a hold")
        worker.signal(signal.SIGSTOP)
        began = client.await_act()
        stopped = client.await_stop(after=began)
        assert stopped <= until
        assert "stop: no answer in time" in client.lines
        gate.open()
        worker.signal(signal.SIGCONT)
        client.await_act(after=stopped)


def test_the_worker_knows_of_the_health(hub: HubNamespace, programs: TcfProcesses, start: Start) -> None:
    worker = active_worker(hub, programs, "5s")
    start(url_of(worker), "one", "--trouble", "no disk\nspace")

    def reported() -> bool:
        rows = [(row["state"], row["healthy"], row["message"]) for row in holders(worker.port)]
        return rows == [("holding", False, "no disk space")]

    eventually(reported, what="it is reported")
