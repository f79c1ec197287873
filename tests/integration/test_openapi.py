"""The OpenAPI description says what programs do. schemathesis sends them requests, correct and wrong ones."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from rig.asking import ask
from rig.hub_namespace import HubNamespace
from rig.patience import eventually
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.event_reader import EventReader
from support.lone_worker import LoneWorker, lone_worker
from support.openapi import DESCRIPTION, METHODS, Expected, check, description

pytestmark = pytest.mark.timeout(300)  # there are hundreds of requests
MOVES = ("--include-tag", "switchover")
NO_MOVES = ("--exclude-tag", "switchover")
CORRECT_ONLY = ("--phases", "examples,coverage", "--mode", "positive")
"""Fewer requests, where other tests send the wrong ones."""
Operations = dict[str, set[str]]


@pytest.fixture(scope="module")
def shop(
    control_plane: dict[str, str], crd: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LoneWorker]:
    with lone_worker(control_plane, tmp_path_factory.mktemp("openapi"), leaseDuration="25s") as shop:
        yield shop


def described(tag: str = "") -> Operations:
    """The methods of all paths; with a tag, only what has this tag."""
    found: Operations = defaultdict(set)
    for path, item in description()["paths"].items():
        for method in METHODS & item.keys():
            if not tag or tag in item[method]["tags"]:
                found[path].add(method.upper())
    return found


def served(program: TcfProcess) -> Operations:
    """The methods of all paths of a running program, as it lists them itself."""
    paths = ask(program.port, "GET", "/nowhere").error.partition("the paths are ")[2].split(", ")
    methods = {path: ask(program.port, "OPTIONS", path).headers["Allow"].split(", ") for path in paths}
    return {re.sub("NAME$", "{name}", path): set(found) for path, found in methods.items()}


def test_the_description_has_what_programs_serve(
    shop: LoneWorker, hub: HubNamespace, programs: TcfProcesses
) -> None:
    assert served(shop.worker) == described()
    assert served(programs.operator()) == described("health")


# --- without authentication ---------------------------------------------------------------------------


def test_a_worker_that_is_active(shop: LoneWorker, tmp_path: Path) -> None:
    shop.put("active", "passive")
    check(shop.worker, tmp_path, *NO_MOVES)


def test_a_worker_that_is_passive(shop: LoneWorker, tmp_path: Path) -> None:
    shop.put("passive", "active")
    check(shop.worker, tmp_path, *NO_MOVES, *CORRECT_ONLY)


def test_a_worker_whose_role_is_not_known(shop: LoneWorker, tmp_path: Path) -> None:
    shop.put("active", "passive")
    shop.hub.set_status(None)
    shop.await_refusal("NotBootstrapped")
    check(shop.worker, tmp_path, *CORRECT_ONLY, expected=Expected(accepted=("2xx", "500")))


def test_roles_that_move(hub: HubNamespace, programs: TcfProcesses, tmp_path: Path) -> None:
    one, _ = programs.switchable_pair()
    check(one, tmp_path, *MOVES)


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (400, {"Content-Encoding": "gzip"}, {"reason": "x"}),
        (403, {"Origin": "https://another.example"}, {}),
        (413, {}, {"reason": "x" * 16 * 1024}),
        (421, {"Host": "another.example"}, {}),
        (431, {"X-Long": "x" * 9 * 1024}, {}),
    ],
)
def test_refusals_that_schemathesis_does_not_provoke(
    shop: LoneWorker, status: int, headers: dict[str, str], body: Any
) -> None:
    demote = schemathesis.openapi.from_path(DESCRIPTION)["/tcf/demote"]["POST"]
    case = demote.Case(headers=headers, body=body, media_type="application/json")
    answer = case.call_and_validate(base_url=f"http://127.0.0.1:{shop.worker.port}")
    assert answer.status_code == status


def test_the_health_of_an_operator(programs: TcfProcesses, tmp_path: Path) -> None:
    operator = programs.operator()
    operator.await_ready()
    check(operator, tmp_path, "--include-tag", "health", *CORRECT_ONLY)


# --- with authentication ------------------------------------------------------------------------------


def test_a_worker_that_lets_nobody_in_without_a_token(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    """schemathesis also sends each request that succeeds without the token, and with another one."""
    hub.apply(leaseDuration="25s")
    guarded = programs.worker("cluster_1", "--auth", "kubernetes", "--auth-reads")
    LoneWorker(hub, guarded).write("active", "passive")
    bearer = f"Bearer {token_of_somebody_who_may_do_everything(hub)}"
    promote = partial(ask, guarded.port, "POST", "/tcf/promote?force=true", headers={"Authorization": bearer})
    eventually(lambda: promote().status == 200, what="the rights count")

    let_in = ("--header", f"Authorization: {bearer}", "--exclude-operation-id-regex", "toggle|demote")
    everything = Expected(accepted=("2xx", "500"), guarded=True)
    check(guarded, tmp_path, *CORRECT_ONLY, *let_in, expected=everything)
    nothing = Expected(accepted=("2xx", "401"), guarded=True)
    check(guarded, tmp_path, *CORRECT_ONLY, expected=nothing)


def token_of_somebody_who_may_do_everything(hub: HubNamespace) -> str:
    account = hub.service_account("somebody")
    for verb, subresource in (
        ("get", ""),
        ("create", "/switchover"),
        ("create", "/force"),
        ("update", "/holds"),
    ):
        role = f"somebody-{verb}{subresource.replace('/', '-')}"
        account.grant(role, verb, f"clusterfederations.tcf.dev{subresource}")
    return hub.kubectl("create", "token", account.name, "--audience=tcf.dev").stdout.strip()


# --- events -------------------------------------------------------------------------------------------


def test_events(shop: LoneWorker) -> None:
    shop.put("active", "passive")
    with EventReader(shop.worker.port) as stream:
        roles = stream.next()
        shop.hub.set_status(None)
        unknown = stream.next()
        head = ask(shop.worker.port, "HEAD", "/tcf/events")  # schemathesis has compared these headers
        headers = dict(stream.response.getheaders())
        assert all(headers[name] == value for name, value in head.headers.items() if name != "Date")
    assert roles
    assert unknown
    assert unknown.kind == "unknown"
    check_value(roles.data, "RolesEvent")
    check_value(unknown.data, "UnknownEvent")


def check_value(value: Any, schema: str) -> None:
    """Is a value as the schema of this name says?"""
    jsonschema_rs.validate({**description(), "$ref": f"#/components/schemas/{schema}"}, value)
