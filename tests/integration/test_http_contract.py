"""The HTTP API byte for byte: every endpoint, in every role and in every error. No operator is needed.

The workers of most tests are shared, and every test puts them before the role table that it is about.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import select
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
from rig.asking import Answer, ask
from rig.hub_namespace import HubNamespace
from rig.patience import PATIENCE, eventually
from rig.tcf_processes import TcfProcesses
from support import trouble
from support.lone_worker import LoneWorker, lone_worker

TEXT = "text/plain; charset=utf-8"
JSON = "application/json; charset=utf-8"
GETS = ("/tcf/status", "/tcf/is_active", "/tcf/clusters")
POSTS = ("/tcf/toggle", "/tcf/promote", "/tcf/demote")
ROLES = ("active", "passive", "promoting", "demoting")
UNICODE = 'Zürich 東京 "☃" \\ </b> 🚀'
LARGEST_BODY = 16 * 1024
CHUNKED = b"Transfer-Encoding: chunked"

Json = dict[str, Any]


# --- a worker before any table -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(
    control_plane: dict[str, str], crd: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LoneWorker]:
    with lone_worker(control_plane, tmp_path_factory.mktemp("http-contract"), leaseDuration="15s") as shop:
        yield shop


def clusters(*roles: str, names: tuple[str, ...] = ("cluster1", "cluster2")) -> bytes:
    """The body of /tcf/clusters."""
    rows = (
        f'{{"status":"{role}","name":{json.dumps(name, ensure_ascii=False)},"id":"cluster_{n}"}}'
        for n, (role, name) in enumerate(zip(roles, names, strict=True), 1)
    )
    return f"[{','.join(rows)}]".encode()


def tcf_headers(answer: Answer) -> set[str]:
    return {name for name in answer.headers if name.upper().startswith("X-TCF-")}


def check_rests_on_reading(answer: Answer, shop: LoneWorker, *more: str) -> None:
    """Its headers tell which table it rests on, and for how long."""
    assert tcf_headers(answer) == {"X-TCF-Term", "X-TCF-Cluster", "X-TCF-Valid-For", *more}
    assert answer.headers["X-TCF-Term"] == str(shop.term)
    assert answer.headers["X-TCF-Cluster"] == "cluster_1"
    assert re.fullmatch(r"\d+\.\d{3}", answer.headers["X-TCF-Valid-For"])
    assert 0 < float(answer.headers["X-TCF-Valid-For"]) <= 15
    check_form(answer)


def check_form(answer: Answer) -> None:
    """What holds for every answer whatever it says."""
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers.get("Content-Length", "0") == str(len(answer.body))


def check_refused(answer: Answer, status: int, reason: str) -> None:
    assert (answer.status, answer.reason) == (status, reason)
    assert answer.headers["Content-Type"] == JSON
    assert answer.error
    assert "\n" not in answer.error
    assert b"Traceback" not in answer.body
    check_form(answer)


# --- GET in every role --------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_every_get_tells_the_role(shop: LoneWorker, role: str) -> None:
    other = "passive" if role != "passive" else "active"
    shop.put(role, other)

    status, is_active, table = (shop.worker.get(path) for path in GETS)

    assert (status.status, status.body) == (200, role.encode())
    assert (is_active.status, is_active.body) == (200 if role == "active" else 418, role.encode())
    assert (table.status, table.body) == (200, clusters(role, other))
    assert status.headers["Content-Type"] == is_active.headers["Content-Type"] == TEXT
    assert table.headers["Content-Type"] == JSON
    for answer in (status, is_active, table):
        check_rests_on_reading(answer, shop)
    assert shop.worker.get("/readyz").status == shop.worker.get("/healthz").status == 200


def test_names_may_be_in_any_script(shop: LoneWorker) -> None:
    shop.put("active", "passive", names=(UNICODE, "ж" * 100))
    answer = shop.worker.get("/tcf/clusters")
    assert answer.body == clusters("active", "passive", names=(UNICODE, "ж" * 100))
    assert [row["name"] for row in json.loads(answer.body)] == [UNICODE, "ж" * 100]
    posted = shop.post("/tcf/promote")
    assert (posted.status, posted.body) == (200, answer.body)


@pytest.mark.parametrize("role", ["active", "passive"])
def test_head_answers_like_get_without_the_body(shop: LoneWorker, role: str) -> None:
    shop.put(role, "passive")
    for path in (*GETS, "/tcf/status?min_term=99999"):
        get, head = (ask(shop.worker.port, method, path) for method in ("GET", "HEAD"))
        assert (head.status, head.body) == (get.status, b"")
        volatile = {"Date", "X-TCF-Valid-For"}
        assert {k: v for k, v in head.headers.items() if k not in volatile} == {
            k: v for k, v in get.headers.items() if k not in volatile
        }
        assert set(head.headers) == set(get.headers)


def test_options_lists_the_methods(shop: LoneWorker) -> None:
    for path in POSTS:
        answer = ask(shop.worker.port, "OPTIONS", path)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["Allow"] == "POST, OPTIONS"
        check_form(answer)


@pytest.mark.parametrize("roles", [("active", "passive"), ("passive", "active")])
def test_options_has_the_status_of_get_where_a_health_check_may_ask(
    shop: LoneWorker, roles: tuple[str, ...]
) -> None:
    """OPTIONS is HAProxy's default, and it takes every 2xx for healthy."""
    shop.put(*roles)
    for path in (*GETS, "/healthz", "/readyz"):
        get, options = ask(shop.worker.port, "GET", path), ask(shop.worker.port, "OPTIONS", path)
        assert (options.status, options.body) == (get.status, get.body)
        assert options.headers["Allow"] == "GET, HEAD, OPTIONS"


