"""Roles that follow applications: real programs, and a Lease per member in which the test reports."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from rig.hub_namespace import HubNamespace
from rig.patience import PATIENCE, eventually
from rig.prober import Prober
from rig.promise import broken_promises
from rig.tcf_processes import TcfProcess, TcfProcesses

from tcf.core.annotations import Acknowledgement
from tcf.core.model import Application, Isolation
from tcf.core.reading import Renewal
from tcf.hub import errors
from tcf.hub.client import HubClient
from tcf.hub.credentials import Credentials, kubeconfig
from tcf.hub.federations import Federations
from tcf.hub.worker_leases import Leases

D = 2
HEALTHY, UNHEALTHY = Application.HEALTHY, Application.UNHEALTHY


@dataclass
class Reporter:
    """Renews a Lease of a member, as a worker does that never answers anybody."""

    hub: HubNamespace
    cluster: str
    report: Application | None = HEALTHY

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._renew()))
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    async def _renew(self) -> None:
        client = HubClient(Credentials(kubeconfig(self.hub.kubeconfig)), user_agent="test")
        leases, federations, where = Leases(client), Federations(client), self.hub.namespace
        lease = await leases.create(
            where,
            f"reporter-{self.cluster.replace('_', '-')}",
            federation="shop",
            cluster=self.cluster,
            holder=f"reporter of {self.cluster}",
            deadline=PATIENCE,
        )
        while not self._over.is_set():
            with contextlib.suppress(errors.NotFoundError):
                seen = await federations.get(where, "shop", deadline=PATIENCE)
                table = Acknowledgement(seen.uid, seen.status.term) if seen.status else None
                renewal = Renewal(table, Isolation.FENCE, D, application=self.report)
                lease = await leases.renew(where, lease, renewal, deadline=PATIENCE)
            await asyncio.sleep(D / 10)
        await client.close()


@dataclass
class Sites:
    """Two members, each with a worker that reports nothing and a Lease that does."""

    hub: HubNamespace
    one: TcfProcess
    two: TcfProcess
    reporters: dict[str, Reporter]

    def report(self, cluster: str, report: Application | None) -> None:
        """Report this, and wait until the status shows it."""
        self.reporters[cluster].report = report
        eventually(lambda: self.shown(cluster) == report, what=f"the status says that {cluster} is {report}")

    def shown(self, cluster: str) -> str | None:
        rows = self.hub.status()["clusters"]
        return next((row.get("application") for row in rows if row["id"] == cluster), None)

    def condition(self, type_: str, reason: str) -> str:
        """The message of this condition, once it has this reason."""

        def found() -> str | None:
            condition = next(c for c in self.hub.status()["conditions"] if c["type"] == type_)
            message: str = condition["message"]
            return message if condition["reason"] == reason else None

        return eventually(found, what=f"{type_} has the reason {reason}")


def apply(hub: HubNamespace, **failover: Any) -> None:
    rules = {"follows": "Applications", "timeout": "1s", "cooldown": "0s", **failover}
    hub.apply(leaseDuration=f"{D}s", switchoverTimeout="10s", failover=rules)


@pytest.fixture
def sites(hub: HubNamespace, programs: TcfProcesses) -> Iterator[Sites]:
    apply(hub)
    reporters = {cluster: Reporter(hub, cluster) for cluster in ("cluster_1", "cluster_2")}
    try:
        programs.operator()
        one, two = programs.pair()
        one.await_active()
        two.await_status(418)
        yield Sites(hub, one, two, reporters)
    finally:
        for reporter in reporters.values():
            reporter.stop()


@pytest.mark.parametrize(
    ("report", "says"),
    [
        (UNHEALTHY, "the application of cluster_2 is unhealthy"),
        (None, "no holder reports on the application of cluster_2"),
    ],
)
def test_only_force_promotes_a_member_without_a_healthy_application(
    sites: Sites, report: Application | None, says: str
) -> None:
    sites.report("cluster_2", HEALTHY)
    assert sites.two.post("/tcf/promote?dry_run=true").status == 200
    sites.report("cluster_2", report)
    assert says in sites.condition("Degraded", "ApplicationUnhealthy")
    for wish in ("promote?dry_run=true", "promote", "toggle?dry_run=true", "toggle"):
        answer = sites.two.post(f"/tcf/{wish}")
        assert (answer.status, answer.reason) == (500, "ApplicationUnhealthy"), wish
        assert says in answer.error
    assert [past["outcome"] for past in sites.hub.status()["history"][:2]] == ["ApplicationUnhealthy"] * 2
    assert sites.one.is_active().status == 200

    assert sites.two.post("/tcf/promote?force=true").status == 200
    sites.two.await_active()
    message = sites.condition("Ready", "ApplicationUnhealthy")
    assert f"cluster_2 is active, but {says}" in message
    sites.report("cluster_2", HEALTHY)
    sites.condition("Ready", "Active")


@pytest.mark.parametrize("report", [UNHEALTHY, None])
def test_a_member_whose_application_stays_unhealthy_is_replaced(
    sites: Sites, report: Application | None
) -> None:
    apply(sites.hub, mode="Automatic", timeout="3s")
    with Prober({sites.one.port: "cluster_1", sites.two.port: "cluster_2"}, per_second=100) as prober:
        sites.reporters["cluster_1"].report = report
        sites.two.await_active()
        sites.one.await_status(418)
    assert broken_promises(prober.probes) == []
    past = sites.hub.status()["history"][0]
    assert (past["to"], past["trigger"], past["outcome"]) == ("cluster_2", "failover", "Succeeded")
    assert "it has not been healthy for" in past["reason"]
    assert "silentSince" not in past
    eventually(
        lambda: "it has not been healthy for" in sites.hub.kubectl("get", "events").stdout,
        what="the Event of the failover says why",
    )
    sites.report("cluster_1", HEALTHY)
    sites.condition("Degraded", "AllWorkersAlive")
    assert sites.two.is_active().status == 200, "nothing fails back"


def test_with_all_applications_unhealthy_nobody_is_replaced(sites: Sites) -> None:
    apply(sites.hub, mode="Automatic")
    sites.reporters["cluster_2"].report = UNHEALTHY
    sites.report("cluster_2", UNHEALTHY)
    sites.report("cluster_1", UNHEALTHY)
    message = sites.condition("Ready", "ApplicationUnhealthy")
    assert "another member with a worker that keeps renewing and a healthy application" in message
    degraded = sites.condition("Degraded", "ApplicationUnhealthy")
    for cluster in ("cluster_1", "cluster_2"):
        assert f"the application of {cluster} is unhealthy" in degraded
    assert sites.one.is_active().status == 200
    sites.report("cluster_2", HEALTHY)
    sites.two.await_active()


def test_a_first_member_becomes_active_when_its_application_is_healthy(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    apply(hub)
    reporter = Reporter(hub, "cluster_1", None)
    try:
        operator = programs.operator()
        one, two = programs.pair()
        sites = Sites(hub, one, two, {"cluster_1": reporter})
        two.await_status(418)
        message = sites.condition("Ready", "ApplicationUnhealthy")
        assert "cluster_1 is to become active first, but no holder reports" in message
        eventually(lambda: "waiting: no holder reports" in operator.log, what="the log says so, too")
        reporter.report = HEALTHY
        one.await_active()
    finally:
        reporter.stop()


def test_two_operators_agree_on_what_is_reported(sites: Sites, programs: TcfProcesses) -> None:
    programs.operator()
    for report in (UNHEALTHY, None, HEALTHY):
        sites.report("cluster_2", report)

    def settled() -> str | None:
        version: str = sites.hub.get()["metadata"]["resourceVersion"]
        quiet = threading.Event()
        quiet.wait(2 * D)  # both have seen each Lease renewed several times
        return version if sites.hub.get()["metadata"]["resourceVersion"] == version else None

    eventually(settled, what="nobody overwrites anybody")
    assert (sites.shown("cluster_1"), sites.shown("cluster_2")) == (HEALTHY, HEALTHY)
