"""What can be wrong between a worker and its hub: it says so, once, and mends itself when that is mended."""

from __future__ import annotations

import contextlib
import re
import select
import signal
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from controlplane.client import ControlPlane
from support.api import PATIENCE, ROOT, Answer, Hub, Kubectl, ask, eventually, free_port
from support.programs import Program, Programs

from tcf.hub import errors
from tcf.hub.client import HubClient
from tcf.hub.credentials import in_cluster
from tcf.hub.federations import Federations

Json = dict[str, Any]

ONE_ACTIVE = (
    b'[{"status":"active","name":"cluster1","id":"cluster_1"},'
    b'{"status":"passive","name":"cluster2","id":"cluster_2"}]'
)


def table(term: int, *roles: str, **more: Any) -> Json:
    """A status by hand: the roles of cluster_1, cluster_2 and so on."""
    rows = [{"id": f"cluster_{n}", "name": f"cluster{n}", "status": r} for n, r in enumerate(roles, 1)]
    active = next((row["id"] for row in rows if row["status"] == "active"), "")
    return {"protocol": 1, "term": term, "activeCluster": active, "clusters": rows, **more}


def variant(hub: Hub, path: Path, change: Callable[[Json, Json], object]) -> Path:
    """A kubeconfig at `path` with its cluster and its user changed; replaced as editors do it."""
    config = yaml.safe_load(hub.kubeconfig.read_text())
    change(config["clusters"][0]["cluster"], config["users"][0]["user"])
    return place(path, yaml.safe_dump(config))


def place(path: Path, text: str) -> Path:
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.rename(path)
    return path


def token_of(hub: Hub) -> str:
    token: str = yaml.safe_load(hub.kubeconfig.read_text())["users"][0]["user"]["token"]
    return token


def warnings(worker: Program) -> list[str]:
    """What it has complained of, without time and fields."""
    found = re.findall(r"^\S+ (?:WARNING|ERROR) +(.*?)(?:  \w+=.*)?$", worker.log, re.MULTILINE)
    return [str(line) for line in found]


def attempts(worker: Program) -> int:
    """How many watches have failed, which only the debug log tells."""
    return len(re.findall(r"^\S+ DEBUG +watch: ", worker.log, re.MULTILINE))


def check_no_answer(answer: Answer, reason: str | None = None) -> None:
    assert answer.status == 500
    assert answer.reason
    assert reason in {None, answer.reason}
    assert answer.error
    assert answer.headers["X-TCF-Cluster"] == "cluster_1"
    assert "X-TCF-Term" not in answer.headers


# --- a hub that can't be reached or refuses --------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["down", "unauthorized", "no kubeconfig", "unusable kubeconfig", "no context"])
def test_a_worker_tells_what_is_wrong_and_mends_itself(
    hub: Hub, programs: Programs, tmp_path: Path, trouble: str
) -> None:
    hub.apply()
    hub.set_status(table(1, "active", "passive"))
    path = tmp_path / "kubeconfig"
    wrong = "wrong-t0ken-that-nobody-may-see"
    reason, told = {
        "down": ("HubUnreachable", "cannot reach the hub"),
        "unauthorized": ("HubUnauthorized", "renew the token"),
        "no kubeconfig": ("HubNotConfigured", str(path)),
        "unusable kubeconfig": ("HubNotConfigured", str(path)),
        "no context": ("HubNotConfigured", "elsewhere"),
    }[trouble]
    if trouble == "down":
        variant(hub, path, lambda cluster, _: cluster.update(server=f"https://127.0.0.1:{free_port()}"))
    elif trouble == "unauthorized":
        variant(hub, path, lambda _, user: user.update(token=wrong))
    elif trouble == "unusable kubeconfig":
        variant(hub, path, lambda cluster, _: cluster.update({"certificate-authority-data": "bm90aGluZw=="}))
    elif trouble == "no context":
        place(path, hub.kubeconfig.read_text().replace('"current-context": "', '"current-context": "elsewhere'))

    worker = programs.worker("cluster_1", "--log-level", "debug", kubeconfig=path)
    check_no_answer(worker.is_active())  # at once, whatever it is
    answer = worker.await_reason(reason)
    assert told in answer.error
    for endpoint in ("/tcf/status", "/tcf/clusters"):
        check_no_answer(worker.get(endpoint), reason)
    for endpoint in ("/tcf/toggle", "/tcf/promote", "/tcf/demote"):
        posted = worker.post(endpoint)
        check_no_answer(posted, reason)
        assert "nothing was changed" in posted.error
        assert told in posted.error
    ready = worker.get("/readyz")
    assert (ready.status, worker.get("/healthz").status) == (503, 200)
    assert told in ready.error
    eventually(lambda: attempts(worker) >= 4, what="a few more attempts")
    assert [line for line in warnings(worker) if not line.endswith("refused")] == [
        *(line for line in warnings(worker) if line.startswith("no answer: ")),
        *(line for line in warnings(worker) if " refused: " in line),
    ]
    (line,) = [line for line in warnings(worker) if line.startswith("no answer: ")]
    assert told in line

    place(path, hub.kubeconfig.read_text())

    worker.await_active()
    assert worker.get("/tcf/clusters").body == ONE_ACTIVE
    assert len(hub.leases()) == 1
    assert token_of(hub) not in worker.log
    assert wrong not in worker.log


