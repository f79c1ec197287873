"""`make demo CLUSTER=kubeconfig DEMO=script`: somebody else's cluster is left as it was found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from rig.asking import free_port
from rig.files import ROOT

from e2e.cluster import Cluster, Namespace

CRD = "clusterfederations.tcf.dev"


def play(cluster: Cluster, folder: Path) -> str:
    """Run the demo on it; what it says."""
    command = [sys.executable, str(ROOT / "hack/demo"), "--script", "--cluster", str(cluster.kubeconfig)]
    done = subprocess.run(
        [*command, "--home", str(folder), "--port", str(free_port(4))],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": f"{cluster.program.parent}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every answer was as expected." in done.stdout
    return done.stdout


def found(cluster: Cluster) -> str:
    """What a demo might leave behind, or change."""
    kinds = "namespaces,customresourcedefinitions,clusterroles,clusterrolebindings"
    names = cluster.kubectl("get", kinds, "-o", "name")
    version = "jsonpath={.metadata.resourceVersion}"
    return names + cluster.kubectl("get", "crd", CRD, "-o", version, "--ignore-not-found")


def test_a_demo_leaves_the_cluster_as_it_found_it(cluster: Cluster, tmp_path: Path) -> None:
    """The first test of all: on a new cluster, the demo brings the CRD and takes it away again."""
    before = found(cluster)
    told = play(cluster, tmp_path)
    assert found(cluster) == before
    assert "kubectl delete" not in told


def test_it_uses_the_crd_that_is_there(namespace: Namespace, tmp_path: Path) -> None:
    namespace.install()
    namespace.kubectl("apply", "-f", str(ROOT / "examples/shop.yaml"))
    uid = namespace.get("clusterfederations", "shop")["metadata"]["uid"]
    before = found(namespace.cluster)
    told = play(namespace.cluster, tmp_path)
    assert "The cluster has the CRD already" in told
    assert found(namespace.cluster) == before
    assert namespace.get("clusterfederations", "shop")["metadata"]["uid"] == uid
    namespace.kubectl("delete", "cfed", "shop")
