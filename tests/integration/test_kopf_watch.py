"""The operator's watches: when they end, hang or wait for a future that is lost, they begin again."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from controlplane.plane import ControlPlane
from rig.backups import Backups, etcdutl
from rig.files import ROOT
from rig.hub_namespace import HubNamespace
from rig.kubectl import apply_crd, install_crd, kubectl_of
from rig.patience import eventually
from rig.prober import Prober
from rig.promise import broken_promises
from rig.tcf_processes import TcfProcesses

D = 2
CRDS = str(ROOT / "crds")


@pytest.fixture
def plane() -> Iterator[ControlPlane]:
    """A control plane of the test's own, since what is done to it affects everybody on it."""
    with ControlPlane.start() as plane:
        install_crd(plane)
        yield plane


@pytest.fixture
def hub(plane: ControlPlane) -> HubNamespace:
    """On which `programs` run as well."""
    return HubNamespace(kubectl_of(plane), "default", plane.kubeconfig)


def apply(hub: HubNamespace, **more: Any) -> None:
    hub.apply(leaseDuration=f"{D}s", switchoverTimeout="5s", **more)


def test_a_crd_that_is_removed_and_comes_back_is_watched_again(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    """However short it is away. The process goes on: it may serve members as well."""
    apply(hub)
    operators = [programs.operator(), programs.operator()]
    one, two = programs.pair()
    one.await_active()
    for operator in operators:
        operator.await_ready()
    for seconds in (1.0, 0.0, 1.5):
        hub.kubectl("delete", "-f", CRDS)
        time.sleep(seconds)
        apply_crd(hub.kubectl)
        apply(hub)
        one.await_active()
        two.await_status(418)
        for operator in operators:
            operator.await_ready()
        began = time.monotonic()
        for worker in (two, one):
            answer = worker.post("/tcf/promote")
            assert (answer.status, answer.reason) == (200, None), answer.body
        assert time.monotonic() - began < 5, "nobody was told by a watch"
    for operator in operators:
        assert operator.process.poll() is None
        assert "the watches begin again: 1 of 1 watches have ended" in operator.log


def test_an_object_that_cannot_be_read_is_named_and_leaves_all_others_alone(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    """It got in under another CRD, and comes first in every list."""
    soft = {
        "op": "add",
        "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/isolation/enum/-",
        "value": "Soft",
    }
    hub.kubectl("patch", "crd", "clusterfederations.tcf.dev", "--type=json", "-p", json.dumps([soft]))
    made = eventually(
        lambda: not hub.kubectl("create", "-f", "-", stdin=FIRST_AND_SOFT, check=False).returncode,
        what="the object is accepted",
    )
    assert made
    operator = programs.operator()
    apply(hub)
    one, two = programs.pair()
    one.await_active()
    assert two.post("/tcf/promote").status == 200
    operator.await_ready()
    said = operator.get("/readyz").body.decode()
    assert said.startswith("ok\n")
    assert f"ClusterFederation {hub.namespace}/aaa does not fit the schema" in said
    assert "isolation" in said
    assert said.splitlines()[1] in operator.log
    hub.kubectl("delete", "cfed", "aaa")
    eventually(lambda: operator.get("/readyz").body == b"ok", what="it is forgotten")


FIRST_AND_SOFT = json.dumps(
    {
        "apiVersion": "tcf.dev/v1alpha1",
        "kind": "ClusterFederation",
        "metadata": {"name": "aaa"},
        "spec": {
            "clusters": [{"id": "c1", "name": "one"}, {"id": "c2", "name": "two"}],
            "isolation": "Soft",
        },
    }
)


def write_much(hub: HubNamespace) -> None:
    """Write more than a control plane does by itself in a minute, so that what is lost is far ahead."""
    hub.kubectl("create", "configmap", "much")
    tls = ssl.create_default_context(cafile=hub.kubeconfig.parent / "certificates" / "apiserver.crt")
    host, port = hub.server.removeprefix("https://").split(":")
    with contextlib.closing(http.client.HTTPSConnection(host, int(port), context=tls)) as connection:
        for n in range(3000):
            connection.request(
                "PATCH",
                f"/api/v1/namespaces/{hub.namespace}/configmaps/much",
                body=json.dumps({"data": {"n": str(n)}}),
                headers={
                    "Authorization": f"Bearer {hub.token}",
                    "Content-Type": "application/merge-patch+json",
                },
            )
            assert connection.getresponse().read()


@pytest.mark.parametrize("bump", [True, False], ids=["bumped", "not bumped"])
def test_after_a_restore_everything_goes_on(
    plane: ControlPlane,
    hub: HubNamespace,
    programs: TcfProcesses,
    tmp_path: Path,
    bump: bool,  # noqa: FBT001
) -> None:
    """Without a bump, the versions that were watched last are of a future that is lost."""
    apply(hub, failover={"mode": "Automatic", "timeout": "1s", "cooldown": "0s"})
    operators = [programs.operator(), programs.operator()]
    one, two = programs.pair()
    one.await_active()
    two.await_status(418)
    backups = Backups(plane, tmp_path, etcdutl())
    backups.take()
    one.await_active()
    write_much(hub)
    assert two.post("/tcf/promote").status == 200
    one.await_status(418)
    term = hub.status()["term"]
    with Prober({one.port: "cluster_1", two.port: "cluster_2"}, per_second=50) as prober:
        backups.restore(bump=bump)

        def answered() -> dict[str, Any] | None:
            status = hub.status()
            return status if status["term"] > term and status["activeCluster"] else None

        status = eventually(answered, what="a member is active, above all lost terms")
        assert status["history"][0]["trigger"] == "bootstrap"
        active, other = (two, one) if status["activeCluster"] == "cluster_2" else (one, two)
        active.await_active()
        for operator in operators:
            operator.await_ready()
        answer = other.post("/tcf/promote")
        assert (answer.status, answer.reason) == (200, None), answer.body
    assert broken_promises(p for p in prober.probes if p.term > term) == []
    other.kill()
    active.await_active()
    assert hub.status()["history"][0]["trigger"] == "failover"
