"""What benchmarks do with a hub by themselves, beside the programs that they measure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from controlplane.plane import ControlPlane

from bench.servers import computed_by
from tcf.hub import federations, worker_leases
from tcf.hub.client import HubClient, folder
from tcf.hub.credentials import Credentials, kubeconfig

Json = dict[str, Any]
PATIENCE = 300.0
_AT_ONCE = 16


@asynccontextmanager
async def bench_client(config: Path) -> AsyncIterator[HubClient]:
    """A client with the credentials of this kubeconfig."""
    client = HubClient(Credentials(kubeconfig(config)), user_agent="tcf-bench")
    try:
        yield client
    finally:
        await client.close()


def federations_in(namespace: str) -> str:
    """The path of the federations there."""
    return folder(federations.GROUP, federations.VERSION, federations.PLURAL, namespace)


def leases_in(namespace: str) -> str:
    """The path of the Leases there."""
    return folder(worker_leases.GROUP, worker_leases.VERSION, worker_leases.PLURAL, namespace)


def new_lease(name: str, labels: Mapping[str, str], *, holder: str, seconds: int) -> Json:
    """What to POST for a Lease that lasts for so long."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": seconds},
    }


async def a_few_at_a_time(acts: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Do all of them, 16 at a time."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def in_turn(act: Coroutine[Any, Any, object]) -> None:
        async with turns:
            await act

    await asyncio.gather(*map(in_turn, acts))


@asynccontextmanager
async def watches(client: HubClient, *watched: tuple[str, Mapping[str, str]]) -> AsyncIterator[None]:
    """Watch each path with its parameters within this block, and ignore what is delivered."""
    tasks = [asyncio.create_task(_watch(client, path, params)) for path, params in watched]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _watch(client: HubClient, path: str, params: Mapping[str, str]) -> None:
    while True:
        async with aclosing(client.watch(path, params, deadline=PATIENCE)) as events:
            async for _ in events:
                pass


def hub_computed(plane: ControlPlane) -> float:
    """Seconds of CPU that API server and etcd have used so far."""
    return sum(computed_by(pid) for pid in plane.pids.values())
