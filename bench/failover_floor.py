"""What a hub computes for the requests without which no failover can be carried out.

For each failover: twice a list of the Leases, because a decision about a loss and a fence need one; three
writes of the status; a delete of the silent worker's Lease; the acknowledgement of the new member's worker,
and the read and the renewal that make it answer 200; and the annotation that keeps the term for a restored
hub. An operator and the workers watch.
"""

from __future__ import annotations

import asyncio
import copy
import time

from controlplane.plane import ControlPlane
from rig.hub_namespace import HubNamespace

from bench.farm import MEMBERS
from bench.farms import create_federations
from bench.hub_tools import (
    PATIENCE,
    Json,
    a_few_at_a_time,
    bench_client,
    federations_in,
    hub_computed,
    leases_in,
    new_lease,
    watches,
)
from tcf.hub.client import MERGE_PATCH, HubClient
from tcf.hub.sessions import JSON

_COUNT = 200


def hub_seconds(plane: ControlPlane, like: Json) -> float:
    """Seconds of CPU of API server and etcd for one failover. `like`: a status after a failover."""
    hub = create_federations(plane, "floor", _COUNT, {})
    return asyncio.run(_played(plane, hub, like)) / _COUNT


async def _played(plane: ControlPlane, hub: HubNamespace, like: Json) -> float:
    of, leases = federations_in(hub.namespace), leases_in(hub.namespace)
    async with bench_client(hub.kubeconfig) as client, watches(client, (of, {}), (of, {}), (leases, {})):
        chains = [_Failover(client, of, leases, f"f{n}", like) for n in range(_COUNT)]
        await asyncio.gather(*(chain.prepare() for chain in chains))
        await asyncio.sleep(2)
        before = hub_computed(plane)
        await a_few_at_a_time(chain.run() for chain in chains)
        return hub_computed(plane) - before


class _Failover:
    """One failover, played as fast as the hub answers."""

    def __init__(self, client: HubClient, of: str, leases: str, name: str, like: Json) -> None:
        self._client = client
        self._path, self._leases, self._name = f"{of}/{name}", leases, name
        self._status = copy.deepcopy(like)
        self._federation: Json = {}
        self._lease: list[Json] = []

    async def prepare(self) -> None:
        self._federation = await self._ask("GET", self._path)
        for number, member in enumerate(MEMBERS):
            name = f"{self._name}-{number}"
            body = new_lease(name, {"floor": self._name}, holder=member, seconds=30)
            self._lease.append(await self._ask("POST", self._leases, body))
        await self._write("active", "passive")

    async def run(self) -> None:
        await self._list()
        await self._write("demoting", "passive")
        await self._list()
        await self._ask("DELETE", f"{self._leases}/{self._name}-0")
        await self._write("passive", "promoting")
        await self._renew()
        await self._write("passive", "active")
        self._federation = await self._ask("GET", self._path)
        await self._renew()
        body = {"metadata": {"annotations": {"tcf.dev/last-term": str(self._status["term"])}}}
        await self._ask("PATCH", self._path, body)

    async def _list(self) -> None:
        label = {"labelSelector": f"floor={self._name}"}
        await self._client.request("GET", self._leases, params=label, deadline=PATIENCE)

    async def _write(self, *roles: str) -> None:
        self._status["term"] += 1
        for row, role in zip(self._status["clusters"], roles, strict=True):
            row["status"] = role
        self._status["activeCluster"] = next(
            (row["id"] for row in self._status["clusters"] if row["status"] == "active"), ""
        )
        body = {**self._federation, "status": self._status}
        self._federation = await self._ask("PUT", f"{self._path}/status", body)

    async def _renew(self) -> None:
        body = {
            "metadata": {"annotations": {"tcf.dev/acknowledged": f"{self._status['term']}/{time.time()}"}}
        }
        await self._ask("PATCH", f"{self._leases}/{self._name}-1", body)

    async def _ask(self, method: str, path: str, body: Json | None = None) -> Json:
        kind = MERGE_PATCH if method == "PATCH" else JSON
        return await self._client.request(method, path, body=body, content_type=kind, deadline=PATIENCE)
