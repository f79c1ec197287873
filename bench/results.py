"""Where results are written, and a line about the machine that they come from."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from controlplane import locate
from rig.files import ROOT

_FOLDER = ROOT / "docs" / "results"


def write(name: str, command: str, text: str, *, explained: str) -> Path:
    """Write a page of results, all of it; return its path within the repository.

    `explained`: a link to what the figures mean, and the rest of the sentence.
    """
    path = _FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    head = f"<!-- Written by `{command}`. Do not edit. -->\n\n# Results of {command}\n\n{explained}"
    path.write_text(f"{head}\n\n{text.rstrip()}\n")
    return path.relative_to(ROOT)


def measured_by(command: str, how: str = "") -> str:
    """When and on what the figures were measured, a sentence a line. `how`: what else to say of the run."""
    packages = [f"{name} {version(name)}" for name in ("aiohttp", "kopf")]
    versions = ", ".join([f"Python {platform.python_version()}", *packages])
    programs = locate.servers()
    hub = ", ".join(f"{name} {_version(programs[name])}" for name in locate.SERVERS)
    return "\n".join(
        (
            f"Measured by `{command}` on {dt.datetime.now(dt.UTC).date()}{how}.",
            f"The machine has {os.cpu_count()} cores of {_processor()}.",
            f"It runs {platform.system()} {platform.release()}, {versions}.",
            f"The hub runs on the same machine: {hub}.",
            "Its etcd does not sync to disk.",
        )
    )


def _version(program: Path) -> str:
    """The last word of the first line, as in `Kubernetes v1.37.2`."""
    printed = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    return printed.splitlines()[0].split()[-1]


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.split(":")[1].strip() for line in lines if "model name" in line)
    return next(names, platform.machine())
