"""Who may move a role: tokens and rights, asked of a real API server; and what is recorded of it."""

from __future__ import annotations

import contextlib
import itertools
import signal
import socket
from pathlib import Path

import pytest
from rig.asking import Answer, ask, free_port
from rig.hub_namespace import HubNamespace, ServiceAccount
from rig.liar import JSON, Liar
from rig.patience import PATIENCE, eventually
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.application import Application, holders
from support.audited import Entries, audited, count

AUDIENCE = "tcf.dev"
REVIEW_OF_TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"


def post(worker: TcfProcess, path: str, token: str = "", **headers: str) -> Answer:
    bearer = {"Authorization": f"Bearer {token}"} if token else {}
    return ask(worker.port, "POST", path, headers=bearer | headers)


def token_of(hub: HubNamespace, account: ServiceAccount, audience: str = AUDIENCE) -> str:
    return hub.kubectl("create", "token", account.name, f"--audience={audience}").stdout.strip()


def allow(account: ServiceAccount, *subresources: str, federation: str = "shop") -> None:
    for subresource in subresources:
        account.grant(
            f"{account.name}-{subresource}",
            "create",
            f"clusterfederations.tcf.dev/{subresource}",
            f"--resource-name={federation}",
        )


def codes(entries: Entries) -> list[int]:
    return [entry["responseStatus"]["code"] for entry in entries]


@pytest.fixture
def alice(hub: HubNamespace) -> ServiceAccount:
    return hub.service_account("alice")


@pytest.fixture
def worker(hub: HubNamespace, programs: TcfProcesses, tmp_path: Path) -> TcfProcess:
    """The worker of cluster_1, which is active. cluster_2 has a worker, too."""
    hub.apply()
    programs.operator()
    programs.worker("cluster_2")
    one = programs.worker("cluster_1", "--auth", "kubernetes", "--audit-log", str(tmp_path / "audit"))
    one.await_active()
    return one


def refused(answer: Answer, status: int, reason: str) -> str:
    assert (answer.status, answer.reason) == (status, reason), answer.body
    return answer.error


def test_only_somebody_who_is_known_and_may_moves_the_role(
    hub: HubNamespace, worker: TcfProcess, alice: ServiceAccount, tmp_path: Path
) -> None:
    path, before = "/tcf/toggle?reason=exercise", hub.roles()

    anonymous = post(worker, path)
    assert "Authorization: Bearer" in refused(anonymous, 401, "Unauthenticated")
    assert anonymous.headers["WWW-Authenticate"] == "Bearer"
    assert anonymous.headers["X-TCF-Cluster"] == "cluster_1"
    refused(post(worker, path, "junk"), 401, "Unauthenticated")
    refused(post(worker, path, alice.token), 401, "Unauthenticated")  # for the API server itself
    for header in ("Basic YWxpY2U6cHc=", "Bearer", "Bearer ", "junk"):
        refused(post(worker, path, Authorization=header), 401, "Unauthenticated")

    token = token_of(hub, alice)
    message = refused(post(worker, path, token), 403, "Forbidden")
    assert f"{alice.user} may not create clusterfederations/switchover of shop" in message
    assert hub.roles() == before
    assert hub.status()["history"][0]["trigger"] == "bootstrap"

    allow(alice, "switchover")
    answer = eventually(
        lambda: moved if (moved := post(worker, path, token)).status == 200 else None, what="the right counts"
    )
    past = hub.status()["history"][0]
    assert past["requestedBy"] == f"{alice.user} via cluster_1"
    assert past["id"] == answer.headers["X-TCF-Request"]
    refused(post(worker, "/tcf/promote?force=true", token), 403, "Forbidden")
    assert worker.is_active().status == 418  # a GET needs no token

    entries = audited(tmp_path / "audit", lambda entries: codes(entries)[-2:] == [200, 403])
    assert len({entry["auditID"] for entry in entries}) == len(entries)
    assert codes(entries)[:8] == [401] * 7 + [403]
    (done,) = [entry for entry in entries if entry["responseStatus"]["code"] == 200]
    assert done["auditID"] == past["id"]
    assert done["user"]["username"] == alice.user
    assert "system:authenticated" in done["user"]["groups"]
    assert done["annotations"] == {
        "tcf.dev/request": past["id"],
        "tcf.dev/term": str(past["term"]),
        "tcf.dev/reason": "exercise",
        "tcf.dev/outcome": "Changed",
    }
    assert token not in worker.log + (tmp_path / "audit").read_text()
    assert alice.token not in worker.log + (tmp_path / "audit").read_text()
    events = ("get", "events", "-o", "jsonpath={.items[*].message}")
    eventually(lambda: f"request {past['id']}" in hub.kubectl(*events).stdout, what="the Events name it")


