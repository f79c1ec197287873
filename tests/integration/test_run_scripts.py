"""tcf-run with scripts: for something that runs anyway, and whose role changes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rig.files import place
from rig.patience import eventually
from support.holds_server import HoldsServer
from support.run_process import COMMAND, RunProcess

Runs = Callable[..., RunProcess]

SCRIPT = """\
import os, sys, time
from pathlib import Path
folder, what = Path(sys.argv[1]), sys.argv[2]
def note(text):
    with (folder / "notes").open("a") as file:
        file.write(f"{time.clock_gettime(time.CLOCK_BOOTTIME)!r} {text}\\n")
note(f"{what} {os.environ.get('TCF_TERM', '')}")
while (folder / f"{what}-hangs").exists():
    note(f"{what}-acts")
    time.sleep(0.01)
status = folder / f"{what}-fails"
if status.exists():
    sys.exit(int(status.read_text()))
note(f"{what}-done")
"""


class Site:
    """Scripts that note what they do, and fail or hang as a test wants."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "site.py"
        self.script.write_text(SCRIPT)

    def options(self, *more: str) -> list[str]:
        return ["--on-active", self.words("up"), "--on-passive", self.words("down"), *more]

    def words(self, what: str) -> str:
        return f"{sys.executable} -S {self.script} {self.folder} {what}"

    def fail(self, what: str, status: int = 1) -> None:
        place(self.folder / f"{what}-fails", str(status))

    def hang(self, what: str) -> None:
        place(self.folder / f"{what}-hangs", "")

    def work(self, what: str) -> None:
        for how in ("fails", "hangs"):
            (self.folder / f"{what}-{how}").unlink(missing_ok=True)

    @property
    def notes(self) -> list[str]:
        file = self.folder / "notes"
        return (
            [line.partition(" ")[2].strip() for line in file.read_text().splitlines()]
            if file.exists()
            else []
        )

    def time_of(self, note: str) -> float:
        """When this was noted last."""
        lines = (self.folder / "notes").read_text().splitlines()
        return max(float(line.split()[0]) for line in lines if line.partition(" ")[2].strip() == note)

    def await_note(self, note: str, times: int = 1) -> None:
        eventually(lambda: self.notes.count(note) >= times, what=f"{note}: {times} times")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_scripts_follow_the_role(runs: Runs, worker: HoldsServer, site: Site) -> None:
    run = runs(*site.options(), command=())
    site.await_note("down-done")
    worker.become("active")
    site.await_note("up-done")
    hold = worker.last
    worker.become("passive")
    site.await_note("down-done", 2)
    eventually(lambda: hold.released, what="the hold is released")
    assert (hold.released or 0.0) > site.time_of("down-done")
    assert site.notes == ["down 1000", "down-done", "up 1003", "up-done", "down 1003", "down-done"]
    assert run.stop() == 143
    assert site.notes.count("down-done") == 2, "it is passive already"


def test_the_end_makes_it_passive(runs: Runs, worker: HoldsServer, site: Site) -> None:
    worker.become("active")
    run = runs(*site.options(), command=())
    site.await_note("up-done")
    assert run.stop() == 143
    assert site.notes == ["up 1003", "up-done", "down 1003", "down-done"]
    assert (worker.last.released or 0.0) > site.time_of("down-done")


def test_an_on_passive_that_fails_keeps_the_hold(runs: Runs, worker: HoldsServer, site: Site) -> None:
    worker.become("active")
    site.fail("down", 7)
    run = runs("--for", "3s", *site.options(), command=())
    site.await_note("up-done")
    hold = worker.last
    worker.become("passive")
    eventually(lambda: hold.message == "--on-passive has failed with status 7", what="it is reported")
    assert hold.draining
    assert not hold.healthy
    site.await_note("down 1003", 3)
    assert hold.released is None
    site.work("down")
    eventually(lambda: hold.released, what="the hold is released")
    assert "DANGER" not in run.log


def test_an_on_passive_that_never_succeeds(runs: Runs, worker: HoldsServer, site: Site) -> None:
    worker.become("active")
    worker.drains = 0.0
    site.fail("down")
    run = runs("--for", "3s", *site.options(), command=())
    site.await_note("up-done")
    worker.become("passive")
    run.await_log("DANGER")
    run.process.send_signal(signal.SIGTERM)
    run.await_log("got SIGTERM: ending as soon as nothing is active here")
    assert run.stop() == 143
    assert "ending without a release" in run.log


