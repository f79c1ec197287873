"""tcf-run with real workers and a real operator: a switchover waits for the command."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rig.asking import free_port
from rig.hub_namespace import HubNamespace
from rig.patience import eventually
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.application import holders
from support.run_process import RunProcess

Runs = tuple[RunProcess, RunProcess]


@pytest.fixture
def pair(programs: TcfProcesses) -> tuple[TcfProcess, TcfProcess]:
    """A worker for each member. cluster_1 is active."""
    return programs.switchable_pair(leaseDuration="5s", switchoverTimeout="30s")


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[RunProcess]]:
    """Every tcf-run that a test puts into this list is killed at its end."""
    runs: list[RunProcess] = []
    try:
        yield runs
    finally:
        for run in runs:
            run.close()


@pytest.fixture
def runs(pair: tuple[TcfProcess, TcfProcess], started: list[RunProcess], tmp_path: Path) -> Runs:
    """A tcf-run beside each worker. The command of cluster_1 acts, and needs a while to end."""
    for name, worker in zip(("app-1", "app-2"), pair, strict=True):
        url = f"http://127.0.0.1:{worker.port}"
        started.append(RunProcess(tmp_path, url, "--name", name, shape="slow"))
    one, two = started
    one.await_act()
    two.await_log("this member is not active (passive): waiting")
    return one, two


def test_commands_never_act_at_the_same_time(pair: tuple[TcfProcess, TcfProcess], runs: Runs) -> None:
    before, after = runs
    for worker in (pair[1], pair[0]):
        answer = worker.post("/tcf/toggle")
        assert answer.status == 200, answer.error
        ended = before.acts[-1].at
        began = after.await_act(after=ended)
        first = next(act for act in after.acts if act.at > ended)
        assert first.at <= began.at
        assert before.acts[-1].at == ended, "nothing of it acts when the POST is answered"
        assert f"active at term {answer.headers['X-TCF-Term']}" in after.log
        assert "SIGKILL" not in before.log
        before, after = after, before


def _check_that_one_follows_the_other(before: RunProcess, after: RunProcess) -> None:
    ended = before.acts[-1].at
    after.await_act(after=ended)
    assert all(act.at > ended for act in after.acts)


def test_a_switchover_waits_for_a_stopped_supervisor(pair: tuple[TcfProcess, TcfProcess], runs: Runs) -> None:
    before, after = runs
    before.supervisor.suspend()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(pair[1].post, "/tcf/toggle")
        before.await_log("fuse: killed")
        assert answer.result().status == 200
    _check_that_one_follows_the_other(before, after)


def test_a_dead_member_is_followed_only_after_its_command(
    hub: HubNamespace, pair: tuple[TcfProcess, TcfProcess], runs: Runs
) -> None:
    """Its worker is killed, so its command ends by itself before its hold does."""
    before, after = runs
    pair[0].process.kill()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(pair[1].post, "/tcf/promote")
        before.await_log("nothing of the command is left")
        assert answer.result().status == 200
    _check_that_one_follows_the_other(before, after)


def test_a_worker_may_be_restarted(
    hub: HubNamespace, programs: TcfProcesses, started: list[RunProcess], tmp_path: Path
) -> None:
    hub.apply(leaseDuration="60s", switchoverTimeout="2m")
    programs.operator()
    port = free_port()
    worker = programs.worker("cluster_1", "--listen", f"127.0.0.1:{port}")
    worker.await_active()
    started.append(run := RunProcess(tmp_path, f"http://127.0.0.1:{port}", "--for", "60s"))
    first = run.await_act()
    worker.stop()
    run.await_log("asking again")
    programs.worker("cluster_1", "--listen", f"127.0.0.1:{port}").await_active()
    run.await_log("the worker answers again")
    assert run.await_act(after=run.now()).pid == first.pid


def test_the_worker_knows_of_the_health(
    pair: tuple[TcfProcess, TcfProcess], started: list[RunProcess], tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{pair[0].port}"
    started.append(RunProcess(tmp_path, url, "--name", "app", command=["--", "sh", "-c", "exit 1"]))

    def reported() -> bool:
        rows = holders(pair[0].port)
        return bool(rows) and not rows[0]["healthy"]

    eventually(reported, what="it is reported")
    (row,) = holders(pair[0].port)
    assert (row["name"], row["state"]) == ("app", "holding")
    assert row["message"] == "the command has ended by itself with status 1"
