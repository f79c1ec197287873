"""Three clusters: a hub with CRD and operator, and two members' own, which have nothing but workers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from controlplane.plane import ControlPlane
from rig.files import place
from rig.hub_namespace import HubNamespace, ServiceAccount
from rig.kubectl import kubectl_of
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.bare_pods import GAVE_UP, BarePod
from support.chart import Helm

Json = dict[str, Any]
MEMBERS = ("cluster_1", "cluster_2")
ACTIVE, PASSIVE = ("True", "Active", "active"), ("False", "Passive", "passive")


@pytest.fixture(scope="module")
def sites() -> Iterator[tuple[ControlPlane, ControlPlane]]:
    """The members' own clusters."""
    with ExitStack() as stack:
        one, two = (stack.enter_context(ControlPlane.start()) for _ in MEMBERS)
        yield one, two


class Members:
    """Members whose workers reach the hub with what the chart and kubectl tcf have made."""

    def __init__(self, chart: Helm, hub: HubNamespace, kubectl: str, folder: Path) -> None:
        self.hub = hub
        self._kubectl = kubectl
        self._folder = folder
        members = [{"federation": "shop", "cluster": cluster} for cluster in MEMBERS]
        values: Json = {
            "fullnameOverride": "tcf",
            "operator": {"enabled": False},
            "crds": {"install": False},
            "remoteMembers": {"members": members},
        }
        rendered = chart.render(values, namespace=hub.namespace)
        self._documents = [d for d in rendered if d["kind"] in {"ServiceAccount", "Role", "RoleBinding"}]
        self.apply()

    def apply(self) -> None:
        self.hub.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(self._documents))

    def account(self, cluster: str) -> str:
        return f"tcf-remote-shop-{cluster.replace('_', '-')}"

    def kubeconfig(self, cluster: str) -> Path:
        """A fresh one for the workers of this member, in the place of the last."""
        command = [sys.executable, "-m", "tcf.ctl.kubectl_tcf", "kubeconfig", "-n", self.hub.namespace]
        command += ["--kubeconfig", str(self.hub.kubeconfig), "--kubectl", self._kubectl]
        done = subprocess.run([*command, self.account(cluster)], capture_output=True, text=True, check=True)
        return place(self._folder / f"{cluster}.kubeconfig", done.stdout)


@pytest.fixture
def members(chart: Helm, hub: HubNamespace, control_plane: dict[str, str], tmp_path: Path) -> Members:
    return Members(chart, hub, control_plane["kubectl"], tmp_path)


class Site:
    """A member's own cluster: a Pod, a worker in it, and the ServiceAccount with which it marks its Pod."""

    def __init__(self, plane: ControlPlane, members: Members, cluster: str, folder: Path) -> None:
        own = HubNamespace(kubectl_of(plane), "default", plane.kubeconfig)
        self.plane = plane
        self.pod = BarePod(own, f"app-{members.hub.namespace}")
        account = own.service_account(f"app-{members.hub.namespace}")
        for number, (verbs, what) in enumerate((("get,patch", "pods"), ("patch", "pods/status"))):
            account.grant(f"{account.name}-{number}", verbs, what)
        self._options = self.pod.options(account.kubeconfig(folder / f"own-{cluster}"))
        self._members = members
        self._cluster = cluster

    def worker(self, programs: TcfProcesses) -> TcfProcess:
        kubeconfig = self._members.kubeconfig(self._cluster)
        return programs.worker(self._cluster, *self._options, kubeconfig=kubeconfig)


@pytest.fixture
def pair(sites: tuple[ControlPlane, ControlPlane], members: Members, tmp_path: Path) -> tuple[Site, Site]:
    one, two = (Site(plane, members, name, tmp_path) for plane, name in zip(sites, MEMBERS, strict=True))
    return one, two


def test_roles_are_kept_on_the_hub_and_shown_in_each_members_own_cluster(
    hub: HubNamespace, programs: TcfProcesses, pair: tuple[Site, Site]
) -> None:
    hub.apply()
    programs.operator()
    one, two = (site.worker(programs) for site in pair)
    one.await_active()
    pair[0].pod.await_says(*ACTIVE)
    pair[1].pod.await_says(*PASSIVE)

    assert two.post("/tcf/promote").status == 200

    pair[0].pod.assert_lowered(one)
    pair[1].pod.await_says(*ACTIVE)
    assert one.is_active().body == b"passive"
    # Nothing of the hub is known to the members' clusters, nor the other way round.
    for site in pair:
        unknown = kubectl_of(site.plane)("get", "cfed", check=False).stderr
        assert "the server doesn't have a resource" in unknown
    assert hub.kubectl("get", "pods", "-o", "name").stdout == ""


def test_a_member_whose_own_cluster_is_away_gives_its_role_up_all_the_same(
    hub: HubNamespace, programs: TcfProcesses, pair: tuple[Site, Site]
) -> None:
    hub.apply()
    programs.operator()
    one, two = (site.worker(programs) for site in pair)
    one.await_active()
    pair[0].pod.await_says(*ACTIVE)
    pair[0].plane.kill_component("kube-apiserver")
    try:
        assert two.post("/tcf/promote").status == 200
        assert one.is_active().status == 418
        assert GAVE_UP in one.log
        pair[1].pod.await_says(*ACTIVE)
    finally:
        pair[0].plane.start_component("kube-apiserver")
    pair[0].pod.await_says(*PASSIVE)


def test_a_workers_rights_end_with_its_own_federation(hub: HubNamespace, members: Members) -> None:
    account = ServiceAccount(hub, members.account("cluster_2"), "")
    assert account.may("get", "cfed/shop")
    assert account.may("update", "cfed/shop", "--subresource=status")
    refused = ("get", "cfed/another"), ("update", "cfed/shop"), ("list", "cfed"), ("list", "leases")
    for verb, what in (*refused, ("get", "secrets")):
        assert not account.may(verb, what), (verb, what)


def test_a_token_that_is_replaced_is_taken_up_without_a_restart(
    hub: HubNamespace, programs: TcfProcesses, members: Members
) -> None:
    hub.apply(leaseDuration="3s")
    programs.operator()
    one = programs.worker("cluster_1", kubeconfig=members.kubeconfig("cluster_1"))
    two = programs.worker("cluster_2", kubeconfig=members.kubeconfig("cluster_2"))
    one.await_active()

    # Nothing ends an old token as surely as the end of its account.
    for cluster in MEMBERS:
        hub.kubectl("delete", "serviceaccount", members.account(cluster))
    members.apply()
    one.await_reason("HubUnauthorized")
    for cluster in MEMBERS:
        members.kubeconfig(cluster)

    one.await_active()
    two.await_status(418)
    assert two.post("/tcf/toggle").status == 200
