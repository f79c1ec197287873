"""The command line of hack/controlplane, run as a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rig.files import ROOT

COMMAND = (sys.executable, str(ROOT / "hack" / "controlplane"))
WAIT = 30  # seconds until a test gives up; nothing here takes a tenth of it

Spawn = Callable[..., subprocess.Popen[str]]


@contextlib.contextmanager
def spawning() -> Iterator[Spawn]:
    """Run the command with arguments and changes of the environment (None removes a variable)."""
    with contextlib.ExitStack() as stack:

        def run(*arguments: str | Path, **changes: str | Path | None) -> subprocess.Popen[str]:
            env = {k: v for k, v in os.environ.items() if k not in changes}
            env |= {name: str(value) for name, value in changes.items() if value is not None}
            process = subprocess.Popen(
                [*COMMAND, *arguments],
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield run


def script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
