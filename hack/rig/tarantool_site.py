"""A site with Tarantool, and a client that inserts numbered rows there."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rig.committed_rows import Commits, parsed
from rig.files import ROOT
from rig.kept_process import KeptProcess, own_folder
from rig.patience import RigError

EXAMPLES = ROOT / "examples/tarantool"
_WRITER = Path(__file__).with_name("tarantool_writer.lua")


def tarantool() -> str:
    """The program.

    Raises:
        RigError: it is not installed.
    """
    found = shutil.which("tarantool")
    if found is None:
        raise RigError("there is no Tarantool: install it (Debian: the package tarantool)")
    return found


@dataclass(frozen=True)
class TarantoolPasswords:
    """Those of the users for replication, for switching, and for applications."""

    replication: str = field(default_factory=lambda: secrets.token_hex(16))
    switch: str = field(default_factory=lambda: secrets.token_hex(16))
    dml: str = field(default_factory=lambda: secrets.token_hex(16))


class TarantoolSite:
    """`start` it, and `close` it at the end. It may be killed and started again in between."""

    def __init__(
        self,
        name: str,
        address: str,
        peer: str,
        *,
        folder: Path,
        passwords: TarantoolPasswords,
        users: Mapping[str, str],
        begins: bool,
    ) -> None:
        """`users`: the user that writes, for each site. `begins`: the other site copies this one."""
        self.address = address
        self.user = users[name]
        self._folder = own_folder(folder / name)
        self._passwords = passwords
        self._env = {
            "PATH": os.environ["PATH"],
            "SITE": name,
            "LISTEN": address,
            "PEER": peer,
            "WORK_DIR": str(self._folder),
            "DML_USERS": self.user,
            "ALL_DML_USERS": ",".join(users.values()),
            "BOOTSTRAP": str(begins).lower(),
            "REPLICATION_PASSWORD": passwords.replication,
            "SWITCH_PASSWORD": passwords.switch,
            "DML_PASSWORD": passwords.dml,
        }
        self._process: KeptProcess | None = None

    def start(self) -> None:
        command = [tarantool(), str(EXAMPLES / "tarantool_site.lua")]
        log = self._folder / "tarantool.log"
        self._process = KeptProcess(command, log=log, env=self._env, refuses_root=True)

    def kill(self) -> None:
        if self._process:
            self._process.kill()

    def close(self) -> None:
        if self._process:
            self._process.stop()

    def rows(self) -> dict[int, str]:
        """The site at which each row was written; {} if Tarantool does not answer.

        It takes a program: nothing else here speaks Tarantool's protocol.
        """
        read = "for _, r in ipairs(site.space.rows:select({}, {limit = 10 ^ 9})) do print(r[1], r[2]) end"
        script = f"site = require('net.box').connect(os.getenv('TARGET')) {read} os.exit(0)"
        argv = [tarantool(), "-e", script]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=self.client_environment)
        lines = (line.split() for line in done.stdout.splitlines() if not done.returncode)
        return {int(number): where for number, where in lines}

    @property
    def client_environment(self) -> dict[str, str]:
        """For programs that connect as the user that writes here."""
        return {"PATH": os.environ["PATH"], "TARGET": f"{self.user}:{self._passwords.dml}@{self.address}"}


class TarantoolWriter:
    """A client that tries to insert a row at a site all the time, whatever its role, until it is stopped."""

    def __init__(self, site: TarantoolSite, folder: Path, *, numbers: range) -> None:
        """`numbers`: the first number and the step."""
        self._file = folder / f"rows-{numbers.start}"
        self._file.touch()
        settings = {"FILE": str(self._file), "FIRST": str(numbers.start), "STEP": str(numbers.step)}
        env = site.client_environment | settings
        self._process = KeptProcess(
            [tarantool(), _WRITER], log=folder / f"writer-{numbers.start}.log", env=env
        )

    def stop(self) -> None:
        self._process.kill()

    def commits(self) -> Commits:
        return parsed(self._file.read_text())
