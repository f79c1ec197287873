"""A site with PostgreSQL under Patroni, and an etcd of its own, on a loopback address of its own."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shlex
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controlplane.children import end, spawn

from rig.asking import free_port
from rig.kept_process import KeptProcess, own_folder
from rig.patience import RigError
from rig.postgres_programs import PostgresPrograms

Json = dict[str, Any]
_SMALL = {
    "shared_buffers": "16MB",
    "max_connections": 30,
    "max_worker_processes": 4,
    "max_wal_size": "64MB",
    "min_wal_size": "32MB",
    "wal_keep_size": "64MB",
    "autovacuum_max_workers": 1,
    "jit": "off",
}


@dataclass(frozen=True)
class SiteAddress:
    """Where a site is. The ports are the same on all sites, as they are in real life."""

    name: str
    host: str
    postgres: int
    rest: int

    @property
    def patroni(self) -> str:
        """The URL of Patroni's REST API."""
        return f"http://{self.host}:{self.rest}"


@dataclass(frozen=True)
class Passwords:
    """Those of PostgreSQL's users, and the one of Patroni's REST API (`rest`)."""

    superuser: str = field(default_factory=lambda: secrets.token_hex(16))
    replication: str = field(default_factory=lambda: secrets.token_hex(16))
    rest: str = field(default_factory=lambda: secrets.token_hex(16))


REST_USER = "patroni"


class PatroniSite:
    """`start` it, and `close` it at the end. It may be killed and started again in between."""

    def __init__(
        self,
        address: SiteAddress,
        other: SiteAddress,
        *,
        folder: Path,
        programs: PostgresPrograms,
        passwords: Passwords,
        standby: bool,
        pre_promote: Sequence[str | Path],
    ) -> None:
        """`standby`: copy the other site at the first start, and follow it. `pre_promote`: see Patroni."""
        self.address = address
        self._other = other
        self._programs = programs
        self._passwords = passwords
        self._folder = own_folder(folder / address.name)
        self._data = self._folder / "data"
        self._etcd_port = free_port(2)
        self._config = self._folder / "patroni.json"
        self._config.write_text(json.dumps(self._configured(standby=standby, pre_promote=pre_promote)))
        self._etcd: subprocess.Popen[bytes] | None = None
        self._patroni: KeptProcess | None = None

    def start(self) -> None:
        with (self._folder / "etcd.log").open("ab") as log:
            self._etcd = spawn(self._etcd_command(), cwd=self._folder, output=log, env={})
        command = self._programs.patroni(self._config)
        self._patroni = KeptProcess(
            command, log=self._folder / "patroni.log", env=self._programs.environment, refuses_root=True
        )

    def kill(self) -> None:
        """The whole site loses its power."""
        if self._patroni:
            self._patroni.kill()
        if self._etcd:
            end(self._etcd, grace=0)

    def close(self) -> None:
        if self._patroni:
            self._patroni.stop()
        if self._etcd:
            end(self._etcd, grace=0)

    def ask(self, method: str, path: str, body: Json | None = None) -> tuple[int, Any]:
        """Ask Patroni; return the status and the answer. The status is 0 if there was no answer."""
        connection = http.client.HTTPConnection(self.address.host, self.address.rest, timeout=10)
        try:
            connection.request(method, path, body=json.dumps(body) if body is not None else None)
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError):
            return 0, None
        finally:
            connection.close()

    @property
    def wal(self) -> Json:
        """Patroni's "xlog": a primary has a "location", a standby a "replayed_location"; {} if none runs."""
        status, found = self.ask("GET", "/patroni")
        return dict((found or {}).get("xlog", {})) if status == 200 else {}

    def query(self, statement: str) -> str:
        """Run SQL in this site's PostgreSQL; return the rows as psql prints them, without decoration.

        Raises:
            RigError: it failed.
        """
        command = [str(self._programs.psql), "-qAtX", "-c", statement, self.conninfo]
        env = self.client_environment
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
        if done.returncode:
            raise RigError(f"{self.address.name}: {statement}: {done.stderr}")
        return done.stdout.strip()

    @property
    def conninfo(self) -> str:
        return f"host={self.address.host} port={self.address.postgres} user=postgres dbname=postgres"

    @property
    def client_environment(self) -> dict[str, str]:
        return self._programs.environment | {
            "PGPASSWORD": self._passwords.superuser,
            "PGCONNECT_TIMEOUT": "5",
        }

    def ruin(self) -> None:
        """PostgreSQL is killed and cannot start again. Patroni lives."""
        self._control.rename(self._control.with_suffix(".ruined"))
        os.kill(int((self._data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def repair(self) -> None:
        """Undo that."""
        self._control.with_suffix(".ruined").rename(self._control)

    @property
    def _control(self) -> Path:
        """A file without which PostgreSQL does not start."""
        return self._data / "global/pg_control"

    def _etcd_command(self) -> list[str | Path]:
        client, peer = (f"http://127.0.0.1:{self._etcd_port + n}" for n in range(2))
        return [
            self._programs.etcd,
            "--name=etcd",
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=etcd={peer}",
            "--log-level=warn",
            "--unsafe-no-fsync",
        ]

    def _configured(self, *, standby: bool, pre_promote: Sequence[str | Path]) -> Json:
        address, passwords = self.address, self._passwords
        dynamic: Json = {
            "ttl": 20,
            "loop_wait": 2,
            "retry_timeout": 4,
            "postgresql": {"use_pg_rewind": True, "use_slots": True, "parameters": _SMALL},
            "slots": {self._other.name: {"type": "physical"}},
        }
        if standby:
            dynamic["standby_cluster"] = self.following
        users = {
            "superuser": {"username": "postgres", "password": passwords.superuser},
            "replication": {"username": "replicator", "password": passwords.replication},
            "rewind": {"username": "rewinder", "password": passwords.replication},
        }
        postgresql: Json = {
            "listen": f"{address.host}:{address.postgres}",
            "connect_address": f"{address.host}:{address.postgres}",
            "data_dir": str(self._data),
            "bin_dir": str(self._programs.binaries),
            "authentication": users,
            "parameters": {"unix_socket_directories": str(self._folder)},
            "pre_promote": shlex.join(map(str, pre_promote)),
            "pg_hba": [
                "host all all 127.0.0.0/8 scram-sha-256",
                "host replication replicator 127.0.0.0/8 scram-sha-256",
            ],
        }
        return {
            "scope": address.name,
            "name": f"{address.name}-1",
            "restapi": {
                "listen": f"{address.host}:{address.rest}",
                "connect_address": f"{address.host}:{address.rest}",
                "authentication": {"username": REST_USER, "password": passwords.rest},
            },
            "etcd3": {"host": f"127.0.0.1:{self._etcd_port}"},
            "bootstrap": {"dcs": dynamic, "initdb": [{"encoding": "UTF8"}, {"locale": "C"}]},
            "postgresql": postgresql,
        }

    @property
    def following(self) -> Json:
        """What makes this site's Patroni follow the other site: its `standby_cluster`."""
        return {
            "host": self._other.host,
            "port": self._other.postgres,
            "primary_slot_name": self.address.name,
            "create_replica_methods": ["basebackup"],
        }
