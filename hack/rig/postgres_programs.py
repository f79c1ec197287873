"""Where PostgreSQL, Patroni and etcd are on this machine."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from controlplane import locate

from rig.files import ROOT
from rig.patience import RigError

_PATRONI = ROOT / ".venv-patroni/bin/python"


@dataclass(frozen=True)
class PostgresPrograms:
    """`binaries`: the folder of PostgreSQL's programs."""

    binaries: Path
    etcd: Path

    @property
    def psql(self) -> Path:
        return self.binaries / "psql"

    def patroni(self, config: Path) -> list[str | Path]:
        """The command line of Patroni."""
        return [_PATRONI, "-m", "patroni", config]

    @property
    def environment(self) -> dict[str, str]:
        """A small one. Nothing of PG* or PATRONI_* that somebody has exported is in it."""
        return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}


def postgres_programs() -> PostgresPrograms:
    """Find them.

    Raises:
        RigError: something is missing; the message says what to install.
    """
    # Debian keeps several versions side by side, outside of PATH.
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[4]))
    found = debian[-1] if debian else shutil.which("postgres")
    if found is None:
        raise RigError("there is no PostgreSQL: install it (Debian: the package postgresql)")
    if not _PATRONI.exists():
        raise RigError(f"there is no Patroni: make {_PATRONI.relative_to(ROOT).parts[0]}/.locked")
    return PostgresPrograms(Path(found).resolve().parent, locate.servers()["etcd"])