# --- what a reading can't be had for ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("NotBootstrapped", "check that tcf-operator is running"),
        ("UnknownProtocol", "upgrade"),
        ("NoRoleYet", "spec.clusters"),
        ("UnknownCluster", "--cluster"),
    ],
)
def test_an_unknown_role_is_an_error_of_every_endpoint(shop: LoneWorker, reason: str, told: str) -> None:
    shop.put("active", "passive")
    if reason == "NotBootstrapped":
        shop.hub.set_status(None)
    elif reason == "UnknownProtocol":
        shop.write("passive", "active", protocol=2)
    else:
        only = {"id": "cluster_2", "name": "cluster2", "status": "active"}
        shop.write(clusters=[only], activeCluster="cluster_2")
        if reason == "UnknownCluster":
            others = [{"id": f"cluster_{n}", "name": f"cluster{n}"} for n in (2, 3)]
            shop.hub.apply(clusters=others, activeCluster="cluster_2", leaseDuration="15s")
    shop.await_refusal(reason)
    version = shop.version

    for path in GETS:
        answer = shop.worker.get(path)
        check_refused(answer, 500, reason)
        assert told in answer.error
        assert tcf_headers(answer) == {"X-TCF-Reason", "X-TCF-Cluster"}
        assert answer.headers["X-TCF-Cluster"] == "cluster_1"
        head = ask(shop.worker.port, "HEAD", path)
        assert (head.status, head.reason, head.body) == (500, reason, b"")
        assert head.headers["Content-Type"] == JSON
    for path in POSTS:
        for query in ("", "?dry_run=true"):
            answer = shop.post(path + query)
            check_refused(answer, 500, reason)
            assert tcf_headers(answer) == {"X-TCF-Reason", "X-TCF-Cluster", "X-TCF-Request"}
    ready = shop.worker.get("/readyz")
    if reason in {"NotBootstrapped", "NoRoleYet"}:
        assert ready.status == 200  # it waits for a role
    else:
        check_refused(ready, 503, "NotReady")
        assert told in ready.error
    assert shop.worker.get("/healthz").status == 200
    assert shop.version == version
    shop.hub.apply(leaseDuration="15s")
    shop.put("active", "passive")
    assert shop.worker.is_active().status == 200


# --- parameters of GET --------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_a_client_chooses_the_status_of_a_member_that_is_not_active(shop: LoneWorker, role: str) -> None:
    """nginx's auth_request knows 401 and 403 only."""
    shop.put(role, "passive" if role != "passive" else "active")
    usual = shop.worker.is_active()
    for status in (400, 403, 503, 599):
        answer = shop.worker.get(f"/tcf/is_active?passive={status}")
        assert answer.status == (200 if role == "active" else status)
        assert answer.body == usual.body
        check_rests_on_reading(answer, shop)
    assert shop.worker.is_active().status == usual.status, "only the client that has asked for it"
    assert shop.worker.get("/tcf/status?passive=403").status == 200
    assert shop.worker.get(f"/tcf/is_active?passive=403&min_term={shop.term + 1}").reason == "TermTooOld"


@pytest.mark.parametrize("wrong", ["500", "200", "399", "600", "0403", "abc", "", "-1", "403&passive=403"])
def test_a_status_that_cannot_mean_passive_is_refused(shop: LoneWorker, wrong: str) -> None:
    shop.put("active", "passive")
    for later in ("", f"&min_term={shop.term + 1}"):  # a wrong request is wrong at any term
        answer = shop.worker.get(f"/tcf/is_active?passive={wrong}{later}")
        check_refused(answer, 400, "InvalidParameter")
        assert "such as 403" in answer.error


