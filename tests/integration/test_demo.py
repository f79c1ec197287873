"""`make demo DEMO=script`, as a newcomer would run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rig.asking import free_port
from rig.files import ROOT


@pytest.mark.parametrize("session", ["--script", "--auth"])
def test_the_demo_plays_its_sessions(session: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "hack/demo"), session, "--home", str(tmp_path)]
    done = subprocess.run(
        [*command, "--port", str(free_port(4))], capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every answer was as expected." in done.stdout
