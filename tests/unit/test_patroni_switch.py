"""examples/patroni: when a site may let go of PostgreSQL, and what the commands ask of Patroni."""

from __future__ import annotations

import http.server
import importlib.util
import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import pytest
from rig.asking import free_port
from rig.files import ROOT

Json = dict[str, Any]
PROGRAM = ROOT / "examples/patroni/patroni_switch.py"
UPSTREAM = {"host": "10.2.0.11", "port": 5432}
LEAD = ("/config", {"standby_cluster": None, "tcf_owes": None})


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("patroni_switch", PROGRAM)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


program = loaded()


def node(name: str = "a", state: str = "running", **more: Any) -> Any:
    """A standby and leader that has 100 bytes of timeline 1."""
    values = {"leads": True, "received": 100, "applied": 100, "timeline": 1} | more
    return program.Node(name, state, **values)


def site(*nodes: Any) -> Any:
    return program.Site(nodes, UPSTREAM, owes=True)


STOPPED = node(state="stopped", received=0, applied=0, timeline=0)
LOST = node(state="unreachable", received=0, applied=0, timeline=0)


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        (site(node()), site(node("b")), ""),
        (site(node(writes=True)), site(node("b")), "a still takes writes"),
        (site(node()), site(node("b", applied=60)), "the other site lacks 40 bytes"),
        # It may have received more, but what is not applied may not even be on disk.
        (site(node()), site(node("b", received=100, applied=60)), "the other site lacks 40 bytes"),
        # The server that was the primary has more than the one that leads by now.
        (
            site(node(), node("a2", leads=False, received=130)),
            site(node("b")),
            "the other site lacks 30 bytes",
        ),
        # A primary has begun a timeline of its own.
        (site(node()), site(node("b", writes=True, timeline=2, applied=90)), ""),
        (site(node()), site(node("b", timeline=2, applied=90)), ""),
        (site(node(timeline=2)), site(node("b", applied=200)), "timeline 2 has not arrived at b"),
        (site(node(timeline=0)), site(node("b")), "a timeline is not known yet"),
        (site(node()), "no route", "nobody knows whether the other site has everything: no route"),
        (
            site(STOPPED),
            site(node("b")),
            "nobody knows what was committed last: the PostgreSQL of a does not run (stopped)",
        ),
        (
            site(node(leads=False)),
            site(node("b")),
            "nobody knows what was committed last: Patroni has no leader",
        ),
        (site(), site(node("b")), "Patroni knows no server of its own"),
        (site(node(), LOST), site(node("b")), "a may still take writes: its Patroni says unreachable"),
        (
            site(node()),
            site(STOPPED),
            "nobody knows what the site that takes over has: the PostgreSQL of a does not run (stopped)",
        ),
    ],
)
def test_a_site_lets_go_only_when_the_other_one_has_everything(here: Any, there: Any, expected: str) -> None:
    assert program.holding_up_passive(here, there) == expected


class StubPatroni(http.server.ThreadingHTTPServer):
    """Answers as the only node of a Patroni cluster, which obeys at once, and as a worker."""

    daemon_threads = True

    def __init__(self, *, writes: bool, position: int = 100, is_active: int = 200) -> None:
        self.config: Json = {} if writes else {"standby_cluster": UPSTREAM}
        self.position, self.is_active, self.stubborn = position, is_active, False
        self.changes: list[tuple[str, Json]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.01,)).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def writes(self) -> bool:
        return self.stubborn or not self.config.get("standby_cluster")

    def answer(self, path: str) -> tuple[int, Json]:
        names = ("location",) if self.writes else ("received_location", "replayed_location")
        wal = dict.fromkeys(names, self.position)
        role = "leader" if self.writes else "standby_leader"
        return {
            "/cluster": (200, {"members": [{"name": "n", "role": role, "api_url": f"{self.url}/patroni"}]}),
            "/config": (200, self.config),
            "/patroni": (200, {"state": "running", "xlog": wal, "timeline": 1}),
            "/tcf/is_active": (self.is_active, {}),
        }[path]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: StubPatroni

    def do_GET(self) -> None:
        self._answer(*self.server.answer(self.path))

    def do_PATCH(self) -> None:
        authorization = self.headers.get("Authorization", "")
        if authorization != "Basic cGF0cm9uaTpzZWNyZXQ=":  # patroni:secret
            self._answer(401, {})
            return
        change = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.changes.append((self.path, change))
        config = self.server.config | change
        self.server.config = {key: value for key, value in config.items() if value is not None}
        self._answer(200, self.server.config)

    def _answer(self, status: int, body: Json) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def active() -> Iterator[StubPatroni]:
    with StubPatroni(writes=True) as stub:
        yield stub