def test_min_term_refuses_an_older_reading(shop: LoneWorker) -> None:
    shop.put("active", "passive")
    for path in GETS:
        for enough in (0, shop.term):
            answer = shop.worker.get(f"{path}?min_term={enough}")
            assert answer.status == 200
            check_rests_on_reading(answer, shop)
        for query in (f"min_term={shop.term + 1}", f"min_term={shop.term + 1}&min_term=0"):
            answer = shop.worker.get(f"{path}?{query}")
            check_refused(answer, 500, "TermTooOld")
            check_rests_on_reading(answer, shop, "X-TCF-Reason")
            assert f"term {shop.term}," in answer.error
        for wrong in ("", "x", "-1", "1.0", "+1", "1e3", "%EF%BC%91", "9" * 19, "9" * 5000):
            answer = shop.worker.get(f"{path}?min_term={wrong}")
            check_refused(answer, 400, "InvalidParameter")
            assert "min_term" in answer.error


def test_other_parameters_of_a_get_are_ignored(shop: LoneWorker) -> None:
    shop.put("active", "passive")
    for query in ("x=1", "dryrun=true", "dry_run=maybe", "a&b&&=", "%zz=%ff", "?", "min_term", "MIN_TERM=99"):
        for path, body in zip(GETS, (b"active", b"active", clusters("active", "passive")), strict=True):
            answer = shop.worker.get(f"{path}?{query}")
            if query == "min_term":  # it is named, and is no number
                check_refused(answer, 400, "InvalidParameter")
            else:
                assert (answer.status, answer.body) == (200, body)
                check_rests_on_reading(answer, shop)


def test_the_body_of_a_get_is_ignored(shop: LoneWorker) -> None:
    shop.put("active", "passive")
    for body in (b"x", b"x" * (LARGEST_BODY + 1)):
        answer = ask(shop.worker.port, "GET", "/tcf/status", body)
        assert (answer.status, answer.body) == (200, b"active")


# --- paths and methods --------------------------------------------------------------------------------


def test_unknown_paths_are_not_found(shop: LoneWorker) -> None:
    for path in (
        *(
            "/",
            "//",
            "/tcf",
            "/tcf/",
            "/tcf/nope",
            "/tcf/status/",
            "//tcf/status",
            "/TCF/status",
            "/tcf/Status",
        ),
        *("/tcf/status;x", "/tcf/./status", "/tcf/x/../status", "/tcf/%ff", "/healthz/", "/" + "x" * 4000),
    ):
        for method in ("GET", "POST", "OPTIONS", "DELETE"):
            answer = ask(shop.worker.port, method, path)
            check_refused(answer, 404, "NotFound")
            assert "/tcf/is_active" in answer.error
            assert len(answer.body) < 1000


def test_wrong_methods_are_told_the_right_ones(shop: LoneWorker) -> None:
    for path in (*GETS, *POSTS):
        allowed = ("POST",) if path in POSTS else ("GET", "HEAD")
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"):
            if method in allowed:
                continue
            answer = ask(shop.worker.port, method, path)
            assert answer.headers["Allow"] == ", ".join([*allowed, "OPTIONS"])
            if method == "HEAD":
                assert (answer.status, answer.reason, answer.body) == (405, "MethodNotAllowed", b"")
            else:
                check_refused(answer, 405, "MethodNotAllowed")
                assert method in answer.error


