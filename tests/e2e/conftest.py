"""What `make e2e` gives: a cluster, and an image that it can run."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster import Cluster, Namespace, tool


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These first: they are to find a cluster without the CRD, which all others leave behind."""
    first = ("test_documents.py", "test_demo_on_cluster.py")
    assert all((Path(__file__).parent / name).exists() for name in first)
    items.sort(key=lambda item: first.index(item.path.name) if item.path.name in first else len(first))


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    kubeconfig, image = os.environ.get("TCF_E2E_KUBECONFIG"), os.environ.get("TCF_E2E_IMAGE")
    if not kubeconfig or not image:
        pytest.fail("these tests need a cluster and an image: run them by `make e2e`")
    return Cluster(Path(kubeconfig), image, tool("kubectl"), tool("helm"))


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    yield from _namespace(cluster)


@pytest.fixture(scope="module")
def shared(cluster: Cluster) -> Iterator[Namespace]:
    """A namespace for all tests of a file."""
    yield from _namespace(cluster)


def _namespace(cluster: Cluster) -> Iterator[Namespace]:
    name = f"tcf-e2e-{secrets.token_hex(3)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    made = Namespace(cluster, name)
    yield made
    made.forwards.close()
    made.helm("uninstall", "tcf-operator", "--ignore-not-found", check=False)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def measured(record_property: object, capsys: pytest.CaptureFixture[str]) -> object:
    """Say what was measured, also when all is well."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(f"\n  {text}")  # noqa: T201

    return say