def grant(kubectl: Kubectl, name: str, verbs: str, resource: str) -> None:
    kubectl("create", "role", name, f"--verb={verbs}", f"--resource={resource}")
    kubectl("create", "rolebinding", name, f"--role={name}", f"--serviceaccount={namespace_of(kubectl)}:worker")


def namespace_of(kubectl: Kubectl) -> str:
    return kubectl("config", "view", "--minify", "-o", "jsonpath={..namespace}").stdout


def test_a_service_account_needs_these_rights_and_no_more(
    hub: Hub, programs: Programs, tmp_path: Path
) -> None:
    hub.apply(leaseDuration="1s", switchoverTimeout="3s")
    hub.set_status(table(1, "active", "passive"))
    hub.kubectl("create", "serviceaccount", "worker")
    token = hub.kubectl("create", "token", "worker").stdout.strip()
    path = variant(hub, tmp_path / "kubeconfig", lambda _, user: user.update(token=token))
    account = f"system:serviceaccount:{hub.namespace}:worker"

    def granted(name: str, verbs: str, resource: str) -> None:
        hub.kubectl("create", "role", name, f"--verb={verbs}", f"--resource={resource}")
        hub.kubectl("create", "rolebinding", name, f"--role={name}", f"--serviceaccount={hub.namespace}:worker")

    def may(verb: str, resource: str) -> bool:
        asked = hub.kubectl("auth", "can-i", verb, resource, f"--as={account}", check=False)
        return asked.stdout.strip() == "yes"

    worker = programs.worker("cluster_1", "--log-level", "debug", kubeconfig=path)
    answer = worker.await_reason("HubForbidden")
    assert account in answer.error
    assert 'cannot create resource "leases"' in answer.error
    assert "RBAC" in answer.error

    granted("leases", "create,get,patch,delete", "leases.coordination.k8s.io")
    eventually(lambda: "clusterfederations" in worker.is_active().error, what="the next right that lacks")
    check_no_answer(worker.is_active(), "HubForbidden")
    assert len([line for line in warnings(worker) if line.startswith("no answer: ")]) == 1

    granted("federations", "get,list,watch", "clusterfederations.tcf.dev")
    worker.await_active()
    refused = worker.post("/tcf/toggle")
    check_no_answer(refused, "HubForbidden")
    assert "nothing was changed" in refused.error
    assert "clusterfederations/status" in refused.error
    granted("requests", "update", "clusterfederations.tcf.dev/status")
    eventually(lambda: may("update", "clusterfederations.tcf.dev/status"), what="the last right")
    check_no_answer(worker.post("/tcf/toggle"), "NoCoordinator")
    worker.await_active()

    # A Lease that is deleted and can't be had anew: there is nothing left that an answer could rest on.
    hub.kubectl("delete", "rolebinding", "leases")
    eventually(lambda: not may("create", "leases.coordination.k8s.io"), what="the right is gone")
    (lease,) = hub.leases()
    hub.kubectl("delete", "lease", lease["metadata"]["name"])
    worker.await_reason("HubForbidden")
    seen = attempts(worker)
    assert "X-TCF-Term" not in worker.is_active().headers
    hub.kubectl("create", "rolebinding", "again", "--role=leases", f"--serviceaccount={hub.namespace}:worker")
    worker.await_active()
    (anew,) = hub.leases()
    assert anew["metadata"]["uid"] != lease["metadata"]["uid"]
    assert attempts(worker) >= seen
    assert worker.stop() == 0
    assert hub.leases() == []
    assert token not in worker.log
    assert token.split(".")[2] not in worker.log