# --- parameters of POST -------------------------------------------------------------------------------

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("query", "body", "content_type", "reason", "told"),
    [
        ("?dryrun=true", None, None, "UnknownParameter", "'dryrun'"),
        ("?DRY_RUN=true", None, None, "UnknownParameter", "dry_run"),
        ("?min_term=1", None, None, "UnknownParameter", "expected_term"),
        ("?dry_run=true&x=", None, None, "UnknownParameter", "'x'"),
        ("?" + "x" * 2000 + "=1", None, None, "UnknownParameter", "xxx"),
        ("?dry_run", None, None, "MalformedRequest", "dry_run"),
        ("?dry_run=true&&", None, None, "MalformedRequest", "parameters"),
        ("?&", None, None, "MalformedRequest", "parameters"),
        ("?reason=%ff", None, None, "MalformedRequest", "parameters"),
        ("?dry_run=", None, None, "InvalidParameter", "true or false"),
        ("?dry_run=True", None, None, "InvalidParameter", "true or false"),
        ("?dry_run=1", None, None, "InvalidParameter", "true or false"),
        ("?force=yes&dry_run=true", None, None, "InvalidParameter", "force"),
        ("?expected_term=", None, None, "InvalidParameter", "expected_term"),
        ("?expected_term=-1", None, None, "InvalidParameter", "expected_term"),
        ("?expected_term=1.0", None, None, "InvalidParameter", "expected_term"),
        ("?expected_term=%D9%A1", None, None, "InvalidParameter", "expected_term"),
        ("?expected_term=" + "9" * 19, None, None, "InvalidParameter", "expected_term"),
        ("?reason=" + "x" * 257, None, None, "InvalidParameter", "256"),
        ("?reason=a%00b", None, None, "InvalidParameter", "control"),
        ("?reason=a%0Ab", None, None, "InvalidParameter", "control"),
        ("?dry_run=true&dry_run=true", None, None, "InvalidParameter", "more than once"),
        ("?dry_run=true", b"dry_run=true", FORM, "InvalidParameter", "more than once"),
        ("?dry_run=true", b'{"dry_run": true}', "application/json", "InvalidParameter", "more than once"),
        ("", b"dryrun=true", FORM, "UnknownParameter", "'dryrun'"),
        ("", b"dry_run=true&", FORM, "MalformedRequest", "parameters"),
        ("", b"dry_run=%ff", FORM, "MalformedRequest", "parameters"),
        ("", b"\xff", FORM, "MalformedRequest", "body"),
        ("", b'{"dryrun": true}', "application/json", "UnknownParameter", "'dryrun'"),
        ("", b'{"": 1}', "application/json", "UnknownParameter", "dry_run"),
        ("", b'{"dry_run": 1}', "application/json", "InvalidParameter", "true or false"),
        ("", b'{"dry_run": null}', "application/json", "InvalidParameter", "true or false"),
        ("", b'{"expected_term": 1.5}', "application/json", "InvalidParameter", "expected_term"),
        ("", b'{"expected_term": 1.0}', "application/json", "InvalidParameter", "a whole number"),
        ("", b'{"expected_term": true}', "application/json", "InvalidParameter", "expected_term"),
        (
            "",
            b'{"dry_run": true, "dry_run": false}',
            "application/json",
            "InvalidParameter",
            "more than once",
        ),
        ("", b'{"reason": null}', "application/json", "InvalidParameter", "reason"),
        ("", b'{"reason": ["a"]}', "application/json", "InvalidParameter", "reason"),
        ("", b'{"reason": {"a": 1}}', "application/json", "InvalidParameter", "reason"),
        ("", b'{"reason": "\\ud800"}', "application/json", "InvalidParameter", "control"),
        ("?reason=a%E2%80%A8b", None, None, "InvalidParameter", "control"),
        ("", b"[" * 16000, "application/json", "MalformedRequest", "body"),
        ("", b'{"dry_run": true', "application/json", "MalformedRequest", "body"),
        ("", b"{}{}", "application/json", "MalformedRequest", "body"),
        ("", b"[]", "application/json", "MalformedRequest", "object"),
        ("", b"null", "application/json", "MalformedRequest", "object"),
        ("", b'"dry_run"', "application/json", "MalformedRequest", "object"),
        ("", b"\xff\xfe", "application/json", "MalformedRequest", "body"),
        ("", b" ", "application/json", "MalformedRequest", "body"),
        ("", b"dry_run=true", "application/json", "MalformedRequest", "body"),
        ("", b"dry_run=true", None, "MalformedRequest", "body"),
        ("", b"\x00" * 100, "application/octet-stream", "MalformedRequest", "body"),
    ],
)
def test_a_post_that_is_not_as_it_should_be_does_nothing(
    shop: LoneWorker, query: str, body: bytes | None, content_type: str | None, reason: str, told: str
) -> None:
    """One of all the endpoints each: they read their parameters in one place."""
    path = POSTS[len(query) % len(POSTS)] + query
    headers = {"Content-Type": content_type} if content_type else {}
    answer = ask(shop.worker.port, "POST", path, body, headers)
    check_refused(answer, 400, reason)
    assert told in answer.error
    assert len(answer.body) < 1000
    assert answer.headers["X-TCF-Cluster"] == "cluster_1"


def test_a_body_may_be_a_form_or_json_and_has_a_largest_size(shop: LoneWorker) -> None:
    shop.put("passive", "active")
    version = shop.version
    table = clusters("passive", "active")
    full = b'{"dry_run": true}'.ljust(LARGEST_BODY)
    for body, content_type in (
        (b"dry_run=true", FORM),
        (b"dry_run=true", f"{FORM}; charset=UTF-8"),
        (b'{"dry_run": true}', "application/json"),
        (b'{"dry_run": "true"}', "application/json; charset=utf-8"),
        (b'{"dry_run": true}', "text/plain"),
        (full, "application/json"),
    ):
        answer = shop.post("/tcf/promote", body, Content_Type=content_type)
        assert (answer.status, answer.body, answer.headers["X-TCF-Dry-Run"]) == (200, table, "true")
    answer = shop.post("/tcf/promote?dry_run=true", b"", Content_Type="application/json")
    assert (answer.status, answer.body) == (200, table)

    for path in POSTS:
        check_refused(shop.post(path, full + b" ", Content_Type="application/json"), 413, "BodyTooLarge")
    chunk = b"x" * (LARGEST_BODY + 1)
    chunked = b"POST /tcf/toggle HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
    chunked %= CHUNKED, len(chunk), chunk
    refused, after = converse(shop.worker.port, chunked + last("GET", "/tcf/status"))
    check_refused(refused, 413, "BodyTooLarge")
    assert (after.status, after.body) == (200, b"passive")
    assert shop.version == version


