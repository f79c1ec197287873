"""The life of an installation, told in order: each test goes on from where the one before has ended."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from rig.files import ROOT
from support.chart import CHART

from e2e.cluster import MEMBERS, Namespace, dashed
from e2e.port_forward import PortForwards
from e2e.proxied_prober import ProxiedProber

Measured = Callable[[str], None]

FAST = "workers.drainSeconds=2"
CONSOLE = 8091
"""The port of the chart's console."""
OPERATOR = "app.kubernetes.io/component=operator"
AUTOMATIC = '{"spec":{"leaseDuration":"3s","failover":{"mode":"Automatic","timeout":"5s","cooldown":"1s"}}}'


@pytest.fixture(scope="module")
def shop(shared: Namespace) -> Iterator[Namespace]:
    yield shared
    shared.kubectl("delete", "cfed", "--all", "--wait=false")


@pytest.fixture(scope="module")
def token(shop: Namespace) -> str:
    """Of somebody who may switch, by the Role that the chart has made."""
    return shop.switcher("tcf-operator-switcher")


def workers(member: str) -> str:
    """The name of a member's Deployment and Service."""
    return f"tcf-operator-shop-{dashed(member)}"


def label(member: str) -> str:
    return f"app.kubernetes.io/component=worker,tcf.dev/cluster={member}"


def probes(shop: Namespace) -> ProxiedProber:
    """Of both members, by their Services: what a load balancer in the cluster is told."""
    return ProxiedProber(shop, {member: f"services/{workers(member)}" for member in MEMBERS})


def test_the_operator_alone(shop: Namespace) -> None:
    """A federation that is created then says what it lacks."""
    shop.install("operator.replicas=2")
    assert len(shop.pods(OPERATOR)) == 2
    shop.kubectl("apply", "-f", str(ROOT / "examples/shop.yaml"))
    shop.eventually(lambda: shop.condition("Ready"), what="the operator has seen it")
    ready = shop.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "NoWorkers")
    assert f"tcf-worker --namespace {shop.name} --federation shop --cluster cluster_1" in ready["message"]
    shop.kubectl("delete", "cfed", "shop")


def test_the_example_runs_with_one_more_value(shop: Namespace, measured: Measured) -> None:
    shop.helm("uninstall", "tcf-operator", "--wait")
    began = time.monotonic()
    shop.install("example.enabled=true", "console.enabled=true", FAST)
    shop.await_active("cluster_1")
    took = time.monotonic() - began
    measured(f"from helm install to an active member: {took:.1f} s")
    assert took < 60
    shop.eventually(lambda: shop.condition("Ready").get("status") == "True", what="it is ready")
    for member in MEMBERS:
        assert len(shop.pods(label(member))) == 2


def test_helm_test(shop: Namespace) -> None:
    assert "Succeeded" in shop.helm("test", "tcf-operator", "--timeout=2m")


def test_a_toggle(shop: Namespace, token: str) -> None:
    with probes(shop) as seen:
        shop.post(f"services/{workers('cluster_2')}-control", "/tcf/toggle", token)
        shop.await_active("cluster_2")
        seen.await_active("cluster_2")
        shop.post(f"services/{workers('cluster_1')}-control", "/tcf/promote", token)
        seen.await_active("cluster_1")
    assert seen.broken_promises == []


def test_the_console_of_the_image(shop: Namespace, token: str) -> None:
    with contextlib.closing(PortForwards(shop.kubectl_command, CONSOLE)) as console:
        page = console.ask("services/tcf-operator", "GET", "/")
        assert (page.status, b"/console.js" in page.body) == (200, True)
        for member in ("cluster_2", "cluster_1"):
            wish = f"namespace={shop.name}&federation=shop&member={member}&reason=exercise"
            done = console.ask("services/tcf-operator", "POST", f"/console/promote?{wish}", token)
            assert (done.status, shop.active()) == (200, member), done
    assert shop.status()["history"][0]["requestedBy"].endswith(" via console")


def test_a_worker_is_killed(shop: Namespace, measured: Measured) -> None:
    """Another one answers; the role stays."""
    term = shop.status()["term"]
    with probes(shop) as seen:
        victim = shop.pods(label("cluster_1"))[0]
        shop.kubectl("delete", "pod", victim, "--grace-period=0", "--force")
        shop.kubectl("rollout", "status", f"deployment/{workers('cluster_1')}", "--timeout=2m")
    assert shop.status()["term"] == term
    measured(f"a worker killed: longest time without a yes {seen.gap():.2f} s")
    assert seen.gap() < 5


