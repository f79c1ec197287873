"""One change, tried in a process of its own: which kind of test notices it?"""

from __future__ import annotations

import importlib.abc
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
import types
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from mutation.changes import Change

ROOT = Path(__file__).resolve().parents[2]
UNIT_TESTS = ROOT / "tests" / "unit"
UNIT, SIMULATION, INTEGRATION = "unit tests", "simulation", "integration tests"
_LONGEST_UNIT_TEST = 20
"""Seconds: many times as long as the longest one needs. Those that hang wait for something, or go round and
round."""
GENERAL_SCHEDULES, DIRECTED_SCHEDULES = 250, 10
_NOT_SIMULATED = ("worker/pod_marker.py",)
"""Imported by the simulation, which has no Pods."""
_INTEGRATION = {
    "coordinator/cache.py": ("test_operator.py", "test_kopf_watch.py"),
    "coordinator/deliveries.py": ("test_operator.py", "test_kopf_watch.py"),
    "coordinator/dispatcher.py": ("test_operator.py", "test_roles.py", "test_kopf_watch.py"),
    "coordinator/event_writer.py": ("test_roles.py", "test_operator.py"),
    "coordinator/heartbeat_writer.py": ("test_operator.py",),
    "coordinator/kopf_watch.py": ("test_operator.py", "test_kopf_watch.py", "test_worker_hub_trouble.py"),
    "coordinator/loop.py": ("test_operator.py", "test_roles.py", "test_kopf_watch.py"),
    "coordinator/readiness.py": ("test_operator.py", "test_kopf_watch.py", "test_worker_hub_trouble.py"),
    "core/cover.py": ("test_holds.py",),
    "core/holds.py": ("test_holds.py",),
    "core/pod_marks.py": ("test_pod_marks.py",),
    "worker/answer_log.py": ("test_worker_hub_trouble.py",),
    "worker/conclusion.py": ("test_pod_marks.py",),
    "worker/heartbeat_reader.py": ("test_operator.py",),
    "worker/holders.py": ("test_holds.py",),
    "worker/knowledge.py": ("test_roles.py", "test_lying_hub.py"),
    "worker/lease_keeper.py": ("test_worker_lease.py", "test_worker_hub_trouble.py"),
    "worker/pod_marker.py": ("test_pod_marks.py",),
    "worker/renewal.py": ("test_worker_lease.py", "test_worker_hub_trouble.py", "test_pod_marks.py"),
    "worker/placed_requests.py": ("test_roles.py", "test_lying_hub.py", "test_http_contract.py"),
    "worker/switchovers.py": ("test_roles.py", "test_lying_hub.py", "test_http_contract.py"),
}


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from the changed source."""

    def __init__(self, change: Change) -> None:
        self._change = change

    def find_spec(self, name: str, _path: object, _target: object = None) -> ModuleSpec | None:
        if name != self._change.module:
            return None
        package = self._change.path.endswith("__init__.py")
        return importlib.util.spec_from_loader(name, self, is_package=package)

    def exec_module(self, module: types.ModuleType) -> None:
        exec(compile(self._change.source, self._change.function, "exec"), module.__dict__)  # noqa: S102


def start(
    change: Change,
    kind: str,
    seconds: int,
    tests: frozenset[str] | None = None,
    *,
    output: str | Path = os.devnull,
) -> int:
    """Fork; the child's exit status is 0 if nothing was noticed.

    `tests` are the ids of those unit tests that could notice; None stands for all. They print to the file
    `output`.

    A signal ends it after so many seconds: by the clock, or for the simulation, which waits for nothing, of
    computing.

    Returns:
        the child's process id.
    """
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.setsid()
        timer = signal.ITIMER_PROF if kind == SIMULATION else signal.ITIMER_REAL
        signal.setitimer(timer, seconds)
        printed = os.open(output, os.O_RDWR | os.O_CREAT)
        for descriptor in (0, 1, 2):
            os.dup2(printed, descriptor)
        sys.meta_path.insert(0, _Changed(change))
        status = int(_noticed(change, kind, tests))
    finally:
        os._exit(status)


def _noticed(change: Change, kind: str, tests: frozenset[str] | None) -> bool:
    if kind == UNIT:
        return _noticed_by_unit_tests(change, tests)
    if kind == INTEGRATION:
        files = _INTEGRATION.get(change.path, ())
        return bool(files) and _run_integration(change, files)
    from simulation.draw import draw  # noqa: PLC0415
    from simulation.profiles import GENERAL, PROFILES  # noqa: PLC0415 - they import the changed module
    from simulation.schedule_player import play  # noqa: PLC0415

    if change.module not in sys.modules or change.path in _NOT_SIMULATED:
        return False
    for profile in sorted(PROFILES.values(), key=lambda each: each is GENERAL):
        count = GENERAL_SCHEDULES if profile is GENERAL else DIRECTED_SCHEDULES
        if any(play(draw(profile, seed)).broken for seed in range(count)):
            return True
    return False


_SELDOM = (
    *("test_cli.py", "test_kubeconfig.py", "test_probes.py", "test_replays.py", "test_pod_marker.py"),
    *("test_downloads.py", "test_locate.py", "test_hack_architecture.py"),
)


def _noticed_by_unit_tests(change: Change, tests: frozenset[str] | None) -> bool:
    plugins: list[object] = [_Impatience(), *([] if tests is None else [_Only(tests)])]
    names = None if tests is None else {Path(test.split("::")[0]).name for test in tests}
    return any(
        # pytest-timeout would handle SIGALRM, and a mutant survive that
        run_pytest([*files, "--timeout=0"], plugins)
        for group in _likeliest_first(change.module)
        if (files := [str(path) for path in group if names is None or path.name in names])
    )


def _likeliest_first(module: str) -> tuple[list[Path], list[Path], list[Path]]:
    """The unit tests: those that import the changed module, the others, and those that take long."""
    groups: tuple[list[Path], list[Path], list[Path]] = ([], [], [])
    for path in sorted(UNIT_TESTS.glob("test_*.py")):
        related = module in path.read_text()
        groups[0 if related else 2 if path.name in _SELDOM else 1].append(path)
    return groups


class _Impatience:
    """SIGALRM ends this process when a test takes too long."""

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        print(nodeid, flush=True)  # noqa: T201 - the last line is the test that took too long
        signal.alarm(_LONGEST_UNIT_TEST)


class _Only:
    """Leaves out all tests but these."""

    def __init__(self, ids: frozenset[str]) -> None:
        self._ids = ids

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid in self._ids]


def run_pytest(what: Sequence[str], plugins: Sequence[object] = ()) -> bool:
    """Did a test fail?"""
    os.chdir(ROOT)
    ended = pytest.main(["-x", "-q", "-n0", "-p", "no:cacheprovider", *what], plugins=plugins)
    return ended not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}


def _run_integration(change: Change, files: Sequence[str]) -> bool:
    """The programs are processes: they have to find the change as well."""
    with tempfile.TemporaryDirectory(prefix="tcf-mutant-") as folder:
        package = Path(folder) / "tcf"
        shutil.copytree(ROOT / "operator" / "tcf", package)
        (package / change.path).write_text(change.source)
        os.environ["PYTHONPATH"] = folder
        return run_pytest([f"tests/integration/{name}" for name in files])
