"""One operator with few and with many federations. Each has two members with a worker each."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from controlplane.plane import ControlPlane
from rig.hub_namespace import HubNamespace
from rig.kubectl import install_crd, kubectl_of
from rig.tcf_processes import TcfProcess, TcfProcesses

from bench.farm import MEMBERS
from bench.farms import Farm, await_all, create_federations, send
from bench.report import Figure, Goal
from bench.servers import computed, resident
from bench.switches import PAUSE

_LEASE_SECONDS = 300
_WINDOWS = 5
_IDLE_SECONDS = _LEASE_SECONDS / 3 / _WINDOWS
"""All windows together last as long as a worker waits between two renewals, so each renews once in them."""
_SWITCHES = 15
AT_ONCE = 50
_BURSTS = 5
_RESTARTS = 5


@dataclass(frozen=True)
class Scaled:
    """What so many federations cost, and how long each switchover took: seconds, MiB, parts of a core.

    `at_once`: the median of `AT_ONCE` that switch at the same time.
    """

    rss: list[float]
    cpu: list[float]
    requests: list[float]
    converged: list[float]
    switches: list[float]
    at_once: list[float]


@contextlib.contextmanager
def _federations(plane: ControlPlane, count: int, logs: Path) -> Iterator[tuple[HubNamespace, TcfProcesses]]:
    # With 15 s, the renewals of two thousand workers would keep two cores busy.
    spec = {"leaseDuration": f"{_LEASE_SECONDS}s", "switchoverTimeout": "600s"}
    hub = create_federations(plane, f"scale-{count}", count, spec)
    with contextlib.closing(TcfProcesses(hub, logs, development=False)) as programs:
        yield hub, programs


def scaled(plane: ControlPlane, count: int, logs: Path) -> Scaled:
    """All figures for so many federations."""
    with _federations(plane, count, logs) as (hub, programs):
        operator = programs.operator()
        farm = Farm(hub, count)
        try:
            farm.await_ready()
            await_all(hub, count, lambda s: s.get("activeCluster") == MEMBERS[0], "all have an active member")
            time.sleep(5)  # counts, annotations
            windows = [_window(plane, operator.process) for _ in range(_WINDOWS)]
            switches = []
            for n in range(_SWITCHES):
                time.sleep(PAUSE)
                switches += farm.promote({0: MEMBERS[1 - n % 2]})
            at_once = []
            for n in range(_BURSTS if count > AT_ONCE else 0):
                time.sleep(5 * PAUSE)
                took = farm.promote(dict.fromkeys(range(1, AT_ONCE + 1), MEMBERS[1 - n % 2]))
                at_once.append(statistics.median(took))
            converged = []
            for restart in range(_RESTARTS):
                operator.stop()
                operator, until_all = _started(hub, programs, count, generation=restart + 2)
                converged.append(until_all)
            rss, cpu, asked = (list(each) for each in zip(*windows, strict=True))
            return Scaled(rss, cpu, asked, converged, switches, at_once)
        finally:
            farm.close()


def _window(plane: ControlPlane, process: subprocess.Popen[bytes]) -> tuple[float, float, float]:
    """While nobody asks for anything: MiB, part of a core, and requests per second."""
    cpu, asked = computed(process), requests(plane)
    time.sleep(_IDLE_SECONDS)
    used, asked = computed(process) - cpu, requests(plane) - asked
    return resident(process), used / _IDLE_SECONDS, asked / _IDLE_SECONDS


def _started(
    hub: HubNamespace, programs: TcfProcesses, count: int, *, generation: int
) -> tuple[TcfProcess, float]:
    """Edit every spec while no operator runs, and start one: seconds until it has seen all edits."""
    paused = {"spec": {"paused": generation % 2 == 0}}
    asyncio.run(send(hub, "PATCH", [(f"/f{n}", paused) for n in range(count)]))
    began = time.monotonic()
    operator = programs.operator()
    await_all(hub, count, lambda s: s.get("observedGeneration") == generation, "all edits are taken in")
    return operator, time.monotonic() - began


def requests(plane: ControlPlane) -> float:
    """How many requests for federations, Leases and Events the API server got, without watches.

    The API server updates a Lease of its own. Workers and operators patch theirs, so updates of
    Leases do not count.
    """
    told = kubectl_of(plane)("get", "--raw", "/metrics").stdout
    wanted = ("clusterfederations", "leases", "events")
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in told.splitlines()
        if line.startswith("apiserver_request_total{")
        and any(f'resource="{each}"' in line for each in wanted)
        and 'verb="WATCH"' not in line
        and not ('resource="leases"' in line and 'verb="PUT"' in line)
    )


FEW = 100
"""A small number of federations, for comparison where the figures of a single one are next to nothing."""
COSTS: dict[str, tuple[str, float, Callable[[Scaled], list[float]]]] = {
    "operator's CPU when idle": ("% of a core", 100, lambda of: of.cpu),
    "operator's RSS": ("MiB", 1, lambda of: of.rss),
    "API requests of everybody when idle": ("per s", 1, lambda of: of.requests),
}
"""What many federations cost while nothing happens: unit, factor, and where the figure is."""


def scaling() -> Iterator[Figure]:
    """One operator with 1, 100 and 1,000 federations of two members, a worker each, leaseDuration 300 s."""
    found: dict[int, Scaled] = {}
    for count in (1, FEW, 1000):
        print(f"  {count} ...", flush=True)
        with tempfile.TemporaryDirectory() as folder, ControlPlane.start() as plane:
            install_crd(plane)
            result = found[count] = scaled(plane, count, Path(folder))
        name = f"{count:,} federation{'s' * (count > 1)}"
        yield Figure("scale", f"{name}: a switchover", "ms", [1000 * each for each in result.switches])
        if count > 1:
            ratio = [each / statistics.median(found[1].switches) for each in result.switches]
            yield Figure("scale", "- of that with one federation", "x", ratio, (), Goal("≤", 2))
            together = [1000 * each for each in result.at_once]
            yield Figure("scale", f"- {AT_ONCE} at once: each", "ms", together)
        if count > FEW:
            ratio = [each / statistics.median(found[FEW].at_once) for each in result.at_once]
            yield Figure("scale", f"- of that with {FEW}", "x", ratio, (), Goal("≤", 2))
        for what, (unit, factor, pick) in COSTS.items():
            yield Figure("scale", f"- {what}", unit, [factor * each for each in pick(result)])
            if count > FEW:
                before = statistics.mean(pick(found[FEW]))
                growth = statistics.mean(pick(result)) / before * FEW / count
                name = f"- of that with {FEW}, for each federation, on average"
                yield Figure("scale", name, "x", [growth], (), Goal("≤", 1))
        yield Figure(
            "scale", "- all edits taken in after a restart", "s", result.converged, (), Goal("≤", 30)
        )
