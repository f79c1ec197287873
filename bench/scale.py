"""One operator with few and with many federations. Each has two members with a worker each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlplane.plane import ControlPlane
from rig.hub_namespace import HubNamespace
from rig.kubectl import kubectl_of
from rig.patience import eventually
from rig.tcf_processes import TcfProcess, TcfProcesses

from bench.farm import MEMBERS
from bench.servers import computed, resident
from bench.switches import PAUSE
from tcf.hub import federations
from tcf.hub.client import MERGE_PATCH, HubClient, folder
from tcf.hub.credentials import Credentials, kubeconfig
from tcf.hub.sessions import JSON

Json = dict[str, Any]
_PATIENCE = 300.0
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


class Farm:
    """The workers, in a process of their own."""

    def __init__(self, hub: HubNamespace, count: int) -> None:
        command = [
            sys.executable,
            str(Path(__file__).with_name("farm.py")),
            str(hub.kubeconfig),
            hub.namespace,
        ]
        self._process = subprocess.Popen(
            [*command, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin
        assert self._process.stdout
        self._asked, self._answered = self._process.stdin, self._process.stdout

    def await_ready(self) -> None:
        if (answer := self._answer()) != ["ready"]:
            raise RuntimeError(f"the workers are not ready, but say {answer}")

    def promote(self, wanted: dict[int, str]) -> list[float]:
        """Ask for all of these at once; return the seconds that each took."""
        for number, member in wanted.items():
            self._asked.write(f"promote {number} {member}\n")
        self._asked.flush()
        answers = [self._answer() for _ in wanted]
        if refused := [answer for answer in answers if answer[2] != "-"]:
            raise RuntimeError(f"refused: {refused}")
        return [float(seconds) for _, seconds, _ in answers]

    def _answer(self) -> list[str]:
        watchdog = threading.Timer(_PATIENCE, self._process.kill)
        watchdog.start()
        try:
            line = self._answered.readline()
        finally:
            watchdog.cancel()
        if not line:
            raise RuntimeError(f"the workers have ended, or said nothing for {_PATIENCE:.0f} s")
        return line.split()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._asked.close()
        self._answered.close()


@contextlib.contextmanager
def _federations(plane: ControlPlane, count: int, logs: Path) -> Iterator[tuple[HubNamespace, TcfProcesses]]:
    name = f"scale-{count}"
    hub = HubNamespace(kubectl_of(plane, name), name, plane.kubeconfig)
    hub.kubectl("create", "namespace", name)
    clusters = [{"id": member, "name": member} for member in MEMBERS]
    spec = {
        "clusters": clusters,
        "activeCluster": MEMBERS[0],
        # With 15 s, the renewals of two thousand workers would keep two cores busy.
        "leaseDuration": f"{_LEASE_SECONDS}s",
        "switchoverTimeout": "600s",
    }
    manifests = [
        {
            "apiVersion": "tcf.dev/v1alpha1",
            "kind": "ClusterFederation",
            "metadata": {"name": f"f{n}"},
            "spec": spec,
        }
        for n in range(count)
    ]
    asyncio.run(_send(hub, "POST", [("", manifest) for manifest in manifests]))
    programs = TcfProcesses(hub, logs, development=False)
    try:
        yield hub, programs
    finally:
        programs.close()


def scaled(plane: ControlPlane, count: int, logs: Path) -> Scaled:
    """All figures for so many federations."""
    with _federations(plane, count, logs) as (hub, programs):
        operator = programs.operator()
        farm = Farm(hub, count)
        try:
            farm.await_ready()
            _await_all(
                hub, count, lambda s: s.get("activeCluster") == MEMBERS[0], "all have an active member"
            )
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
    asyncio.run(_send(hub, "PATCH", [(f"/f{n}", paused) for n in range(count)]))
    began = time.monotonic()
    operator = programs.operator()
    _await_all(hub, count, lambda s: s.get("observedGeneration") == generation, "all edits are taken in")
    return operator, time.monotonic() - began


async def _send(hub: HubNamespace, method: str, requests: list[tuple[str, Json]]) -> None:
    """Send many requests at once. kubectl would send one by one, and slowly."""
    client = HubClient(Credentials(kubeconfig(hub.kubeconfig)), user_agent="tcf-bench")
    path = folder(federations.GROUP, federations.VERSION, federations.PLURAL, hub.namespace)
    gate = asyncio.Semaphore(16)
    kind = MERGE_PATCH if method == "PATCH" else JSON

    async def send(name: str, body: Json) -> None:
        async with gate:
            await client.request(method, path + name, body=body, content_type=kind, deadline=_PATIENCE)

    try:
        await asyncio.gather(*(send(name, body) for name, body in requests))
    finally:
        await client.close()


def _await_all(hub: HubNamespace, count: int, fits: Callable[[Json], bool], what: str) -> None:
    def all_of_them() -> bool:
        items = json.loads(hub.kubectl("get", "cfed", "-o", "json").stdout)["items"]
        return sum(fits(item.get("status", {})) for item in items) == count

    eventually(all_of_them, what=what, patience=_PATIENCE)


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
