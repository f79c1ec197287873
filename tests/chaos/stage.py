"""A scene with its programs, and the hand that does the faults and mends them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from controlplane.client import ControlPlane
from support.api import Hub, eventually, kubectl_of
from support.gate import Gate
from support.probes import Prober
from support.programs import Program, Programs

from chaos.faults import SECONDS, Fault, Scene

_REST_SECONDS = 60.0
"""Within this, everything has to be at rest after the last fault: far more than it takes, on any machine."""


class Stage:
    """Use as a context; `play` a schedule at a time."""

    def __init__(self, where: Scene, plane: ControlPlane, folder: Path) -> None:
        self.scene = where
        self.counts: Counter[str] = Counter()
        self._plane = plane
        self._folder = folder
        self._hub = Hub(kubectl_of(plane), "default", plane.kubeconfig)
        self._programs = Programs(self._hub, folder)
        self._names = [*where.workers, *where.operators]
        self._ports = dict(zip(self._names, _ports(len(self._names)), strict=True))
        self._gates: dict[str, Gate] = {}
        self._running: dict[str, Program] = {}
        self._locks = {name: threading.Lock() for name in [*self._names, "hub"]}
        self._calm = threading.Event()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(self._programs.close)
            for name in self._names:
                self._gates[name] = stack.enter_context(Gate(self._hub.server))
            self._mend()
            self._hub.kubectl("delete", "cfed,leases", "--all", "--wait=false", check=False)
            duration = self.scene.duration
            self._hub.apply(
                clusters=[{"id": f"cluster_{m}", "name": f"c{m}"} for m in range(1, self.scene.members + 1)],
                leaseDuration=f"{duration}s",
                switchoverTimeout=f"{2 * duration + 2}s",
                failover={"mode": "Automatic", "timeout": "1s", "cooldown": "0s"},
            )
            with ThreadPoolExecutor(len(self._names)) as pool:
                list(pool.map(self._start, self._names))
            self._await_rest()
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._mend()
        self._exit.__exit__(kind, error, trace)

    def play(self, faults: list[Fault]) -> Prober:
        """Do the faults at their moments, mend everything, wait for rest; what the probes saw meanwhile."""
        members = {self._ports[name]: name.split(".")[0] for name in self.scene.workers}
        self._calm.clear()
        with Prober(members, per_second=100) as prober, ThreadPoolExecutor(24) as pool:
            began = time.monotonic()
            doing: list[Future[None]] = []
            for fault in faults:
                time.sleep(max(0.0, began + fault.at - time.monotonic()))
                self.counts[fault.kind] += 1
                doing += [pool.submit(self._do, fault, target) for target in self._targets(fault)]
            time.sleep(max(0.0, began + SECONDS - time.monotonic()))
            self._calm.set()
            for done in doing:
                done.result()
            self._mend()
            self._await_rest()
        return prober

    def history(self) -> list[dict[str, str]]:
        past: list[dict[str, str]] = self._hub.status().get("history", [])
        return past

    # --- faults -----------------------------------------------------------------------------------------

    def _targets(self, fault: Fault) -> list[str]:
        """Whom it is done to: a program, or both workers of a member."""
        if not fault.kind.endswith(" member"):
            return [fault.target]
        member = fault.target
        if member == "active":
            member = next((name.split(".")[0] for name in self.scene.workers if self._yes(name)), "cluster_1")
        return [name for name in self.scene.workers if name.startswith(f"{member}.")]

    def _do(self, fault: Fault, target: str) -> None:
        kind = fault.kind.removesuffix(" member").replace("-", "_").replace(" ", "_")
        if kind == "switch":
            self._switch(target)
            return
        # One fault at a time for each program, or nobody knew what is to be undone.
        with self._locks[target or "hub"]:
            if not self._calm.is_set():
                getattr(self, f"_{kind}")(fault, target)

    def _for(self, fault: Fault) -> None:
        self._calm.wait(fault.seconds)

    def _kill(self, fault: Fault, target: str) -> None:
        self._running[target].kill()
        self._for(fault)
        self._start(target)

    def _restart(self, fault: Fault, target: str) -> None:
        self._running[target].process.terminate()
        self._running[target].process.wait(_REST_SECONDS)
        self._for(fault)
        self._start(target)

    def _stop(self, fault: Fault, target: str) -> None:
        self._running[target].signal(signal.SIGSTOP)
        self._for(fault)
        self._running[target].signal(signal.SIGCONT)

    def _cut(self, fault: Fault, target: str) -> None:
        self._gates[target].close()
        self._for(fault)
        self._gates[target].open()

    def _half_open(self, fault: Fault, target: str) -> None:
        self._gates[target].silence()
        self._for(fault)
        self._gates[target].open()

    def _slow(self, fault: Fault, target: str) -> None:
        self._gates[target].open(delay=fault.delay)
        self._for(fault)
        self._gates[target].open()

    def _reset(self, _: Fault, target: str) -> None:
        self._gates[target].reset()

    def _apiserver_restart(self, fault: Fault, _: str) -> None:
        self._plane.kill_component("kube-apiserver")
        self._for(fault)
        self._plane.start_component("kube-apiserver")

    def _etcd_pause(self, fault: Fault, _: str) -> None:
        os.kill(self._plane.pids["etcd"], signal.SIGSTOP)
        self._for(fault)
        os.kill(self._plane.pids["etcd"], signal.SIGCONT)

    def _switch(self, target: str) -> None:
        with contextlib.suppress(OSError):
            answer = self._running[target].post("/tcf/promote")
            self.counts["switched" if answer.status == 200 else f"refused: {answer.reason}"] += 1

    # --- and their end ----------------------------------------------------------------------------------

    def _start(self, name: str) -> None:
        kubeconfig = self._gates[name].kubeconfig(self._hub, self._folder / f"{name}.kubeconfig")
        listen = ("--listen", f"127.0.0.1:{self._ports[name]}")
        kind = name.split(".", maxsplit=1)[0]
        if kind == "operator":
            self._running[name] = self._programs.operator(*listen, kubeconfig=kubeconfig)
        else:
            self._running[name] = self._programs.worker(kind, *listen, kubeconfig=kubeconfig)

    def _mend(self) -> None:
        for gate in self._gates.values():
            gate.open()

    def _yes(self, name: str) -> bool:
        try:
            return self._running[name].is_active().status == 200
        except OSError:
            return False

    def _await_rest(self) -> None:
        """One member's workers answer 200, all others 418, and nothing is under way."""

        def at_rest() -> bool:
            status = self._hub.status()
            active = status.get("activeCluster")
            if not active or "switchover" in status:
                return False
            return all(
                self._running[name].is_active().status == (200 if name.startswith(f"{active}.") else 418)
                for name in self.scene.workers
            )

        eventually(at_rest, what="one active member and rest", patience=_REST_SECONDS)


def _ports(count: int) -> list[int]:
    """Ports that nobody uses, below those that the kernel gives to whoever asks for any."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(10_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found
