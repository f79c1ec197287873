"""Measure how long a federation is without an active member, and what a slow or absent hub does to it.

    make figures                 everything, about twenty minutes, written to docs/results/failover.md
    make figures ARGS=failover   one part: failover, partition, outage or slow

Real processes run against a control plane of their own. A proxy before the hub makes it slow or absent.
Each table is printed as it is measured.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from controlplane.children import raise_when_stopped
from controlplane.plane import ControlPlane
from rig.gate import Gate
from rig.kubectl import install_crd
from rig.prober import Prober

from bench import results
from bench.two_members import TwoMembers, federations, killed

RUNS = 30
SLOW_SECONDS = 600.0
_OK = 200
_EXPLAINED = (
    "[Benchmarks](../benchmarks.md#failover-outages-and-a-slow-hub) says what each part measures"
    " and what the figures mean."
)

Row = tuple[object, ...]


@dataclass(frozen=True)
class Part:
    """One table: what it is about, its columns, and what measures its rows one by one."""

    title: str
    explanation: str
    columns: tuple[str, ...]
    rows: Callable[[ControlPlane], Iterator[Row]]


def line(cells: Row) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def spread(values: list[float]) -> tuple[str, str, str]:
    return (f"{min(values):.2f} s", f"{statistics.median(values):.2f} s", f"{max(values):.2f} s")


def measured(found: list[TwoMembers], runs: int, once: Callable[[TwoMembers], float]) -> list[float]:
    """Measure `once` so many times, spread over the federations."""
    each = -(-runs // len(found))
    with ThreadPoolExecutor(len(found)) as pool:
        parts = pool.map(lambda federation: [once(federation) for _ in range(each)], found)
        return [value for part in parts for value in part]


def failover(plane: ControlPlane) -> Iterator[Row]:
    for duration, at_once in ((1, 1), (3, 2), (15, 6)):
        with federations(plane, at_once, duration) as found:
            values = measured(found, RUNS, killed)
        goal = duration * 1.1 + 0.5
        verdict = "met" if max(values) <= goal else "MISSED"
        yield f"{duration} s", len(values), *spread(values), f"{goal:.1f} s, {verdict}"


def partition(plane: ControlPlane) -> Iterator[Row]:
    expired: list[float] = []

    def once(federation: TwoMembers) -> float:
        cut, other = federation.active, federation.other(federation.active)
        federation.members[cut].gate.silence()
        with ThreadPoolExecutor(2) as pool:
            lost = pool.submit(federation.await_status, cut, 500)
            taken = pool.submit(federation.await_status, other, 200)
            expired.append(lost.result())
            took = taken.result()
        federation.members[cut].gate.open()
        federation.settle()
        if federation.active != other:
            raise RuntimeError(f"{cut} is active again: it has failed back")
        return took

    duration = 3
    with federations(plane, 2, duration) as found:
        values = measured(found, 20, once)
    yield f"{duration} s", "its probes turn 500", len(expired), *spread(expired)
    yield f"{duration} s", "the other member is active", len(values), *spread(values)


def outage(plane: ControlPlane) -> Iterator[Row]:
    duration, seconds = 3, 0.45 * 3
    with federations(plane, 1, duration) as (federation,):
        for how, fail in (("refused", Gate.close), ("silent", Gate.silence)):
            active, term = federation.active, federation.term
            ports = {worker.port: active for worker in federation.members[active].workers}
            with Prober(ports, per_second=100) as prober:
                for _ in range(20):
                    for gate in federation.gates:
                        fail(gate)
                    time.sleep(seconds)
                    for gate in federation.gates:
                        gate.open()
                    time.sleep(duration + random.uniform(0, duration))
            wrong = sum(probe.status != _OK for probe in prober.probes)
            moved = federation.term - term
            yield f"{duration} s", f"{seconds:.2f} s", how, 20, len(prober.probes), wrong, moved


def slow(plane: ControlPlane) -> Iterator[Row]:
    duration, parts = 3, (0.1, 0.2, 0.4)

    def once(federation: TwoMembers, part: float) -> Row:
        active, term = federation.active, federation.term
        ports = {
            worker.port: name for name, member in federation.members.items() for worker in member.workers
        }
        with Prober(ports, per_second=20) as prober:
            for gate in federation.gates:
                gate.open(delay=part * duration)
            time.sleep(SLOW_SECONDS)
        for gate in federation.gates:
            gate.open()
        federation.settle()
        own = [probe for probe in prober.probes if probe.member == active]
        wrong = sum(probe.status != _OK for probe in own)
        moved = federation.term - term
        return f"{duration} s", f"{part} x D", len(own), wrong, f"{prober.gap():.1f} s", moved

    with federations(plane, len(parts), duration) as found, ThreadPoolExecutor(len(parts)) as pool:
        yield from pool.map(once, found, parts)


PARTS = {
    "failover": Part(
        "Failover",
        "Every worker of the active member gets SIGKILL. How long until the other member answers 200?",
        ("leaseDuration", "runs", "min", "median", "max", "goal: D x 1.1 + 0.5 s"),
        failover,
    ),
    "partition": Part(
        "Partition",
        "The active member is cut off from the hub, its connections half-open."
        " How long until its probes turn 500, and until the other member is active?",
        ("leaseDuration", "what", "runs", "min", "median", "max"),
        partition,
    ),
    "outage": Part(
        "The hub is down for a moment",
        "Nobody can reach the hub for a little less than half of leaseDuration. Is a role lost?",
        (
            *("leaseDuration", "outage", "how", "runs"),
            *("answers of the active member", "other than 200", "role changes"),
        ),
        outage,
    ),
    "slow": Part(
        "The hub is slow",
        "Every answer of the hub comes late, for everybody and for ten minutes. D is leaseDuration.",
        (
            *("leaseDuration", "delay", "answers of the active member", "other than 200"),
            *("longest without 200", "role changes"),
        ),
        slow,
    ),
}


def section(part: Part, plane: ControlPlane) -> str:
    """Measure one part and print it line by line; return all of it."""
    lines: list[str] = []

    def say(text: str) -> None:
        print(text, flush=True)
        lines.append(text)

    say(f"## {part.title}\n\n{part.explanation}\n")
    say(line(part.columns))
    say(line(("---",) * len(part.columns)))
    for cells in part.rows(plane):
        say(line(cells))
    say("")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make figures", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which (default: all)")
    wanted = parser.parse_args().parts or list(PARTS)
    raise_when_stopped()
    with ControlPlane.start() as plane:
        install_crd(plane)
        sections = [section(PARTS[name], plane) for name in wanted]
    if wanted == list(PARTS):
        about = [
            results.measured_by("make figures"),
            "The programs ran in Python's development mode.",
            "Each member has two workers.",
            "`failover.mode` is `Automatic`, `failover.timeout` is `1s`.",
        ]
        text = "\n".join([*about, "", *sections])
        page = results.write("failover.md", "make figures", text, explained=_EXPLAINED)
        print(f"written: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
