"""tcf-run in containers, as another user, in the background, with full pipes: what is around it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from rig.files import ROOT
from rig.patience import eventually
from support.holds_server import HoldsServer
from support.run_process import COMMAND, PROGRAM, RunProcess, end_in_time

import tcf.run

Runs = Callable[..., RunProcess]
NAMESPACE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
"""A PID namespace of its own: the program is process 1 there, as in a container."""


@pytest.fixture
def init(runs: Runs) -> Callable[..., RunProcess]:
    """Starts tcf-run as the first process of a PID namespace."""
    tried = subprocess.run([*NAMESPACE, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"this machine makes no PID namespace: {tried.stderr.strip()}")
    return lambda *options, **how: runs(*options, before=NAMESPACE, **how)


def test_the_first_process_reaps_and_ends(init: Runs, worker: HoldsServer) -> None:
    worker.become("active")
    run = init(shape="zombies")
    run.await_act()
    seen = len(run.acts)
    eventually(lambda: len(run.acts) > seen + 20, what="it leaves many zombies behind")

    def zombies() -> int:
        inside = psutil.Process(run.process.pid).children(recursive=True)
        return sum(process.status() == psutil.STATUS_ZOMBIE for process in inside)

    eventually(lambda: zombies() <= 2, what="somebody reaps them")
    run.fuse.send_signal(signal.SIGTERM)
    assert run.wait() == 143
    assert worker.last.released
    run.check_promise()


@pytest.mark.parametrize("shape", ["session", "hidden_daemon", "storm_aside"])
def test_the_first_process_kills_what_escapes(init: Runs, worker: HoldsServer, shape: str) -> None:
    end_in_time(worker, lambda: init(shape=shape))


def test_proc_of_another_namespace_is_refused(init: Runs) -> None:
    """There, processes have other numbers: tcf-run would kill strangers."""
    words = [word for word in NAMESPACE if word != "--mount-proc"]
    ended = subprocess.run(
        [*words, sys.executable, PROGRAM, "--", "true"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 71
    assert "/proc shows another PID namespace" in ended.stderr


@pytest.mark.parametrize("shape", ["session", "hidden_daemon", "storm_aside"])
def test_without_a_cgroup(runs: Runs, worker: HoldsServer, shape: str) -> None:
    """Where tcf-run may not make one, it finds everything in /proc."""
    mounts = "$(awk '/ - cgroup2? /{print $5}' /proc/self/mountinfo | tac)"
    hide = f'for mount in {mounts}; do umount -l $mount; done; exec "$@"'
    before = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", hide, "sh")
    end_in_time(worker, lambda: runs(shape=shape, before=before))


def test_a_cgroup_is_removed(runs: Runs, worker: HoldsServer) -> None:
    own = tcf.run._own_cgroup()
    if not own or not os.access(own, os.W_OK):
        pytest.skip("no cgroup may be made here")
    worker.become("active")
    run = runs()
    run.await_act()
    (folder,) = Path(own).glob(f"tcf-run-{run.fuse.pid}-*")
    assert [int(pid) for pid in (folder / "cgroup.procs").read_text().split()] == [
        process.pid for process in run.commands()
    ]
    for process in run.processes():
        with contextlib.suppress(psutil.NoSuchProcess):  # with one of them, the kernel kills others
            process.kill()
    eventually(lambda: not run.processes(), what="all of it is dead")
    assert folder.exists(), "nobody was left to remove it"
    run.process.wait()
    again = runs()
    again.await_act()
    assert not folder.exists(), "the next run removes it"
    (folder,) = Path(own).glob(f"tcf-run-{again.fuse.pid}-*")
    assert again.stop() == 143
    assert not folder.exists()


def test_a_log_that_nobody_reads_holds_nothing_up(worker: HoldsServer, tmp_path: Path) -> None:
    """The pipe is full before tcf-run begins."""
    worker.cap = 4.0
    worker.become("active")
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writer, b"x" * 4096):
            pass
    os.set_blocking(writer, True)
    acts = tmp_path / "acts"
    words = [
        sys.executable,
        str(PROGRAM),
        "--worker",
        worker.url,
        "--",
        sys.executable,
        str(COMMAND),
        str(acts),
        "stubborn",
    ]
    with subprocess.Popen(words, stderr=writer) as process:
        eventually(lambda: acts.exists() and acts.read_text(), what="it acts")
        (supervisor,) = psutil.Process(process.pid).children()
        supervisor.suspend()
        (command,) = supervisor.children()
        eventually(
            lambda: not command.is_running() or command.status() == psutil.STATUS_ZOMBIE, what="it is killed"
        )
        assert float(acts.read_text().split()[-1]) < (worker.last.until or 0.0)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143), ("exec /etc/passwd", 126)],
)
def test_the_status_of_a_command(runs: Runs, worker: HoldsServer, script: str, status: int) -> None:
    worker.become("active")
    run = runs("--once", command=["--", "sh", "-c", script])
    assert run.wait() == status
    assert worker.last.released


@pytest.mark.parametrize(
    ("command", "status", "says"),
    [("{folder}/text", 126, "cannot run"), ("{folder}", 126, "cannot run"), ("", 127, "no program")],
)
def test_a_command_that_cannot_be_run(
    runs: Runs, worker: HoldsServer, tmp_path: Path, command: str, status: int, says: str
) -> None:
    (tmp_path / "text").write_text("not executable")
    worker.become("active")
    run = runs("--once", command=["--", command.format(folder=tmp_path)])
    assert run.wait() == status
    assert says in run.log


def test_a_command_that_has_just_been_started_is_told_to_end(runs: Runs, worker: HoldsServer) -> None:
    """The signal comes before the command has its own process group. This is made likely here."""
    slow = (
        "import os, runpy, sys, time\n"
        "setsid = os.setsid\n"
        "os.setsid = lambda: (time.sleep(0.5), setsid())\n"
        "sys.argv = sys.argv[2:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    worker.become("active")
    run = runs(command=["--", "sleep", "1000"], before=[sys.executable, "-c", slow])
    run.await_log("running the command")
    run.process.send_signal(signal.SIGTERM)
    assert run.wait() == 143
    assert "SIGKILL" not in run.log


def test_a_command_that_fails_is_started_again(runs: Runs, worker: HoldsServer) -> None:
    worker.become("active")
    run = runs(command=["--", "sh", "-c", "echo started; exit 3"])
    eventually(lambda: run.log.count("started\n") > 2, what="it is started again")
    hold = worker.last
    eventually(lambda: hold.message == "the command has ended by itself with status 3", what="it is reported")
    assert not hold.healthy
    assert hold.released is None
    worker.become("passive")
    eventually(lambda: hold.released, what="the hold is released")


def test_signals_are_passed_on(runs: Runs, worker: HoldsServer) -> None:
    worker.become("active")
    script = "trap 'echo reloaded' HUP; trap 'echo counted' USR1; echo ready; while :; do sleep 0.1; done"
    run = runs(command=["--", "sh", "-c", script])
    run.await_log("ready")
    for number, answer in ((signal.SIGHUP, "reloaded"), (signal.SIGUSR1, "counted")):
        run.process.send_signal(number)
        run.await_log(answer)
    assert run.stop() == 143


def test_another_stop_signal(runs: Runs, worker: HoldsServer) -> None:
    worker.become("active")
    script = "trap 'echo interrupted; exit' INT; echo ready; while :; do sleep 0.1; done"
    run = runs("--stop-signal", "INT", command=["--", "sh", "-c", script])
    run.await_log("ready")
    worker.become("passive")
    run.await_log("interrupted")


def test_a_stopped_command_can_end(runs: Runs, worker: HoldsServer) -> None:
    worker.become("active")
    run = runs()
    run.await_act()
    (command,) = run.commands()
    command.suspend()
    worker.become("passive")
    eventually(
        lambda: worker.holds and next(iter(worker.holds.values())).released, what="the hold is released"
    )
    assert "SIGKILL" not in run.log


# --- the loop in shell ----------------------------------------------------------------------------------


@pytest.fixture
def loop(worker: HoldsServer, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The loop of the documentation, running, and the file with the acts of its command."""
    page = (ROOT / "docs/tcf-run.md").read_text()
    text = page.partition("## The same in 15 lines of shell")[2].partition("```sh\n")[2].partition("```")[0]
    assert len(text.splitlines()) <= 17
    assert "date" not in text
    script = tmp_path / "loop"
    script.write_text(text.replace("http://127.0.0.1:8080", worker.url))
    acts = tmp_path / "acts"
    words = ["sh", str(script), sys.executable, "-S", str(COMMAND), str(acts), "slow"]
    with subprocess.Popen(words, start_new_session=True) as process:
        try:
            yield process, acts
        finally:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()


