"""A whole site dies, or somebody empties it: everything that was active there becomes active elsewhere.

Each federation has a member in either site. The workers of a site share a process, as in `bench.scale`. On
the surviving site, some federations have one more worker, a process of its own, which is probed throughout.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from statistics import median

import psutil
from controlplane.plane import ControlPlane
from rig.hub_namespace import HubNamespace
from rig.kubectl import install_crd
from rig.prober import Prober
from rig.tcf_processes import TcfProcess, TcfProcesses, environment

from bench.failover_floor import hub_seconds
from bench.farm import MEMBERS
from bench.farms import Farm, await_all, create_federations
from bench.hub_tools import Json, hub_computed
from bench.report import Figure, Goal
from bench.servers import computed, resident
from bench.site_observer import LONGEST, Observer
from tcf.core.annotations import LABEL_CLUSTER, LABEL_FEDERATION
from tcf.runtime.clock import CLOCK

DURATION = 30
_FENCE = DURATION * 1.1 + 0.1
_SPEC = {
    "leaseDuration": f"{DURATION}s",
    "switchoverTimeout": "60s",
    "failover": {"mode": "Automatic"},
}
_SETTLED = 40.0
"""Seconds until every worker of the surviving site has renewed for long enough to be a witness."""
_AFTERWARDS = 5.0
"""If the operators have written no Event for so many seconds, their work is done."""
_IDLE_SECONDS = 20.0
_ROOM = 80.0
"""Per cent of the machine. If more is in use while nothing happens, and goes on, nobody can say what is used
because something happens. (When a site dies, half of it ends.)"""
_PROBED = 50
_PROBES_PER_SECOND = 2
_SLOWNESS = 5
_SLICE = 0.01
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_COUNTER = re.compile(r"^(tcf_\w+)\{(.*)\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Scene:
    """`slow`: the hub gets a fifth of the processor time. `by_hand`: somebody empties the site.

    `dead`: so many of the operators die together with the site.
    """

    count: int
    operators: int = 1
    dead: int = 0
    slow: bool = False
    by_hand: bool = False

    def __str__(self) -> str:
        federations = f"{self.count:,} federation{'s' * (self.count > 1)}"
        what = "switchovers by hand" if self.by_hand else "failovers"
        return (
            f"{federations}, {what}, {self.operators} operator{'s' * (self.operators > 1)}"
            + f" of which {self.dead} dies with the site" * (self.dead > 0)
            + f", a hub {_SLOWNESS} times as slow" * self.slow
        )


@dataclass(frozen=True)
class Moved:
    """What it took.

    Attributes:
        took: for each federation, seconds from the start until another member was active.
        waited: the same, since its own fence could have closed. Empty if all was done by hand.
        gaps: for how many seconds nobody was active, in the median and at most. Only if all was done by hand.
        before: per cent of the machine that was in use before, while nothing happened.
        hub: seconds of CPU, less what it needs when nothing happens. `operators`: the same.
        rss: of each operator, in MiB.
        asked: requests of the operators by verb, resource and status.
        ended: requests for a switchover by outcome.
        p99: of probes, in ms.
        floor: seconds of the hub's CPU for one federation, for the requests without which it cannot be done.
    """

    took: list[float]
    waited: list[float]
    gaps: tuple[float, float] | None
    before: float
    hub: float
    operators: float
    rss: list[float]
    asked: Counter[str]
    conflicts: int
    ended: Counter[str]
    p99: float
    floor: float

    @property
    def cost(self) -> float:
        """Seconds of CPU for each federation."""
        return (self.hub + self.operators) / len(self.took)

    def share(self, part: float) -> float:
        """Seconds until this part of the federations had moved."""
        return self.took[max(0, round(part * len(self.took)) - 1)]


FEW, MANY = 100, 1000
SCENES = (
    Scene(1),
    Scene(FEW),
    Scene(FEW, operators=3, dead=1),
    Scene(MANY),
    Scene(MANY, operators=2),
    Scene(MANY, by_hand=True),
    Scene(2 * FEW, slow=True),
    Scene(2 * FEW, slow=True, by_hand=True),
)


def site() -> Iterator[Figure]:
    """1,000 federations lose the site where all of them are active; then somebody empties it instead."""
    found: dict[Scene, Moved] = {}
    for scene in SCENES:
        print(f"  {scene} ...", flush=True)
        found[scene] = play(scene)
        yield from _figures(scene, found)


def _figures(scene: Scene, found: Mapping[Scene, Moved]) -> Iterator[Figure]:
    moved, few = found[scene], found.get(Scene(FEW))
    many = scene.count >= MANY

    def figure(
        name: str, unit: str, value: float, floor: float | None = None, goal: float | None = None
    ) -> Figure:
        limit = None if goal is None else Goal("≤", goal)
        return Figure(str(scene), name, unit, [value], [] if floor is None else [floor], limit)

    yield figure("half of them had moved after", "s", moved.share(0.5))
    yield figure("99 %", "s", moved.share(0.99))
    yield figure("all", "s", moved.share(1))
    if moved.waited:
        yield figure("after its own fence could close: in the median", "s", median(moved.waited))
        yield figure("the same: at most", "s", max(moved.waited))
    if moved.gaps:
        yield figure("nobody was active for, in the median", "s", moved.gaps[0])
        yield figure("the same: at most", "s", moved.gaps[1])
    if many and not scene.by_hand:
        floor = moved.floor * scene.count
        name = "all, beyond the fence; floor: the hub's CPU for what is needed"
        yield figure(name, "s", moved.share(1) - _FENCE, floor, 2)
    yield figure("rolled back or refused", "", moved.ended.total() - scene.count, goal=0)
    yield figure("of the machine in use before", "%", moved.before)
    if not scene.slow and not (scene.by_hand and moved.before > _ROOM):
        yield figure("CPU of the hub for each", "ms", 1000 * moved.hub / scene.count)
        yield figure("CPU of the operators for each", "ms", 1000 * moved.operators / scene.count)
    if many and few and not scene.by_hand:
        name = f"CPU of both for each; floor: that with {FEW}"
        yield figure(name, "ms", 1000 * moved.cost, 1000 * few.cost, 1)
    if few and scene.dead:
        later = max(moved.waited) - max(few.waited)
        yield figure("the longest wait, compared with one operator that lives", "s", later, goal=1)
    elif scene.operators > 1:
        one = found[replace(scene, operators=1)]
        yield figure("CPU of the hub for all; floor: that with one operator", "s", moved.hub, one.hub, 1.1)
        yield figure("all; floor: that with one operator", "s", moved.share(1), one.share(1), 1)
    yield figure("RSS of an operator, at most", "MiB", max(moved.rss))
    yield figure("conflicts", "", moved.conflicts)
    yield figure(f"p99 of probes on surviving workers ({min(_PROBED, scene.count)})", "ms", moved.p99)
    for what, count in moved.asked.most_common():
        yield figure(what, "per federation", count / scene.count)


def play(scene: Scene) -> Moved:
    """Let the site die or be emptied, and wait until everything has moved."""
    with _stage(scene) as stage:
        ports = {worker.port: MEMBERS[1] for worker in stage.probed}
        operators = stage.operators[scene.dead :]
        idle = _cpu(stage.plane, operators)
        before = psutil.cpu_percent(_IDLE_SECONDS)
        idle = _since(idle, _cpu(stage.plane, operators))
        with Observer(stage.hub, scene.count) as seen, Prober(ports, per_second=_PROBES_PER_SECOND) as prober:
            time.sleep(1)
            counted, cpu = _counters(operators), _cpu(stage.plane, operators)
            move = _move(scene, stage, seen)
            cpu = _since(cpu, _cpu(stage.plane, operators))
        counted = _counters(operators) - counted
        rss, like = [resident(each.process) for each in operators], stage.hub.status("f0")
        stage.end()
        # The workers of a site that is dead renew no more. They did half of what was done before.
        left = move.lasted / _IDLE_SECONDS / (1 if scene.by_hand else 2)
        hub, theirs = (used - each * left for used, each in zip(cpu, idle, strict=True))
        late = sorted(1000 * (probe.answered - probe.sent) for probe in prober.probes)
        ended = _grouped(counted, "tcf_switchovers_total", "outcome")
        return Moved(
            took=sorted(moment - move.began for moment in seen.moved.values()),
            waited=[seen.moved[name] - closes for name, closes in move.fences.items()],
            gaps=move.gaps,
            before=before,
            hub=hub,
            operators=theirs,
            rss=rss,
            asked=_grouped(counted, "tcf_hub_requests_total", "verb", "resource", "code"),
            conflicts=sum(_grouped(counted, "tcf_conflicts_total").values()),
            # Every operator counts every switchover.
            ended=Counter({outcome: count // len(operators) for outcome, count in ended.items()}),
            p99=late[int(0.99 * len(late))] if late else 0.0,
            floor=hub_seconds(stage.plane, like),
        )


@dataclass(frozen=True)
class _Stage:
    """Everything runs, and everything is active in the first site."""

    plane: ControlPlane
    hub: HubNamespace
    programs: TcfProcesses
    operators: list[TcfProcess]
    farms: list[Farm]
    probed: list[TcfProcess]

    def end(self) -> None:
        """End everything but the hub."""
        self.programs.close()
        for farm in self.farms:
            farm.close()


@contextlib.contextmanager
def _stage(scene: Scene) -> Iterator[_Stage]:
    with contextlib.ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plane = stack.enter_context(ControlPlane.start())
        install_crd(plane)
        hub = create_federations(plane, "site", scene.count, _SPEC)
        programs = stack.enter_context(contextlib.closing(TcfProcesses(hub, logs, development=False)))
        operators = [programs.operator("--identity", f"operator-{n}") for n in range(scene.operators)]
        farms = [Farm(hub, scene.count, [member]) for member in MEMBERS]
        for farm in farms:
            stack.callback(farm.close)
        for farm in farms:
            farm.await_ready()
        probed = [programs.worker(MEMBERS[1], federation=f"f{n}") for n in range(min(_PROBED, scene.count))]
        await_all(hub, scene.count, _active(MEMBERS[0]), "all are active in the first site")
        time.sleep(_SETTLED)
        yield _Stage(plane, hub, programs, operators, farms, probed)


@dataclass(frozen=True)
class _Move:
    """How the site was lost or emptied.

    Attributes:
        began: in boot seconds.
        lasted: seconds until nothing was left to do.
        fences: when that of each federation could close, in boot seconds. Empty if all was done by hand.
        gaps: as `Moved.gaps`.
    """

    began: float
    lasted: float
    fences: dict[str, float]
    gaps: tuple[float, float] | None


def _move(scene: Scene, stage: _Stage, seen: Observer) -> _Move:
    """Let it happen, and wait until nothing is left to do."""
    fences: dict[str, float] = {}
    gaps = None
    with _slowed(stage.plane) if scene.slow else contextlib.nullcontext():
        began = CLOCK.boot()
        if scene.by_hand:
            gaps = _empty(stage.hub)
        else:
            stage.farms[0].process.kill()
            for operator in stage.operators[: scene.dead]:
                operator.kill()
            fences = _fences(stage.hub)
        seen.await_all()
        _await_rest(stage.operators[scene.dead :])
        return _Move(began, CLOCK.boot() - began, fences, gaps)


def _fences(hub: HubNamespace) -> dict[str, float]:
    """When the fence of each federation can close, by the last renewal of the first site's worker."""
    now, fences = CLOCK.now(), {}
    for lease in hub.leases():
        labels = lease["metadata"]["labels"]
        if labels[LABEL_CLUSTER] == MEMBERS[0]:
            age = now.wall - datetime.fromisoformat(lease["spec"]["renewTime"])
            fences[labels[LABEL_FEDERATION]] = now.boot - age.total_seconds() + _FENCE
    return fences


