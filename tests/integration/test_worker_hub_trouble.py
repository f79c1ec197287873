"""What can be wrong between a worker and its hub: it says so, once, and mends itself when that is mended."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from controlplane.plane import ControlPlane
from rig.asking import ask, free_port
from rig.files import ROOT, place
from rig.gate import Gate
from rig.hub_namespace import HubNamespace
from rig.kubectl import kubectl_of
from rig.patience import PATIENCE, eventually
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.trouble import attempts, check_no_answer, complaints, table, variant, with_plugin

Json = dict[str, Any]

ONE_ACTIVE = (
    b'[{"status":"active","name":"cluster1","id":"cluster_1"},'
    b'{"status":"passive","name":"cluster2","id":"cluster_2"}]'
)


# --- a hub that can't be reached or refuses --------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        "down",
        "no kubeconfig",
        "unusable kubeconfig",
        "no context",
        "half a kubeconfig",
        "no URL",
        "no proxy",
        "failing plugin",
    ],
)
def test_a_worker_tells_what_is_wrong_and_mends_itself(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path, trouble: str
) -> None:
    hub.apply()
    hub.set_status(table(1, "active", "passive"))
    path = tmp_path / "kubeconfig"
    reason, told = {
        "down": ("HubUnreachable", "cannot reach the hub"),
        "no kubeconfig": ("HubNotConfigured", f"cannot use the kubeconfig {path}: there is no such file"),
        "unusable kubeconfig": ("HubNotConfigured", str(path)),
        "no context": ("HubNotConfigured", "it has no context named elsewhere"),
        "half a kubeconfig": ("HubNotConfigured", f"{path}: it is not YAML"),
        "no URL": ("HubNotConfigured", "12345 is not an http or https URL"),
        "no proxy": ("HubNotConfigured", "foo://bar is not an http or https URL"),
        "failing plugin": ("HubNotConfigured", "the exec plugin false failed with status 1"),
    }[trouble]
    if trouble == "down":
        variant(hub, path, lambda cluster, _: cluster.update(server=f"https://127.0.0.1:{free_port()}"))
    elif trouble == "unusable kubeconfig":
        variant(hub, path, lambda cluster, _: cluster.update({"certificate-authority-data": "bm90aGluZw=="}))
    elif trouble == "half a kubeconfig":
        place(path, hub.kubeconfig.read_text()[:-100])
    elif trouble == "no URL":
        variant(hub, path, lambda cluster, _: cluster.update(server=12345))
    elif trouble == "no proxy":
        variant(hub, path, lambda cluster, _: cluster.update({"proxy-url": "foo://bar"}))
    elif trouble == "failing plugin":
        variant(hub, path, with_plugin("false"))
    elif trouble == "no context":
        place(
            path, hub.kubeconfig.read_text().replace('"current-context": "', '"current-context": "elsewhere')
        )

    worker = programs.worker("cluster_1", "--log-level", "debug", kubeconfig=path)
    check_no_answer(worker.is_active())  # at once, whatever it is
    answer = worker.await_reason(reason)
    assert str(path) not in answer.error
    for endpoint in ("/tcf/status", "/tcf/clusters"):
        check_no_answer(worker.get(endpoint), reason)
    for endpoint in ("/tcf/toggle", "/tcf/promote", "/tcf/demote"):
        posted = worker.post(endpoint)
        check_no_answer(posted, reason)
        assert "nothing was changed" in posted.error
        assert str(path) not in posted.error
    ready = worker.get("/readyz")
    assert (ready.status, worker.get("/healthz").status) == (503, 200)
    assert str(path) not in ready.error
    eventually(lambda: attempts(worker) >= 4, what="a few more attempts")
    (line,) = complaints(worker)
    assert told in line

    place(path, hub.kubeconfig.read_text())

    worker.await_active()
    assert worker.get("/tcf/clusters").body == ONE_ACTIVE
    assert len(hub.leases()) == 1
    assert hub.token not in worker.log


def test_a_refused_token_may_be_replaced(hub: HubNamespace, programs: TcfProcesses, tmp_path: Path) -> None:
    hub.apply()
    hub.set_status(table(1, "active", "passive"))
    wrong = "wrong-t0ken-that-nobody-may-see"
    path = variant(hub, tmp_path / "kubeconfig", lambda _, user: user.update(token=wrong))
    worker = programs.worker("cluster_1", "--log-level", "debug", kubeconfig=path)
    check_no_answer(worker.is_active())
    assert "does not accept the credentials" in worker.await_reason("HubUnauthorized").error
    eventually(lambda: "renew the token" in worker.log, what="advice")
    refused = eventually(
        lambda: a if (a := worker.post("/tcf/toggle")).reason == "HubUnauthorized" else None,
        what="a POST is told the reason as well",
    )
    assert "nothing was changed" in refused.error
    eventually(lambda: attempts(worker) >= 4, what="a few more attempts")

    place(path, hub.kubeconfig.read_text())

    worker.await_active()
    assert worker.get("/tcf/clusters").body == ONE_ACTIVE
    assert len(hub.leases()) == 1
    assert hub.token not in worker.log
    assert wrong not in worker.log


def test_a_service_account_needs_these_rights_and_no_more(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    hub.apply(leaseDuration="1s", switchoverTimeout="3s")
    hub.set_status(table(1, "active", "passive"))
    account = hub.service_account("worker")
    path = account.kubeconfig(tmp_path / "kubeconfig")

    worker = programs.worker("cluster_1", "--log-level", "debug", kubeconfig=path)
    answer = worker.await_reason("HubForbidden")
    assert account.user not in answer.error
    (line,) = complaints(worker)
    assert account.user in line
    assert 'cannot create resource "leases"' in line
    assert "grant that right by RBAC" in line

    account.grant("leases", "create,get,patch,delete", "leases.coordination.k8s.io")
    eventually(lambda: 'cannot get resource "clusterfederations"' in worker.log, what="the next right")
    check_no_answer(worker.is_active(), "HubForbidden")
    assert len(complaints(worker)) == 2

    account.grant("federations", "get,list,watch", "clusterfederations.tcf.dev")
    worker.await_active()
    refused = worker.post("/tcf/toggle")
    check_no_answer(refused, "HubForbidden")
    assert "nothing was changed" in refused.error
    assert 'cannot update resource "clusterfederations/status"' in worker.log
    account.grant("requests", "update", "clusterfederations.tcf.dev/status")
    eventually(
        lambda: account.may("update", "clusterfederations.tcf.dev", "--subresource=status"),
        what="the last right",
    )
    check_no_answer(worker.post("/tcf/toggle"), "NoCoordinator")
    worker.await_active()

    # A Lease that is deleted and can't be had anew: there is nothing left that an answer could rest on.
    hub.kubectl("delete", "rolebinding", "leases")
    eventually(lambda: not account.may("create", "leases.coordination.k8s.io"), what="the right is gone")
    (lease,) = hub.leases()
    hub.kubectl("delete", "lease", lease["metadata"]["name"])
    worker.await_reason("HubForbidden")
    check_no_answer(worker.is_active(), "HubForbidden")
    account.bind("again", "leases")
    worker.await_active()
    (anew,) = hub.leases()
    assert anew["metadata"]["uid"] != lease["metadata"]["uid"]
    assert worker.stop() == 0
    assert hub.leases() == []
    assert account.token not in worker.log
    assert account.token.split(".")[2] not in worker.log


# --- a hub that was there and is not any more --------------------------------------------------------------


def test_a_hub_that_is_silent_or_gone(hub: HubNamespace, programs: TcfProcesses, tmp_path: Path) -> None:
    hub.apply(leaseDuration="1s")
    hub.set_status(table(1, "active", "passive"))
    with Gate(hub.server) as gate:
        gate.silence()
        path = gate.kubeconfig(hub, tmp_path / "kubeconfig")
        worker = programs.worker("cluster_1", "--log-level", "debug", kubeconfig=path)
        check_no_answer(worker.is_active(), "Starting")
        worker.await_reason("HubUnreachable")
        (silent,) = complaints(worker)
        assert "no answer from the hub within 5.0 s" in silent
        gate.open()
        worker.await_active()

        for block, told in ((gate.close, "cannot reach the hub"), (gate.silence, "no answer from the hub")):
            mark = len(worker.log)
            block()
            worker.await_reason("HubUnreachable")
            expired = eventually(partial(_expired, worker, mark), what="it is told in the log")
            assert "term 1" in expired
            answer = worker.is_active()
            check_no_answer(answer, "HubUnreachable")
            assert "term 1" in answer.error
            assert "expired" in answer.error
            assert told in expired
            assert worker.get("/readyz").status == 503
            eventually(partial(_expired_for_a_second, worker), what="a few more cycles have failed")
            lines = complaints(worker, mark)
            assert [line for line in lines if line.startswith("no answer: ")] == [expired]
            assert len(lines) <= 2  # before that: active, and cannot renew
            gate.open()
            worker.await_active()
            assert worker.get("/tcf/clusters").body == ONE_ACTIVE

        gate.close()
        refused = worker.post("/tcf/demote")
        check_no_answer(refused, "HubUnreachable")
        assert "nothing was changed" in refused.error
        assert worker.stop() == 0  # it does not wait for ever for a farewell
        assert "a switchover may have to wait for it" in worker.log
    assert len(hub.leases()) == 1


def _expired(worker: TcfProcess, start: int) -> str | None:
    return next((line for line in complaints(worker, start) if "expired" in line), None)


def _expired_for_a_second(worker: TcfProcess) -> bool:
    found = re.search(r"expired (\d+\.\d) s ago", worker.is_active().error)
    return found is not None and float(found[1]) > 1


def test_a_hub_without_the_resource_and_a_restart_of_the_hub(programs: TcfProcesses, tmp_path: Path) -> None:
    """On a hub of its own: no other test may lose the CRD or its API server."""
    with ControlPlane.start() as plane, contextlib.ExitStack() as stack:
        hub = HubNamespace(kubectl_of(plane), "default", plane.kubeconfig)
        folder = tmp_path / "own"
        folder.mkdir()
        own = TcfProcesses(hub, folder)
        stack.callback(own.close)
        worker = own.worker("cluster_1", "--log-level", "debug")
        answer = worker.await_reason("CRDNotInstalled")
        assert "CRD" in answer.error
        eventually(lambda: attempts(worker) >= 3, what="a few more attempts")
        assert len(complaints(worker)) == 1

        hub.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        worker.await_reason("FederationNotFound")
        hub.apply(leaseDuration="1s")
        worker.await_reason("NotBootstrapped")
        hub.set_status(table(1, "active", "passive"))
        worker.await_active()
        assert complaints(worker)[0].startswith("no answer: ")

        plane.kill_component("kube-apiserver")
        assert "expired" in worker.await_reason("HubUnreachable").error
        plane.start_component("kube-apiserver")
        worker.await_active()
        assert hub.token not in worker.log


def test_an_operator_awaits_the_resource_whenever_it_is_not_there(tmp_path: Path) -> None:
    with ControlPlane.start() as plane, contextlib.ExitStack() as stack:
        hub = HubNamespace(kubectl_of(plane), "default", plane.kubeconfig)
        folder = tmp_path / "own"
        folder.mkdir()
        own = TcfProcesses(hub, folder)
        stack.callback(own.close)
        worker, operator = own.worker("cluster_1"), own.operator()
        for _ in range(2):
            eventually(partial(_in_trouble, operator, "CRD"), what="the operator tells what is missing")
            worker.await_reason("CRDNotInstalled")
            hub.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
            worker.await_reason("FederationNotFound")
            hub.apply()
            worker.await_active()
            operator.await_ready()
            hub.kubectl("delete", "-f", str(ROOT / "crds"))
        assert operator.process.poll() is None


def _in_trouble(operator: TcfProcess, what: str) -> bool:
    answer = operator.get("/readyz")
    return answer.status == 503 and what in answer.error


# --- the object ------------------------------------------------------------------------------------------


def test_the_object_and_the_member_may_come_late_and_go(hub: HubNamespace, programs: TcfProcesses) -> None:
    others = [{"id": "cluster_2", "name": "cluster2"}, {"id": "cluster_3", "name": "cluster3"}]
    own = {"id": "cluster_1", "name": "cluster1"}
    without_own = {
        "clusters": [{"id": m["id"], "name": m["name"], "status": "passive"} for m in others],
        "activeCluster": "",
    }
    worker = programs.worker("cluster_1")

    def told(reason: str, *words: str) -> None:
        answer = worker.await_reason(reason)
        for path in ("/tcf/status", "/tcf/is_active", "/tcf/clusters"):
            check_no_answer(worker.get(path), reason)
        for word in words:
            assert word in answer.error
        for path in ("/tcf/toggle", "/tcf/promote", "/tcf/demote"):
            check_no_answer(worker.post(path), reason)

    told("FederationNotFound", "create")
    hub.apply(clusters=[own, *others], activeCluster="cluster_2")
    told("NotBootstrapped", "tcf-operator", f"{hub.namespace}/shop")
    hub.apply(clusters=others, activeCluster="cluster_2")
    told("UnknownCluster", "cluster_1", "cluster_2, cluster_3", "spec.clusters")
    hub.set_status(table(10, **without_own))
    told("UnknownCluster", "cluster_1", "cluster_2, cluster_3", "spec.clusters")
    hub.apply(clusters=[own, *others], activeCluster="cluster_2")
    told("NoRoleYet", "cluster_1", "tcf-operator")
    hub.set_status(table(11, "active", "passive", "passive"))
    assert worker.await_active().headers["X-TCF-Term"] == "11"

    hub.set_status(table(12, "passive", "passive", "passive"))
    worker.await_status(418)
    hub.apply(clusters=others, activeCluster="cluster_2")
    hub.set_status(table(13, **without_own))
    told("UnknownCluster", "cluster_1", "cluster_2, cluster_3")
    hub.apply(clusters=[own, *others], activeCluster="cluster_2")
    told("NoRoleYet", "cluster_1", "tcf-operator")
    hub.set_status(table(14, "active", "passive", "passive"))
    assert worker.await_active().headers["X-TCF-Term"] == "14"

    # Gone, and come back: with a higher term, as an operator gives it, and the second time with any.
    for term in (20, 3):
        hub.kubectl("delete", "cfed", "shop")
        told("FederationNotFound")
        hub.apply(clusters=[own, *others])
        told("NotBootstrapped")
        hub.set_status(table(term, "passive", "passive", "active"))
        assert worker.await_status(418).headers["X-TCF-Term"] == str(term)
        hub.set_status(table(term + 1, "active", "passive", "passive"))
        assert worker.await_active().headers["X-TCF-Term"] == str(term + 1)
    assert len(hub.leases()) == 1

    # Each was told once, when it came.
    came = (
        "no ClusterFederation",
        "no operator",
        *(("not a member", "is new in spec.clusters") * 2),
        *(("no ClusterFederation", "no operator") * 2),
    )
    for line, word in zip(complaints(worker), came, strict=True):
        assert word in line


def test_the_namespace_may_come_late_and_go(hub: HubNamespace, programs: TcfProcesses) -> None:
    name = f"{hub.namespace}-late"
    worker = programs.worker("cluster_1", "--namespace", name)
    worker.await_reason("NamespaceUnusable")
    assert f"there is no namespace {name} on the hub; create it" in worker.log

    hub.kubectl("create", "namespace", name)
    worker.await_reason("FederationNotFound")

    # Without a namespace controller it stays in this state.
    hub.kubectl("delete", "namespace", name, "--wait=false")
    too_late = programs.worker("cluster_1", "--namespace", name)
    too_late.await_reason("NamespaceUnusable")
    assert "the namespace on the hub is being deleted" in too_late.log


# --- the Lease -------------------------------------------------------------------------------------------


def test_a_lost_lease_is_registered_anew(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply(leaseDuration="1s")
    hub.set_status(table(1, "active", "passive"))
    worker = programs.worker("cluster_1")
    worker.await_active()
    (lost,) = hub.leases()

    hub.kubectl("delete", "lease", lost["metadata"]["name"])

    def registered() -> Json | None:
        return next((x for x in hub.leases() if x["metadata"]["uid"] != lost["metadata"]["uid"]), None)

    anew = eventually(registered, what="another Lease")
    assert anew["metadata"]["labels"] == lost["metadata"]["labels"]
    worker.await_active()
    (renewed,) = hub.leases()
    uid = hub.get()["metadata"]["uid"]
    assert renewed["metadata"]["annotations"] == {
        "tcf.dev/acknowledged": f"{uid}/1",
        "tcf.dev/isolation": "Fence",
        "tcf.dev/last-active": "cluster_1/1",
    }
    assert renewed["spec"]["leaseDurationSeconds"] == 1
    assert worker.log.count("lease lost: somebody has deleted it") == 1


@pytest.mark.parametrize("label", ["tcf.dev/federation", "tcf.dev/cluster"])
def test_a_lease_that_no_coordinator_finds_is_no_lease(
    hub: HubNamespace, programs: TcfProcesses, label: str
) -> None:
    """Whoever takes a label off it has hidden the worker from every fence."""
    hub.apply(leaseDuration="3s")
    hub.set_status(table(1, "active", "passive"))
    worker = programs.worker("cluster_1")
    worker.await_active()
    (lost,) = hub.leases()

    hub.kubectl("label", "lease", lost["metadata"]["name"], f"{label}-")

    eventually(lambda: "lease lost" in worker.log, what="the worker has noticed")
    worker.await_active()
    (anew,) = (x for x in hub.leases() if x["metadata"]["uid"] != lost["metadata"]["uid"])
    assert anew["metadata"]["labels"] == lost["metadata"]["labels"]
    assert anew["metadata"]["name"] != lost["metadata"]["name"]
    hub.kubectl("delete", "lease", lost["metadata"]["name"])


@pytest.fixture
def admission(hub: HubNamespace) -> Iterator[Callable[[], None]]:
    """Calling it makes the API server refuse every renewal in the test's namespace, with 422."""
    name = f"no-renewals.{hub.namespace}"
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": hub.namespace}},
                "resourceRules": [
                    {
                        "apiGroups": ["coordination.k8s.io"],
                        "apiVersions": ["v1"],
                        "operations": ["UPDATE"],
                        "resources": ["leases"],
                    }
                ],
            },
            "validations": [{"expression": "false", "message": "no renewals today"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }

    def refuse() -> None:
        hub.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([policy, binding]))

    yield refuse
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
        hub.kubectl("delete", kind, name, "--ignore-not-found")