# --- POST ---------------------------------------------------------------------------------------------


def test_what_is_so_already_is_answered_at_once(shop: LoneWorker) -> None:
    for path, roles in (("/tcf/promote", ("active", "passive")), ("/tcf/demote", ("passive", "active"))):
        shop.put(*roles)
        version = shop.version
        for query in ("", f"?expected_term={shop.term}", "?reason=again", "?force=false&dry_run=false"):
            answer = shop.post(path + query)
            assert (answer.status, answer.body) == (200, clusters(*roles))
            assert answer.headers["Content-Type"] == JSON
            check_rests_on_reading(answer, shop, "X-TCF-Request")
        assert shop.version == version


def test_a_dry_run_tells_the_verdict_and_changes_nothing(shop: LoneWorker) -> None:
    shop.put("passive", "active")
    version = shop.version
    for path in POSTS:
        answer = shop.post(f"{path}?dry_run=true&expected_term={shop.term}&reason=a%20try")
        assert (answer.status, answer.body) == (200, clusters("passive", "active"))
        assert answer.headers["Content-Type"] == JSON
        assert answer.headers["X-TCF-Dry-Run"] == "true"
        check_rests_on_reading(answer, shop, "X-TCF-Dry-Run", "X-TCF-Request")
        answer = shop.post(f"{path}?dry_run=true&expected_term={shop.term - 1}")
        check_refused(answer, 500, "TermMismatch")
    assert shop.version == version

    rows = [
        {"id": "cluster_1", "name": "cluster1", "status": "passive", "liveWorkers": 0},
        {"id": "cluster_2", "name": "cluster2", "status": "active", "liveWorkers": 3},
    ]
    shop.put("passive", "active", clusters=rows)
    for path in ("/tcf/toggle", "/tcf/promote"):
        check_refused(shop.post(f"{path}?dry_run=true"), 500, "NoLiveWorker")
    assert shop.post("/tcf/promote?dry_run=true&force=true").status == 200


def test_what_must_not_be_done_is_refused_and_leaves_no_request(shop: LoneWorker) -> None:
    running = {"id": "b" * 32, "from": "cluster_2", "to": "cluster_1", "trigger": "api"}
    three = [{"id": f"cluster_{n}", "name": "x", "status": "passive"} for n in (1, 2, 3)]
    three[0]["status"] = "active"
    for reason, told, paths, roles, more in (
        ("NoActiveCluster", "promote", ("/tcf/toggle",), ("passive", "passive"), {}),
        (
            "NotTwoClusters",
            "promote",
            ("/tcf/toggle",),
            ("active", "passive", "passive"),
            {"clusters": three},
        ),
        (
            "SwitchoverInProgress",
            "cluster_2 to cluster_1",
            ("/tcf/toggle", "/tcf/demote"),
            ("promoting", "passive"),
            {"switchover": running},
        ),
    ):
        shop.put(*roles, **more)
        version = shop.version
        for path in paths:
            for query in ("", "?dry_run=true", f"?expected_term={shop.term}&reason=x"):
                answer = shop.post(path + query)
                check_refused(answer, 500, reason)
                assert told in answer.error
                assert tcf_headers(answer) == {"X-TCF-Reason", "X-TCF-Cluster", "X-TCF-Request"}
        assert shop.version == version
    shop.put("active", "passive")
    version = shop.version
    for path in POSTS:
        for term in (0, shop.term - 1, shop.term + 1, 10**18 - 1):
            answer = shop.post(f"{path}?expected_term={term}")
            check_refused(answer, 500, "TermMismatch")
            assert f"the present term is {shop.term};" in answer.error
    assert shop.version == version


REASON = "Wartung: ü ☃ 東京 \"a\"='b' & 50% + 1; <c>"


