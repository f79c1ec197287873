"""Many requests that wait do not keep a load balancer's probe from its answer."""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections.abc import Iterator

import pytest
from rig.asking import ask
from rig.hub_namespace import HubNamespace
from rig.patience import eventually
from rig.tcf_processes import TcfProcesses
from support.application import Application

from tcf.web.server import MOST_CONNECTIONS


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + 500
    if hard != resource.RLIM_INFINITY and hard < 2 * wanted:
        pytest.skip("too few file descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_requests_that_wait_leave_room_for_probes(
    hub: HubNamespace, programs: TcfProcesses, many_descriptors: None
) -> None:
    hub.apply(leaseDuration="60s", switchoverTimeout="90s")
    programs.operator()
    one = programs.worker("cluster_1")
    one.await_active()
    application = Application(one.port)
    application.hold("300s")
    request = (
        f"PUT /tcf/holds/pg-0?id={application.instance}&for=300s&wait=150s HTTP/1.1\r\n"
        "Host: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
    ).encode()
    with contextlib.ExitStack() as stack:
        for number in range(MOST_CONNECTIONS + 20):
            if number > MOST_CONNECTIONS:
                time.sleep(0.3)  # the one before it has arrived
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", one.port)))
            with contextlib.suppress(OSError):
                connection.sendall(request)
        eventually(lambda: "connections are open, which is the limit" in one.log, what="there are too many")
        assert ask(one.port, "GET", "/tcf/is_active").status == 200
