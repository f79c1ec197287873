"""Thousands of connections by somebody who means no good, and beside them a load balancer's probes.

At most one probe in a thousand may fail, and none of the health probes. Both are counted, not timed: a probe
may take long where the whole machine is busy, but it has to be answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from rig.patience import PATIENCE
from rig.tcf_processes import TcfProcess

ATTACKERS = 5000
PROBES = 1000
LARGEST_RESIDENT = 192 * 2**20
"""The chart's limit."""
_COMES_AGAIN = 10.0
"""Seconds after which somebody who has been thrown out connects again, if the machine is not busy."""
_TRIAL = 0.2
"""For how many seconds of processor time the machine is tried."""
_AT_ONCE = 200
"""Connections that are being made at a time: the attacker's own limit, lest it wait for itself."""

Attack = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def sends(data: bytes) -> Attack:
    """Sends this and then holds the connection."""

    async def attack(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await reader.read()

    return attack


@asynccontextmanager
async def attacked(port: int, attack: Attack, count: int) -> AsyncIterator[list[int]]:
    """By so many, each of whom comes again when it is thrown out; yields who has connected, in order."""
    turns, all_were_there = asyncio.Semaphore(_AT_ONCE), asyncio.Event()
    pause = _COMES_AGAIN * _slowness()
    made: list[int] = []

    async def attacker(number: int) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with turns:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                made.append(number)
                if len(made) >= count:
                    all_were_there.set()
                try:
                    await attack(reader, writer)
                finally:
                    writer.transport.abort()
            await asyncio.sleep(pause)

    async with asyncio.TaskGroup() as tasks:
        attackers = [tasks.create_task(attacker(n)) for n in range(count)]
        await all_were_there.wait()
        yield made
        for each in attackers:
            each.cancel()


def _slowness() -> float:
    """How many times as long as alone a program takes here for the same work, because others work, too.

    Without this, the same attack would be a heavier one on a machine that is busy.
    """
    began, used = time.monotonic(), time.thread_time()
    while time.thread_time() - used < _TRIAL:
        pass
    return max(1.0, (time.monotonic() - began) / _TRIAL)


async def probe(program: TcfProcess, path: str) -> bool:
    """On a connection of its own, as most balancers do."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", program.port, ssl=program.tls)
            writer.write(request)
            answer = await reader.read()
            writer.transport.abort()
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.1 200")


async def withstands(
    program: TcfProcess, attack: Attack, paths: list[str], *, attackers: int = ATTACKERS
) -> None:
    """Under attack, at most one in a thousand of these probes fails, and none of the health probes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        async with attacked(program.port, attack, attackers) as made:
            failed = [path for path in paths if not await probe(program, path)]
            unhealthy = [path for path in ["/healthz", "/readyz"] * 50 if not await probe(program, path)]
            memory = program.resident
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(failed) <= len(paths) / 1000, f"{len(failed)} of {len(paths)} failed; {len(made)} connections"
    assert not unhealthy
    assert memory < LARGEST_RESIDENT