def test_a_worker_that_is_away_makes_it_passive_in_time(runs: Runs, worker: HoldsServer, site: Site) -> None:
    worker.become("active")
    worker.cap = 5.0
    runs(*site.options(), command=())
    site.await_note("up-done")
    worker.hang_up()
    site.await_note("down-done")
    assert site.time_of("down-done") < (worker.last.until or 0.0)


def test_an_on_active_that_fails(runs: Runs, worker: HoldsServer, site: Site) -> None:
    site.fail("up", 3)
    worker.become("active")
    runs(*site.options(), command=())
    eventually(lambda: worker.last.message == "--on-active has failed with status 3", what="it is reported")
    site.await_note("up 1003", 2)
    site.work("up")
    site.await_note("up-done")
    eventually(lambda: worker.last.healthy, what="it is healthy again")


def test_an_on_active_that_hangs_is_ended_first(runs: Runs, worker: HoldsServer, site: Site) -> None:
    site.hang("up")
    worker.become("active")
    run = runs(*site.options(), command=())
    site.await_note("up-acts")
    worker.become("passive")
    site.await_note("down-done")
    assert site.time_of("up-acts") < site.time_of("down 1003")
    assert "sending SIGTERM" in run.log


def test_health_is_reported_by_passive_members_too(runs: Runs, worker: HoldsServer, site: Site) -> None:
    site.fail("ok", 5)
    runs(*site.options("--check", site.words("ok"), "--check-interval", "1s"), command=())
    eventually(lambda: worker.last.message == "--check has failed with status 5", what="it is reported")
    site.work("ok")
    eventually(lambda: worker.last.healthy, what="it is healthy")


def test_a_check_that_hangs(runs: Runs, worker: HoldsServer, site: Site) -> None:
    site.hang("ok")
    options = site.options("--check", site.words("ok"), "--check-interval", "1s")
    runs("--for", "2s", *options, command=())
    eventually(lambda: worker.last.message == "--check has failed with status 137", what="it is reported")


def test_nothing_of_a_check_is_left_at_the_end(runs: Runs, worker: HoldsServer, site: Site) -> None:
    check = ["--check", "sh -c 'sleep 1000; true'"]
    run = runs(*site.options(), *check, command=())
    eventually(lambda: any(each.name() == "sleep" for each in run.processes()), what="the check runs")
    site.await_note("down-done")
    assert run.stop() == 143
    eventually(lambda: not run.processes(), what="nothing is left", patience=5.0)


@pytest.mark.parametrize("how", ["suspend", "kill"])
def test_without_a_supervisor_the_fuse_makes_it_passive(
    runs: Runs, worker: HoldsServer, site: Site, how: str
) -> None:
    worker.become("active")
    worker.cap = 5.0
    site.fail("down")
    run = runs(*site.options(), command=())
    site.await_note("up-done")
    supervisor = run.supervisor
    getattr(supervisor, how)()
    site.await_note("down 1003", 2)
    site.work("down")
    site.await_note("down-done")
    if how == "kill":
        assert run.wait() == 70
    else:
        supervisor.resume()
        site.await_note("up-done", 2)


def test_without_a_fuse_the_supervisor_makes_it_passive(runs: Runs, worker: HoldsServer, site: Site) -> None:
    worker.become("active")
    run = runs(*site.options(), command=())
    site.await_note("up-done")
    run.fuse.kill()
    site.await_note("down-done")
    eventually(lambda: worker.last.released, what="the hold is released")
    eventually(lambda: not run.processes(), what="tcf-run ends")


def test_what_a_script_has_started_is_left_alone(runs: Runs, worker: HoldsServer, site: Site) -> None:
    """on-active may start a daemon, which on-passive only lowers."""
    worker.become("active")
    daemon = f"{sys.executable} -S {COMMAND} {site.folder}/acts daemon"
    run = runs("--on-active", daemon, "--on-passive", site.words("down"), command=())
    run.await_log("--on-active has succeeded")
    worker.become("passive")
    site.await_note("down-done")
    assert run.stop() == 143
    assert run.commands(), "the daemon lives"
