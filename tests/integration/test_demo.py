"""`make demo DEMO=script`, as a newcomer would run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rig.asking import free_port
from rig.files import ROOT


def test_the_demo_plays_its_session(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "hack/demo"), "--script", "--home", str(tmp_path)]
    done = subprocess.run(
        [*command, "--port", str(free_port(3))], capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every answer was as expected." in done.stdout
