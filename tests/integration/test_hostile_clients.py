"""What thousands of hostile clients can do to worker and operator (see support/attackers.py)."""

from __future__ import annotations

import asyncio
import itertools
import resource
from collections.abc import Iterator

import psutil
import pytest
from rig.hub_namespace import own_namespace
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.attackers import PROBES, Attack, attacked, probe, sends, withstands

pytestmark = pytest.mark.timeout(300)
"""Thousands of attackers take processor time: more than a minute on a machine at load 12."""
_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def worker(
    control_plane: dict[str, str], crd: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TcfProcess]:
    """An active worker."""
    with own_namespace(control_plane) as hub:
        hub.apply(leaseDuration="15s")
        programs = TcfProcesses(hub, tmp_path_factory.mktemp("hostile"), development=False)
        try:
            operator, active = programs.operator(), programs.worker("cluster_1")
            active.await_active()
            assert operator.stop() == 0
            yield active
        finally:
            programs.close()


@pytest.fixture(scope="module")
def operator(
    control_plane: dict[str, str], crd: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TcfProcess]:
    """An operator with nothing to do."""
    with own_namespace(control_plane) as hub:
        programs = TcfProcesses(hub, tmp_path_factory.mktemp("hostile"), development=False)
        try:
            operator = programs.operator()
            operator.await_ready()
            yield operator
        finally:
            programs.close()


GET = b"GET /tcf/is_active HTTP/1.1\r\nHost: x\r\n"


async def bit_by_bit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GET)
    while not (reader.at_eof() or writer.is_closing()):
        writer.write(b"X: y\r\n")
        await asyncio.sleep(1)


async def endless_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GET)
    for n in range(125):
        writer.write(b"X-%d: %s\r\n" % (n, b"x" * 8000))
        await writer.drain()
    await reader.read()


async def never_reads(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One in fifty asks all the time. If all of them did, this would be about the machine's speed."""
    writer.transport.pause_reading()  # type: ignore[attr-defined] # a transport that reads, which all sockets have
    asks = next(_NUMBERS) % 50 == 0
    while not writer.is_closing():
        if asks:
            writer.write(b"GET /tcf/clusters HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
            await writer.drain()
        await asyncio.sleep(1)


async def dry_runs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"POST /tcf/promote?dry_run=true HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(0.2)


ATTACKS: dict[str, Attack] = {
    "silent": sends(b""),
    "half_a_head": sends(GET + b"X-Mo"),
    "bit_by_bit": bit_by_bit,
    "endless_head": endless_head,
    "idle_after_a_request": sends(GET + b"\r\n"),
    "never_reads": never_reads,
    "half_a_body": sends(
        b"POST /tcf/promote?dry_run=true HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    ),
    "body_for_nobody": sends(b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{"),
    "dry_runs": dry_runs,
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
async def test_probes_are_answered_all_the_same(worker: TcfProcess, attack: Attack) -> None:
    await withstands(worker, attack, ["/tcf/is_active"] * PROBES)
    assert await probe(worker, "/tcf/is_active")


@pytest.mark.parametrize("attack", ["silent", "endless_head", "never_reads"])
async def test_an_operator_stays_healthy(operator: TcfProcess, attack: str) -> None:
    """Otherwise its liveness probe would restart it."""
    await withstands(operator, ATTACKS[attack], [])


async def test_too_few_file_descriptors_are_told_in_one_line(worker: TcfProcess) -> None:
    """Whatever has taken them. Clients wait in the kernel's queue, and are answered when there are some."""
    process = worker.process.pid
    before, mark = resource.prlimit(process, resource.RLIMIT_NOFILE), len(worker.log)
    taken = psutil.Process(process).num_fds()
    resource.prlimit(process, resource.RLIMIT_NOFILE, (taken + 20, before[1]))
    try:
        async with attacked(worker.port, sends(b""), 400):
            await asyncio.sleep(3)
    finally:
        resource.prlimit(process, resource.RLIMIT_NOFILE, before)
    assert await probe(worker, "/tcf/is_active")
    told = [line for line in worker.log[mark:].splitlines() if "Too many open files" in line]
    assert len(told) == 1
    assert "no client can be accepted for now" in told[0]
