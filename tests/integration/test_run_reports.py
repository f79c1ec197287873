"""tcf-run reports an application that does not run as unhealthy, whatever keeps it from running."""

from __future__ import annotations

from collections.abc import Callable

from rig.patience import eventually
from support.holds_server import HoldsServer
from support.run_process import RunProcess

Runs = Callable[..., RunProcess]


def test_a_command_that_cannot_be_started_for_want_of_a_fuse(runs: Runs, worker: HoldsServer) -> None:
    """Ctrl-Z in a terminal stops the fuse only. The command ends, and is not started again."""
    worker.become("active")
    run = runs("--for", "3s")
    run.await_act()
    run.fuse.suspend()
    run.await_log("released; waiting until this member is active")
    try:
        eventually(lambda: len(worker.holds) == 2 and worker.last.asked > 3, what="it asks again")
        assert not run.commands()
        eventually(lambda: not worker.last.healthy, what="it is reported", patience=10)
    finally:
        run.fuse.resume()


def test_a_script_that_never_ends(runs: Runs, worker: HoldsServer) -> None:
    run = runs("--for", "3s", command=["--on-active", "sleep 1000", "--on-passive", "true"])
    run.await_log("released; waiting until this member is active")
    worker.become("active")
    run.await_log("running --on-active")
    eventually(lambda: worker.last.asked > 5, what="it asks again and again")
    eventually(lambda: not worker.last.healthy, what="it is reported", patience=10)


def test_a_second_signal_ends_it_also_after_the_supervisor_was_killed(
    runs: Runs, worker: HoldsServer
) -> None:
    worker.become("active")
    run = runs("--for", "3s", command=["--on-active", "true", "--on-passive", "false"])
    run.await_log("--on-active has succeeded")
    run.supervisor.kill()
    run.await_log("fuse: --on-passive has ended with status 1")
    run.process.terminate()
    tried = run.log.count("fuse: running --on-passive")
    eventually(lambda: run.log.count("fuse: running --on-passive") > tried, what="one signal is not enough")
    run.process.terminate()
    assert run.process.wait(15) == 143
