"""A flood of requests at a fixed rate, and what it does to a worker.

Run by itself, this module is the flood: `python -m bench.flood PORT METHOD PATH RATE SECONDS`. Each request
has another token. It prints how many answers of each status there were, as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path

import aiohttp
from controlplane.plane import ControlPlane
from rig.asking import ask
from rig.hub_namespace import HubNamespace
from rig.kubectl import install_crd, kubectl_of
from rig.tcf_processes import TcfProcess, TcfProcesses

from bench.report import Figure, Goal
from bench.servers import PATH, resident

RATE = 1000
SECONDS = 60.0
LEASE_DURATION = 3
"""Seconds. It is short, so that a renewal that is held up shows."""
_CONNECTIONS = 64
_PROBES_PER_SECOND = 100
_RUNS = 3


@dataclass(frozen=True)
class Beside:
    """What was measured beside a flood: latencies in milliseconds, memory in MiB, gaps in seconds."""

    p99: float
    grown: float
    longest_gap: float
    reviews: float
    statuses: dict[str, int]


def flood() -> Iterator[Figure]:
    """1,000 POSTs a second with junk tokens, against as many GETs of a path that does not exist."""
    with tempfile.TemporaryDirectory() as folder, ControlPlane.start() as plane:
        install_crd(plane)
        hub = HubNamespace(kubectl_of(plane, "flood"), "flood", plane.kubeconfig)
        hub.kubectl("create", "namespace", hub.namespace)
        with contextlib.closing(TcfProcesses(hub, Path(folder), development=False)) as programs:
            hub.apply(leaseDuration=f"{LEASE_DURATION}s")
            programs.operator()
            worker = programs.worker("cluster_1", "--auth", "kubernetes")
            worker.await_active()
            junk: list[Beside] = []
            missing: list[Beside] = []
            for run in range(_RUNS):
                for found in (junk, missing) if run % 2 else (missing, junk):
                    path = ("POST", "/tcf/promote") if found is junk else ("GET", "/nothing")
                    found.append(_beside(plane.kubectl, hub, worker, *path))
    print(f"  answers to the flood: {junk[-1].statuses}")
    p99 = [each.p99 for each in junk], [each.p99 for each in missing]
    yield Figure("flood", "junk tokens: p99 of probes", "ms", *p99, Goal("≤", 2))
    gaps = [each.longest_gap for each in junk]
    yield Figure(
        "flood", "- longest time between renewals", "s", gaps, (), Goal("≤", LEASE_DURATION / 2), worst=True
    )
    yield Figure(
        "flood", "- reviews", "per s", [each.reviews for each in junk], (), Goal("≤", 55), worst=True
    )
    yield Figure(
        "flood", "- growth of RSS", "MiB", [each.grown for each in junk], (), Goal("≤", 8), worst=True
    )


def _beside(kubectl: Path, hub: HubNamespace, worker: TcfProcess, method: str, path: str) -> Beside:
    """Probe the worker during a flood of such requests."""
    command = [sys.executable, "-m", "bench.flood", str(worker.port), method, path, str(RATE), str(SECONDS)]
    lease = hub.leases()[0]["metadata"]["name"]
    watch = [kubectl, "--kubeconfig", hub.kubeconfig, "-n", hub.namespace, "get", "lease", lease, "--watch"]
    before, reviews = resident(worker.process), _reviews(hub)
    with (
        tempfile.TemporaryFile("w+") as renewals,
        subprocess.Popen(
            [*watch, "-o", 'jsonpath={.spec.renewTime}{"\\n"}'], stdout=renewals, text=True
        ) as watching,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as flooding,
    ):
        took = []
        while flooding.poll() is None:
            began = time.monotonic()
            answer = ask(worker.port, "GET", PATH)
            took.append(1000 * (time.monotonic() - began))
            if answer.status != HTTPStatus.OK:
                raise RuntimeError(f"a probe was answered with {answer.status} {answer.reason}")
            time.sleep(max(0.0, 1 / _PROBES_PER_SECOND - (time.monotonic() - began)))
        watching.terminate()
        watching.wait()
        renewals.seek(0)
        times = [dt.datetime.fromisoformat(line.strip()).timestamp() for line in renewals if line.strip()]
        counted = json.loads(flooding.stdout.read() if flooding.stdout else "{}")
    return Beside(
        p99=statistics.quantiles(took, n=100)[98],
        grown=resident(worker.process) - before,
        longest_gap=max(later - earlier for earlier, later in pairwise(times)),
        reviews=(_reviews(hub) - reviews) / SECONDS,
        statuses=counted,
    )


def _reviews(hub: HubNamespace) -> float:
    """How many tokens the API server has reviewed so far."""
    lines = hub.kubectl("get", "--raw", "/metrics").stdout.splitlines()
    counters = (line for line in lines if line.startswith("apiserver_request_total{"))
    return sum(float(line.rsplit(" ", 1)[1]) for line in counters if 'resource="tokenreviews"' in line)


async def send(port: int, method: str, path: str, rate: float, seconds: float) -> Counter[int]:
    """Send requests at this rate, each with a token of its own, and count the statuses of the answers."""
    statuses, loop = Counter[int](), asyncio.get_running_loop()
    began = loop.time()
    numbers = iter(range(int(rate * seconds)))

    async def client(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            await asyncio.sleep(began + number / rate - loop.time())
            headers = {"Authorization": f"Bearer {secrets.token_urlsafe(600)}"}
            async with session.request(method, f"http://127.0.0.1:{port}{path}", headers=headers) as response:
                await response.read()
                statuses[response.status] += 1

    connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
        for _ in range(_CONNECTIONS):
            tasks.create_task(client(session))
    return statuses


if __name__ == "__main__":
    _, number, verb, where, per_second, duration = sys.argv
    print(json.dumps(asyncio.run(send(int(number), verb, where, float(per_second), float(duration)))))
