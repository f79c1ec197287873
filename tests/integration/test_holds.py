"""Holds: an application beside the worker acts as long as it has one. Nobody else is promoted meanwhile."""

from __future__ import annotations

import json
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rig.asking import Answer, ask, free_port
from rig.hub_namespace import HubNamespace
from rig.patience import eventually
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.application import Application, held_for, holders
from support.audited import audited

LEASE_SECONDS = 5


@pytest.fixture
def pair(programs: TcfProcesses) -> tuple[TcfProcess, TcfProcess]:
    """A worker for each member. cluster_1 is active."""
    return programs.switchable_pair(leaseDuration=f"{LEASE_SECONDS}s", switchoverTimeout="30s")


def lease_of(hub: HubNamespace, cluster: str) -> dict[str, Any]:
    (lease,) = (each for each in hub.leases() if each["metadata"]["labels"]["tcf.dev/cluster"] == cluster)
    return lease


def asked(pool: ThreadPoolExecutor, worker: TcfProcess, path: str) -> Future[Answer]:
    return pool.submit(worker.post, path)


# --- asking for a hold --------------------------------------------------------------------------------


def test_the_active_member_grants_a_hold_within_its_reading(
    hub: HubNamespace, pair: tuple[TcfProcess, TcfProcess]
) -> None:
    one, two = pair
    answer = Application(one.port).hold("300s")
    assert (answer.status, answer.body) == (200, b"active")
    assert 0 < held_for(answer) <= 0.9 * LEASE_SECONDS
    assert held_for(answer) <= 0.9 * float(answer.headers["X-TCF-Valid-For"]) + 0.1
    assert answer.headers["X-TCF-Cluster"] == "cluster_1"
    assert answer.headers["X-TCF-Federation"] == f"{hub.namespace}/shop"
    assert answer.headers["X-TCF-Term"] == str(hub.status()["term"])
    assert held_for(Application(one.port).hold("1s")) <= 0.9

    other = Application(two.port).hold()
    assert (other.status, other.body, held_for(other)) == (418, b"passive", 0)


def test_a_worker_that_knows_nothing_grants_nothing(programs: TcfProcesses) -> None:
    answer = Application(programs.worker("cluster_1").port).hold()
    assert (answer.status, held_for(answer)) == (500, 0)
    assert answer.reason in {"Starting", "FederationNotFound"}


def test_who_holds_is_shown(pair: tuple[TcfProcess, TcfProcess]) -> None:
    one, two = pair
    Application(one.port).hold()
    Application(one.port, "web").hold(healthy="false", message="no disk")
    Application(two.port).hold()
    first, second = holders(one.port)
    assert (first["name"], first["state"], first["healthy"], first["message"]) == (
        "pg-0",
        "holding",
        True,
        "",
    )
    assert 0 < first["seconds_left"] <= LEASE_SECONDS
    assert first["since"].endswith("Z")
    assert (second["name"], second["healthy"], second["message"]) == ("web", False, "no disk")
    (idle,) = holders(two.port)
    assert (idle["state"], idle["seconds_left"]) == ("idle", 0)


def test_a_release_needs_the_instance(pair: tuple[TcfProcess, TcfProcess]) -> None:
    one, _ = pair
    application, other = Application(one.port), Application(one.port)
    application.hold()
    assert other.release().status == 204
    assert [row["state"] for row in holders(one.port)] == ["holding"]
    assert (application.release().status, application.release().status) == (204, 204)
    assert not holders(one.port)


@pytest.mark.parametrize(
    ("path", "body", "reason", "hint"),
    [
        ("/tcf/holds/pg-0", None, "InvalidParameter", "such as for=10s"),
        ("/tcf/holds/pg-0?for=10", None, "InvalidParameter", "15s"),
        ("/tcf/holds/pg-0?for=%EF%BC%91%EF%BC%90s", None, "InvalidParameter", "15s"),  # wide digits
        ("/tcf/holds/pg-0?for=0s", None, "InvalidParameter", "1s to 300s"),
        ("/tcf/holds/pg-0?for=301s", None, "InvalidParameter", "1s to 300s"),
        ("/tcf/holds/pg-0?for=10s&wait=6s", None, "InvalidParameter", "half of for"),
        ("/tcf/holds/pg-0?for=10s&for=20s", None, "InvalidParameter", "more than once"),
        ("/tcf/holds/pg-0?for=10s&id=a%20b", None, "InvalidParameter", "letters"),
        ("/tcf/holds/-pg?for=10s", None, "InvalidParameter", "both ends"),
        ("/tcf/holds/pg%2F0?for=10s", None, "InvalidParameter", "not a name"),
        ("/tcf/holds/?for=10s", None, "InvalidParameter", "not a name"),
        ("/tcf/holds/" + "n" * 64 + "?for=10s", None, "InvalidParameter", "63"),
        ("/tcf/holds/pg-0?for=10s&draining=yes", None, "InvalidParameter", "true or false"),
        ("/tcf/holds/pg-0?for=10s&message=%0A", None, "InvalidParameter", "line breaks"),
        ("/tcf/holds/pg-0?for=10s&seconds=3", None, "UnknownParameter", "draining"),
        ("/tcf/holds/pg-0?for=10s", b"{", "MalformedRequest", "body"),
    ],
)
def test_what_is_wrong_is_refused_with_advice(
    programs: TcfProcesses, path: str, body: bytes | None, reason: str, hint: str
) -> None:
    answer = ask(programs.worker("cluster_1").port, "PUT", path, body)
    assert (answer.status, answer.reason) == (400, reason)
    assert hint in answer.error


