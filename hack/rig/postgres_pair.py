"""Two sites with PostgreSQL, of which one is active, and HAProxy in front of them."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rig.asking import free_port
from rig.committed_rows import RowWriter
from rig.files import ROOT
from rig.kept_process import KeptProcess
from rig.member_site import Federation, MemberSite, WorkerAddress
from rig.patience import RigError, eventually
from rig.patroni_site import REST_USER, Passwords, PatroniSite, SiteAddress
from rig.postgres_programs import PostgresPrograms
from rig.reverse_proxies import HAProxy
from rig.tcf_processes import command, environment

MEMBERS = ("cluster_1", "cluster_2")
SPEC: dict[str, Any] = {
    "clusters": [{"id": member, "name": member} for member in MEMBERS],
    "activeCluster": MEMBERS[0],
    "leaseDuration": "5s",
    "switchoverTimeout": "60s",
    "failover": {"mode": "Automatic", "follows": "Applications", "timeout": "10s", "cooldown": "0s"},
}
"""Of the federation. Failovers are quicker than one would have them in real life."""
SLOW = 240.0
"""Seconds that anything of PostgreSQL may take, on a busy machine."""
_EXAMPLES = ROOT / "examples/patroni"


class PostgresSite(MemberSite):
    """Such a site, with PostgreSQL under Patroni."""

    def __init__(
        self, postgres: PatroniSite, worker: WorkerAddress, federation: Federation, *, folder: Path
    ) -> None:
        self.postgres = postgres
        member = postgres.address.name
        scripts = {name: switch(folder, member, name) for name in ("on-active", "on-passive", "check")}
        super().__init__(member, postgres, worker, federation, folder=folder, scripts=scripts)

    def await_standby(self) -> None:
        """Wait until this site follows the other one."""
        eventually(
            lambda: "replayed_location" in self.postgres.wal,
            what=f"{self.member} is a standby",
            patience=SLOW,
        )

    def await_primary(self) -> None:
        eventually(lambda: "location" in self.postgres.wal, what=f"{self.member} takes writes", patience=SLOW)


def switch(folder: Path, member: str, name: str) -> list[str | Path]:
    """The command line of a command of examples/patroni/patroni_switch.py at a site."""
    return [sys.executable, _EXAMPLES / "patroni_switch.py", "--config", folder / f"{member}.toml", name]


class PostgresPair:
    """The sites, the operator and HAProxy. In the block, all of it runs; `cluster_1` is active at first.

    Attributes:
        sites: one for each member.
        proxied: how libpq reaches HAProxy.
    """

    def __init__(self, folder: Path, programs: PostgresPrograms, federation: Federation) -> None:
        self.folder = folder
        self._programs = programs
        self._federation = federation
        self._running = contextlib.ExitStack()
        self._numbers = itertools.count(1)
        postgres, rest, worker, holds, self._proxy_port = (free_port() for _ in range(5))
        self._passwords = Passwords()
        (folder / "rest-password").write_text(self._passwords.rest)
        first, second = (
            SiteAddress(member, f"127.0.0.{n}", postgres, rest) for n, member in enumerate(MEMBERS, 1)
        )
        self.sites = [
            self._site(own, other, WorkerAddress(own.host, worker, holds), copies=own is second)
            for own, other in ((first, second), (second, first))
        ]
        for here, there in itertools.permutations(self.sites):
            (folder / f"{here.member}.toml").write_text(_configured(here, there, folder))
        self.proxied = f"host=127.0.0.1 port={self._proxy_port} user=postgres dbname=postgres"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            where = ("--namespace", self._federation.namespace, "--listen", f"127.0.0.1:{free_port()}")
            argv = command("operator", self._federation.kubeconfig, *where)
            operator = KeptProcess(argv, log=self.folder / "operator.log", env=environment())
            stack.callback(operator.stop)
            first, second = self.sites
            for site, await_role in ((first, first.await_primary), (second, second.await_standby)):
                stack.callback(site.close)
                site.database.start()
                await_role()
            for site in self.sites:
                site.start_tcf()
            # It finds that no site is active yet, and makes both passive first.
            eventually(lambda: first.is_active, what=f"{first.member} is active", patience=SLOW)
            first.await_primary()
            stack.enter_context(HAProxy(self._proxy_config()))
            self._running = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def writer(self, conninfo: str, *, pause: float) -> RowWriter:
        """A client that inserts rows at an address. At most 20 may write into a pair."""
        env = self.sites[0].postgres.client_environment
        numbers = range(next(self._numbers), sys.maxsize, 20)
        return RowWriter(self._programs.psql, conninfo, self.folder, env=env, numbers=numbers, pause=pause)

    def same_rows(self) -> dict[int, str]:
        """The site at which each row was written; {} if the two sites differ, or one does not answer."""
        try:
            first, second = (
                site.postgres.query("SELECT n, site FROM rows ORDER BY n") for site in self.sites
            )
        except RigError:
            return {}
        rows = (line.split("|") for line in first.splitlines() if first == second)
        return {int(number): where for number, where in rows}

    def logs(self) -> dict[str, str]:
        """What our programs have said, by name."""
        found = {"operator": (self.folder / "operator.log").read_text()}
        for site in self.sites:
            found |= {f"{name} of {site.member}": site.log(name) for name in ("worker", "tcf-run")}
        return found

    def _site(
        self, own: SiteAddress, other: SiteAddress, worker: WorkerAddress, *, copies: bool
    ) -> PostgresSite:
        postgres = PatroniSite(
            own,
            other,
            folder=self.folder,
            programs=self._programs,
            passwords=self._passwords,
            standby=copies,
            pre_promote=switch(self.folder, own.name, "may-promote"),
        )
        return PostgresSite(postgres, worker, self._federation, folder=self.folder)

    def _proxy_config(self) -> Path:
        """The configuration of the example, but for addresses."""
        text = (_EXAMPLES / "haproxy-postgres.cfg").read_text()
        first = self.sites[0]
        changes = {
            "bind :5000": f"bind 127.0.0.1:{self._proxy_port}",
            "connect port 8008": f"connect port {first.postgres.address.rest}",
        }
        for n, site in enumerate(self.sites, 1):
            address = site.postgres.address
            changes[f"10.{n}.0.11:5432 port 8080"] = (
                f"{address.host}:{address.postgres} port {site.worker.port}"
            )
        for old, new in changes.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = self.folder / "haproxy.cfg"
        path.write_text(text)
        return path


def _configured(here: PostgresSite, there: PostgresSite, folder: Path) -> str:
    """The configuration of patroni_switch.py at a site. Strings of JSON are strings of TOML."""
    lines = [f"worker = {json.dumps(here.worker.for_probes)}", "patience = 30", "[rest]"]
    lines += [f'username = "{REST_USER}"', f"password_file = {json.dumps(str(folder / 'rest-password'))}"]
    for name, site in (("here", here), ("there", there)):
        lines += [f"[{name}]", f"patroni = {json.dumps([site.postgres.address.patroni])}"]
        lines += [f"[{name}.standby_cluster]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in site.postgres.following.items()]
    return "\n".join(lines) + "\n"
