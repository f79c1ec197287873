"""The commands of docs/install.md, clusters.md and uninstall.md, run as the pages say, on a new cluster."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.files import ROOT

from e2e.cluster import Cluster, Namespace
from e2e.test_clusters import INSIDE
from e2e.test_demo_on_cluster import found

IMAGE = "image.repository=example.org/platform/tcf-operator"


class Reader:
    """Somebody who types what a page says: with their own image, and namespaces of other names."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        for name in ("charts", "examples"):
            (folder / name).symlink_to(ROOT / name)

    def follow(self, page: str, section: str) -> None:
        """Run all commands of a section, in order, until one fails."""
        text = (ROOT / "docs" / page).read_text()
        _, found_it, rest = text.partition(f"\n## {section}\n")
        assert found_it, f"{page} has no section {section}"
        for script in re.findall(
            r"^```sh\n(.*?)^```", re.split(r"^## ", rest, flags=re.MULTILINE)[0], re.MULTILINE | re.DOTALL
        ):
            self._run(script)

    def _run(self, script: str) -> None:
        script = script.replace(IMAGE, self._cluster.image_values)
        script = script.replace("https://hub.example.org:6443", INSIDE)
        programs = {
            self._cluster.program.parent,
            self._cluster.helm_program.parent,
            Path(sys.executable).parent,  # kubectl tcf
        }
        environment = {
            **os.environ,
            "KUBECONFIG": str(self._cluster.kubeconfig),
            "PATH": ":".join([*map(str, programs), os.environ["PATH"]]),
        }
        done = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", script],
            cwd=self._folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def reader(cluster: Cluster, tmp_path: Path) -> Iterator[Reader]:
    names = ("namespace/tcf", "namespace/shop", "crd/clusterfederations.tcf.dev")
    there = cluster.kubectl("get", *names, "--ignore-not-found", "-o", "name").split()
    if there:
        pytest.fail(f"these commands would remove {there}, which the cluster has already: use a new one")
    before = found(cluster)
    reader = Reader(cluster, tmp_path)
    try:
        yield reader
        for kind in ("leases", "serviceaccounts", "secrets"):
            for namespace in ("tcf", "shop"):
                assert "tcf-" not in cluster.kubectl("get", kind, "-n", namespace, "-o", "name")
    finally:
        cluster.kubectl("delete", "namespace", "tcf", "shop", "--ignore-not-found")
    assert found(cluster) == before


def test_install_upgrade_and_uninstall(reader: Reader, cluster: Cluster) -> None:
    tcf = Namespace(cluster, "tcf")
    reader.follow("install.md", "The operator")
    tcf.kubectl("rollout", "status", "deployment/tcf-operator", "--timeout=2m")
    tcf.kubectl("apply", "-f", str(ROOT / "examples/shop.yaml"))
    tcf.eventually(lambda: tcf.condition("Ready"), what="the operator has seen it")
    reader.follow("install.md", "Upgrading")
    reader.follow("install.md", "Uninstalling, and coming back")
    assert tcf.status()["protocol"] == 1
    reader.follow("install.md", "Removing everything")


def test_a_hub_and_a_member(reader: Reader, cluster: Cluster) -> None:
    hub, member = Namespace(cluster, "tcf"), Namespace(cluster, "shop")
    reader.follow("clusters.md", "On the hub")
    reader.follow("clusters.md", "In each member's cluster")
    hub.await_active("cluster_1")
    member.await_active_worker("tcf-operator-shop-cluster-1")
    for section in ("2. Workers", "3. Federations", "4. Operators", "5. The CRD", "6. Leftovers"):
        reader.follow("uninstall.md", section)
