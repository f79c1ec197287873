"""Streams of events: opens many at once, and finds out how late an event is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from controlplane.plane import ControlPlane

from bench.hub_tools import bench_client, federations_in
from bench.servers import STREAM, Server
from tcf.hub.client import MERGE_PATCH
from tcf.runtime.clock import Clock

_REQUEST = f"GET {STREAM} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
_PATIENCE = 10.0
_CHANGES = 20
_FEDERATION = federations_in("default") + "/shop"


@contextlib.contextmanager
def streaming(server: Server, count: int) -> Iterator[None]:
    """Keep so many streams open. Each has received something."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(server.connect(_PATIENCE))
            client.sendall(_REQUEST)
            if not client.recv(65536).startswith(b"HTTP/1.1 200"):
                raise RuntimeError("a stream was refused")
        yield


def delays(plane: ControlPlane, port: int) -> list[float]:
    """Swap the roles on the hub by hand a few times; seconds until a stream of the worker shows each."""
    return asyncio.run(_delays(plane, port))


async def _delays(plane: ControlPlane, port: int) -> list[float]:
    clock, found = Clock(), []
    async with bench_client(plane.kubeconfig) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.closing(writer):
            writer.write(_REQUEST)
            status: dict[str, Any] = (await client.request("GET", _FEDERATION, deadline=_PATIENCE))["status"]
            await _event(reader, status["term"])
            for _ in range(_CHANGES):
                one, two = status["clusters"]
                one["status"], two["status"] = two["status"], one["status"]
                status["term"] += 1
                status["activeCluster"] = next(row["id"] for row in (one, two) if row["status"] == "active")
                began = clock.boot()
                path, body = f"{_FEDERATION}/status", {"status": status}
                await client.request("PATCH", path, body=body, content_type=MERGE_PATCH, deadline=_PATIENCE)
                await _event(reader, status["term"])
                found.append(clock.boot() - began)
                await asyncio.sleep(0.2)
    return found


async def _event(reader: asyncio.StreamReader, term: int) -> None:
    async with asyncio.timeout(_PATIENCE):
        while line := await reader.readline():
            if line == b"id: %d\n" % term:
                return
    raise RuntimeError("the stream has ended")
