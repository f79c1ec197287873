"""Measure how long a federation is without an active member, and what a slow or absent hub does to it.

    make figures                 everything, about twenty minutes
    make figures ARGS=failover   one part: failover, partition, outage or slow

Real processes against a control plane of its own; a proxy before the hub makes it slow or absent. Prints a
table for each part.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Self

from controlplane.client import ControlPlane
from support.api import Hub, eventually, install_crd, kubectl_of
from support.gate import Gate
from support.probes import Prober
from support.programs import Program, Programs

RUNS = 30
GOAL = "D x 1.1 + 0.5 s"
POLL_SECONDS = 0.005
SLOW_SECONDS = 600.0
PATIENCE = 120.0


@dataclass
class Site:
    """A member with two workers behind a gate of their own."""

    gate: Gate
    workers: list[Program]

    def status(self) -> set[int]:
        return {worker.is_active().status for worker in self.workers}


class Scene:
    """A federation of two members with two workers each, and an operator."""

    def __init__(self, plane: ControlPlane, name: str, duration: int, folder: Path) -> None:
        self.duration = duration
        self._hub = Hub(kubectl_of(plane, name), name, plane.kubeconfig)
        self._folder = folder
        self._programs = Programs(self._hub, folder)
        self._exit = contextlib.ExitStack()
        self.operator_gate = self._gate()
        self.sites = {member: Site(self._gate(), []) for member in ("cluster_1", "cluster_2")}

    def __enter__(self) -> Self:
        self._exit.callback(self._programs.close)
        self._hub.kubectl("create", "namespace", self._hub.namespace)
        self._hub.apply(
            leaseDuration=f"{self.duration}s",
            switchoverTimeout=f"{2 * self.duration + 3}s",
            failover={"mode": "Automatic", "timeout": "1s", "cooldown": "0s"},
        )
        path = self.operator_gate.kubeconfig(self._hub, self._folder / "operator")
        self._programs.operator(kubeconfig=path)
        for member in self.sites:
            self.start(member)
        self.settle()
        return self

    def __exit__(self, *_: object) -> None:
        for site in self.sites.values():
            site.gate.open()
        self.operator_gate.open()
        self._exit.close()

    @property
    def active(self) -> str:
        status = self._hub.status
        active: str = eventually(lambda: status().get("activeCluster"), what="one is active")
        return active

    @property
    def term(self) -> int:
        term: int = self._hub.status()["term"]
        return term

    def other(self, member: str) -> str:
        return next(each for each in self.sites if each != member)

    def start(self, member: str) -> None:
        site = self.sites[member]
        path = site.gate.kubeconfig(self._hub, self._folder / member)
        site.workers = [self._programs.worker(member, kubeconfig=path) for _ in range(2)]

    def settle(self) -> None:
        """Everybody answers, and has been seen renewing for a full period."""

        def settled() -> bool:
            active = self.active
            return self.sites[active].status() == {200} and self.sites[self.other(active)].status() == {418}

        eventually(settled, what="everybody answers", patience=PATIENCE)
        time.sleep(1.3 * self.duration + 1 + random.uniform(0, self.duration / 3))

    def await_status(self, member: str, status: int) -> float:
        """Seconds until the first worker of the member answers so."""
        began = time.monotonic()
        deadline = began + PATIENCE
        while time.monotonic() < deadline:
            if status in self.sites[member].status():
                return time.monotonic() - began
            time.sleep(POLL_SECONDS)
        raise TimeoutError(f"{member} never answered {status}")

    def _gate(self) -> Gate:
        gate = self._exit.enter_context(Gate(self._hub.server))
        gate.open()
        return gate


@contextlib.contextmanager
def scenes(plane: ControlPlane, count: int, duration: int) -> Iterator[list[Scene]]:
    """So many federations at once, each with programs of its own."""
    with contextlib.ExitStack() as stack:
        opened = []
        for n in range(count):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tcf-figures-")))
            opened.append(Scene(plane, f"d{duration}-{n}-{random.randrange(10**6)}", duration, folder))
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(stack.enter_context, opened))
        yield opened


def measured(found: list[Scene], runs: int, once: Callable[[Scene], float]) -> list[float]:
    """`once` so many times, spread over the scenes."""
    each = -(-runs // len(found))
    with ThreadPoolExecutor(len(found)) as pool:
        parts = pool.map(lambda scene: [once(scene) for _ in range(each)], found)
        return [value for part in parts for value in part]


def row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def spread(values: list[float]) -> tuple[str, str, str]:
    return (f"{min(values):.2f} s", f"{statistics.median(values):.2f} s", f"{max(values):.2f} s")


# --- the parts ------------------------------------------------------------------------------------------


def killed(scene: Scene) -> float:
    """SIGKILL of every worker of the active member: seconds until the first 200 of the other."""
    dead = scene.active
    for worker in scene.sites[dead].workers:
        worker.kill()
    took = scene.await_status(scene.other(dead), 200)
    scene.start(dead)
    scene.settle()
    return took


def failover(plane: ControlPlane) -> None:
    """SIGKILL of every worker of the active member, to the first 200 of the other."""
    row("leaseDuration", "runs", "min", "median", "max", f"goal: {GOAL}")
    row("---", "---:", "---:", "---:", "---:", "---")
    for duration, at_once in ((1, 1), (3, 2), (15, 6)):
        with scenes(plane, at_once, duration) as found:
            values = measured(found, RUNS, killed)
        goal = duration * 1.1 + 0.5
        verdict = "met" if max(values) <= goal else "MISSED"
        row(f"{duration} s", len(values), *spread(values), f"{goal:.1f} s, {verdict}")


def partition(plane: ControlPlane) -> None:
    """The active member is cut off from the hub: until its probes turn 500, and until the other is active."""
    expired: list[float] = []

    def once(scene: Scene) -> float:
        cut, other = scene.active, scene.other(scene.active)
        scene.sites[cut].gate.silence()
        with ThreadPoolExecutor(2) as pool:
            lost = pool.submit(scene.await_status, cut, 500)
            taken = pool.submit(scene.await_status, other, 200)
            expired.append(lost.result())
            took = taken.result()
        scene.sites[cut].gate.open()
        scene.settle()
        if scene.active != other:
            raise RuntimeError(f"{cut} is active again: it has failed back")
        return took

    row("leaseDuration", "what", "runs", "min", "median", "max")
    row("---", "---", "---:", "---:", "---:", "---:")
    for duration in (3,):
        with scenes(plane, 2, duration) as found:
            values = measured(found, 20, once)
        row(f"{duration} s", "its probes turn 500", len(expired), *spread(expired))
        row(f"{duration} s", "the other one is active", len(values), *spread(values))


def outage(plane: ControlPlane) -> None:
    """The hub is away for everybody, for a little less than half the duration: is a role lost?"""
    row(
        "leaseDuration",
        "outage",
        "how",
        "runs",
        "answers of the active member",
        "other than 200",
        "role changes",
    )
    row("---", "---", "---", "---:", "---:", "---:", "---:")
    duration, seconds = 3, 0.45 * 3
    with scenes(plane, 1, duration) as (scene,):
        gates = [scene.operator_gate, *(site.gate for site in scene.sites.values())]
        for how, fail in (("refused", Gate.close), ("silent", Gate.silence)):
            active, term = scene.active, scene.term
            ports = {worker.port: active for worker in scene.sites[active].workers}
            with Prober(ports, per_second=100) as prober:
                for _ in range(20):
                    for gate in gates:
                        fail(gate)
                    time.sleep(seconds)
                    for gate in gates:
                        gate.open()
                    time.sleep(duration + random.uniform(0, duration))
            wrong = sum(probe.status != HTTPStatus.OK for probe in prober.probes)
            row(f"{duration} s", f"{seconds:.2f} s", how, 20, len(prober.probes), wrong, scene.term - term)


def slow(plane: ControlPlane) -> None:
    """Every answer of the hub comes late, for everybody and for ten minutes."""
    duration = 3
    parts = (0.1, 0.2, 0.4)
    row(
        "leaseDuration",
        "delay",
        "answers of the active member",
        "other than 200",
        "longest without 200",
        "role changes",
    )
    row("---", "---", "---:", "---:", "---:", "---:")

    def once(scene: Scene, part: float) -> tuple[object, ...]:
        active, term = scene.active, scene.term
        ports = {worker.port: member for member, site in scene.sites.items() for worker in site.workers}
        gates = (scene.operator_gate, *(site.gate for site in scene.sites.values()))
        with Prober(ports, per_second=20) as prober:
            for gate in gates:
                gate.open(delay=part * duration)
            time.sleep(SLOW_SECONDS)
        for gate in gates:
            gate.open()
        scene.settle()
        own = [probe for probe in prober.probes if probe.member == active]
        wrong = sum(probe.status != HTTPStatus.OK for probe in own)
        moved = scene.term - term
        return f"{duration} s", f"{part} x D", len(own), wrong, f"{prober.gap():.1f} s", moved

    with scenes(plane, len(parts), duration) as found, ThreadPoolExecutor(len(parts)) as pool:
        for cells in pool.map(once, found, parts):
            row(*cells)


PARTS = {"failover": failover, "partition": partition, "outage": outage, "slow": slow}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make figures", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which (default: all)")
    wanted = parser.parse_args().parts or list(PARTS)
    with ControlPlane.start() as plane:
        install_crd(plane)
        for name in wanted:
            print(f"\n{PARTS[name].__doc__}\n")
            PARTS[name](plane)
    return 0


if __name__ == "__main__":
    sys.exit(main())