def _refused_renewals(hub: HubNamespace) -> int:
    """How many writes to Leases the API server has refused for their content, to anybody."""
    metrics = hub.kubectl("get", "--raw", "/metrics").stdout
    lines = re.findall(r"^apiserver_request_total\{(.*)\} (\d+)$", metrics, re.MULTILINE)
    wanted = ('code="422"', 'resource="leases"', 'verb="PATCH"')
    return sum(int(count) for labels, count in lines if all(label in labels for label in wanted))


def test_a_hub_that_refuses_every_renewal_is_not_hammered(
    hub: HubNamespace, programs: TcfProcesses, admission: Callable[[], None]
) -> None:
    hub.apply(leaseDuration="2s")
    hub.set_status(table(1, "active", "passive"))
    worker = programs.worker("cluster_1")
    worker.await_active()
    before = _refused_renewals(hub)

    admission()

    worker.await_reason("HubRefused")
    assert "no renewals today" in worker.log
    eventually(partial(_expired_for_a_second, worker), what="it has been refused for a while")
    assert _refused_renewals(hub) - before < 100  # some are other tests'; unbridled there are thousands
    assert len(complaints(worker)) == 2  # active, and cannot renew; then expired
    hub.kubectl("delete", "validatingadmissionpolicybinding", f"no-renewals.{hub.namespace}")
    worker.await_active()
    assert len(hub.leases()) == 1


