"""`make demo DEMO=postgres`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rig.files import ROOT


def test_the_demo_of_two_postgres_sites(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "hack/demo"), "--postgres", "--home", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rows were committed, and both sites are the same." in done.stdout