@pytest.fixture
def passive() -> Iterator[StubPatroni]:
    with StubPatroni(writes=False) as stub:
        yield stub


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[[str, StubPatroni, str], Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command at the site of this Patroni, the other one being at that URL."""
    monkeypatch.setattr(program, "ATTEMPT", 0.5)
    password, config = tmp_path / "password", tmp_path / "switch.toml"
    password.write_text("secret\n")

    def run(command: str, here: StubPatroni, there: str) -> Done:
        config.write_text(
            f'worker = "{here.url}"\npatience = 0.5\n[rest]\nusername = "patroni"\n'
            f'password_file = "{password}"\n'
            f'[here]\npatroni = ["{here.url}"]\nstandby_cluster = {{host = "10.2.0.11", port = 5432}}\n'
            f'[there]\npatroni = ["{there}"]\nstandby_cluster = {{host = "10.2.0.11", port = 5432}}\n'
        )
        status = program.main(["--config", str(config), command])
        return Done(status, *capsys.readouterr())

    return run


def test_a_passive_site_follows_the_other_one(run: Run, active: StubPatroni, passive: StubPatroni) -> None:
    done = run("on-passive", active, passive.url)
    assert done.returncode == 0, done.stderr
    assert active.changes == [
        ("/config", {"standby_cluster": UPSTREAM, "tcf_owes": True}),
        ("/config", {"tcf_owes": None}),
    ]


def test_a_site_that_has_been_passive_owes_nothing(run: Run, passive: StubPatroni) -> None:
    """Else it could not take over from a site that is dead."""
    done = run("on-passive", passive, f"http://127.0.0.1:{free_port()}")
    assert (done.returncode, passive.changes) == (0, [])


def test_a_passive_site_does_not_let_go_while_the_other_one_cannot_be_reached(
    run: Run, active: StubPatroni
) -> None:
    active.is_active = 418
    done = run("on-passive", active, f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "nobody knows whether the other site has everything: GET http://127.0.0.1" in done.stderr


def test_an_active_site_has_the_primary(run: Run, passive: StubPatroni) -> None:
    with StubPatroni(writes=False) as former:
        done = run("on-active", passive, former.url)
    assert done.returncode == 0, done.stderr
    assert (passive.changes, former.changes) == ([LEAD], [])


def test_a_promotion_makes_the_other_site_follow_first(
    run: Run, active: StubPatroni, passive: StubPatroni
) -> None:
    """After a failover, it may be that only its worker is dead."""
    done = run("on-active", passive, active.url)
    assert done.returncode == 0, done.stderr
    assert active.changes == [("/config", {"standby_cluster": UPSTREAM, "tcf_owes": True})]


def test_nobody_is_promoted_while_the_other_site_can_be_seen_to_write(
    run: Run, active: StubPatroni, passive: StubPatroni
) -> None:
    active.stubborn = True
    done = run("on-active", passive, active.url)
    assert done.returncode == 1
    assert "no promotion while n, at the other site, takes writes" in done.stderr
    assert passive.changes == []


def test_a_promotion_does_not_wait_for_ever_for_what_does_not_come(run: Run, passive: StubPatroni) -> None:
    with StubPatroni(writes=False, position=120) as former:
        done = run("on-active", passive, former.url)
    assert done.returncode == 0
    assert "nothing more comes from the other site, going on without it: 20" in done.stderr


def test_a_late_promotion_changes_nothing(run: Run, active: StubPatroni, passive: StubPatroni) -> None:
    passive.is_active = 418
    done = run("on-active", passive, active.url)
    assert done.returncode == 1
    assert "this site is not active: GET" in done.stderr
    assert (active.changes, passive.changes) == ([], [])


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (418, 1), (500, 1)])
def test_patroni_asks_the_worker_before_a_promotion(
    run: Run, passive: StubPatroni, status: int, expected: int
) -> None:
    passive.is_active = status
    assert run("may-promote", passive, passive.url).returncode == expected


def test_a_health_check_needs_a_patroni(run: Run, active: StubPatroni) -> None:
    assert run("check", active, active.url).returncode == 0


def test_the_status_says_what_the_follower_lacks(run: Run, active: StubPatroni) -> None:
    with StubPatroni(writes=False, position=70) as follower:
        done = run("status", active, follower.url)
    assert done.returncode == 0
    assert done.stdout.endswith("the follower lacks 30 bytes\n")


def test_the_example_configuration_is_complete() -> None:
    program.load(PROGRAM.with_name("patroni-switch.toml"))


def test_a_configuration_that_lacks_something(tmp_path: Path) -> None:
    (tmp_path / "switch.toml").write_text('worker = "http://127.0.0.1:8080"\n')
    with pytest.raises(program.SwitchError, match="'here' is missing"):
        program.load(tmp_path / "switch.toml")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            'patroni = ["http://10.1.0.11:8008"]',
            'patroni = "http://10.1.0.11:8008"',
            "here.patroni is .* list of URLs",
        ),
        ('patroni = ["http://10.1.0.11:8008"]', "patroni = []", "here.patroni is .* list of URLs"),
        ('patroni = ["http://10.1.0.11:8008"]', 'patroni = ["http://10.1.0.11:99999"]', "[Pp]ort"),
        ('worker = "http://127.0.0.1:8080"', 'worker = "127.0.0.1:8080"', "worker: .* is not a URL"),
    ],
)
def test_a_configuration_that_cannot_be_meant(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = (
        'worker = "http://127.0.0.1:8080"\npatience = 30\n'
        '[here]\npatroni = ["http://10.1.0.11:8008"]\n[here.standby_cluster]\nhost = "10.2.0.11"\n'
        '[there]\npatroni = ["http://10.2.0.11:8008"]\n[there.standby_cluster]\nhost = "10.1.0.11"\n'
    )
    path = tmp_path / "switch.toml"
    path.write_text(text)
    program.load(path)
    path.write_text(text.replace(old, new))
    with pytest.raises(program.SwitchError, match=says):
        program.load(path)