def test_a_right_that_was_taken_away_ends_within_seconds(
    hub: HubNamespace, worker: TcfProcess, alice: ServiceAccount
) -> None:
    allow(alice, "switchover")
    token = token_of(hub, alice)
    assert post(worker, "/tcf/promote", token).status == 200
    hub.kubectl("delete", "rolebinding", "alice-switchover")
    eventually(lambda: post(worker, "/tcf/promote", token).status == 403, what="the right has ended")


def test_a_right_on_another_federation_is_none_on_this_one(
    hub: HubNamespace, worker: TcfProcess, alice: ServiceAccount
) -> None:
    allow(alice, "switchover", federation="other")
    refused(post(worker, "/tcf/promote", token_of(hub, alice)), 403, "Forbidden")


def test_a_dry_run_needs_the_right_to_read(
    hub: HubNamespace, worker: TcfProcess, alice: ServiceAccount
) -> None:
    token = token_of(hub, alice)
    message = refused(post(worker, "/tcf/toggle?dry_run=true&force=true", token), 403, "Forbidden")
    assert "may not get clusterfederations of shop" in message
    alice.grant("read", "get", "clusterfederations.tcf.dev")
    eventually(lambda: post(worker, "/tcf/toggle?dry_run=true", token).status == 200, what="it may read")


def test_gets_need_a_right_where_that_is_asked_for(
    hub: HubNamespace, programs: TcfProcesses, alice: ServiceAccount, tmp_path: Path
) -> None:
    hub.apply()
    programs.operator()
    audit = tmp_path / "audit"
    one = programs.worker("cluster_1", "--auth", "kubernetes", "--auth-reads", "--audit-log", str(audit))
    one.await_ready()
    for path in ("/tcf/status", "/tcf/is_active", "/tcf/clusters"):
        for method in ("GET", "HEAD", "OPTIONS"):
            assert ask(one.port, method, path).status == 401, (method, path)
    assert [entry["verb"] for entry in audited(audit, count(9))] == ["get"] * 9
    bearer = {"Authorization": f"bearer {token_of(hub, alice)}"}
    assert ask(one.port, "GET", "/tcf/is_active", headers=bearer).status == 403
    alice.grant("read", "get", "clusterfederations.tcf.dev", "--resource-name=shop")
    eventually(
        lambda: ask(one.port, "GET", "/tcf/is_active", headers=bearer).status in {200, 418},
        what="it may read",
    )
    assert ask(one.port, "GET", "/healthz").status == ask(one.port, "GET", "/readyz").status == 200


