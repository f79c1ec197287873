"""Release 0.1.0 and this one, side by side: upgraded and downgraded program by program, while roles move."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest
from controlplane.plane import ControlPlane
from rig.asking import Answer, ask, free_port
from rig.files import ROOT
from rig.hub_namespace import HubNamespace
from rig.kubectl import apply_crd, kubectl_of
from rig.prober import Prober
from rig.promise import broken_promises
from rig.tcf_processes import TcfProcess, TcfProcesses

RELEASES = ROOT / "tests" / "support" / "releases"
WHEEL = RELEASES / "tcf_operator-0.1.0-py3-none-any.whl"
D = 2
MEMBERS = ("cluster_1", "cluster_2")


@dataclass(frozen=True)
class Release:
    """Programs of one release, and its CRD."""

    programs: TcfProcesses
    crd: Path


@pytest.fixture
def hub() -> Iterator[HubNamespace]:
    """A control plane of the test's own: its CRD changes."""
    with ControlPlane.start() as plane:
        yield HubNamespace(kubectl_of(plane), "default", plane.kubeconfig)


@pytest.fixture
def releases(hub: HubNamespace, tmp_path: Path) -> Iterator[tuple[Release, Release]]:
    """0.1.0, and this one."""
    with contextlib.ExitStack() as stack:
        found = []
        for name, wheel, crd in (
            ("old", WHEEL, RELEASES / "crd-0.1.0.yaml"),
            ("new", None, ROOT / "crds/clusterfederations.tcf.dev.yaml"),
        ):
            (tmp_path / name).mkdir()
            programs = TcfProcesses(hub, tmp_path / name, development=False, release=wheel)
            stack.callback(programs.close)
            found.append(Release(programs, crd))
        old, new = found
        yield old, new


class Switching:
    """Somebody who asks for a toggle again and again, whatever comes of it."""

    def __init__(self, ports: list[int]) -> None:
        self.answers: list[Answer] = []
        self._ports = ports
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.2):
            for port in self._ports:
                with contextlib.suppress(OSError):
                    self.answers.append(ask(port, "POST", "/tcf/toggle"))
                    break


def listening(port: int) -> tuple[str, str]:
    return ("--listen", f"127.0.0.1:{port}")


@pytest.mark.parametrize("direction", ["upgrade", "downgrade"])
def test_programs_are_replaced_one_by_one_while_roles_move(
    hub: HubNamespace, releases: tuple[Release, Release], direction: str
) -> None:
    before, after = releases if direction == "upgrade" else releases[::-1]
    apply_crd(hub.kubectl, before.crd)
    hub.apply(leaseDuration=f"{D}s", switchoverTimeout="5s")
    ports = {member: (free_port(), free_port()) for member in MEMBERS}
    running: dict[str, TcfProcess] = {"operator": before.programs.operator()}
    for member in MEMBERS:
        running[member] = before.programs.worker(member, *listening(ports[member][0]))
    running["cluster_1"].await_active()
    by_port = {port: member for member, pair in ports.items() for port in pair}
    with Prober(by_port, per_second=50) as prober, Switching(list(by_port)) as switching:
        time.sleep(2)
        apply_crd(hub.kubectl, after.crd)
        for what, old in running.items():
            new = (
                after.programs.operator()
                if what == "operator"
                else after.programs.worker(what, *listening(ports[what][1]))
            )
            new.await_ready()
            time.sleep(1)
            old.stop()
            time.sleep(1)
    assert broken_promises(prober.probes) == []
    done = [answer for answer in switching.answers if answer.status == 200]
    assert len(done) > len(switching.answers) / 2, switching.answers
    for member in MEMBERS:
        answer = ask(ports[member][1], "POST", "/tcf/promote")
        assert answer.status == 200, answer
    status = hub.status()
    assert status["activeCluster"] == "cluster_2"
    assert status["protocol"] == 1
    assert ("longestLeaseSeconds" in status) == (direction == "upgrade")


def test_two_releases_do_not_write_over_each_other_for_ever(
    hub: HubNamespace, releases: tuple[Release, Release]
) -> None:
    """Their conditions have other words. A rolling update takes minutes, and each write wakes all workers."""
    old, new = releases
    apply_crd(hub.kubectl, new.crd)
    hub.apply(leaseDuration=f"{D}s", switchoverTimeout="5s")
    operators = [old.programs.operator(), new.programs.operator()]
    new.programs.worker("cluster_1").await_active()
    for operator in operators:
        operator.await_ready()
    assert 1 <= writes(hub, seconds=12) <= 5


def writes(hub: HubNamespace, *, seconds: int) -> int:
    """How many versions the federation has within so many seconds."""
    command = ("get", "cfed", "shop", "--watch-only", f"--request-timeout={seconds}s", "-o", "name")
    seen: subprocess.CompletedProcess[str] = hub.kubectl(*command, check=False)
    return len(seen.stdout.split())
