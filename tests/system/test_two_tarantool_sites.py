"""Two sites with Tarantool, switched by holds: nothing is lost, and two never write.

The tests go on where the one before has ended, so they run in this order.
"""

from __future__ import annotations

import itertools
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from rig.asking import free_port
from rig.committed_rows import Commits, downtime, written_by_two
from rig.hub_namespace import HubNamespace
from rig.kept_process import KeptProcess
from rig.member_site import Federation, MemberSite, WorkerAddress
from rig.patience import eventually
from rig.row_writer import now
from rig.tarantool_site import EXAMPLES, TarantoolPasswords, TarantoolSite, TarantoolWriter, tarantool
from rig.tcf_processes import command, environment

from system.conftest import Measured

MEMBERS = ("cluster_1", "cluster_2")
TOGGLES = 10


class Pair:
    """Both sites, their members, and the operator."""

    def __init__(self, folder: Path, federation: Federation) -> None:
        self.folder = folder
        self._numbers = itertools.count(1)
        port, worker, holds = (free_port() for _ in range(3))
        hosts = ["127.0.0.1", "127.0.0.2"]
        addresses = [f"{host}:{port}" for host in hosts]
        passwords = TarantoolPasswords()
        users = {member: f"app_{n}" for n, member in enumerate(MEMBERS, 1)}
        self.databases = [
            TarantoolSite(
                member,
                here,
                there,
                folder=folder,
                passwords=passwords,
                users=users,
                begins=member == MEMBERS[0],
            )
            for member, here, there in zip(MEMBERS, addresses, reversed(addresses), strict=True)
        ]
        self.sites: list[MemberSite] = []
        for host, database, other in zip(hosts, self.databases, reversed(self.databases), strict=True):
            address = WorkerAddress(host, worker, holds)
            settings = {
                "HERE": database.address,
                "THERE": other.address,
                "SWITCH_PASSWORD": passwords.switch,
                "WORKER": address.for_probes,
            }
            switch = [tarantool(), str(EXAMPLES / "tarantool_switch.lua")]
            scripts = {name: [*switch, name] for name in ("on-active", "on-passive", "check")}
            member = MEMBERS[len(self.sites)]
            self.sites.append(
                MemberSite(
                    member, database, address, federation, folder=folder, scripts=scripts, settings=settings
                )
            )

    def writers(self) -> list[TarantoolWriter]:
        """A client at each site."""
        numbers = [range(next(self._numbers), sys.maxsize, 10) for _ in self.databases]
        return [
            TarantoolWriter(site, self.folder, numbers=each)
            for site, each in zip(self.databases, numbers, strict=True)
        ]


@pytest.fixture(scope="module")
def pair(hub: HubNamespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    hub.apply(leaseDuration="5s", failover={"mode": "Automatic", "timeout": "5s", "cooldown": "0s"})
    folder = tmp_path_factory.mktemp("tarantool")
    pair = Pair(folder, Federation(hub.kubeconfig, hub.namespace))
    where = ("--namespace", hub.namespace, "--listen", f"127.0.0.1:{free_port()}")
    operator = KeptProcess(
        command("operator", hub.kubeconfig, *where), log=folder / "operator.log", env=environment()
    )
    with ExitStack() as stack:
        stack.callback(operator.stop)
        for site in pair.sites:
            stack.callback(site.close)
            site.start()
        yield pair
    for site in pair.sites:
        for program in ("worker", "tcf-run"):
            assert "Traceback" not in site.log(program), site.log(program)


@pytest.fixture
def writers(pair: Pair) -> Iterator[list[TarantoolWriter]]:
    started = pair.writers()
    yield started
    for writer in started:
        writer.stop()


def test_toggles_lose_nothing(pair: Pair, writers: list[TarantoolWriter], measured: Measured) -> None:
    gaps = []
    for _ in range(TOGGLES):
        began = _written_since(writers, now())
        new = pair.sites[1] if pair.sites[0].is_active else pair.sites[0]
        answer = new.ask("POST", "/tcf/toggle")
        assert answer.status == 200, answer.body
        ended = _written_since(writers, now(), by=new.member)
        gaps.append(downtime(_all(writers), began, ended))
    commits = _stopped(writers)
    assert _lost(pair, commits) == 0
    measured(
        f"Tarantool: {TOGGLES} toggles, {len(commits)} rows written, none lost;"
        f" nothing written for {statistics.median(gaps):.2f} s (median), {max(gaps):.2f} s (at most)"
    )


def test_a_site_without_power_is_replaced_and_comes_back_as_a_passive_one(
    pair: Pair, writers: list[TarantoolWriter], measured: Measured
) -> None:
    """What it had written and not sent yet arrives when it comes back."""
    _written_since(writers, now())
    old, new = sorted(pair.sites, key=lambda site: not site.is_active)
    killed = now()
    old.kill()
    ended = _written_since(writers, killed, by=new.member)
    gap = downtime(_all(writers), killed - 1, ended)
    old.start()
    eventually(lambda: old.ask("GET", "/tcf/is_active").status == 418, what=f"{old.member} is back")
    assert _lost(pair, _stopped(writers)) == 0
    measured(f"Tarantool: a site without power is replaced; nothing written for {gap:.1f} s")


def _all(writers: list[TarantoolWriter]) -> Commits:
    return {number: commit for writer in writers for number, commit in writer.commits().items()}


def _stopped(writers: list[TarantoolWriter]) -> Commits:
    for writer in writers:
        writer.stop()
    return _all(writers)


def _written_since(writers: list[TarantoolWriter], moment: float, *, by: str = "") -> float:
    """Wait for a row that is sent after this moment, at this site if one is named; return its time."""

    def found() -> float | None:
        rows = (row for row in _all(writers).values() if row.sent > moment and by in ("", row.member))
        return next((row.answered for row in rows), None)

    return eventually(found, what=f"a row is written {by}", patience=60)


def _lost(pair: Pair, commits: Commits) -> int:
    """How many rows are lost. Both sites are the same, and they have not written in overlapping time."""
    assert written_by_two(commits.values()) == []

    def same() -> dict[int, str]:
        first, second = (database.rows() for database in pair.databases)
        return first if first == second else {}

    rows = eventually(same, what="both sites have the same rows", patience=60)
    return len(commits.keys() - rows.keys())
