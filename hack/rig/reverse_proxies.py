"""A real HAProxy, and a real NGINX."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rig.patience import PATIENCE, RigError


class ReverseProxy:
    """Runs until the block ends."""

    def __init__(self, command: Sequence[str | Path], log: Path) -> None:
        self._command = command
        self._log = log

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)


class HAProxy(ReverseProxy):
    def __init__(self, config: Path) -> None:
        super().__init__([program("haproxy"), "-db", "-f", config], config.with_suffix(".log"))


class Nginx(ReverseProxy):
    """`config`: in a folder of its own, where NGINX keeps its files, too."""

    def __init__(self, config: Path) -> None:
        own = f"daemon off; error_log stderr notice; pid {config.with_suffix('.pid')};"
        command: list[str | Path] = [
            program("nginx"),
            "-p",
            config.parent,
            "-c",
            config,
            "-e",
            "stderr",
            "-g",
            own,
        ]
        super().__init__(command, config.with_suffix(".log"))


def program(name: str, *, package: str = "") -> str:
    """The path of a program that a package of Debian installs: `package`, or the one of the same name.

    Raises:
        RigError: it is not installed.
    """
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        raise RigError(f"there is no {name}: install it (Debian: the package {package or name})")
    return found