def test_without_an_operator_a_request_is_withdrawn(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply(leaseDuration="1s", switchoverTimeout="3s")
    worker = programs.worker("cluster_1")
    shop = LoneWorker(hub, worker)
    before = shop.put("active", "passive")
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(
            ask, worker.port, "POST", f"/tcf/toggle?reason={quote(REASON)}&expected_term={shop.term}"
        )
        request = eventually(lambda: hub.status().get("switchover"), what="the request")
        # Meanwhile nothing joins it, and a retry is told so.
        for path in ("/tcf/toggle", "/tcf/promote"):
            check_refused(ask(worker.port, "POST", path), 500, "SwitchoverInProgress")
        answer = pending.result()

    check_refused(answer, 500, "NoCoordinator")
    assert "tcf-operator" in answer.error
    status = hub.status()
    assert "switchover" not in status
    assert (status["term"], status["activeCluster"]) == (before["term"], "cluster_1")
    assert hub.roles() == {"cluster_1": "active", "cluster_2": "passive"}
    (entry,) = status["history"]
    assert {k: entry[k] for k in ("id", "from", "to", "trigger", "requestedBy", "reason", "outcome")} == {
        "id": request["id"],
        "from": "cluster_1",
        "to": "cluster_2",
        "trigger": "api",
        "requestedBy": "127.0.0.1 via cluster_1",
        "reason": REASON,
        "outcome": "NoCoordinator",
    }
    assert (entry["term"], entry["message"]) == (before["term"], answer.error)
    assert (request["reason"], request["to"]) == (REASON, "cluster_2")
    assert worker.await_active().body == b"active"


def test_a_client_that_goes_away_changes_nothing(hub: HubNamespace, programs: TcfProcesses) -> None:
    hub.apply(leaseDuration="1s", switchoverTimeout="3s")
    worker = programs.worker("cluster_1")
    shop = LoneWorker(hub, worker)
    shop.put("active", "passive")
    with connected(worker.port) as client:
        client.sendall(b"POST /tcf/demote?reason=gone HTTP/1.1\r\nHost: localhost\r\n\r\n")
        request = eventually(lambda: hub.status().get("switchover"), what="the request")

    status = eventually(
        lambda: status if "switchover" not in (status := hub.status()) else None, what="its withdrawal"
    )

    assert [(h["id"], h["outcome"], h["reason"]) for h in status["history"]] == [
        (request["id"], "NoCoordinator", "gone")
    ]
    eventually(lambda: request["id"] in worker.log and "NoCoordinator" in worker.log, what="the log")
    assert worker.await_active().body == b"active"


# --- what is not HTTP, or hardly -----------------------------------------------------------------------


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def last(method: str, path: str) -> bytes:
    """A request after which the server closes the connection."""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


def request(method: str, path: str) -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def converse(port: int, data: bytes) -> list[Answer]:
    """Send `data` at once, read until the server closes, and split that into its answers."""
    received = b""
    with connected(port) as client:
        client.sendall(data)
        while chunk := client.recv(65536):
            received += chunk
    return parsed(received)


def parsed(data: bytes) -> list[Answer]:
    answers = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        length = int(headers.get("Content-Length", "0"))
        answers.append(Answer(int(first.split()[1]), headers, data[:length]))
        data = data[length:]
    return answers


def refused_at_once(shop: LoneWorker, data: bytes) -> Answer:
    """The answer, although more of the request, or others, might come."""
    with connected(shop.worker.port) as client:
        client.sendall(data)
        received = b""
        while b"}" not in received:
            chunk = client.recv(65536)
            assert chunk, f"closed without an answer: {received!r}"
            received += chunk
    (answer,) = parsed(received)
    return answer


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"\r\n\r\ngarbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"\x00" * 5000,
        bytes(range(128, 256)) * 100 + b"\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /tcf/status HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /tcf/status HTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /tcf/status HTTP/1.1\r\n\r\n",  # no Host
        b"GET tcf/status HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://x:99999/tcf/status HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /tcf/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"get /tcf/status HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"TOGGLE /tcf/toggle HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /tcf/status HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n",
        b"GET /tcf/status HTTP/1.1\r\nHost: localhost\r\nX: \x00\r\n\r\n",
        b"GET /tcf/status HTTP/1.1\r\nHost: localhost\r\nHost: y\r\n\r\n",
        b"POST /tcf/toggle HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /tcf/toggle HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST /tcf/toggle HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n%s\r\n\r\n0\r\n\r\n" % CHUNKED,
        b"POST /tcf/toggle HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\nzz\r\n\r\n" % CHUNKED,
        b"GET /tcf/status HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    ],
    ids=range(23),
)
def test_what_is_not_a_request_is_told_so(shop: LoneWorker, data: bytes) -> None:
    answer = refused_at_once(shop, data)
    check_refused(answer, 400, "MalformedRequest")
    assert "not a valid HTTP request" in answer.error
    assert len(answer.body) < 1000
    assert shop.worker.get("/healthz").status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"GET /tcf/status?" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /tcf/toggle?reason=" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /tcf/status HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
        b"GET /tcf/status HTTP/1.1\r\nHost: localhost\r\n" + b"X" * 9000 + b": x\r\n\r\n",
        b"GET /tcf/status HTTP/1.1\r\nHost: localhost\r\n" + (b"X: " + b"y" * 5000 + b"\r\n") * 4,
        b"GET /tcf/status HTTP/1.1\r\nHost: localhost\r\n" + (b"X: " + b"y" * 5000 + b"\r\n") * 4 + b"\r\n",
    ],
    ids=range(7),
)
def test_a_head_that_is_too_large_is_told_so(shop: LoneWorker, data: bytes) -> None:
    answer = refused_at_once(shop, data)
    check_refused(answer, 431, "HeadTooLarge")
    assert "8192 bytes" in answer.error
    assert len(answer.body) < 1000