def test_rolling_updates_lose_no_role(shop: Namespace, measured: Measured) -> None:
    """Of the workers of both members, and of the operator."""
    term = shop.status()["term"]
    for what in (*map(workers, MEMBERS), "tcf-operator"):
        with probes(shop) as seen:
            shop.kubectl("rollout", "restart", f"deployment/{what}")
            shop.kubectl("rollout", "status", f"deployment/{what}", "--timeout=3m")
        measured(f"rolling update of {what}: longest time without a yes {seen.gap():.2f} s")
        assert shop.status()["term"] == term
        assert shop.active() == "cluster_1"
        assert seen.gap() < 1


def test_all_operators_are_killed(shop: Namespace, token: str) -> None:
    """Roles stay as they are meanwhile, and a switchover is done when one is back."""
    term = shop.status()["term"]
    with probes(shop) as seen:
        shop.kubectl("delete", "pods", "-l", OPERATOR, "--grace-period=0", "--force")
        shop.post(f"services/{workers('cluster_2')}-control", "/tcf/promote", token)
        seen.await_active("cluster_2")
    assert shop.status()["term"] == term + 3
    assert seen.broken_promises == []
    shop.post(f"services/{workers('cluster_1')}-control", "/tcf/promote", token)


def test_an_upgrade_with_other_values_loses_no_role(shop: Namespace, measured: Measured) -> None:
    term = shop.status()["term"]
    with probes(shop) as seen:
        notes = shop.install(
            "example.enabled=true",
            FAST,
            "operator.logLevel=debug",
            "workers.logFormat=json",
            "workers.replicas=3",
            verb="upgrade",
        )
        assert "a POST without a token is refused" in notes
    measured(f"helm upgrade: longest time without a yes {seen.gap():.2f} s")
    assert shop.status()["term"] == term
    assert seen.gap() < 1
    shop.eventually(lambda: len(shop.pods(label("cluster_1"))) == 3, what="those before are gone")


def test_an_upgrade_brings_a_changed_crd(shop: Namespace, tmp_path: Path) -> None:
    term = shop.status()["term"]
    changed = Path(shutil.copytree(CHART, tmp_path / "chart"))
    crd = yaml.safe_load((changed / "crd.yaml").read_text())
    properties = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    properties["motto"] = {"type": "string", "description": "What the federation stands for."}
    (changed / "crd.yaml").write_text(yaml.safe_dump(crd))
    shop.install("example.enabled=true", FAST, verb="upgrade", chart=changed)
    assert "stands for" in shop.kubectl("explain", "cfed.spec.motto")
    shop.install("example.enabled=true", FAST, verb="upgrade")
    assert (shop.status()["term"], shop.active()) == (term, "cluster_1")


def test_all_workers_of_the_active_member_are_gone(shop: Namespace, measured: Measured) -> None:
    """Automatic failover, and nothing fails back."""
    shop.kubectl("patch", "cfed", "shop", "--type=merge", "-p", AUTOMATIC)
    shop.eventually(
        lambda: all(
            lease["spec"]["leaseDurationSeconds"] == 3 for lease in shop.items("leases", "tcf.dev/federation")
        ),
        what="all workers renew for 3 s",
    )
    time.sleep(2)  # the cooldown
    deployment = f"deployment/{workers('cluster_1')}"
    with probes(shop) as seen:
        shop.kubectl("scale", deployment, "--replicas=0")
        shop.kubectl("delete", "pods", "-l", label("cluster_1"), "--grace-period=0", "--force")
        seen.await_active("cluster_2")
        measured(f"all workers killed: longest time without a yes {seen.gap():.2f} s")
        shop.kubectl("scale", deployment, "--replicas=2")
        shop.kubectl("rollout", "status", deployment, "--timeout=2m")
        shop.eventually(lambda: shop.condition("Degraded").get("status") == "False", what="all is well")
    assert shop.active() == "cluster_2"
    assert seen.broken_promises == []
    assert shop.status()["history"][0]["trigger"] == "failover"


def test_an_uninstallation_keeps_federations_and_a_new_one_goes_on(shop: Namespace, token: str) -> None:
    term = shop.status()["term"]
    shop.helm("uninstall", "tcf-operator", "--wait")
    assert shop.active() == "cluster_2"
    shop.install("example.enabled=true", FAST)
    shop.eventually(lambda: shop.condition("Ready").get("status") == "True", what="it is ready")
    assert (shop.status()["term"], shop.active()) == (term, "cluster_2")
    with probes(shop) as seen:
        seen.await_active("cluster_2")
        shop.post(f"services/{workers('cluster_1')}-control", "/tcf/promote", token)
        seen.await_active("cluster_1")
    assert seen.broken_promises == []