def test_load_balancers_have_a_listener_that_asks_for_nothing(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    """It says which member is active, but has no table where reads need a right."""
    hub.apply()
    programs.operator()
    for reads, clusters in ((), 200), (("--auth-reads",), 404):
        port = free_port()
        one = programs.worker(
            "cluster_1", "--auth", "kubernetes", *reads, "--probe-listen", f"127.0.0.1:{port}"
        )
        eventually(lambda: ask(port, "GET", "/tcf/is_active").status == 200, what="it is active")  # noqa: B023 - at once
        assert ask(port, "GET", "/readyz").status == 200
        assert ask(port, "GET", "/tcf/clusters").status == clusters
        assert ask(port, "POST", "/tcf/demote").status == 404
        assert (one.is_active().status == 401) is bool(reads)


def test_no_door_is_open_if_the_hub_does_not_answer(
    hub: HubNamespace, programs: TcfProcesses, alice: ServiceAccount, tmp_path: Path
) -> None:
    """An answer that repeats the token must not bring it into the log either."""
    hub.apply()
    programs.operator()
    allow(alice, "switchover")
    token, other = token_of(hub, alice), token_of(hub, alice)
    with Liar(hub) as liar:
        one = programs.worker(
            "cluster_1", "--auth", "kubernetes", kubeconfig=liar.kubeconfig(hub, tmp_path / "kubeconfig")
        )
        one.await_active()
        liar.lie = lambda _, path: (
            (502, JSON, b"who is " + token.encode()) if path.endswith("reviews") else None
        )
        message = refused(post(one, "/tcf/demote", token), 500, "HubUnreachable")
        assert message.startswith("cannot check who sent this")
        liar.lie = lambda _, path: (200, JSON, b'{"status": {}}') if path == REVIEW_OF_TOKENS else None
        refused(post(one, "/tcf/demote", token), 401, "Unauthenticated")
        liar.lie = lambda _, path: (200, JSON, b"[]") if path.endswith("accessreviews") else None
        refused(post(one, "/tcf/demote", other), 500, "MalformedObject")
        assert one.is_active().status == 200
        assert token not in one.log
        assert other not in one.log


def test_a_worker_that_may_not_review_says_so(
    hub: HubNamespace, programs: TcfProcesses, alice: ServiceAccount, tmp_path: Path
) -> None:
    account = hub.service_account("worker")
    one = programs.worker("cluster_1", "--auth", "kubernetes", kubeconfig=account.kubeconfig(tmp_path / "kc"))
    message = refused(post(one, "/tcf/demote", token_of(hub, alice)), 500, "HubForbidden")
    assert message == "cannot check who sent this: the hub does not allow this worker to do that"
    assert 'cannot create resource "tokenreviews"' in one.log


@pytest.fixture
def open_doors(hub: HubNamespace, programs: TcfProcesses, tmp_path: Path) -> list[int]:
    """The ports of a worker and of an operator that serves, both without authentication."""
    hub.apply()
    where = f"{hub.namespace}/shop/cluster_2=127.0.0.1:0"
    operator = programs.operator("--serve", where, "--audit-log", str(tmp_path / "audit"))
    one = programs.worker("cluster_1", "--audit-log", str(tmp_path / "audit-1"))
    one.await_active()
    served = eventually(
        lambda: [line for line in operator.log.splitlines() if f"for={hub.namespace}/shop" in line],
        what="the operator serves",
    )
    return [one.port, int(served[0].partition("127.0.0.1:")[2].split()[0])]


def test_web_pages_of_other_sites_move_nothing(
    open_doors: list[int], hub: HubNamespace, tmp_path: Path
) -> None:
    foreign = {"Origin": "http://evil.example", "Content-Type": "application/x-www-form-urlencoded"}
    for port in open_doors:
        for path in ("/tcf/toggle", "/tcf/promote", "/tcf/demote"):
            answer = ask(port, "POST", path, b"force=true", foreign)
            assert "web page of another site" in refused(answer, 403, "CrossSite")
            answer = ask(port, "POST", path, headers={"Sec-Fetch-Site": "cross-site"})
            refused(answer, 403, "CrossSite")
            refused(ask(port, "POST", path, headers={"Host": "evil.example"}), 421, "ForeignHost")
        own = {"Origin": f"http://127.0.0.1:{port}"}
        assert ask(port, "POST", "/tcf/toggle?dry_run=true", headers=own).status == 200
        for path in ("/healthz", "/readyz", "/tcf/is_active"):
            assert ask(port, "POST", path, headers=foreign).status == 405
            assert ask(port, "GET", path, headers={**foreign, "Host": "lb.example"}).status in {200, 418}
    assert hub.roles() == {"cluster_1": "active", "cluster_2": "passive"}
    entries = audited(tmp_path / "audit-1", count(13))
    reasons = [entry["responseStatus"].get("reason") for entry in entries]
    assert reasons == [*["CrossSite", "CrossSite", "ForeignHost"] * 3, None, *["MethodNotAllowed"] * 3]
    assert {entry["objectRef"]["cluster"] for entry in audited(tmp_path / "audit", count(13))} == {
        "cluster_2"
    }


def test_web_pages_of_other_sites_neither_take_nor_release_holds(
    hub: HubNamespace, programs: TcfProcesses
) -> None:
    """Not even if they know the instance, and not where nobody needs a token."""
    hub.apply()
    programs.operator()
    beside = free_port()
    one = programs.worker("cluster_1", "--holds-listen", f"127.0.0.1:{beside}")
    one.await_active()
    application = Application(one.port)
    assert application.hold("300s").status == 200
    marks = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site", "Host": "evil.example"}
    for port, (header, value) in itertools.product((one.port, beside), marks.items()):
        page = Application(port, application.name, {header: value}, application.instance)
        expected = (421, "ForeignHost") if header == "Host" else (403, "CrossSite")
        refused(page.hold("300s", healthy="false"), *expected)
        refused(page.release(), *expected)
        asked = ask(port, "OPTIONS", "/tcf/holds/pg-0", headers={"Access-Control-Request-Method": "PUT"})
        assert not [name for name in asked.headers if name.lower().startswith("access-control")]
    assert [(row["state"], row["healthy"]) for row in holders(one.port)] == [("holding", True)]


def test_every_post_is_recorded_even_if_it_changes_nothing(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    hub.apply()
    programs.operator()
    audit = tmp_path / "audit"
    one = programs.worker("cluster_1", "--audit-log", str(audit))
    one.await_active()
    headers = {"User-Agent": "curl", "X-Forwarded-For": "192.0.2.1, 192.0.2.2"}
    asked = ["promote", "demote?dry_run=true", "toggle?access_token=secret", "toggle", "demote?reason=stop"]
    answers = [ask(one.port, "POST", f"/tcf/{path}", headers=headers) for path in asked]
    assert [answer.status for answer in answers] == [200, 200, 400, 500, 200]
    assert ask(one.port, "DELETE", "/tcf/nothing").status == 404
    audit.rename(tmp_path / "old")
    one.signal(signal.SIGHUP)
    eventually(audit.exists, what="a new file")
    entries = audited(tmp_path / "old", count(6))
    found = [(entry["requestURI"], entry["annotations"].get("tcf.dev/outcome")) for entry in entries[:6]]
    assert found == [
        ("/tcf/promote", "Unchanged"),
        ("/tcf/demote", "DryRun"),
        ("/tcf/toggle", "UnknownParameter"),
        ("/tcf/toggle", "NoLiveWorker"),
        ("/tcf/demote", "Changed"),
        ("/tcf/nothing", "NotFound"),
    ]
    assert [entry["auditID"] for entry in entries[:5]] == [a.headers["X-TCF-Request"] for a in answers]
    assert entries[0]["sourceIPs"] == ["192.0.2.1", "192.0.2.2", "127.0.0.1"]
    assert entries[0]["userAgent"] == "curl"
    assert "secret" not in (tmp_path / "old").read_text()
    assert entries[0]["objectRef"] == {
        "apiGroup": "tcf.dev",
        "apiVersion": "v1alpha1",
        "resource": "clusterfederations",
        "namespace": hub.namespace,
        "name": "shop",
        "cluster": "cluster_1",
        "subresource": "switchover",
    }


def test_no_error_repeats_a_token(hub: HubNamespace, programs: TcfProcesses, tmp_path: Path) -> None:
    """Not even that of a request which cannot be understood."""
    hub.apply()
    audit = tmp_path / "audit"
    worker = programs.worker("cluster_1", "--auth", "kubernetes", "--audit-log", str(audit))
    secret = b"opaque-3f9c2b7a-secret"
    for header in (
        b"Authorization : Bearer %s",
        b"Authorization: Bearer\r\n %s",
        b"Authorization: Bearer %s\x01",
    ):
        request = b"POST /tcf/toggle HTTP/1.1\r\nHost: localhost\r\n" + header % secret + b"\r\n\r\n"
        with socket.create_connection(("127.0.0.1", worker.port), timeout=PATIENCE) as client:
            client.sendall(request)
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert b" 400 " in answer
        assert secret not in answer
    assert secret.decode() not in worker.log + audit.read_text()


def test_whoever_may_do_nothing_takes_nobodys_place(
    hub: HubNamespace, worker: TcfProcess, alice: ServiceAccount
) -> None:
    """Not even by hundreds of requests whose bodies never come."""
    allow(alice, "switchover")
    nobody = token_of(hub, hub.service_account("nobody"))
    lines = ("POST /tcf/demote HTTP/1.1", "Host: localhost", "Content-Length: 9")
    head = "\r\n".join((*lines, f"Authorization: Bearer {nobody}", "", ""))
    with contextlib.ExitStack() as slow:
        for _ in range(200):
            client = slow.enter_context(socket.create_connection(("127.0.0.1", worker.port)))
            client.sendall(head.encode())
        for _ in range(20):
            assert post(worker, "/tcf/promote", token_of(hub, alice)).status == 200


def test_a_full_disk_does_not_stop_a_switchover(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply()
    programs.operator()
    one = programs.worker("cluster_1", "--audit-log", "/dev/full")
    one.await_active()
    assert post(one, "/tcf/demote").status == 200
    eventually(lambda: b"audit log" in one.get("/readyz").body, what="/readyz has a remark")
    assert "No space left on device" in one.log


def test_a_worker_that_everybody_may_command_says_so(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply()
    programs.operator()
    quiet, loud = programs.worker("cluster_1"), programs.worker("cluster_1", "--listen", "0.0.0.0:0")
    for one, remark in ((quiet, False), (loud, True)):
        one.await_ready()
        assert (b"anybody who can reach this worker" in one.get("/readyz").body) is remark
        assert ("anybody who can reach this worker" in one.log) is remark
