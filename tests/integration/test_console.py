"""The console's side of the server: what a page may see and do. (tests/system has a real browser.)"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rig.asking import Answer, ask
from rig.hub_namespace import HubNamespace
from rig.patience import PATIENCE, eventually
from rig.tcf_processes import TcfProcess, TcfProcesses, command, environment
from support import rights
from support.audited import audited
from support.event_reader import EventReader

SHOP = {"federation": "shop"}


@dataclass
class Page:
    """What a page does, without a browser. `token`: "" for none."""

    hub: HubNamespace
    port: int
    token: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def post(self, kind: str, **parameters: Any) -> Answer:
        body = json.dumps({"namespace": self.hub.namespace, **SHOP, **parameters}).encode()
        more = {"Content-Type": "application/json", **self.headers}
        return ask(self.port, "POST", f"/console/{kind}", body, more)

    def foresee(self, kind: str, **parameters: Any) -> dict[str, Any]:
        answer = self.post(kind, dry_run=True, **parameters)
        assert answer.status == 200, answer.body
        found: dict[str, Any] = json.loads(answer.body)
        return found

    def stream(self, selected: str = "") -> EventReader:
        query = f"?selected={self.hub.namespace}/{selected}" if selected else ""
        return EventReader(self.port, f"/console/events{query}", **self.headers)


def until(stream: EventReader, kind: str, wanted: Callable[[Any], bool] = lambda _: True) -> Any:
    """The data of the next event of this kind that is wanted."""
    while event := stream.next():
        if event.kind == kind and wanted(event.data):
            return event.data
    raise AssertionError(f"the stream has ended without {kind}")


def begun(stream: EventReader) -> tuple[Any, list[Any]]:
    """Who the user is, and all federations that he or she may see."""
    first = stream.next()
    federations: list[Any] = []
    assert first
    assert first.kind == "session"
    while (event := stream.next()) and not (event.kind == "live" and event.data["complete"]):
        federations += event.data if event.kind == "federations" else []
    return first.data, federations


def names(federations: list[dict[str, Any]]) -> list[str]:
    return sorted(each["name"] for each in federations)


@pytest.fixture
def pair(hub: HubNamespace, programs: TcfProcesses) -> tuple[TcfProcess, TcfProcess]:
    hub.apply()
    return programs.pair()


@pytest.fixture
def open_page(hub: HubNamespace, programs: TcfProcesses, pair: tuple[TcfProcess, TcfProcess]) -> Page:
    """Of an operator that knows no users. cluster_1 is active."""
    operator = programs.operator("--console", "127.0.0.1:0")
    operator.await_ready()
    pair[0].await_active()
    pair[1].await_status(418)
    return Page(hub, operator.port_for("console"))


@pytest.fixture
def guarded(
    hub: HubNamespace, programs: TcfProcesses, pair: tuple[TcfProcess, TcfProcess], tmp_path: Path
) -> Callable[[str], Page]:
    """Makes pages of an operator that asks for tokens, for one kind of `rights.PEOPLE` each."""
    options = ("--auth", "kubernetes", "--audit-log", str(tmp_path / "audit"))
    operator = programs.operator("--console", "127.0.0.1:0", *options)
    operator.await_ready()
    pair[0].await_active()

    def page(person: str) -> Page:
        account = rights.account(hub, person)
        granted = rights.grant(account, *rights.PEOPLE[person]) if rights.PEOPLE[person] else []
        rights.create(hub, rights.new_account(person), *granted)
        return Page(hub, operator.port_for("console"), rights.token(hub, person))

    return page


def test_the_files_of_the_page_are_served_with_a_strict_policy(open_page: Page) -> None:
    for path, type_ in (
        ("/", "text/html; charset=utf-8"),
        ("/console.js", "text/javascript; charset=utf-8"),
        ("/htm-preact.js", "text/javascript; charset=utf-8"),
        ("/console.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ):
        answer = ask(open_page.port, "GET", path)
        assert (answer.status, answer.headers["Content-Type"]) == (200, type_), path
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert ask(open_page.port, "HEAD", path).status == 200
    for path in ("/nothing.js", "/README.md", "/..%2fconsole.js", "/console/nothing"):
        assert ask(open_page.port, "GET", path).status == 404, path
    assert ask(open_page.port, "POST", "/").status == 405


def test_the_stream_shows_each_change(
    hub: HubNamespace, open_page: Page, pair: tuple[TcfProcess, ...]
) -> None:
    with open_page.stream("shop") as stream:
        assert until(stream, "session")["user"] is None
        (shop,) = until(stream, "federations")
        assert (shop["name"], shop["active"]) == ("shop", "cluster_1")
        shown = until(stream, "selected")
        assert [member["role"] for member in shown["members"]] == ["active", "passive"]
        assert shown["may"] == {"switch": True, "force": True}
        (worker,) = shown["members"][0]["workerDetails"]
        assert worker["upToDate"] is True
        assert 0 < worker["silentAt"] - shown["boot"] <= 1.1 * worker["leaseSeconds"] + 0.2

        assert pair[1].post("/tcf/toggle?reason=exercise").status == 200
        assert "exercise" in until(stream, "step")["text"]
        until(stream, "step", lambda data: data["text"] == "cluster_2 is active")
        until(stream, "selected", lambda data: data["active"] == "cluster_2")

        hub.apply("other")
        until(stream, "federations", lambda data: "other" in names(data))
        hub.kubectl("delete", "cfed", "other", "shop", "--wait=false")
        gone = {until(stream, "gone")["name"] for _ in range(2)}
        assert gone == {"other", "shop"}


def test_a_federation_that_is_shown_and_deleted_is_gone(hub: HubNamespace, open_page: Page) -> None:
    with open_page.stream("shop") as stream, open_page.stream("nothing") as nothing:
        until(stream, "selected", lambda data: data["active"] == "cluster_1")
        assert until(nothing, "selected") is None
        hub.kubectl("delete", "cfed", "shop", "--wait=false")
        assert until(stream, "selected", lambda data: data is None) is None


def test_it_is_foreseen_what_would_happen_and_then_it_does(hub: HubNamespace, open_page: Page) -> None:
    plan = open_page.foresee("toggle")
    assert plan["lines"] == [
        "cluster_1 stops being active, and its applications have to stop",
        "then cluster_2 becomes active",
    ]
    assert (plan["from"], plan["to"], plan["changes"]) == ("cluster_1", "cluster_2", True)
    assert hub.status()["term"] == plan["term"]

    done = open_page.post("toggle", expected_term=plan["term"], reason="exercise")
    assert done.status == 200
    assert json.loads(done.body)["active"] == "cluster_2"
    past = hub.status()["history"][0]
    assert past["requestedBy"] == "127.0.0.1 via console"
    assert (past["reason"], past["id"]) == ("exercise", done.headers["X-TCF-Request"])

    again = open_page.post("toggle", expected_term=plan["term"])
    assert (again.status, again.reason) == (409, "TermMismatch")
    assert json.loads(open_page.post("promote", member="cluster_2").body)["outcome"] == "Unchanged"
    assert json.loads(open_page.post("demote", member="cluster_2").body)["active"] is None


def test_two_who_toggle_at_once_toggle_once(hub: HubNamespace, open_page: Page) -> None:
    term = open_page.foresee("toggle")["term"]
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(open_page.post, "toggle", expected_term=term) for _ in range(2)]
        answers = [job.result() for job in jobs]
    assert 200 in {each.status for each in answers}
    assert hub.status()["activeCluster"] == "cluster_2"
    succeeded = [past for past in hub.status()["history"] if past["trigger"] == "api"]
    assert len(succeeded) == 1, [each.body for each in answers]


def test_what_would_be_refused_is_said_before(hub: HubNamespace, open_page: Page, pair: Any) -> None:
    assert pair[1].stop() == 0
    eventually(lambda: not hub.status()["clusters"][1].get("liveWorkers"), what="cluster_2 has no worker")
    plan = open_page.foresee("promote", member="cluster_2")
    assert plan["objection"]["reason"] == "NoLiveWorker"
    refused = open_page.post("promote", member="cluster_2")
    assert (refused.status, refused.reason) == (409, "NoLiveWorker")
    assert open_page.foresee("promote", member="cluster_2", force=True)["objection"] is None
    assert open_page.foresee("promote", member="cluster_3")["refusal"]["reason"] == "UnknownCluster"


@pytest.mark.parametrize(
    ("kind", "parameters", "status", "reason"),
    [
        ("promote", {}, 400, "InvalidParameter"),
        ("promote", {"member": ""}, 400, "InvalidParameter"),
        ("toggle", {"member": "cluster_1"}, 400, "UnknownParameter"),
        ("toggle", {"expected_term": "x"}, 400, "InvalidParameter"),
        ("toggle", {"reason": "x" * 257}, 400, "InvalidParameter"),
        ("toggle", {"federation": "other"}, 404, "FederationNotFound"),
        ("toggle", {"namespace": "other"}, 404, "FederationNotFound"),
    ],
)
def test_wrong_requests(
    hub: HubNamespace, open_page: Page, kind: str, parameters: dict[str, Any], status: int, reason: str
) -> None:
    before = hub.status()["term"]
    answer = open_page.post(kind, **parameters)
    assert (answer.status, answer.reason) == (status, reason), answer.body
    assert hub.status()["term"] == before


def test_other_pages_and_other_names_are_refused(open_page: Page) -> None:
    def asked(method: str, path: str, **headers: str) -> int:
        more = {each.replace("_", "-"): value for each, value in headers.items()}
        return ask(open_page.port, method, path, headers=more).status

    assert asked("POST", "/console/toggle", Origin="https://evil.example") == 403
    assert asked("POST", "/console/toggle", Sec_Fetch_Site="cross-site") == 403
    assert asked("POST", "/console/toggle", Host="evil.example") == 421
    assert asked("GET", "/console/events", Host="evil.example") == 421


def test_without_users_it_listens_on_loopback_addresses_only(hub: HubNamespace) -> None:
    for address in ("0.0.0.0:0", ":0", "192.0.2.1:80"):
        ended = subprocess.run(
            command("operator", hub.kubeconfig, "--console", address),
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert ended.returncode == 2
        assert "use --auth kubernetes or --auth oauth2, or a loopback address" in ended.stderr


# --- users ---------------------------------------------------------------------------------------------


def test_who_is_not_known_sees_nothing(hub: HubNamespace, guarded: Callable[[str], Page]) -> None:
    page = guarded("viewer")
    for token in ("", "junk"):
        stranger = Page(hub, page.port, token)
        answer = ask(page.port, "GET", "/console/events", headers=stranger.headers)
        assert (answer.status, answer.reason) == (401, "Unauthenticated")
        assert stranger.post("toggle").status == 401
        assert stranger.post("toggle", dry_run=True).status == 401
    assert ask(page.port, "GET", "/").status == 200


@pytest.mark.parametrize(
    ("person", "sees", "switches", "forces"),
    [
        ("stranger", False, False, False),
        ("viewer", True, False, False),
        ("switcher", True, True, False),
        ("admin", True, True, True),
        ("switcher who may not look", False, False, False),
    ],
)
def test_rights_are_those_of_the_hub(
    hub: HubNamespace,
    guarded: Callable[[str], Page],
    person: str,
    sees: bool,  # noqa: FBT001
    switches: bool,  # noqa: FBT001
    forces: bool,  # noqa: FBT001
) -> None:
    page = guarded(person)
    hub.apply("other")  # nobody has rights on that one
    with page.stream() as stream:
        session, federations = begun(stream)
    assert session["user"].endswith(f":{rights.dashed(person)}")
    assert names(federations) == (["shop"] if sees else [])
    with page.stream("shop") as stream:
        shown = until(stream, "selected")
        assert (shown and shown["may"]) == ({"switch": switches, "force": forces} if sees else None)
    for forced, allowed in ((False, switches), (True, forces)):
        status = page.post("promote", member="cluster_1", force=forced).status
        assert status == (200 if allowed else 403), forced
        assert page.post("promote", federation="other", member="cluster_1", force=forced).status == 403
    assert page.post("promote", member="cluster_2", dry_run=True).status == (200 if sees else 403)


def test_a_right_on_the_namespace_is_enough(hub: HubNamespace, guarded: Callable[[str], Page]) -> None:
    page = guarded("stranger")
    hub.kubectl("create", "role", "look", "--verb=get", "--resource=clusterfederations.tcf.dev")
    account = f"--serviceaccount={hub.namespace}:stranger"
    hub.kubectl("create", "rolebinding", "look", "--role=look", account)
    hub.apply("other")

    def seen() -> bool:
        with page.stream() as stream:
            return names(begun(stream)[1]) == ["other", "shop"]

    eventually(seen, what="both are seen")


def test_it_is_recorded_who_has_switched(
    hub: HubNamespace, guarded: Callable[[str], Page], tmp_path: Path
) -> None:
    page = guarded("switcher")
    who = f"system:serviceaccount:{hub.namespace}:switcher"
    assert page.post("toggle", reason="exercise").status == 200
    assert page.post("promote", member="cluster_1", force=True).status == 403
    assert hub.status()["history"][0]["requestedBy"] == f"{who} via console"
    done, refused = audited(tmp_path / "audit", lambda entries: len(entries) >= 2)
    assert done["user"]["username"] == refused["user"]["username"] == who
    assert done["objectRef"]["name"] == "shop"
    assert done["annotations"]["tcf.dev/reason"] == "exercise"
    assert done["annotations"]["tcf.dev/outcome"] == "Succeeded"
    assert (refused["objectRef"]["cluster"], refused["responseStatus"]["code"]) == ("cluster_1", 403)


def test_streams_end_when_the_operator_stops(
    hub: HubNamespace, programs: TcfProcesses, pair: tuple[TcfProcess, ...]
) -> None:
    operator = programs.operator("--console", "127.0.0.1:0")
    operator.await_ready()
    pair[0].await_active()
    with Page(hub, operator.port_for("console")).stream("shop") as stream:
        until(stream, "live")
        assert operator.stop() == 0
        while stream.next():
            pass


@pytest.fixture
def many(open_page: Page) -> Iterator[list[EventReader]]:
    streams = [open_page.stream() for _ in range(50)]
    try:
        yield streams
    finally:
        for each in streams:
            each.close()


def test_the_number_of_pages_is_limited(open_page: Page, many: list[EventReader]) -> None:
    assert {each.status for each in many} == {200}
    refused = ask(open_page.port, "GET", "/console/events")
    assert (refused.status, refused.reason) == (503, "TooManyStreams")
    many.pop().close()
    eventually(lambda: _taken(open_page), what="a page that was closed leaves its place to another")


def _taken(page: Page) -> bool:
    with page.stream() as stream:
        return stream.status == 200
