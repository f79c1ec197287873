"""A switchover, against the shortest chain of requests that the protocol allows.

The chain:

1. The request is written. The operator gets it from its watch and demotes the old member.
2. The old member's worker gets that from its watch and acknowledges it.
3. The operator gets the acknowledgement, lists the Leases (a fence needs its own list), and promotes the new
   member.
4. The new member's worker gets that and acknowledges it.
5. The operator gets the acknowledgement and completes the switchover.
6. The new member's worker gets that, reads the federation and renews its Lease: an answer of 200 needs both.

These are four writes of the status, three of Leases, a list, a read, and six deliveries by watches.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from controlplane.plane import ControlPlane
from rig.asking import ask
from rig.hub_namespace import HubNamespace
from rig.kubectl import install_crd, kubectl_of
from rig.prober import Prober
from rig.tcf_processes import TcfProcess, TcfProcesses

from bench.hub_tools import Json, bench_client, federations_in, leases_in, new_lease
from bench.releasing_holders import ReleasingHolders
from bench.report import Figure, Goal
from tcf.hub.client import MERGE_PATCH, HubClient

SWITCHES = 20
_PATIENCE = 10.0
PAUSE = 0.4
"""Seconds between two switchovers. The last one finishes its remaining work in them."""
_PROBES_PER_SECOND = 300
_RUNS = 5
_MEMBERS = ("cluster_1", "cluster_2")


def switch() -> Iterator[Figure]:
    """POST /tcf/toggle against the shortest chain of requests that the protocol allows."""
    with tempfile.TemporaryDirectory() as folder, ControlPlane.start() as plane:
        install_crd(plane)
        hubs = [HubNamespace(kubectl_of(plane, name), name, plane.kubeconfig) for name in ("ours", "floor")]
        for hub in hubs:
            hub.kubectl("create", "namespace", hub.namespace)
        programs = TcfProcesses(hubs[0], Path(folder), development=False)
        with contextlib.closing(programs):
            hubs[0].apply()
            programs.operator()
            pair = programs.pair()
            pair[0].await_active()
            pair[1].await_status(418)
            _ours(pair)
            took, held, gaps, floor, gap_floor = [], [], [], [], []
            for _ in range(_RUNS):
                chains = _chains(hubs[1], hubs[0].status())
                floor.append(1000 * statistics.median(chain.whole for chain in chains))
                gap_floor.append(1000 * statistics.median(chain.gap for chain in chains))
                took.append(1000 * statistics.median(_ours(pair)))
                with ReleasingHolders(worker.port for worker in pair):
                    held.append(1000 * statistics.median(_ours(pair)))
                gaps.append(1000 * statistics.median(_gaps(pair)))
    each = f"(each run: {SWITCHES})"
    yield Figure("switch", f"POST to answer {each}", "ms", took, floor, Goal("≤", 1.5))
    name = f"the same with a holder that releases at once, against without {each}"
    yield Figure("switch", name, "ms", held, took, Goal("≤", 1.2))
    name = f"last 200 of the old member to first 200 of the new, less the time between probes {each}"
    yield Figure("switch", name, "ms", gaps, gap_floor, Goal("≤", 1.5))


def _ours(workers: tuple[TcfProcess, TcfProcess]) -> list[float]:
    """Switch over there and back by a POST to the passive member: seconds from each request to its answer."""
    took = []
    for number in range(SWITCHES):
        time.sleep(PAUSE)
        began = time.monotonic()
        answer = ask(workers[1 - number % 2].port, "POST", "/tcf/toggle")
        took.append(time.monotonic() - began)
        if answer.status != HTTPStatus.OK:
            raise RuntimeError(f"a switchover was refused: {answer.error}")
    return took


def _gaps(workers: tuple[TcfProcess, TcfProcess]) -> list[float]:
    """The same with probes: seconds from the last 200 of the old member to the first 200 of the new one.

    Two probes are some time apart, so this would be too long: on average by half of that time at each end. So
    that time is subtracted.
    """
    found = []
    ports = {worker.port: member for worker, member in zip(workers, _MEMBERS, strict=True)}
    for number in range(SWITCHES):
        new = 1 - number % 2
        with Prober(ports, per_second=_PROBES_PER_SECOND) as prober:
            time.sleep(PAUSE)
            ask(workers[new].port, "POST", "/tcf/toggle")
            time.sleep(PAUSE / 4)
        yes = [probe for probe in prober.probes if probe.status == HTTPStatus.OK]
        last = max(probe.sent for probe in yes if probe.member == _MEMBERS[1 - new])
        first = min(probe.answered for probe in yes if probe.member == _MEMBERS[new])
        found.append(first - last - 1 / _PROBES_PER_SECOND)
    return found


@dataclass(frozen=True)
class Chained:
    """Seconds: the whole chain, and its part from the old member's demotion to the new one's 200."""

    whole: float
    gap: float


def _chains(hub: HubNamespace, like: Json) -> list[Chained]:
    """Play as many chains in a namespace that nobody else watches; `like`: the status to begin with."""
    return asyncio.run(_floor(hub, like))


async def _floor(hub: HubNamespace, like: Json) -> list[Chained]:
    took = []
    async with bench_client(hub.kubeconfig) as client, _Chain.opened(client, hub, like) as chain:
        for number in range(SWITCHES):
            await asyncio.sleep(PAUSE)
            took.append(await chain.run(1 - number % 2))
        return took


class _Watched:
    """The newest version of each object of one watch."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}
        self._changed = asyncio.Event()

    async def follow(self, client: HubClient, path: str, params: dict[str, str]) -> None:
        while True:
            async with contextlib.aclosing(client.watch(path, params, deadline=_PATIENCE)) as events:
                async for _, value in events:
                    metadata = value["metadata"]
                    self.versions[metadata["name"]] = int(metadata["resourceVersion"])
                    self._changed.set()

    async def hears(self, of: Json) -> None:
        name, version = of["metadata"]["name"], int(of["metadata"]["resourceVersion"])
        while self.versions.get(name, 0) < version:
            self._changed.clear()
            await self._changed.wait()