def times(acts: Path) -> list[float]:
    return [float(line.split()[1]) for line in acts.read_text().splitlines()] if acts.exists() else []


def test_the_loop_in_shell(loop: tuple[subprocess.Popen[bytes], Path], worker: HoldsServer) -> None:
    _, acts = loop
    eventually(lambda: worker.holds, what="it asks")
    worker.become("active")
    eventually(lambda: times(acts), what="it acts")
    hold = worker.last
    worker.become("passive")
    eventually(lambda: hold.released, what="it releases the hold")
    assert times(acts)[-1] < (hold.released or 0.0)
    assert hold.asked > 2
    worker.become("active")
    eventually(lambda: times(acts)[-1] > (hold.released or 0.0), what="it acts again")
    assert worker.last is not hold


def test_the_loop_in_shell_without_a_worker(
    loop: tuple[subprocess.Popen[bytes], Path], worker: HoldsServer
) -> None:
    _, acts = loop
    worker.become("active")
    eventually(lambda: times(acts), what="it acts")
    worker.hang_up()
    until = worker.last.until or 0.0
    eventually(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) > until + 0.5, what="the hold has run out")
    assert times(acts)[-1] < until


def test_without_standard_files(runs: Runs, worker: HoldsServer) -> None:
    """The numbers of the files that are missing must not be those of its own."""
    worker.become("active")
    run = runs(
        "--once", command=["--", "sh", "-c", "exit 5"], before=["sh", "-c", 'exec "$@" <&- 2>&-', "sh"]
    )
    assert run.wait() == 5
