"""What a page learns while the operator itself knows nothing, or the hub is slow."""

from __future__ import annotations

import time
from pathlib import Path

from rig.asking import ask
from rig.gate import Gate
from rig.hub_namespace import HubNamespace
from rig.tcf_processes import TcfProcesses
from support import rights
from support.audited import audited
from support.event_reader import EventReader

PAGE_SECONDS = 12
"""So long the page waits for a sign of life (SILENT_MS in stream.js)."""


def test_an_operator_that_has_not_reached_the_hub_does_not_say_that_there_is_nothing(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    """The page would say: There is no federation that you may see."""
    hub.apply()
    with Gate(hub.server) as gate:
        operator = programs.operator(
            "--console", "127.0.0.1:0", kubeconfig=gate.kubeconfig(hub, tmp_path / "config")
        )
        port = operator.port_for("console")
        with EventReader(port, f"/console/events?selected={hub.namespace}/shop") as stream:
            told = stream.next()
        assert told
        assert told.kind == "trouble"
        assert set(told.data) == {"error"}


def test_the_stream_says_so_when_the_operator_has_lost_the_hub(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    """The page would show old roles as if they were live."""
    hub.apply()
    programs.operator()
    one, two = programs.pair()
    one.await_active()
    with Gate(hub.server) as gate:
        gate.open()
        cut_off = programs.operator(
            "--console", "127.0.0.1:0", kubeconfig=gate.kubeconfig(hub, tmp_path / "config")
        )
        cut_off.await_ready()
        port = cut_off.port_for("console")
        with EventReader(port, f"/console/events?selected={hub.namespace}/shop") as stream:
            while (event := stream.next()) and event.kind != "selected":
                pass
            gate.silence()
            assert two.post("/tcf/promote").status == 200
            two.await_active()
            told = _kinds(stream, until=time.monotonic() + 30)
        assert told - {"selected", "step", "federation"}, (
            "the hub was lost 30 s ago, another member is active, and the page takes what it shows for live"
        )


def _kinds(stream: EventReader, *, until: float) -> set[str]:
    """The kinds of the events until then, and `end` if the stream ends. Heartbeats do not count."""
    found: set[str] = set()
    while time.monotonic() < until:
        line = stream.response.readline().decode()
        if not line:
            return found | {"end"}
        if line.startswith("event: "):
            found.add(line.removeprefix("event: ").strip())
    return found


def test_a_sign_of_life_comes_in_time_however_long_the_rights_take(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    """A person with rights on one federation, and the hub is a bit slow.

    With 700 federations it need not be slow: at most 50 rights are checked a second.
    """
    names = [f"other-{number}" for number in range(30)]
    for name in [*names, "shop"]:
        hub.apply(name)
    account = rights.account(hub, "viewer")
    rights.create(hub, rights.new_account("viewer"), *rights.grant(account, "get"))
    with Gate(hub.server) as gate:
        gate.open()
        options = ("--console", "127.0.0.1:0", "--auth", "kubernetes")
        operator = programs.operator(*options, kubeconfig=gate.kubeconfig(hub, tmp_path / "config"))
        operator.await_ready()
        token = rights.token(hub, "viewer")
        gate.open(delay=0.5)
        began = time.monotonic()
        with EventReader(
            operator.port_for("console"), "/console/events", Authorization=f"Bearer {token}"
        ) as stream:
            assert stream.status == 200
            assert stream.response.readline(), "the stream has ended"
            assert time.monotonic() - began < PAGE_SECONDS


def test_one_user_cannot_take_the_pages_of_all_others(hub: HubNamespace, programs: TcfProcesses) -> None:
    """Every ServiceAccount of the cluster can get a token, and this one has no rights at all."""
    hub.apply()
    operator = programs.operator("--console", "127.0.0.1:0", "--auth", "kubernetes")
    operator.await_ready()
    port = operator.port_for("console")
    rights.create(hub, rights.new_account("stranger"), rights.new_account("admin"))
    rights.create(hub, *rights.grant(rights.account(hub, "admin"), *rights.EVERYTHING))
    stranger, admin = (f"Bearer {rights.token(hub, name)}" for name in ("stranger", "admin"))
    streams = [EventReader(port, "/console/events", Authorization=stranger) for _ in range(50)]
    try:
        with EventReader(port, "/console/events", Authorization=admin) as stream:
            assert stream.status == 200
    finally:
        for each in streams:
            each.close()


def test_a_refused_sign_in_is_recorded(hub: HubNamespace, programs: TcfProcesses, tmp_path: Path) -> None:
    """As a worker does that needs tokens for reading."""
    hub.apply()
    options = ("--auth", "kubernetes", "--audit-log", str(tmp_path / "audit"))
    operator = programs.operator("--console", "127.0.0.1:0", *options)
    operator.await_ready()
    answer = ask(
        operator.port_for("console"), "GET", "/console/events", headers={"Authorization": "Bearer junk"}
    )
    assert answer.status == 401
    (entry,) = audited(tmp_path / "audit", lambda entries: len(entries) >= 1)
    assert entry["responseStatus"]["code"] == 401


def test_pages_of_other_sites_cannot_take_the_streams(hub: HubNamespace, programs: TcfProcesses) -> None:
    """Without tokens. Any page that the user visits could open all 50."""
    operator = programs.operator("--console", "127.0.0.1:0")
    operator.await_ready()
    other = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    with EventReader(operator.port_for("console"), "/console/events", **other) as stream:
        assert stream.status == 403
