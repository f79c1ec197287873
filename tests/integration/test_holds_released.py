"""A release counts for good, also while an earlier request of the same instance still waits."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.patience import eventually
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.application import Application, holders
from support.run_process import RunProcess


@pytest.fixture
def pair(programs: TcfProcesses) -> tuple[TcfProcess, TcfProcess]:
    """A worker for each member. cluster_1 is active."""
    return programs.switchable_pair(leaseDuration="60s", switchoverTimeout="120s")


@contextlib.contextmanager
def waiting(application: Application, length: str, wait: str) -> Iterator[socket.socket]:
    """A request whose answer nobody has read yet."""
    query = f"id={application.instance}&for={length}&wait={wait}"
    with socket.create_connection(("127.0.0.1", application.port)) as connection:
        connection.sendall(
            f"PUT /tcf/holds/{application.name}?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            "Content-Length: 0\r\n\r\n".encode()
        )
        yield connection


def has_arrived(worker: TcfProcess) -> None:
    """The request that waits has extended the hold."""
    eventually(lambda: holders(worker.port)[0]["seconds_left"] > 10, what="the request arrives")


@pytest.mark.parametrize("hang_up", [True, False], ids=["hung-up", "still-connected"])
def test_a_request_that_waits_does_not_bring_a_released_hold_back(
    pair: tuple[TcfProcess, TcfProcess], *, hang_up: bool
) -> None:
    one, _ = pair
    application = Application(one.port)
    application.hold("5s")
    with waiting(application, "30s", "2s") as connection:
        has_arrived(one)
        if hang_up:
            connection.close()
        application.release()
        assert not holders(one.port)
        time.sleep(2.5)  # its time to wait is over
        assert not holders(one.port)


def test_a_switchover_does_not_wait_for_a_hold_that_was_released(
    pair: tuple[TcfProcess, TcfProcess],
) -> None:
    one, two = pair
    application = Application(one.port)
    application.hold("5s")
    with waiting(application, "30s", "2s") as connection:
        has_arrived(one)
        connection.close()
        application.release()
    time.sleep(2.0)  # its time to wait is over
    began = time.monotonic()
    assert two.post("/tcf/toggle").status == 200
    assert time.monotonic() - began < 15


def test_an_older_request_that_waits_does_not_undo_a_newer_report(
    pair: tuple[TcfProcess, TcfProcess],
) -> None:
    one, _ = pair
    application = Application(one.port)
    application.hold("5s")
    with waiting(application, "30s", "2s"):
        has_arrived(one)
        application.hold("10s", healthy="false", message="no disk")
        assert [row["healthy"] for row in holders(one.port)] == [False]
        time.sleep(2.2)
        assert [row["healthy"] for row in holders(one.port)] == [False]


def test_a_waiting_candidate_does_not_come_back_after_it_has_left(
    pair: tuple[TcfProcess, TcfProcess],
) -> None:
    """It hung up and released while it waited; the member becomes active afterwards."""
    _, two = pair
    application = Application(two.port)
    with waiting(application, "10s", "5s") as connection:
        eventually(lambda: holders(two.port), what="it waits")
        connection.close()
        application.release()
    assert two.post("/tcf/toggle").status == 200
    time.sleep(0.5)
    assert not holders(two.port)


def test_tcf_run_leaves_no_hold_behind(pair: tuple[TcfProcess, TcfProcess], tmp_path: Path) -> None:
    """When tcf-run has to end, it gives up the request under way, and then releases its hold."""
    one, _ = pair
    run = RunProcess(tmp_path, f"http://127.0.0.1:{one.port}", "--name", "app")
    try:
        run.await_act()
        time.sleep(3)  # so a request waits at the worker
        assert run.stop() == 143
        assert "released" in run.log
        time.sleep(2.5)  # its time to wait is over
        assert not holders(one.port)
    finally:
        run.close()
