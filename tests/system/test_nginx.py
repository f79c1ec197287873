"""The NGINX of each member asks its own worker for each request, as examples/nginx.conf has it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from rig.asking import ask, free_port
from rig.files import ROOT
from rig.hub_namespace import HubNamespace
from rig.patience import PATIENCE, eventually
from rig.recording_application import RecordingApplication
from rig.reverse_proxies import Nginx
from rig.tcf_processes import TcfProcess, TcfProcesses


@dataclass
class Site:
    worker: TcfProcess
    application: RecordingApplication
    port: int

    def get(self, path: str = "/") -> int:
        """The status of NGINX's answer; 0 if there is none."""
        try:
            return ask(self.port, "GET", path).status
        except (OSError, http.client.HTTPException):
            return 0

    def await_status(self, status: int) -> None:
        eventually(lambda: self.get() == status, what=f"NGINX answers {status}")


@pytest.fixture(scope="module")
def sites(hub: HubNamespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Site]]:
    """One for each member."""
    hub.apply()
    tmp_path = tmp_path_factory.mktemp("nginx")
    programs = TcfProcesses(hub, tmp_path)
    with ExitStack() as stack:
        stack.callback(programs.close)
        programs.operator()
        workers = programs.pair()
        sites = []
        for n, worker in enumerate(workers):
            application = stack.enter_context(RecordingApplication())
            port = free_port()
            folder = tmp_path / f"nginx-{n}"
            folder.mkdir()
            stack.enter_context(Nginx(_configured(folder, port, worker.port, application.server_address[1])))
            sites.append(Site(worker, application, port))
        workers[0].await_active()
        yield sites


def _configured(folder: Path, port: int, worker: int, application: int) -> Path:
    """The configuration of the example, but for addresses and folders."""
    text = (ROOT / "examples/nginx.conf").read_text()
    changes = {
        "listen 8000": f"listen 127.0.0.1:{port}",
        "127.0.0.1:80;": f"127.0.0.1:{application};",
        "127.0.0.1:8080/tcf/is_active": f"127.0.0.1:{worker}/tcf/is_active",
        "127.0.0.1:8080;": f"127.0.0.1:{worker};",
        "http {": f"http {{ access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};"
        f" fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};",
    }
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / "nginx.conf"
    path.write_text(text)
    return path


def test_only_the_active_member_is_served(sites: list[Site]) -> None:
    first, second = _active_first(sites)
    first.await_status(200)
    second.await_status(403)
    assert not second.application.asked
    assert second.worker.post("/tcf/toggle").status == 200
    assert second.get() == 200
    first.await_status(403)
    assert second.get("/tcf") == 404, "what only NGINX asks is not for clients"


def test_events_pass_at_once(sites: list[Site]) -> None:
    _, second = _active_first(sites)
    connection = http.client.HTTPConnection("127.0.0.1", second.port, timeout=PATIENCE)
    try:
        connection.request("GET", "/tcf/events")
        response = connection.getresponse()
        assert response.headers["Content-Type"] == "text/event-stream"

        def hears(role: str) -> None:
            while f'"status":"{role}","clusters"' not in response.readline().decode():
                pass

        hears("passive")
        assert second.worker.post("/tcf/promote").status == 200
        hears("active")
    finally:
        connection.close()


def test_without_its_worker_a_member_is_not_served(sites: list[Site]) -> None:
    first, second = _active_first(sites)
    first.worker.stop()
    first.await_status(500)
    asked = len(first.application.asked)
    assert first.get() == 500
    assert len(first.application.asked) == asked
    second.await_status(403)


def _active_first(sites: list[Site]) -> list[Site]:
    return sorted(sites, key=lambda site: site.worker.is_active().status != 200)
