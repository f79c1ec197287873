"""Federations of two members with a proxy before the hub, whose active member can be killed or cut off."""

from __future__ import annotations

import contextlib
import random
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from controlplane.plane import ControlPlane
from rig.gate import Gate
from rig.hub_namespace import HubNamespace
from rig.kubectl import kubectl_of
from rig.patience import eventually
from rig.tcf_processes import TcfProcess, TcfProcesses

POLL_SECONDS = 0.005
PATIENCE = 120.0


@dataclass
class GatedMember:
    """A member with two workers behind one gate."""

    gate: Gate
    workers: list[TcfProcess]

    def status(self) -> set[int]:
        return {worker.is_active().status for worker in self.workers}


class TwoMembers:
    """A federation of two members with two workers each, and an operator.

    Use it as a context: everything runs from its beginning to its end.
    """

    def __init__(self, plane: ControlPlane, name: str, duration: int, folder: Path) -> None:
        self.duration = duration
        self._hub = HubNamespace(kubectl_of(plane, name), name, plane.kubeconfig)
        self._folder = folder
        self._programs = TcfProcesses(self._hub, folder)
        self._exit = contextlib.ExitStack()
        self._operator_gate = self._gate()
        self.members = {member: GatedMember(self._gate(), []) for member in ("cluster_1", "cluster_2")}

    def __enter__(self) -> Self:
        self._exit.callback(self._programs.close)
        self._hub.kubectl("create", "namespace", self._hub.namespace)
        self._hub.apply(
            leaseDuration=f"{self.duration}s",
            switchoverTimeout=f"{2 * self.duration + 3}s",
            failover={"mode": "Automatic", "timeout": "1s", "cooldown": "0s"},
        )
        path = self._operator_gate.kubeconfig(self._hub, self._folder / "operator")
        self._programs.operator(kubeconfig=path)
        for member in self.members:
            self.start(member)
        self.settle()
        return self

    def __exit__(self, *_: object) -> None:
        for gate in self.gates:
            gate.open()
        self._exit.close()

    @property
    def gates(self) -> list[Gate]:
        return [self._operator_gate, *(member.gate for member in self.members.values())]

    @property
    def active(self) -> str:
        status = self._hub.status
        active: str = eventually(lambda: status().get("activeCluster"), what="a member is active")
        return active

    @property
    def term(self) -> int:
        term: int = self._hub.status()["term"]
        return term

    def other(self, member: str) -> str:
        return next(each for each in self.members if each != member)

    def start(self, member: str) -> None:
        one = self.members[member]
        path = one.gate.kubeconfig(self._hub, self._folder / member)
        one.workers = [self._programs.worker(member, kubeconfig=path) for _ in range(2)]

    def settle(self) -> None:
        """Wait until every worker answers and the operator has seen each of them renew for a full period."""

        def settled() -> bool:
            active = self.active
            other = self.other(active)
            return self.members[active].status() == {200} and self.members[other].status() == {418}

        eventually(settled, what="everybody answers", patience=PATIENCE)
        time.sleep(1.3 * self.duration + 1 + random.uniform(0, self.duration / 3))

    def await_status(self, member: str, status: int) -> float:
        """Wait for the first worker of the member to answer so; return how many seconds that took."""
        began = time.monotonic()
        deadline = began + PATIENCE
        while time.monotonic() < deadline:
            if status in self.members[member].status():
                return time.monotonic() - began
            time.sleep(POLL_SECONDS)
        raise TimeoutError(f"{member} never answered {status}")

    def _gate(self) -> Gate:
        gate = self._exit.enter_context(Gate(self._hub.server))
        gate.open()
        return gate


@contextlib.contextmanager
def federations(plane: ControlPlane, count: int, duration: int) -> Iterator[list[TwoMembers]]:
    """Run `count` federations at once, each with programs of its own."""
    with contextlib.ExitStack() as stack:
        opened = []
        for n in range(count):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tcf-figures-")))
            opened.append(TwoMembers(plane, f"d{duration}-{n}-{random.randrange(10**6)}", duration, folder))
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(stack.enter_context, opened))
        yield opened


def killed(federation: TwoMembers) -> float:
    """SIGKILL every worker of the active member; return the seconds until the other member answers 200."""
    dead = federation.active
    for worker in federation.members[dead].workers:
        worker.kill()
    took = federation.await_status(federation.other(dead), 200)
    federation.start(dead)
    federation.settle()
    return took
