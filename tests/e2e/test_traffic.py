"""Traffic follows the role inside a cluster: by readiness probe, by readiness gate and by label."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from rig.files import ROOT

from e2e.cluster import MEMBERS, Namespace, dashed, endpoints
from e2e.port_forward import PortForwards

Json = dict[str, Any]
Measured = Callable[[str], None]
TOGGLES = int(os.environ.get("TCF_E2E_TOGGLES", "50"))
BETWEEN = 2.0
"""Seconds between two toggles: Kubernetes holds the next change of an EndpointSlice back for a while."""
SERVICES = tuple(f"shop-{dashed(member)}" for member in MEMBERS)


@pytest.fixture(scope="module")
def operator(shared: Namespace) -> Namespace:
    shared.install()
    return shared


@pytest.fixture
def shop(operator: Namespace, namespace: Namespace) -> Iterator[Namespace]:
    namespace.kubectl("apply", "-f", str(ROOT / "examples/shop.yaml"))
    yield namespace
    namespace.kubectl("delete", "cfed", "--all", "--wait=false")


def apply(shop: Namespace, way: str, folder: Path) -> None:
    """The example as it is, but for the image's name."""
    copy = shutil.copytree(ROOT / f"examples/traffic-{way}", folder / way)
    kustomization = copy / "kustomization.yaml"
    repository, _, tag = shop.cluster.image.rpartition(":")
    named = f"newName: {repository}, newTag: {tag}}}"
    changed, places = re.subn("newName: .*", named, kustomization.read_text())
    assert places == 1
    kustomization.write_text(changed)
    shop.kubectl("apply", "-k", str(copy))
    shop.await_active("cluster_1")
    shop.eventually(lambda: _run(shop.items("pods", "app=shop"), 4), what="all Pods run")
    await_traffic(shop, 0)


def _run(pods: list[Json], count: int) -> bool:
    """Nobody can forward a port to a Pod before. A passive Pod is never ready, but it runs."""
    return [pod["status"].get("phase") for pod in pods] == ["Running"] * count


def reached(shop: Namespace) -> list[set[str]]:
    """The Pods behind the Service of each member."""
    slices = shop.items("endpointslices")
    return [endpoints(slices, service) for service in SERVICES]


def await_traffic(shop: Namespace, member: int) -> None:
    """Wait until all Pods of this member get requests, and none of the other."""

    def arrived() -> bool:
        there = reached(shop)
        return len(there[member]) == 2 and not there[1 - member]

    shop.eventually(arrived, what=f"traffic to {SERVICES[member]} alone")


def _any_traffic(shop: Namespace, member: int) -> bool:
    return bool(reached(shop)[member])


def promote(shop: Namespace, member: int) -> None:
    """By the port that only the Pod itself can reach."""
    forwards = PortForwards(shop.kubectl_command, 8081)
    try:
        answer = forwards.ask(f"deployment/{SERVICES[member]}", "POST", "/tcf/promote")
    finally:
        forwards.close()
    assert answer.status == 200, answer


@dataclass(frozen=True)
class Moment:
    """How many Pods each Service leads to from then on (monotonic seconds)."""

    at: float
    ready: tuple[int, int]


def replayed(events: list[tuple[float, str, Json]]) -> Iterator[Moment]:
    """What the EndpointSlices said after each change of any of them, in the order of the changes."""
    slices: dict[str, Json] = {}
    for at, kind, value in events:
        name = value["metadata"]["name"]
        slices[name] = value
        if kind == "DELETED":
            del slices[name]
        one, two = (len(endpoints(list(slices.values()), service)) for service in SERVICES)
        yield Moment(at, (one, two))


@pytest.mark.parametrize("way", ["probe", "gate"])
def test_never_two_members_at_a_time(shop: Namespace, measured: Measured, way: str, tmp_path: Path) -> None:
    apply(shop, way, tmp_path)
    posts: list[tuple[float, int]] = []
    with shop.cluster.watching(shop.name, "endpointslices") as events:
        for number in range(TOGGLES):
            member = 1 - number % 2
            posts.append((time.monotonic(), member))
            promote(shop, member)
            await_traffic(shop, member)
            time.sleep(BETWEEN)
    moments = list(replayed(events))
    assert len(moments) >= 2 * TOGGLES
    assert [moment for moment in moments if all(moment.ready)] == []
    told, gaps = [], []
    for posted, member in posts:
        gone = next(m.at for m in moments if m.at > posted and not m.ready[1 - member])
        come = next(m.at for m in moments if m.at > posted and m.ready[member])
        told.append(come - posted)
        gaps.append(come - gone)
    measured(
        f"{way}: {TOGGLES} toggles; from POST to the first endpoint {median(told):.2f} s"
        f" (max {max(told):.2f}); nobody for {median(gaps):.2f} s (max {max(gaps):.2f})"
    )


def test_a_label_leads_requests_and_leaves_rollouts_alone(
    shop: Namespace, measured: Measured, tmp_path: Path
) -> None:
    apply(shop, "label", tmp_path)
    told = []
    for number in range(10):
        member = 1 - number % 2
        posted = time.monotonic()
        promote(shop, member)
        shop.eventually(partial(_any_traffic, shop, member), what="traffic")
        told.append(time.monotonic() - posted)
        await_traffic(shop, member)
    measured(f"label: from POST to the first endpoint {median(told):.2f} s (max {max(told):.2f})")
    # All Pods are ready in either role, so that rollouts of both members end.
    for service in SERVICES:
        shop.kubectl("rollout", "restart", f"deployment/{service}")
        shop.kubectl("rollout", "status", f"deployment/{service}", "--timeout=2m")
    await_traffic(shop, 0)


@pytest.mark.parametrize("way", ["probe", "gate"])
def test_a_rollout_of_the_passive_member_replaces_its_pods(shop: Namespace, way: str, tmp_path: Path) -> None:
    """They are not ready, so it is never counted as finished; but it is done, and the role stays."""
    apply(shop, way, tmp_path)
    term = shop.status()["term"]
    selector = f"member={dashed('cluster_2')}"
    before = set(shop.pods(selector))
    shop.kubectl("rollout", "restart", f"deployment/{SERVICES[1]}")

    def replaced() -> bool:
        pods = shop.items("pods", selector)
        return _run(pods, 2) and not before.intersection(p["metadata"]["name"] for p in pods)

    shop.eventually(replaced, what="all of its Pods are new")
    assert (shop.status()["term"], shop.active()) == (term, "cluster_1")
    shop.eventually(lambda: shop.status()["clusters"][1]["liveWorkers"] == 2, what="its workers are alive")
    promote(shop, 1)
    await_traffic(shop, 1)


def test_a_gated_pod_whose_worker_dies_gets_nothing(shop: Namespace, tmp_path: Path) -> None:
    """The condition stays as it was left, but the Pod is not ready without its sidecar, and then is again."""
    apply(shop, "gate", tmp_path)
    victim = min(reached(shop)[0])
    before = _restarts(shop, victim)
    shop.kubectl("exec", victim, "-c", "worker", "--", "python3", "-c", KILL, check=False)
    shop.eventually(lambda: _restarts(shop, victim) > before, what="the worker is started again")
    await_traffic(shop, 0)
    assert shop.active() == "cluster_1"


KILL = "import os; os.kill(1, 15)"
"""PID 1 of a container can't be killed from within; but it ends when it is asked to, as after a crash."""


def _restarts(shop: Namespace, pod: str) -> int:
    status = shop.get("pods", pod)["status"]
    return sum(each["restartCount"] for each in status["initContainerStatuses"])
