"""A real HAProxy before two members whose workers run outside of the cluster, and reach it as their hub."""

from __future__ import annotations

import http.client
import http.server
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from rig.asking import free_port
from rig.files import ROOT
from rig.hub_namespace import HubNamespace
from rig.patience import PATIENCE, eventually
from rig.recording_application import RecordingApplication
from rig.reverse_proxies import HAProxy
from rig.tcf_processes import TcfProcess, TcfProcesses

from e2e.cluster import MEMBERS, Namespace, dashed

Measured = Callable[[str], None]
SWITCHES, CLIENTS = 6, 4
CHECK = "option httpchk GET /tcf/is_active"
"""How the example has each worker asked."""
_BETWEEN_REQUESTS = 0.01
NO_ANSWER, CUT_OFF = 0, 1
"""These stand for a status. CUT_OFF: HAProxy closed its connection without an answer."""


@pytest.fixture(scope="module")
def workers(shared: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[TcfProcess]]:
    """A worker of each member on this machine, with what the chart gives to members elsewhere."""
    members = [
        f"remoteMembers.members[{n}].{key}={value}"
        for n, member in enumerate(MEMBERS)
        for key, value in (("federation", "shop"), ("cluster", member))
    ]
    shared.install("remoteMembers.tokenSecrets=true", *members)
    shared.kubectl("apply", "-f", str(ROOT / "examples/shop.yaml"))
    hub = HubNamespace(lambda *_, **__: pytest.fail("not here"), shared.name, shared.cluster.kubeconfig)
    folder = tmp_path_factory.mktemp("workers")
    programs = TcfProcesses(hub, folder)
    try:
        yield [programs.worker(member, kubeconfig=kubeconfig(shared, member, folder)) for member in MEMBERS]
    finally:
        programs.close()
        shared.kubectl("delete", "cfed", "--all", "--wait=false")


def kubeconfig(namespace: Namespace, member: str, folder: Path) -> Path:
    account = f"tcf-operator-remote-shop-{dashed(member)}"
    cluster = namespace.cluster
    command = [
        sys.executable,
        "-m",
        "tcf.ctl.kubeconfig",
        "--secret",
        "--namespace",
        namespace.name,
    ]
    command += ["--kubeconfig", str(cluster.kubeconfig), "--kubectl", str(cluster.program), account]
    path = folder / f"{member}.kubeconfig"
    path.write_text(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return path


class ExampleProxy(HAProxy):
    """HAProxy with the configuration of the example, but for addresses."""

    def __init__(
        self,
        folder: Path,
        workers: list[TcfProcess],
        applications: list[RecordingApplication],
        check: str = CHECK,
    ) -> None:
        self.port = free_port()
        text = (ROOT / "examples/haproxy.cfg").read_text()
        text = text.replace("bind :8000", f"bind 127.0.0.1:{self.port}")
        assert CHECK in text
        text = text.replace(CHECK, check)
        for n, (worker, application) in enumerate(zip(workers, applications, strict=True), 1):
            address = f"127.0.0.1:{application.server_address[1]} port {worker.port}"
            text, count = re.subn(rf"192\.0\.2\.{n}:80 port 8080", address, text)
            assert count == 1
        config = folder / "haproxy.cfg"
        config.write_text(text)
        super().__init__(config)

    def get(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
        except ConnectionResetError:  # RemoteDisconnected is one
            return CUT_OFF
        except (OSError, http.client.HTTPException):
            return NO_ANSWER
        else:
            return response.status
        finally:
            connection.close()


def _asked_since(application: RecordingApplication, moment: float) -> bool:
    return any(at > moment for at in application.asked[-5:])


def test_after_the_new_member_has_served_the_old_one_gets_no_request(
    workers: list[TcfProcess], tmp_path: Path, measured: Measured
) -> None:
    with ExitStack() as stack:
        applications = [stack.enter_context(RecordingApplication()) for _ in MEMBERS]
        proxy = stack.enter_context(ExampleProxy(tmp_path, workers, applications))
        workers[0].await_active()
        eventually(lambda: proxy.get() == 200, what="HAProxy lets requests through")
        end = threading.Event()
        statuses: list[int] = []

        def load() -> None:
            while not end.wait(_BETWEEN_REQUESTS):
                statuses.append(proxy.get())

        clients = [threading.Thread(target=load) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
            stack.callback(client.join)
        stack.callback(end.set)
        switches: list[tuple[float, int]] = []
        for number in range(SWITCHES):
            new = 1 - number % 2
            posted = time.monotonic()
            assert workers[new].post("/tcf/promote").status == 200
            eventually(partial(_asked_since, applications[new], posted), what="the new member serves")
            switches.append((posted, new))
            time.sleep(1)
    gaps = []
    ends = [posted for posted, _ in switches[1:]] + [time.monotonic()]
    for (posted, new), until in zip(switches, ends, strict=True):
        first = min(at for at in applications[new].asked if at > posted)
        late = [at for at in applications[1 - new].asked if first < at < until]
        assert late == []
        gaps.append(first - max(at for at in applications[1 - new].asked if at < first))
    # What is under way at a member when it is marked down is cut off, most of it with 502.
    assert set(statuses) <= {200, 502, 503, CUT_OFF}
    gap = f"{min(gaps):.2f} to {max(gaps):.2f} s"
    measured(f"HAProxy: {SWITCHES} switches, {len(statuses)} requests; nobody for {gap}")


@pytest.mark.parametrize(
    "check",
    [
        "option httpchk /tcf/is_active",
        "option httpchk OPTIONS /tcf/is_active",
        "option httpchk HEAD /tcf/is_active",
        "option httpchk\n    http-check send meth GET uri /tcf/is_active ver HTTP/1.1 hdr Host tcf",
    ],
    ids=["no method", "OPTIONS", "HEAD", "HTTP/1.1"],
)
def test_every_method_of_a_health_check_tells_the_active_member(
    workers: list[TcfProcess], tmp_path: Path, check: str
) -> None:
    """Else both members would be taken for active, for which the example refuses every request."""
    with ExitStack() as stack:
        applications = [stack.enter_context(RecordingApplication()) for _ in MEMBERS]
        for worker in workers:
            worker.post("/tcf/promote")
        proxy = stack.enter_context(ExampleProxy(tmp_path, workers, applications, check))
        for new in (1, 0, 1):
            assert workers[new].post("/tcf/promote").status == 200
            posted = time.monotonic()
            eventually(
                partial(_served_since, proxy, applications[new], posted), what=f"member {new} is served"
            )
            before = len(applications[1 - new].asked)
            assert [proxy.get() for _ in range(20)] == [200] * 20
            assert len(applications[1 - new].asked) == before


def _served_since(proxy: ExampleProxy, application: RecordingApplication, moment: float) -> bool:
    return proxy.get() == 200 and _asked_since(application, moment)
