"""A scene with real programs, and the code that makes faults and repairs them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from controlplane.plane import ControlPlane
from rig.asking import free_port
from rig.backups import Backups
from rig.files import ROOT
from rig.gate import Gate
from rig.hub_namespace import HubNamespace
from rig.kubectl import install_crd, kubectl_of
from rig.liar import LIES, Liar
from rig.patience import eventually
from rig.prober import Prober
from rig.tcf_processes import TcfProcess, TcfProcesses

from chaos.faults import SECONDS, Scene, TimedFault
from chaos.live_holders import LiveHolders
from tcf.core.fencing import silence_needed

_CRDS = str(ROOT / "crds")
_REST_SECONDS = 60.0
"""Everything has to be at rest this soon after the last fault. Far more than is needed on any machine."""
_PORTS = defaultdict[str, int](free_port)
"""The port of the program of each name, in all scenes of this process."""


class LiveScene:
    """Use it as a context, and `play` one schedule after the other."""

    def __init__(self, where: Scene, plane: ControlPlane, folder: Path, etcdutl: Path) -> None:
        self.scene = where
        self.counts: Counter[str] = Counter()
        self.lost_term = 0
        """The highest term when the hub was restored from a backup in this schedule; 0 if it was not."""
        self._excused: list[tuple[float, float]] = []
        self._backups = Backups(plane, folder, etcdutl)
        self._plane = plane
        self._folder = folder
        self._hub = HubNamespace(kubectl_of(plane), "default", plane.kubeconfig)
        self._programs = TcfProcesses(self._hub, folder)
        self._names = [*where.workers, *where.operators]
        self._ports = {name: _PORTS[name] for name in self._names}
        self._gates: dict[str, Gate] = {}
        self._running: dict[str, TcfProcess] = {}
        self._locks = {name: threading.Lock() for name in [*self._names, "hub"]}
        self._calm = threading.Event()
        self._actions: dict[str, Callable[[TimedFault, str], None]] = {
            "kill": self._kill,
            "restart": self._restart,
            "stop": self._stop,
            "cut": self._cut,
            "half-open": self._half_open,
            "slow": self._slow,
            "reset": self._reset,
            "apiserver restart": self._apiserver_restart,
            "etcd pause": self._etcd_pause,
            "lies": self._lies,
            "distorted watches": self._distorted_watches,
            "touched Lease": self._touched_lease,
            "deleted Lease": self._deleted_lease,
            "foreign Lease": self._foreign_lease,
            "edited status": self._edited_status,
            "removed CRD": self._removed_crd,
            "restored etcd": self._restored_etcd,
        }

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(self._programs.close)
            self._liar = stack.enter_context(Liar(self._hub))
            for name in self._names:
                self._gates[name] = stack.enter_context(Gate(self._liar.server))
            self._mend()
            self._hub.kubectl("delete", "cfed,leases", "--all", "--wait=false", check=False)
            self._apply()
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

    def play(self, faults: list[TimedFault], seed: int) -> tuple[Prober, LiveHolders]:
        """Make the faults at their moments, repair everything, and wait for rest.

        Returns what the probes saw, and when holders acted.
        """
        members = {self._ports[name]: name.split(".")[0] for name in self.scene.workers}
        self._calm.clear()
        self.lost_term = 0
        self._excused.clear()
        if any(fault.kind == "restored etcd" for fault in faults):
            self._backups.take()
            self._await_rest()
        holders = LiveHolders(members, seed)
        with Prober(members, per_second=100) as prober, holders, ThreadPoolExecutor(24) as pool:
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
        return prober, holders

    def promises(self, began: float, ended: float, term: int) -> bool:
        """Must the promise hold for this time and term? Not if a fault broke a rule that it depends on."""
        excused = any(start <= ended and began <= end for start, end in self._excused)
        return not excused and term > self.lost_term

    def history(self) -> list[dict[str, str]]:
        past: list[dict[str, str]] = self._hub.status().get("history", [])
        return past

    # --- faults -----------------------------------------------------------------------------------------

    def _targets(self, fault: TimedFault) -> list[str]:
        """The targets of a fault: one program, or both workers of a member."""
        if not fault.kind.endswith(" member"):
            return [fault.target]
        member = fault.target
        if member == "active":
            member = next((name.split(".")[0] for name in self.scene.workers if self._yes(name)), "cluster_1")
        return [name for name in self.scene.workers if name.startswith(f"{member}.")]

    def _do(self, fault: TimedFault, target: str) -> None:
        kind = fault.kind.removesuffix(" member")
        if kind == "switch":
            self._switch(target)
            return
        # Only one fault at a time for each program: else nobody could say what has to be undone.
        with self._locks[target if target in self._locks else "hub"]:
            if not self._calm.is_set():
                self._actions[kind](fault, target)

    def _for(self, fault: TimedFault) -> None:
        self._calm.wait(fault.seconds)

    def _kill(self, fault: TimedFault, target: str) -> None:
        self._running[target].kill()
        self._for(fault)
        self._start(target)

    def _restart(self, fault: TimedFault, target: str) -> None:
        self._running[target].process.terminate()
        self._running[target].process.wait(_REST_SECONDS)
        self._for(fault)
        self._start(target)

    def _stop(self, fault: TimedFault, target: str) -> None:
        self._running[target].signal(signal.SIGSTOP)
        self._for(fault)
        self._running[target].signal(signal.SIGCONT)

    def _cut(self, fault: TimedFault, target: str) -> None:
        self._gates[target].close()
        self._for(fault)
        self._gates[target].open()

    def _half_open(self, fault: TimedFault, target: str) -> None:
        self._gates[target].silence()
        self._for(fault)
        self._gates[target].open()

    def _slow(self, fault: TimedFault, target: str) -> None:
        self._gates[target].open(delay=fault.delay)
        self._for(fault)
        self._gates[target].open()

    def _reset(self, _: TimedFault, target: str) -> None:
        self._gates[target].reset()

    def _apiserver_restart(self, fault: TimedFault, _: str) -> None:
        self._plane.kill_component("kube-apiserver")
        self._for(fault)
        self._plane.start_component("kube-apiserver")

    def _etcd_pause(self, fault: TimedFault, _: str) -> None:
        os.kill(self._plane.pids["etcd"], signal.SIGSTOP)
        self._for(fault)
        os.kill(self._plane.pids["etcd"], signal.SIGCONT)

    def _lies(self, fault: TimedFault, _: str) -> None:
        """The hub carries out every write, but some of its answers say that it did not."""
        chance = random.Random(fault.at)
        self._liar.lie = lambda _, __: chance.choice([*LIES.values()]) if chance.random() < 0.2 else None
        self._for(fault)
        self._liar.lie = lambda _, __: None

    def _distorted_watches(self, fault: TimedFault, _: str) -> None:
        """Some events of watches get lost, come late, or come twice."""
        chance = random.Random(fault.at)
        ways: list[tuple[float, ...]] = [(0.0,), (0.0,), (), (0.5 * self.scene.duration,), (0.0, 0.1)]
        self._liar.distort = lambda: chance.choice(ways)
        self._for(fault)
        self._liar.distort = lambda: (0.0,)

    def _lease_of(self, worker: str) -> str | None:
        """The name of the newest Lease among those of this worker's member."""
        member = worker.split(".", maxsplit=1)[0]
        held = [x["metadata"] for x in self._leases() if x["metadata"]["labels"]["tcf.dev/cluster"] == member]
        newest = max(held, key=lambda each: int(each["resourceVersion"]), default=None)
        return newest and str(newest["name"])

    def _leases(self) -> list[dict[str, Any]]:
        found = self._hub.kubectl(
            "get", "leases", "-l", "tcf.dev/federation", "-o", "json", check=False
        ).stdout
        items: list[dict[str, Any]] = json.loads(found)["items"] if found else []
        return items

    def _touched_lease(self, _: TimedFault, target: str) -> None:
        if name := self._lease_of(target):
            self._hub.kubectl(
                "annotate", "lease", name, f"touched={time.monotonic()}", "--overwrite", check=False
            )

    def _deleted_lease(self, _: TimedFault, target: str) -> None:
        """Nobody may delete a Lease: there is no promise until its worker's present answer has expired."""
        if name := self._lease_of(target):
            with self._no_promise():
                self._hub.kubectl("delete", "lease", name, check=False)

    def _foreign_lease(self, _: TimedFault, target: str) -> None:
        """Somebody creates a Lease with the labels of a worker's Lease."""
        made = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "generateName": "foreign-",
                "labels": {"tcf.dev/federation": "shop", "tcf.dev/cluster": target},
                "annotations": {"tcf.dev/isolation": "Fence"},
            },
            "spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 1},
        }
        self._hub.kubectl("create", "-f", "-", stdin=json.dumps(made), check=False)

    def _edited_status(self, _: TimedFault, target: str) -> None:
        """Somebody edits the status and so moves the role by hand."""
        with contextlib.suppress(Exception):
            status = self._hub.status()
            rows = [
                {**row, "status": "active" if row["id"] == target else "passive"}
                for row in status["clusters"]
            ]
            with self._no_promise():
                edited = {**status, "clusters": rows, "activeCluster": target, "term": status["term"] + 1}
                self._hub.set_status(edited)

    @contextlib.contextmanager
    def _no_promise(self) -> Iterator[None]:
        start = time.monotonic()
        yield
        self._excused.append((start, time.monotonic() + silence_needed(self.scene.duration)))

    def _removed_crd(self, fault: TimedFault, _: str) -> None:
        self._hub.kubectl("delete", "-f", _CRDS, check=False)
        self._for(fault)
        self._return_crd()

    def _return_crd(self) -> None:
        install_crd(self._plane)
        eventually(
            lambda: not self._hub.kubectl("get", "cfed", check=False).returncode, what="the kind is served"
        )
        self._apply()

    def _restored_etcd(self, _: TimedFault, target: str) -> None:
        self.lost_term = max(self._term(), self.lost_term)
        self._backups.restore(bump=target == "bumped")

    def _term(self) -> int:
        with contextlib.suppress(Exception):
            return int(self._hub.status().get("term", 0))
        return 0

    def _switch(self, target: str) -> None:
        with contextlib.suppress(OSError):
            answer = self._running[target].post("/tcf/promote")
            self.counts["switched" if answer.status == 200 else f"refused: {answer.reason}"] += 1

    # --- programs and rest ---------------------------------------------------------------------------------

    def _start(self, name: str) -> None:
        kubeconfig = self._gates[name].kubeconfig(self._hub, self._folder / f"{name}.kubeconfig")
        listen = ("--listen", f"127.0.0.1:{self._ports[name]}")
        kind = name.split(".", maxsplit=1)[0]
        if kind == "operator":
            self._running[name] = self._programs.operator(*listen, kubeconfig=kubeconfig)
        else:
            self._running[name] = self._programs.worker(kind, *listen, kubeconfig=kubeconfig)

    def _apply(self) -> None:
        duration = self.scene.duration
        self._hub.apply(
            clusters=[{"id": f"cluster_{m}", "name": f"c{m}"} for m in range(1, self.scene.members + 1)],
            leaseDuration=f"{duration}s",
            switchoverTimeout=f"{2 * duration + 2}s",
            failover={"mode": "Automatic", "timeout": "1s", "cooldown": "0s"},
        )

    def _mend(self) -> None:
        for gate in self._gates.values():
            gate.open()

    def _yes(self, name: str) -> bool:
        try:
            return self._running[name].is_active().status == 200
        except OSError:
            return False

    def _await_rest(self) -> None:
        """Wait until one member's workers answer 200, all others 418, and no switchover is under way."""

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
