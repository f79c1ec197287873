"""Programs of which nothing outlives a test or the demo, some of which refuse to be root."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rig import keeper
from rig.patience import PATIENCE

_UNPRIVILEGED = "nobody"


def own_folder(path: Path) -> Path:
    """Create a folder for a program that refuses to be root."""
    path.mkdir(mode=0o700)
    if os.geteuid() == 0:
        entry = pwd.getpwnam(_UNPRIVILEGED)
        os.chown(path, entry.pw_uid, entry.pw_gid)
    return path


def _not_root() -> list[str]:
    """What to put before a command. It keeps a capability: root's Python may be where only root can look."""
    if os.geteuid() != 0:
        return []
    group = grp.getgrgid(pwd.getpwnam(_UNPRIVILEGED).pw_gid).gr_name
    account = [f"--reuid={_UNPRIVILEGED}", f"--regid={group}", "--clear-groups"]
    return ["setpriv", *account, "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"]


class KeptProcess:
    """A program with everything that it has started."""

    def __init__(
        self, command: Sequence[str | Path], *, log: Path, env: Mapping[str, str], refuses_root: bool = False
    ) -> None:
        """`log`: where its output is added. `refuses_root`: run it as another account if this one is root."""
        prefix = _not_root() if refuses_root else []
        with log.open("ab") as output:
            self._keeper = subprocess.Popen(
                [sys.executable, "-S", "-E", keeper.__file__, *prefix, *command],
                cwd=log.parent,
                env=env,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C must not end it before whoever uses it
            )

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what is still there after a while."""
        self._keeper.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._keeper.wait(PATIENCE)
        self.kill()

    def kill(self) -> None:
        """SIGKILL for all of it: a crash. Returns when nothing of it runs."""
        with self._keeper:  # closes stdin, and waits
            pass
