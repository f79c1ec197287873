"""The chart twice: on the hub with operator and accounts, and for a member with nothing but workers."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

from rig.files import ROOT
from rig.patience import eventually

from e2e.cluster import MEMBERS, PATIENCE, Namespace, dashed

INSIDE = "https://kubernetes.default.svc"
"""The hub, as Pods know it: here both are one cluster."""
FORGOTTEN = timedelta(seconds=30)
"""After that, the API server takes no token of a deleted account. It remembers a token for 10 s."""


def test_workers_with_a_kubeconfig_from_a_secret(shared: Namespace, namespace: Namespace) -> None:
    hub, member = shared, namespace
    values = [
        f"remoteMembers.members[{n}].{key}={value}"
        for n, id_ in enumerate(MEMBERS)
        for key, value in (("federation", "shop"), ("cluster", id_))
    ]
    hub.install(*values)
    hub.kubectl("apply", "-f", str(ROOT / "examples/shop.yaml"))
    place_kubeconfig(hub, member)
    member.install(
        "operator.enabled=false",
        "crds.install=false",
        "workers.kubeconfigSecret.name=hub",
        "workers.members[0].federation=shop",
        "workers.members[0].cluster=cluster_1",
        f"workers.members[0].namespace={hub.name}",
    )
    hub.await_active("cluster_1")
    service = "tcf-operator-shop-cluster-1"
    member.await_active_worker(service)
    (one, *_) = member.pods("app.kubernetes.io/component=worker")
    restarts = _restarts(member, one)

    # A new token: the old one ends with its account.
    hub.kubectl("delete", "serviceaccount", account("cluster_1"))
    forgotten = datetime.now(UTC) + FORGOTTEN
    hub.install(*values, verb="upgrade")
    place_kubeconfig(hub, member)

    def renewed() -> bool:
        leases = hub.items("leases", "tcf.dev/cluster=cluster_1")
        times = [datetime.fromisoformat(lease["spec"]["renewTime"]) for lease in leases]
        live = hub.status()["clusters"][0]["liveWorkers"]
        return (len(times), live) == (2, 2) and min(times) > forgotten

    eventually(lambda: renewed() or None, what="the new token is in use", patience=3 * PATIENCE)
    member.await_active_worker(service)
    assert _restarts(member, one) == restarts
    hub.kubectl("delete", "cfed", "--all", "--wait=false")


def account(member: str) -> str:
    return f"tcf-operator-remote-shop-{dashed(member)}"


def place_kubeconfig(hub: Namespace, member: Namespace) -> None:
    command = [sys.executable, "-m", "tcf.ctl.kubeconfig", "--namespace", hub.name]
    command += ["--kubeconfig", str(hub.cluster.kubeconfig), "--kubectl", str(hub.cluster.program)]
    command += ["--server", INSIDE, account("cluster_1")]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    secret = member.kubectl(
        "create",
        "secret",
        "generic",
        "hub",
        f"--from-literal=kubeconfig={made}",
        "--dry-run=client",
        "-o",
        "yaml",
    )
    member.kubectl("apply", "-f", "-", stdin=secret)


def _restarts(namespace: Namespace, pod: str) -> int:
    return sum(each["restartCount"] for each in namespace.get("pods", pod)["status"]["containerStatuses"])
