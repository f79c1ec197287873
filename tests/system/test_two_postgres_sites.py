"""Two sites with PostgreSQL and Patroni, switched by holds: nothing committed is lost, and two never write.

The tests go on where the one before has ended, so they run in this order.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from rig.committed_rows import Commits, RowWriter, downtime, written_by_two
from rig.hub_namespace import HubNamespace
from rig.member_site import Federation
from rig.patience import eventually
from rig.postgres_pair import SLOW, SPEC, PostgresPair, PostgresSite
from rig.postgres_programs import postgres_programs
from rig.promise import Probe
from rig.row_writer import now

from system.conftest import Measured

TOGGLES = 20


@pytest.fixture(scope="module")
def pair(hub: HubNamespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresPair]:
    hub.apply(**SPEC)
    folder = tmp_path_factory.mktemp("postgres")
    with PostgresPair(folder, postgres_programs(), Federation(hub.kubeconfig, hub.namespace)) as pair:
        pair.sites[0].postgres.query("CREATE TABLE rows (n bigint PRIMARY KEY, site text NOT NULL)")
        yield pair
    for name, log in pair.logs().items():
        assert "Traceback" not in log, f"{name}: {log}"


@pytest.fixture
def clients(pair: PostgresPair) -> Iterator[Clients]:
    with ExitStack() as stack:
        proxied = stack.enter_context(pair.writer(pair.proxied, pause=0.01))
        unruly = [stack.enter_context(pair.writer(site.postgres.conninfo, pause=0.2)) for site in pair.sites]
        yield Clients(proxied, unruly)


@dataclass
class Clients:
    """Those that write. `unruly`: one at each site tries to write all the time, whatever its role."""

    proxied: RowWriter
    unruly: list[RowWriter]

    def wrote_since(self, moment: float) -> Probe:
        """Wait until the client of HAProxy has sent a row after this moment that was committed."""

        def found() -> Probe | None:
            return next((each for each in self.proxied.commits().values() if each.sent > moment), None)

        return eventually(found, what="the client of HAProxy writes", patience=SLOW)

    def stopped(self) -> Commits:
        """All that was committed, after the last one has stopped."""
        writers = (self.proxied, *self.unruly)
        for writer in writers:
            writer.stop()
        return {number: commit for writer in writers for number, commit in writer.commits().items()}


def test_twenty_toggles_lose_nothing(
    pair: PostgresPair, hub: HubNamespace, clients: Clients, measured: Measured
) -> None:
    gaps = []
    for _ in range(TOGGLES):
        old, new = _at_rest(pair, hub, clients)
        began = now()
        answer = new.ask("POST", "/tcf/toggle")
        assert answer.status == 200, answer.body
        new.await_active()
        ended = clients.wrote_since(now()).answered
        old.await_standby()
        gaps.append(downtime(clients.proxied.commits(), began - 1, ended))
    commits = clients.stopped()
    assert _lost(pair, commits) == 0
    measured(
        f"PostgreSQL: {TOGGLES} toggles, {len(commits)} rows committed, none lost;"
        f" nothing written for {statistics.median(gaps):.1f} s (median), {max(gaps):.1f} s (at most)"
    )


def test_a_site_without_power_is_replaced_and_comes_back_as_a_standby(
    pair: PostgresPair, hub: HubNamespace, clients: Clients, measured: Measured
) -> None:
    """What was committed just before may be lost, because replication is asynchronous."""
    old, new = _at_rest(pair, hub, clients)
    killed = now()
    old.kill()
    new.await_active()
    gap = _taken_over(clients, killed, by=new)
    old.start()
    old.await_standby()
    lost = _lost(pair, clients.stopped())
    measured(
        f"PostgreSQL: a site without power is replaced; nothing written for {gap:.1f} s, {lost} rows lost"
    )


def test_a_site_whose_worker_and_tcf_run_are_killed_is_replaced_and_loses_nothing(
    pair: PostgresPair, hub: HubNamespace, clients: Clients, measured: Measured
) -> None:
    """Its PostgreSQL takes writes until the other site tells it to stop, and then hands over what it has."""
    old, new = _at_rest(pair, hub, clients)
    killed = now()
    old.kill_tcf()
    gap = _taken_over(clients, killed, by=new)
    old.await_standby()
    old.start_tcf()
    assert _lost(pair, clients.stopped()) == 0
    measured(
        "PostgreSQL: a site whose worker and tcf-run are killed is replaced;"
        f" nothing written for {gap:.1f} s, none lost"
    )


def test_a_server_that_cannot_start_is_replaced_although_its_worker_lives(
    pair: PostgresPair, hub: HubNamespace, clients: Clients, measured: Measured
) -> None:
    old, new = _at_rest(pair, hub, clients)
    killed = now()
    old.postgres.ruin()
    gap = _taken_over(clients, killed, by=new)
    assert old.ask("GET", "/tcf/is_active").status == 418
    assert hub.status()["history"][0]["trigger"] == "failover"
    old.postgres.repair()
    old.await_standby()
    lost = _lost(pair, clients.stopped())
    measured(
        "PostgreSQL: a server that cannot start is replaced;"
        f" nothing written for {gap:.1f} s, {lost} rows lost"
    )


def _at_rest(pair: PostgresPair, hub: HubNamespace, clients: Clients) -> list[PostgresSite]:
    """Wait until rows are written and both sites could be active; return the active one, then the other.

    A member that has just become passive is unhealthy while its PostgreSQL starts again.
    """

    def healthy() -> bool:
        return all(row.get("application") == "Healthy" for row in hub.status()["clusters"])

    eventually(healthy, what="the applications of both members are healthy", patience=SLOW)
    clients.wrote_since(now())
    return sorted(pair.sites, key=lambda site: not site.is_active)


def _taken_over(clients: Clients, killed: float, *, by: PostgresSite) -> float:
    """Wait until the client of HAProxy writes there; return for how many seconds it wrote nothing."""
    eventually(
        lambda: any(
            each.member == by.member for each in clients.proxied.commits().values() if each.sent > killed
        ),
        what=f"{by.member} takes writes",
        patience=SLOW,
    )
    return downtime(clients.proxied.commits(), killed - 1, now())


def _lost(pair: PostgresPair, commits: Commits) -> int:
    """How many committed rows are lost. Both sites are the same, and never wrote in overlapping time."""
    assert written_by_two(commits.values()) == []
    rows = eventually(pair.same_rows, what="both sites have the same rows", patience=SLOW)
    found = {number: where for number in commits if (where := rows.get(number))}
    assert all(commits[number].member == where for number, where in found.items())
    return len(commits) - len(found)