class _Chain:
    """One process that plays all roles. Each has a watch of its own, and waits for nothing else."""

    NAME = "floor"

    def __init__(self, client: HubClient, hub: HubNamespace, like: Json) -> None:
        self._client = client
        self._like = like
        self._federations = federations_in(hub.namespace)
        self._leases = leases_in(hub.namespace)
        self._operator, self._operators_leases = _Watched(), _Watched()
        self._workers = [_Watched() for _ in _MEMBERS]
        self._federation: Json = {}
        self._lease: list[Json] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, client: HubClient, hub: HubNamespace, like: Json) -> AsyncIterator[_Chain]:
        chain = cls(client, hub, like)
        await chain._create(hub)
        own = {"fieldSelector": f"metadata.name={cls.NAME}"}
        labelled = {"labelSelector": "floor"}
        watches = [
            chain._operator.follow(client, chain._federations, {}),
            chain._operators_leases.follow(client, chain._leases, labelled),
            *(worker.follow(client, chain._federations, own) for worker in chain._workers),
        ]
        tasks = [asyncio.create_task(watch) for watch in watches]
        try:
            for watched in (chain._operator, *chain._workers):
                await watched.hears(chain._federation)
            for lease in chain._lease:
                await chain._operators_leases.hears(lease)
            yield chain
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            hub.kubectl("delete", "cfed", cls.NAME, "--wait=false")
            hub.kubectl("delete", "leases", "-l", "floor")

    async def run(self, new: int) -> Chained:
        old = 1 - new
        began = time.monotonic()
        await self._write(request=_MEMBERS[new])
        await self._operator.hears(self._federation)
        await self._write(roles={old: "demoting"})
        await self._workers[old].hears(self._federation)
        lowered = time.monotonic()
        await self._acknowledge(old)
        await self._operators_leases.hears(self._lease[old])
        await self._client.request("GET", self._leases, params={"labelSelector": "floor"}, deadline=_PATIENCE)
        await self._write(roles={old: "passive", new: "promoting"})
        await self._workers[new].hears(self._federation)
        await self._acknowledge(new)
        await self._operators_leases.hears(self._lease[new])
        await self._write(roles={new: "active"})
        await self._workers[new].hears(self._federation)
        await self._client.request("GET", f"{self._federations}/{self.NAME}", deadline=_PATIENCE)
        await self._acknowledge(new)
        ended = time.monotonic()
        return Chained(ended - began, ended - lowered)

    async def _create(self, hub: HubNamespace) -> None:
        """Create a federation as large as one after many switchovers, and two Leases."""
        hub.apply(self.NAME)
        hub.set_status(self._like, self.NAME)
        self._federation = hub.get(self.NAME)
        for member in _MEMBERS:
            body = new_lease(f"floor-{member[-1]}", {"floor": member}, holder=member, seconds=15)
            self._lease.append(
                await self._client.request("POST", self._leases, body=body, deadline=_PATIENCE)
            )

    async def _write(self, *, request: str = "", roles: dict[int, str] | None = None) -> None:
        status = copy.deepcopy(self._federation["status"])
        status.pop("switchover", None)
        if request:
            status["switchover"] = {"id": "r", "from": "", "to": request, "trigger": "api", "reason": "bench"}
        for number, role in (roles or {}).items():
            status["clusters"][number]["status"] = role
        status["term"] += bool(roles)
        status["activeCluster"] = next((r["id"] for r in status["clusters"] if r["status"] == "active"), "")
        path = f"{self._federations}/{self.NAME}/status"
        known = {name: self._federation["metadata"][name] for name in ("name", "uid", "resourceVersion")}
        kind = {name: self._federation[name] for name in ("apiVersion", "kind")}
        body = {**kind, "metadata": known, "status": status}
        self._federation = await self._client.request("PUT", path, body=body, deadline=_PATIENCE)

    async def _acknowledge(self, number: int) -> None:
        metadata = self._lease[number]["metadata"]
        known = {name: metadata[name] for name in ("uid", "resourceVersion")}
        word = (
            f"{self._federation['metadata']['uid']}/{self._federation['status']['term']}/{time.monotonic()}"
        )
        body = {"metadata": {**known, "annotations": {"tcf.dev/acknowledged": word}}}
        self._lease[number] = await self._client.request(
            "PATCH",
            f"{self._leases}/{metadata['name']}",
            body=body,
            content_type=MERGE_PATCH,
            deadline=_PATIENCE,
        )