def test_parameters_may_be_in_the_body(pair: tuple[TcfProcess, TcfProcess]) -> None:
    one, _ = pair
    as_json = json.dumps({"for": "2s", "id": "x", "healthy": False}).encode()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert ask(one.port, "PUT", "/tcf/holds/pg-0", as_json).status == 200
    assert ask(one.port, "PUT", "/tcf/holds/pg-0", b"for=2s&id=y", form).status == 200
    assert [row["healthy"] for row in holders(one.port)] == [False, True]
    assert ask(one.port, "DELETE", "/tcf/holds/pg-0", b"id=x", form).status == 204
    assert len(holders(one.port)) == 1


def test_there_are_only_so_many_holders(pair: tuple[TcfProcess, TcfProcess]) -> None:
    _, two = pair
    for number in range(64):
        Application(two.port, f"app-{number}").hold("300s")
    answer = Application(two.port, "one-more").hold()
    assert (answer.status, answer.reason) == (503, "TooManyHolders")
    assert answer.headers["Retry-After"] == "1"


def test_the_other_methods_of_these_paths(programs: TcfProcesses) -> None:
    port = programs.worker("cluster_1").port
    assert ask(port, "POST", "/tcf/holds").headers["Allow"] == "GET, HEAD, OPTIONS"
    assert ask(port, "GET", "/tcf/holds/pg-0").headers["Allow"] == "PUT, DELETE, OPTIONS"
    assert ask(port, "PUT", "/tcf/holds/pg-0/more?for=10s").status == 404
    assert "/tcf/holds/NAME" in ask(port, "GET", "/tcf/unknown").error


# --- a switchover waits -------------------------------------------------------------------------------


def test_nobody_is_promoted_before_the_holder_lets_go(
    hub: HubNamespace, pair: tuple[TcfProcess, TcfProcess]
) -> None:
    one, two = pair
    application = Application(one.port)
    application.hold("300s")
    with ThreadPoolExecutor() as pool:
        toggle = asked(pool, two, "/tcf/toggle")
        one.await_status(418)
        told = application.hold("10s")
        assert told.status == 418
        assert held_for(told) > 0
        assert two.is_active().status == 418
        eventually(lambda: '"pg-0"' in _held_by(hub), what="the Lease says who holds")
        eventually(lambda: 'waiting for "pg-0"' in _switching(hub), what="the condition says so")
        application.release()
        assert toggle.result().status == 200
    assert two.is_active().status == 200
    assert not _held_by(hub)


def _switching(hub: HubNamespace) -> str:
    (condition,) = (each for each in hub.status()["conditions"] if each["type"] == "Switching")
    message: str = condition["message"]
    return message


def _held_by(hub: HubNamespace) -> str:
    found: str = lease_of(hub, "cluster_1")["metadata"]["annotations"].get("tcf.dev/held-by", "")
    return found


def test_a_holder_that_does_nothing_delays_the_switchover_until_its_hold_ends(
    pair: tuple[TcfProcess, TcfProcess],
) -> None:
    one, two = pair
    ends = time.monotonic() + held_for(Application(one.port).hold("4s"))
    answer = two.post("/tcf/toggle")
    assert answer.status == 200
    assert time.monotonic() > ends


def test_a_long_poll_is_answered_at_once_when_the_role_moves(pair: tuple[TcfProcess, TcfProcess]) -> None:
    one, two = pair
    old, new = Application(one.port), Application(two.port)
    old.hold("60s")
    with ThreadPoolExecutor() as pool:
        stopping, beginning = (pool.submit(each.hold, "60s", wait="30s") for each in (old, new))
        eventually(lambda: len(holders(two.port)) == 1, what="both wait")
        toggle = asked(pool, two, "/tcf/toggle")
        assert stopping.result().status == 418
        assert not beginning.done()
        old.release()
        answer = beginning.result()
        assert (answer.status, toggle.result().status) == (200, 200)
        assert held_for(answer) > 0


