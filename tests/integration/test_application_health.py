"""Roles that follow applications: real programs, and a test that holds at their workers."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import pytest
from rig.asking import ask
from rig.hub_namespace import HubNamespace
from rig.patience import eventually
from rig.prober import Prober
from rig.promise import broken_promises
from rig.tcf_processes import TcfProcess, TcfProcesses

from tcf.core.model import Application

D = 2
HEALTHY, UNHEALTHY = Application.HEALTHY, Application.UNHEALTHY


@dataclass
class Sites:
    """Two members with a worker each, and one operator at least."""

    hub: HubNamespace
    one: TcfProcess
    two: TcfProcess

    def tell(self, cluster: str, report: Application | None) -> None:
        """Report this to the worker of the member, or let its only holder go (None)."""
        worker = {"cluster_1": self.one, "cluster_2": self.two}[cluster]
        if report is None:
            assert ask(worker.port, "DELETE", "/tcf/holds/test?id=one").status == 204
            return
        healthy = str(report is HEALTHY).lower()
        answer = ask(worker.port, "PUT", f"/tcf/holds/test?id=one&for=300s&healthy={healthy}")
        assert answer.status in {200, 418}

    def report(self, cluster: str, report: Application | None) -> None:
        """The same, and wait until the status shows it."""
        self.tell(cluster, report)
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
def sites(hub: HubNamespace, programs: TcfProcesses) -> Sites:
    apply(hub)
    programs.operator()
    found = Sites(hub, *programs.pair())
    for worker, cluster in ((found.one, "cluster_1"), (found.two, "cluster_2")):
        worker.await_status(418)
        found.tell(cluster, HEALTHY)
    found.one.await_active()
    return found


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
        sites.tell("cluster_1", report)
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
    sites.report("cluster_2", UNHEALTHY)
    apply(sites.hub, mode="Automatic")
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
    operator = programs.operator()
    sites = Sites(hub, *programs.pair())
    sites.two.await_status(418)
    message = sites.condition("Ready", "ApplicationUnhealthy")
    assert "cluster_1 is to become active first, but no holder reports" in message
    eventually(lambda: "waiting: no holder reports" in operator.log, what="the log says so, too")
    sites.tell("cluster_1", HEALTHY)
    sites.one.await_active()


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