def test_a_reading_that_expired_while_the_process_stood_still_is_not_answered(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    hub.apply(leaseDuration="1s")
    hub.set_status(table(1, "active", "passive"))
    worker = programs.worker("cluster_1")
    worker.await_active()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(_connected(worker.port)) for _ in range(5)]
        for client in clients:
            _send(client)
            assert _received(client)[0] in {200, 500}
        worker.signal(signal.SIGSTOP)
        stopped = time.monotonic()
        for client in clients:
            _send(client)
        eventually(lambda: time.monotonic() > stopped + 1.1, what="the reading has expired")

        worker.signal(signal.SIGCONT)

        for client in clients:
            status, head, body = _received(client)
            assert status == 500, body
            assert b"expired" in body
            assert b"X-TCF-Term" not in head
    worker.await_active()


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def _send(client: socket.socket) -> None:
    client.sendall(b"GET /tcf/is_active HTTP/1.1\r\nHost: localhost\r\n\r\n")


def _received(client: socket.socket) -> tuple[int, bytes, bytes]:
    """Status, head and body of the one answer that is under way."""
    with client.makefile("rb") as stream:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += stream.readline()
        length = re.search(rb"Content-Length: (\d+)", head)
        assert length
        return int(head.split()[1]), head, stream.read(int(length[1]))