def test_a_holder_that_drains_gets_more_time_but_not_for_ever(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    hub.apply(leaseDuration="5s", switchoverTimeout="8s")
    programs.operator()
    one, two = programs.pair()
    one.await_active()
    two.await_status(418)
    application = Application(one.port)
    application.hold("2s")
    with ThreadPoolExecutor() as pool:
        toggle = asked(pool, two, "/tcf/toggle")
        one.await_status(418)
        lost_at, drained = time.monotonic(), 0
        while held_for(application.hold("2s", draining="true")):
            drained += 1
            time.sleep(0.2)
        assert drained > 10, "longer than the hold was at first"
        assert time.monotonic() > lost_at + 2
        assert toggle.result().status == 200
    assert [past["outcome"] for past in hub.status()["history"]] == ["Succeeded", "Succeeded"]


# --- the Lease ----------------------------------------------------------------------------------------


def test_a_worker_that_is_killed_takes_nothing_back(pair: tuple[TcfProcess, TcfProcess]) -> None:
    one, two = pair
    ends = time.monotonic() + held_for(Application(one.port).hold("300s"))
    one.kill()
    assert two.post("/tcf/promote").status == 200
    assert time.monotonic() > ends


def test_the_lease_lasts_until_the_hold_ends_when_its_duration_is_cut(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    hub.apply(leaseDuration="60s", switchoverTimeout="90s")
    programs.operator()
    one = programs.worker("cluster_1")
    one.await_active()
    Application(one.port).hold("300s")
    hub.apply(leaseDuration="2s", switchoverTimeout="90s")
    eventually(lambda: one.is_active().headers["X-TCF-Valid-For"] < "3", what="the reading is short")
    assert lease_of(hub, "cluster_1")["spec"]["leaseDurationSeconds"] > 30


def test_a_clean_stop_waits_for_the_holders(hub: HubNamespace, pair: tuple[TcfProcess, TcfProcess]) -> None:
    one, _ = pair
    application = Application(one.port)
    application.hold("300s")
    one.signal(signal.SIGTERM)
    answer = eventually(
        lambda: told if (told := application.hold()).status != 200 else None, what="it is being stopped"
    )
    assert (answer.status, answer.reason) == (500, "Stopping")
    assert held_for(answer) > 0
    assert lease_of(hub, "cluster_1")
    application.release()
    assert one.process.wait(10) == 0
    assert [each["metadata"]["labels"]["tcf.dev/cluster"] for each in hub.leases()] == ["cluster_2"]


# --- KeepRole -----------------------------------------------------------------------------------------


def test_under_keep_role_holds_go_on_during_an_outage(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    hub.apply(leaseDuration="2s", switchoverTimeout="10s", isolation="KeepRole")
    programs.operator()
    account = hub.service_account("worker")
    account.grant("worker", "*", "*.*")
    one = programs.worker("cluster_1", kubeconfig=account.kubeconfig(tmp_path / "kubeconfig"))
    one.await_active()
    hub.kubectl("delete", "rolebinding", "worker")
    eventually(lambda: one.is_active().headers["X-TCF-Valid-For"] == "0.000", what="the reading is too old")
    answer = Application(one.port).hold("10s")
    assert answer.status == 200
    assert 8 < held_for(answer) <= 9


# --- who may ------------------------------------------------------------------------------------------


def test_beside_the_worker_nobody_needs_a_token(hub: HubNamespace, programs: TcfProcesses) -> None:
    beside = free_port()
    one = programs.worker("cluster_1", "--auth", "kubernetes", "--holds-listen", f"127.0.0.1:{beside}")
    assert Application(one.port).hold().status == 401
    eventually(lambda: Application(beside).hold().reason == "FederationNotFound", what="it answers")
    assert Application(beside).release().status == 204
    assert ask(beside, "POST", "/tcf/toggle").status == 404


def test_a_holder_needs_a_right_of_its_own_and_keeps_it_while_the_hub_is_down(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    hub.apply()
    programs.operator()
    audit = tmp_path / "audit"
    one = programs.worker("cluster_1", "--auth", "kubernetes", "--audit-log", str(audit))
    one.await_active()
    account = hub.service_account("app")
    token = hub.kubectl("create", "token", "app", "--audience=tcf.dev").stdout.strip()
    application = Application(one.port, headers={"Authorization": f"Bearer {token}"})
    refused = application.hold()
    assert (refused.status, refused.reason) == (403, "Forbidden")
    assert "update clusterfederations/holds of shop" in refused.error
    account.grant("app", "update", "clusterfederations.tcf.dev/holds", "--resource-name=shop")
    eventually(lambda: application.hold().status == 200, what="the right is known")
    application.hold()
    application.release()
    lines = audited(audit, lambda entries: bool(entries) and entries[-1]["verb"] == "delete")
    assert [(line["verb"], line["responseStatus"]["code"]) for line in lines if "holder" in str(line)] == [
        ("update", 200),
        ("delete", 204),
    ], "each hold is recorded once, and its end"
    assert {line["objectRef"]["subresource"] for line in lines} == {"holds"}
