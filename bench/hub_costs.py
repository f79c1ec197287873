"""What single requests cost the hub, in CPU of API server and etcd, with a thousand federations in it."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from controlplane.plane import ControlPlane
from rig.hub_namespace import HubNamespace
from rig.kubectl import install_crd

from bench.farm import MEMBERS
from bench.farms import create_federations
from bench.hub_tools import (
    PATIENCE,
    a_few_at_a_time,
    bench_client,
    federations_in,
    hub_computed,
    leases_in,
    new_lease,
    watches,
)
from bench.report import Figure
from tcf.hub.client import MERGE_PATCH, HubClient

COUNT = 1000
_RUNS = 5
_REQUESTS = 300
_LISTS = 10
_WATCHES = 500
_SETTLE_SECONDS = 3.0

Act = Callable[[int], Coroutine[Any, Any, object]]


def hub_costs() -> Iterator[Figure]:
    """Reads, lists and writes of a hub with 1,000 federations and 2,000 Leases."""
    with ControlPlane.start() as plane:
        install_crd(plane)
        hub = create_federations(plane, "costs", COUNT, {})
        yield from asyncio.run(_measured(plane, hub))


async def _measured(plane: ControlPlane, hub: HubNamespace) -> list[Figure]:
    of = federations_in(hub.namespace)
    single = [(of, {"fieldSelector": f"metadata.name=f{n}"}) for n in range(_WATCHES)]
    async with bench_client(hub.kubeconfig) as client:
        asked = _Requests(client, of, leases_in(hub.namespace))
        await _each(asked.create_lease, len(MEMBERS) * COUNT)
        figures = [
            await _figure(plane, "a read of a federation", asked.read, _REQUESTS),
            await _figure(plane, "a list of all 1,000", asked.list_all, _LISTS),
            await _figure(plane, "a list of the Leases of one", asked.list_leases, _REQUESTS),
            await _figure(plane, "a write of a Lease", asked.write_lease, _REQUESTS),
            await _figure(plane, "a write of a federation", asked.write, _REQUESTS),
        ]
        async with watches(client, *single):
            name = f"the same with {_WATCHES} watches, each of one federation"
            return [*figures, await _figure(plane, name, asked.write, _REQUESTS)]


class _Requests:
    """Each is about the federation or the Lease with a number."""

    def __init__(self, client: HubClient, of: str, leases: str) -> None:
        self._client = client
        self._of = of
        self._leases = leases

    async def create_lease(self, n: int) -> None:
        labels = {"tcf.dev/federation": f"f{n // len(MEMBERS)}"}
        body = new_lease(f"l{n}", labels, holder="bench", seconds=30)
        await self._client.request("POST", self._leases, body=body, deadline=PATIENCE)

    async def read(self, n: int) -> None:
        await self._client.request("GET", f"{self._of}/f{n}", deadline=PATIENCE)

    async def list_all(self, _: int) -> None:
        await self._client.request("GET", self._of, deadline=PATIENCE)

    async def list_leases(self, n: int) -> None:
        params = {"labelSelector": f"tcf.dev/federation=f{n}"}
        await self._client.request("GET", self._leases, params=params, deadline=PATIENCE)

    async def write_lease(self, n: int) -> None:
        await self._patch(f"{self._leases}/l{n}")

    async def write(self, n: int) -> None:
        await self._patch(f"{self._of}/f{n}")

    async def _patch(self, path: str) -> None:
        body = {"metadata": {"annotations": {"bench": str(time.monotonic_ns())}}}
        await self._client.request("PATCH", path, body=body, content_type=MERGE_PATCH, deadline=PATIENCE)


async def _figure(plane: ControlPlane, name: str, act: Act, count: int) -> Figure:
    """Milliseconds of CPU for each, in several runs."""
    await _each(act, count)
    took = []
    for _ in range(_RUNS):
        await asyncio.sleep(_SETTLE_SECONDS)
        idle = hub_computed(plane)
        await asyncio.sleep(_SETTLE_SECONDS)
        before = hub_computed(plane)
        began = time.monotonic()
        await _each(act, count)
        lasted = time.monotonic() - began
        took.append(
            1000 * (hub_computed(plane) - before - (before - idle) * lasted / _SETTLE_SECONDS) / count
        )
    print(f"  {name}: {statistics.median(took):.2f} ms", flush=True)
    return Figure("hub-costs", name, "ms", took)


async def _each(act: Act, count: int) -> None:
    await a_few_at_a_time(act(n) for n in range(count))