def test_a_large_token_fits(shop: LoneWorker) -> None:
    shop.put("active", "passive")
    answer = ask(shop.worker.port, "GET", "/tcf/status", None, {"Authorization": "Bearer " + "x" * 8000})
    assert answer.status == 200


def test_what_changes_something_is_asked_for_by_its_very_name(shop: LoneWorker) -> None:
    """Else a proxy's rules for the path would not apply."""
    shop.put("passive", "active")
    for path in ("/tcf%2fpromote", "/tcf/p%72omote", "/%74cf/promote?dry_run=true"):
        check_refused(ask(shop.worker.port, "POST", path), 404, "NotFound")


def test_another_version_of_http_is_refused(shop: LoneWorker) -> None:
    for line in (b"GET /tcf/status", b"GET /tcf/status HTTP/2.0", b"POST /tcf/demote HTTP/0.9"):
        answers = converse(shop.worker.port, line + b"\r\nHost: localhost\r\n\r\n")
        assert [answer.status for answer in answers] in ([400], [505])
        assert answers[0].reason in {"MalformedRequest", "UnsupportedVersion"}


def test_who_has_sent_all_there_is_may_wait_for_the_answer(shop: LoneWorker) -> None:
    shop.put("active", "passive")
    for data, count in (
        (request("GET", "/tcf/is_active"), 1),
        (request("GET", "/tcf/is_active") * 3, 3),
        (request("POST", "/tcf/promote"), 1),
    ):
        for _ in range(5):
            with connected(shop.worker.port) as client:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                received = b""
                while chunk := client.recv(65536):
                    received += chunk
            assert [answer.status for answer in parsed(received)] == [200] * count


def test_old_and_unusual_but_valid_requests_are_answered(shop: LoneWorker) -> None:
    shop.put("active", "passive")
    for data in (
        b"GET /tcf/is_active HTTP/1.0\r\n\r\n",
        b"GET http://elsewhere/tcf/is_active HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /tcf/%69s_active HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"\r\nGET /tcf/is_active HTTP/1.1\r\nhost:x\r\nconnection:CLOSE\r\n\r\n",
    ):
        (answer,) = converse(shop.worker.port, data)
        assert (answer.status, answer.body) == (200, b"active")
        check_rests_on_reading(answer, shop)


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(shop: LoneWorker) -> None:
    shop.put("passive", "active")
    body = b"dry_run=true"
    head = b"POST /tcf/promote HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\n"
    head += b"Content-Type: %s\r\nContent-Length: %d\r\n\r\n" % (FORM.encode(), len(body))
    with socket.create_connection(("127.0.0.1", shop.worker.port), timeout=PATIENCE) as client:
        client.sendall(head)
        with client.makefile("rb") as stream:
            assert (stream.readline(), stream.readline()) == (b"HTTP/1.1 100 Continue\r\n", b"\r\n")
            client.sendall(body)
            assert stream.readline().startswith(b"HTTP/1.1 200 ")


GZIPPED = gzip.compress(b"dry_run=true", mtime=0)


@pytest.mark.parametrize("body", [b"x", GZIPPED, GZIPPED[:-9]])
def test_an_encoded_body_is_refused(shop: LoneWorker, body: bytes) -> None:
    """One that is cut short decodes to nothing, and without dry_run=true it would be done."""
    refused = shop.post("/tcf/promote", body, Content_Type=FORM, Content_Encoding="gzip")
    check_refused(refused, 400, "MalformedRequest")
    assert "Content-Encoding" in refused.error


# --- connections ---------------------------------------------------------------------------------------


