"""`GET /tcf/info` and `GET /tcf/history`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
from rig.asking import ask
from rig.hub_namespace import HubNamespace
from rig.patience import eventually
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.lone_worker import LoneWorker, lone_worker

Json = dict[str, Any]


@pytest.fixture(scope="module")
def shop(
    control_plane: dict[str, str], crd: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LoneWorker]:
    with lone_worker(control_plane, tmp_path_factory.mktemp("info"), leaseDuration="15s") as shop:
        yield shop


def found(worker: TcfProcess, path: str, token: str = "") -> Any:
    answer = ask(worker.port, "GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["X-TCF-Cluster"] == "cluster_1"
    return json.loads(answer.body)


def test_info(shop: LoneWorker) -> None:
    about = {
        "version": version("tcf-operator"),
        "protocol": 1,
        "federation": f"{shop.hub.namespace}/shop",
        "cluster": "cluster_1",
    }
    shop.await_refusal("NotBootstrapped")
    unknown: Json = found(shop.worker, "/tcf/info")
    assert unknown["hub"]["state"] == "NotBootstrapped"
    assert "tcf-operator" in unknown["hub"]["error"]
    assert unknown == {**about, "role": None, "term": None, "valid_for": None, "hub": unknown["hub"]}

    shop.put("passive", "active")
    known: Json = found(shop.worker, "/tcf/info")
    assert 0 < known.pop("valid_for") <= 15
    assert known == {**about, "role": "passive", "term": shop.term, "hub": {"state": "Renewed"}}


def test_history(shop: LoneWorker) -> None:
    past = {
        "id": "ask-1",
        "term": 1,
        "from": "cluster_1",
        "to": "cluster_2",
        "trigger": "api",
        "requestedBy": "alice via cluster_2",
        "reason": "Übung",
        "startedAt": "2026-11-27T10:00:00Z",
        "finishedAt": "2026-11-27T10:00:01Z",
        "outcome": "Succeeded",
        "message": "done",
    }
    older = {**past, "id": "ask-0", "outcome": "TimedOut"}
    shop.put("passive", "active", history=[past, older])
    assert found(shop.worker, "/tcf/history") == [past, older]
    shop.put("passive", "active")
    assert found(shop.worker, "/tcf/history") == []
    shop.hub.set_status(None)
    shop.await_refusal("NotBootstrapped")
    refused = shop.worker.get("/tcf/history")
    assert (refused.status, refused.reason) == (500, "NotBootstrapped")


def test_only_somebody_who_may_read_the_federation_sees_who_has_asked(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    hub.apply()
    programs.operator()
    worker = programs.worker("cluster_1", "--auth", "kubernetes")
    worker.await_active()
    reader, stranger = hub.service_account("reader"), hub.service_account("stranger")
    reader.grant("reader", "get", "clusterfederations.tcf.dev")
    tokens = {
        each.name: hub.kubectl("create", "token", each.name, "--audience=tcf.dev").stdout.strip()
        for each in (reader, stranger)
    }

    def names() -> bool:
        (entry,) = found(worker, "/tcf/history", tokens["reader"])
        return "requestedBy" in entry

    eventually(names, what="the right counts")
    for token in ("", "junk", tokens["stranger"]):
        (entry,) = found(worker, "/tcf/history", token)
        assert entry["trigger"] == "bootstrap"
        assert "requestedBy" not in entry
