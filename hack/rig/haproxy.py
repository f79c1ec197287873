"""A real HAProxy."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from rig.patience import PATIENCE, RigError


class HAProxy:
    """Runs with a configuration until the block ends."""

    def __init__(self, config: Path) -> None:
        self._command = [haproxy(), "-db", "-f", str(config)]
        self._log = config.with_suffix(".log")

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)


def haproxy() -> str:
    """The program.

    Raises:
        RigError: it is not installed.
    """
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if found is None:
        raise RigError("there is no HAProxy: install it (Debian: the package haproxy)")
    return found
