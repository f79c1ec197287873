"""One control plane for the whole run. The controlling process owns it, and all xdist workers share it.

It starts when the run begins, and nobody waits for it until a test needs it. It ends with the controlling
process, however that ends, because its launcher reads from a pipe that only that process holds.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_STARTUP_SECONDS = 60
_started = pytest.StashKey["tuple[subprocess.Popen[bytes], tempfile.TemporaryDirectory[str]]"]()


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell sets this for what it runs in the background, and every program under test would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Start the control plane, in the controlling process only."""
    if hasattr(config, "workerinput") or config.option.collectonly or not _wanted(config):
        return
    folder = tempfile.TemporaryDirectory(prefix="tcf-tests-")
    announcement = Path(folder.name) / "control-plane.json"
    with announcement.open("wb") as out, (Path(folder.name) / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, ROOT / "hack/controlplane", "up", "--until-stdin-closes"],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=log,
            start_new_session=True,  # Ctrl-C must not end it before the tests
        )
    config.stash[_started] = (process, folder)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Most tests wait for programs and for time to pass, so more of them run than there are processors."""
    return 2 * (os.cpu_count() or 1)


def pytest_configure_node(node: object) -> None:
    """Pass the folder on to an xdist worker: there the control plane announces how to reach it."""
    config: pytest.Config = node.config  # type: ignore[attr-defined]  # xdist has no types
    if _started in config.stash:
        node.workerinput["control_plane"] = config.stash[_started][1].name  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the control plane and remove its files."""
    if _started not in config.stash:
        return
    process, folder = config.stash[_started]
    assert process.stdin
    process.stdin.close()
    process.wait(30)
    folder.cleanup()


def _wanted(config: pytest.Config) -> bool:
    """Is there a test to run that needs a control plane?"""
    need_none = ("tests/unit", "tests/simulation", "tests/e2e")
    return not config.args or not all(any(part in one for part in need_none) for one in config.args)


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest) -> dict[str, str]:
    """What the launcher announces: paths of `kubeconfig` and `kubectl`, the `server`'s URL."""
    workerinput = getattr(request.config, "workerinput", None)
    folder = Path(workerinput["control_plane"] if workerinput else request.config.stash[_started][1].name)
    # Otherwise kubectl caches what it discovers in the user's home, under a port that others get later.
    os.environ["KUBECACHEDIR"] = str(folder / "kubectl-cache")
    deadline = time.monotonic() + _STARTUP_SECONDS
    while time.monotonic() < deadline:
        text = (folder / "control-plane.json").read_text()
        if text.endswith("\n"):
            announced: dict[str, str] = json.loads(text)
            return announced
        time.sleep(0.1)
    pytest.fail("the control plane did not start:\n" + (folder / "log").read_text())