def _await_rest(operators: list[TcfProcess]) -> None:
    """Events are for people, and come later."""
    before, now = -1, 0
    while now != before:
        time.sleep(_AFTERWARDS)
        asked = _grouped(_counters(operators), "tcf_hub_requests_total", "verb", "resource")
        before, now = now, asked["create events"]


def _cpu(plane: ControlPlane, operators: list[TcfProcess]) -> list[float]:
    """Seconds of CPU so far: of the hub, and of these operators."""
    return [hub_computed(plane), sum(computed(each.process) for each in operators)]


def _since(before: list[float], now: list[float]) -> list[float]:
    return [late - early for early, late in zip(before, now, strict=True)]


def _active(member: str) -> Callable[[Json], bool]:
    return lambda status: status.get("activeCluster") == member


def _empty(hub: HubNamespace) -> tuple[float, float]:
    """Move everything to the other site, by one command. Returns `Moved.gaps` when it has ended."""
    command = [sys.executable, "-m", "tcf.ctl.kubectl_tcf", "--kubeconfig", str(hub.kubeconfig)]
    command += ["-n", hub.namespace, "promote", "--all", "--to", MEMBERS[1], "--yes", "-o", "json"]
    done = subprocess.run(
        command, check=False, env=environment(), capture_output=True, text=True, timeout=LONGEST
    )
    if done.returncode:
        raise RuntimeError(
            f"{command} ended with {done.returncode}: {done.stdout[-2000:]} {done.stderr[-2000:]}"
        )
    gaps = json.loads(done.stdout)["withoutActiveSeconds"]
    return gaps["median"], gaps["longest"]


@contextlib.contextmanager
def _slowed(plane: ControlPlane) -> Iterator[None]:
    """Let the hub run for only one part in `_SLOWNESS` of the time."""
    over = threading.Event()

    def interrupt() -> None:
        while not over.wait(_SLICE):
            _signal(plane, signal.SIGSTOP)
            time.sleep(_SLICE * (_SLOWNESS - 1))
            _signal(plane, signal.SIGCONT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _signal(plane: ControlPlane, number: signal.Signals) -> None:
    for pid in plane.pids.values():
        os.kill(pid, number)


def _counters(operators: list[TcfProcess]) -> Counter[tuple[str, str]]:
    """The counters of all operators together, by name and labels."""
    found: Counter[tuple[str, str]] = Counter()
    for each in operators:
        for name, labels, value in _COUNTER.findall(each.get("/metrics").body.decode()):
            found[name, labels] += int(float(value))
    return found


def _grouped(counted: Counter[tuple[str, str]], name: str, *by: str) -> Counter[str]:
    """What was counted under this name, by these labels only."""
    found: Counter[str] = Counter()
    for (what, labels), value in counted.items():
        if what == name:
            values = dict(_LABEL.findall(labels))
            found[" ".join(values[label] for label in by)] += value
    return found