def _knows(worker: TcfProcess, term: int) -> bool:
    return worker.get(f"/tcf/status?min_term={term}").status == 200


def test_workers_of_one_member_agree(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply()
    hub.set_status(table(1, "active", "passive"))
    workers = [programs.worker("cluster_1") for _ in range(2)]
    tables = (
        ("active", "passive"),
        ("demoting", "passive"),
        ("passive", "passive"),
        ("promoting", "passive"),
    )
    for term, roles in enumerate((*tables, ("active", "passive")), 1):
        hub.set_status(table(term, *roles))
        answers = []
        for worker in workers:
            query = f"?min_term={term}"
            eventually(partial(_knows, worker, term), what=f"term {term}")
            found = [worker.get(path + query) for path in ("/tcf/status", "/tcf/is_active", "/tcf/clusters")]
            answers.append([(a.status, a.body, a.headers["X-TCF-Term"]) for a in found])
            assert answers[-1][0] == (200, roles[0].encode(), str(term))
        assert answers[0] == answers[1]

    leases = hub.leases()
    assert len(leases) == 2
    for lease in leases:
        assert lease["metadata"]["labels"] == {"tcf.dev/federation": "shop", "tcf.dev/cluster": "cluster_1"}
    assert workers[0].stop() == 0
    (left,) = hub.leases()
    assert left["metadata"]["uid"] in {lease["metadata"]["uid"] for lease in leases}
    assert workers[1].is_active().status == 200


# --- the end of a worker ---------------------------------------------------------------------------------


def test_a_clean_stop_takes_the_lease_along_and_a_kill_does_not(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    hub.apply()
    hub.set_status(table(1, "active", "passive"))
    workers = [programs.worker("cluster_1") for _ in range(3)]
    for worker in workers:
        worker.await_active()
    assert len(hub.leases()) == 3
    with _connected(workers[0].port) as idle:  # a load balancer's pool
        _send(idle)
        assert _received(idle)[0] == 200
        assert workers[0].stop() == 0
        assert idle.recv(1) == b""
    assert len(hub.leases()) == 2

    workers[1].signal(signal.SIGINT)
    assert workers[1].process.wait(PATIENCE) == 0
    (left,) = hub.leases()

    workers[2].kill()
    assert hub.leases() == [left]
    again = programs.worker("cluster_1")
    again.await_active()
    assert len(hub.leases()) == 2
    assert left in hub.leases()
    assert again.stop() == 0
    assert hub.leases() == [left]
    for worker in (*workers[:2], again):
        assert complaints(worker) == []


def test_a_request_under_way_is_answered_by_a_worker_that_is_stopped(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    hub.apply()
    hub.set_status(table(1, "active", "passive"))
    worker = programs.worker("cluster_1")
    worker.await_active()
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(ask, worker.port, "POST", "/tcf/demote")
        eventually(lambda: hub.status().get("switchover"), what="the request")
        assert worker.stop() == 0
        answer = pending.result()
    assert (answer.status, answer.reason) == (500, "OutcomeUnknown")
    assert "stopped" in answer.error
    assert hub.leases() == []
