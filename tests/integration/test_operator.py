"""The operator as a process: replicas, restarts in the middle, deletion, health, embedded members."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from rig.asking import ask, free_port
from rig.hub_namespace import HubNamespace
from rig.patience import eventually
from rig.tcf_processes import TcfProcesses

from tcf.core.heartbeat import HEARTBEAT


def last_active(hub: HubNamespace) -> str:
    """What the annotation tells; "" if there is none."""
    told: str = hub.get()["metadata"]["annotations"].get("tcf.dev/last-active", "")
    return told


def test_two_replicas_do_what_one_would(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply()
    operators = [programs.operator(), programs.operator()]
    one, two = programs.pair()
    one.await_active()
    for program in (two, one, two):
        assert program.post("/tcf/toggle").status == 200

    def settled() -> bool:
        status = hub.status()
        alive = all(c.get("liveWorkers") == 1 for c in status["clusters"])
        return alive and last_active(hub) == f"cluster_2/{status['term']}"

    eventually(settled, what="both workers are counted as alive, and who is active is mirrored")
    version = hub.get()["metadata"]["resourceVersion"]
    ids = [h["id"] for h in hub.status()["history"]]
    assert len(ids) == len(set(ids)) == 4
    events = json.loads(hub.kubectl("get", "events", "-o", "json").stdout)["items"]
    assert len(events) == len({e["message"] for e in events})
    assert hub.get()["metadata"]["resourceVersion"] == version  # nobody overwrites anybody
    for operator in operators:
        assert operator.stop() == 0
        assert "ERROR" not in operator.log
        assert "WARNING cluster" not in operator.log


def test_a_switchover_outlives_the_operator_that_began_it(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply(leaseDuration="15s")
    operator = programs.operator()
    one, two = programs.pair()
    one.await_active()
    two.await_status(418)
    one.signal(signal.SIGSTOP)  # so that the demotion takes until it is fenced
    hub.apply(leaseDuration="15s", activeCluster="cluster_2")
    eventually(lambda: hub.roles()["cluster_1"] == "demoting", what="the switchover has begun")
    operator.kill()

    programs.operator()

    two.await_active()
    one.signal(signal.SIGCONT)
    one.await_status(418)
    assert [h["outcome"] for h in hub.status()["history"]] == ["Succeeded", "Succeeded"]


def test_a_deleted_federation_is_answered_for_no_more_and_may_begin_anew(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    hub.apply()
    programs.operator()
    one, two = programs.pair()
    term = int(one.await_active().headers["X-TCF-Term"])

    hub.kubectl("delete", "cfed", "shop")
    gone = one.await_reason("FederationNotFound")
    assert one.get("/readyz").status == 200  # it is at work, and waits for a federation
    two.await_reason("FederationNotFound")
    assert "create it" in gone.error

    hub.apply(activeCluster="cluster_2")  # the workers know better who was active
    answer = one.await_active()
    assert int(answer.headers["X-TCF-Term"]) > term
    two.await_status(418)


def test_the_role_survives_the_loss_of_the_status(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply(leaseDuration="2s")
    programs.operator()
    one, two = programs.pair()
    one.await_active()
    assert two.post("/tcf/promote").status == 200
    term = hub.status()["term"]

    eventually(lambda: last_active(hub) == f"cluster_2/{term}", what="the annotation")
    hub.set_status(None)  # as a backup restores it: the annotation is there, the status is not

    def begun_anew() -> bool:
        status = hub.status()
        return bool(status.get("term", 0) > term and status["activeCluster"] == "cluster_2")

    eventually(begun_anew, what="cluster_2 is active again, at a higher term")
    two.await_active()
    assert one.is_active().status == 418
    assert "the hub has lost" in hub.kubectl("get", "events").stdout


def test_health(hub: HubNamespace, programs: TcfProcesses) -> None:
    operator = programs.operator()
    assert operator.get("/healthz").body == b"ok"
    operator.await_ready()
    assert operator.get("/nothing").status == 404
    assert operator.stop() == 0


def test_an_operator_that_cannot_reach_the_hub_says_so(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    config = json.loads(hub.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
    nowhere = tmp_path / "nowhere"
    nowhere.write_text(json.dumps(config))
    operator = programs.operator(kubeconfig=nowhere)
    assert operator.get("/healthz").status == 200

    def told() -> bool:
        answer = operator.get("/readyz")
        return answer.status == 503 and "cannot reach the hub" in answer.error

    eventually(told, what="/readyz tells why")
    assert operator.stop() == 0


def test_an_operator_needs_these_rights_in_its_namespace_and_no_more(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    """/readyz names each right that is missing, until it is granted."""
    hub.apply()
    one, two = programs.pair()
    account = hub.service_account("operator")
    operator = programs.operator(kubeconfig=account.kubeconfig(tmp_path / "operator"))

    def not_ready(words: str) -> None:
        def told() -> bool:
            answer = operator.get("/readyz")
            return answer.status == 503 and words in answer.error

        eventually(told, what=words)

    not_ready(f"may not watch clusterfederations.tcf.dev in namespace {hub.namespace}")
    account.grant("federations", "watch,get,patch", "clusterfederations.tcf.dev")
    not_ready("may not watch leases.coordination.k8s.io")
    account.grant("leases", "watch,delete", "leases.coordination.k8s.io")
    not_ready('cannot list resource "clusterfederations"')
    account.grant("list", "list", "clusterfederations.tcf.dev")
    not_ready('cannot list resource "leases"')
    account.grant("roles", "update", "clusterfederations.tcf.dev/status")
    account.grant("events", "create", "events")
    account.grant("heartbeat", "create", "leases.coordination.k8s.io")
    only = f"--resource-name={HEARTBEAT}"
    account.grant("renew-heartbeat", "patch", "leases.coordination.k8s.io", only)
    # This comes last: with it, the operator is ready.
    account.grant("list-leases", "list", "leases.coordination.k8s.io")

    operator.await_ready()
    one.await_active()
    assert two.post("/tcf/toggle").status == 200
    one.kill()
    assert two.post("/tcf/demote").status == 200
    eventually(lambda: last_active(hub).startswith("cluster_2"), what="the annotation")
    eventually(lambda: hub.kubectl("get", "lease", HEARTBEAT, check=False).stdout, what="the heartbeat")
    assert "forbidden" not in operator.log.split("ready: federations")[-1]
    assert account.token not in operator.log


def test_an_operator_can_serve_members_itself(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply()
    ports = {"cluster_1": free_port(), "cluster_2": free_port()}
    serve = [
        argument
        for cluster, port in ports.items()
        for argument in ("--serve", f"{hub.namespace}/shop/{cluster}=127.0.0.1:{port}")
    ]
    operator = programs.operator(*serve)

    def active() -> bool:
        return ask(ports["cluster_1"], "GET", "/tcf/is_active").status == 200

    eventually(active, what="the embedded worker answers")
    assert ask(ports["cluster_2"], "POST", "/tcf/toggle").status == 200
    assert ask(ports["cluster_1"], "GET", "/tcf/is_active").body == b"passive"
    assert operator.stop() == 0
    assert hub.leases() == []


def test_workers_notice_that_no_operator_looks_after_them(hub: HubNamespace, programs: TcfProcesses) -> None:
    """They stay ready, because their answers are good, but `/readyz` and the log report it."""
    hub.apply()
    worker = programs.worker("cluster_1")

    def remarked(words: str) -> None:
        def told() -> bool:
            answer = worker.get("/readyz")
            return answer.status == 200 and words in answer.body.decode()

        eventually(told, what=words)

    def attended() -> None:
        eventually(lambda: worker.get("/readyz").body == b"ok", what="an operator looks after it")

    remarked(f"no operator seems to look after namespace {hub.namespace}: the Lease {HEARTBEAT} there does")
    programs.operator()
    worker.await_active()
    attended()
    assert worker.log.count("no operator seems to look after") == 1
    assert worker.log.count("an operator looks after this namespace again") == 1
    found = hub.kubectl("get", "leases", "-l", "tcf.dev/operator,!tcf.dev/federation", "-o", "name").stdout
    assert found.strip() == f"lease.coordination.k8s.io/{HEARTBEAT}"
