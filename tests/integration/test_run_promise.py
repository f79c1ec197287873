"""tcf-run: whatever the command does, nothing of it acts after the hold has ended or was released."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

import pytest
from rig.patience import eventually
from support.acting_command import SHAPES
from support.holds_server import HoldsServer
from support.run_process import RunProcess, end_in_time

Runs = Callable[..., RunProcess]

ESCAPES = ["stubborn", "session", "family", "hidden_daemon", "storm_aside", "headless"]


def test_a_command_runs_only_while_the_member_is_active(runs: Runs, worker: HoldsServer) -> None:
    run = runs()
    run.await_log("waiting")
    assert not run.acts
    last = 0.0
    for term in (1003, 1006):
        worker.become("active")
        first = run.await_act(after=last)
        hold = worker.last
        assert f"active at term {term}" in run.log
        worker.become("passive")
        eventually(lambda hold=hold: hold.released, what="the hold is released")  # type: ignore[misc]
        assert hold.released
        assert first.at < hold.released
        last = run.acts[-1].at
    eventually(lambda: len(worker.holds) == 3, what="a new id each time")
    run.await_quiet()
    run.check_promise()
    assert run.stop() == 143


def test_the_command_is_told_what_it_needs(runs: Runs, worker: HoldsServer) -> None:
    worker.become("active")
    show = "import os; print([os.environ[f'TCF_{n}'] for n in ('TERM', 'CLUSTER', 'FEDERATION')])"
    run = runs("--once", command=["--", sys.executable, "-c", show])
    assert run.wait() == 0
    assert "['1003', 'cluster_1', 'default/shop']" in run.log


def test_a_command_may_finish_its_work(runs: Runs, worker: HoldsServer) -> None:
    """It drains for longer than its hold would have lasted."""
    worker.become("active")
    run = runs("--for", "3s", shape="stubborn")
    run.await_act()
    worker.become("passive")
    hold = worker.last
    eventually(lambda: hold.draining, what="it drains")
    ended = hold.until or 0.0
    run.await_act(after=ended)
    for process in run.commands():
        process.kill()
    eventually(lambda: hold.released, what="the hold is released")
    assert "SIGKILL" not in run.log
    run.check_promise()


@pytest.mark.parametrize("shape", ESCAPES)
def test_what_does_not_end_is_killed_before_the_hold_ends(
    runs: Runs, worker: HoldsServer, shape: str
) -> None:
    run = end_in_time(worker, lambda: runs(shape=shape))
    assert ("SIGKILL" in run.log or "fuse: " in run.log) is (shape != "family")


@pytest.mark.parametrize("shape", ESCAPES)
def test_a_worker_that_dies_ends_the_command_in_time(runs: Runs, worker: HoldsServer, shape: str) -> None:
    worker.cap = 4.0
    worker.become("active")
    run = runs(shape=shape)
    run.await_act()
    worker.hang_up()
    run.await_log("SIGTERM")
    run.await_quiet()
    run.check_promise()
    worker.trouble = None
    run.await_act(after=run.acts[-1].at)
    run.check_promise()


def test_what_a_command_leaves_behind_ends_with_it(runs: Runs, worker: HoldsServer) -> None:
    worker.become("active")
    run = runs("--once", shape="daemon")
    assert run.wait() == 0
    assert "SIGKILL to 1 process" in run.log
    assert worker.last.released
    assert not run.processes()
    run.check_promise()


@pytest.mark.parametrize("who", ["fuse", "supervisor"])
@pytest.mark.parametrize("shape", ["go_on", *ESCAPES])
def test_a_part_of_it_is_killed(runs: Runs, worker: HoldsServer, who: str, shape: str) -> None:
    worker.become("active")
    run = runs(shape=shape)
    run.await_act()
    getattr(run, who).kill()
    run.await_quiet()
    eventually(lambda: not run.processes(), what="tcf-run ends")
    assert run.wait() == (70 if who == "supervisor" else -signal.SIGKILL)
    run.check_promise()
    if who == "fuse":
        assert worker.last.released


@pytest.mark.parametrize("who", ["fuse", "supervisor"])
@pytest.mark.parametrize("shape", ["go_on", *ESCAPES])
def test_a_part_of_it_is_stopped(runs: Runs, worker: HoldsServer, who: str, shape: str) -> None:
    worker.cap = 4.0
    worker.become("active")
    run = runs(shape=shape)
    run.await_act()
    stopped = getattr(run, who)
    stopped.suspend()
    run.await_quiet()
    run.check_promise()
    last = run.acts[-1].at
    stopped.resume()
    run.await_act(after=last)
    run.check_promise()
    assert worker.last.released is None


def test_all_of_it_is_stopped(runs: Runs, worker: HoldsServer) -> None:
    """As in a frozen container: the command may act for a moment after it thaws, and then it is over."""
    worker.cap = 4.0
    worker.become("active")
    run = runs(shape="stubborn")
    run.await_act()
    hold = worker.last
    everything = run.processes()
    for process in everything:
        process.suspend()
    eventually(lambda: not hold.outstanding(run.now()), what="the hold has ended")
    for process in reversed(everything):
        process.resume()
    run.await_log("kill")
    run.await_quiet()
    run.await_act(after=run.acts[-1].at)


def test_a_stopped_supervisor_does_not_hold_up_the_end(runs: Runs, worker: HoldsServer) -> None:
    worker.cap = 4.0
    worker.become("active")
    run = runs()
    run.await_act()
    run.supervisor.suspend()
    assert run.stop() == 143
    assert not run.processes()
    run.check_promise()


def test_two_signals_kill_a_stubborn_command(runs: Runs, worker: HoldsServer) -> None:
    worker.become("active")
    run = runs(shape="stubborn")
    run.await_act()
    run.process.send_signal(signal.SIGINT)
    run.await_log("sending SIGTERM")
    eventually(lambda: worker.last.draining, what="it drains")
    assert run.stop(signal.SIGINT) == 130
    assert worker.last.released
    run.check_promise()


def test_all_shapes_are_tried() -> None:
    assert set(SHAPES) == {"go_on", "slow", "daemon", "storm", "zombies", *ESCAPES}