def test_one_connection_takes_any_number_of_requests_of_any_kind(shop: LoneWorker) -> None:
    shop.put("active", "passive")
    asked = [
        *(("GET", path) for path in GETS),
        ("HEAD", "/tcf/missing"),
        ("GET", "/tcf/missing"),
        ("DELETE", "/tcf/status"),
        ("OPTIONS", "/tcf/toggle"),
        ("POST", "/tcf/promote?dryrun=true"),
        ("POST", "/tcf/promote"),
        ("POST", "/tcf/toggle?expected_term=99999"),
        ("GET", "/tcf/status?min_term=99999"),
        ("GET", "/tcf/is_active"),
    ]
    statuses = [200, 200, 200, 404, 404, 405, 204, 400, 200, 500, 500, 200]
    piped = [a for a in asked if a[0] != "HEAD"]  # whose length belongs to a body that does not come
    answers = converse(
        shop.worker.port,
        b"".join(request(*one) for one in piped * 3) + last("GET", "/tcf/status"),
    )
    assert [a.status for a in answers[:-1]] == [
        s for s, a in zip(statuses, asked, strict=True) if a in piped
    ] * 3
    assert answers[-1].body == b"active"
    assert answers[-1].headers["Connection"] == "close"
    assert all("Connection" not in a.headers for a in answers[:-1])
    for answer in answers:
        check_form(answer)

    # One after the other, as a client with a pool of connections does.
    with connected(shop.worker.port) as client, client.makefile("rb") as stream:
        for one, status in zip(asked * 2, statuses * 2, strict=True):
            client.sendall(request(*one))
            assert stream.readline().split()[1] == str(status).encode()
            length = 0
            while (line := stream.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            stream.read(0 if one[0] == "HEAD" else length)


def test_answers_on_one_connection_agree_while_the_roles_change(shop: LoneWorker) -> None:
    """Each is a whole answer from one table, and the terms never fall."""
    shop.put("passive", "active")
    roles = {shop.term: ("passive", "active")}
    done = threading.Event()
    seen: list[Answer] = []

    def probe() -> None:
        with connected(shop.worker.port) as client:
            while not done.is_set():
                client.sendall(b"".join(request("GET", path) for path in GETS))
                received = b""
                while len(parsed(received) if received.endswith((b"e", b"g", b"]")) else ()) < len(GETS):
                    received += client.recv(65536)
                seen.extend(parsed(received))

    with ThreadPoolExecutor(1) as pool:
        probing = pool.submit(probe)
        try:
            for pair in (("promoting", "passive"), ("active", "passive"), ("demoting", "passive")) * 2:
                shop.put(*pair)
                roles[shop.term] = pair
        finally:
            done.set()
        probing.result(PATIENCE)

    terms = [int(answer.headers["X-TCF-Term"]) for answer in seen]
    assert terms == sorted(terms)
    assert set(terms) >= set(list(roles)[1:-1])
    for status, is_active, table in zip(seen[::3], seen[1::3], seen[2::3], strict=True):
        own, _ = roles[int(status.headers["X-TCF-Term"])]
        assert (status.status, status.body) == (200, own.encode())
        own, _ = roles[int(is_active.headers["X-TCF-Term"])]
        assert (is_active.status, is_active.body) == (200 if own == "active" else 418, own.encode())
        assert (table.status, table.body) == (200, clusters(*roles[int(table.headers["X-TCF-Term"])]))


@pytest.mark.parametrize("count", [5, 500])
@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET /tcf/is_active HT",
        b"POST /tcf/toggle HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n",
    ],
    ids=["nothing", "half a request", "no body"],
)
def test_clients_that_fall_silent_are_in_nobodys_way(shop: LoneWorker, said: bytes, count: int) -> None:
    """Before the first byte, within a request, or before the body that was announced."""
    shop.put("active", "passive")
    with contextlib.ExitStack() as silent:
        for _ in range(count):
            silent.enter_context(connected(shop.worker.port)).sendall(said)
        for answer in (shop.worker.is_active() for _ in range(20)):
            assert (answer.status, answer.body) == (200, b"active")
        piped = b"".join(request("GET", "/tcf/is_active") for _ in range(20))
        answers = converse(shop.worker.port, piped + last("GET", "/tcf/is_active"))
        assert [answer.status for answer in answers] == [200] * 21


def test_no_more_than_64_posts_are_carried_out_at_a_time(hub: HubNamespace, programs: TcfProcesses) -> None:
    """Without an operator, each of them waits. Further POSTs get 503 with Retry-After; GETs are answered."""
    hub.apply()
    hub.set_status(trouble.table(1, "passive", "active"))
    worker = programs.worker("cluster_1")
    worker.await_status(418)
    with contextlib.ExitStack() as stack:
        request = b"POST /tcf/promote HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        clients = []
        for _ in range(70):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", worker.port)))
            client.sendall(request)
            clients.append(client)
        answered: set[socket.socket] = set()
        deadline = time.monotonic() + PATIENCE
        while len(answered) < 6 and time.monotonic() < deadline:
            answered |= set(select.select([c for c in clients if c not in answered], [], [], 1)[0])
        assert len(answered) == 6
        for client in answered:
            head = client.recv(65536)
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nX-TCF-Reason: TooManyRequests\r\n" in head
            assert re.search(rb"\r\nRetry-After: [1-9]\d*\r\n", head)
        assert worker.is_active().status == 418
