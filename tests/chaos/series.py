"""Plays one schedule after the other and counts what the probes saw."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from controlplane.plane import ControlPlane
from rig.backups import etcdutl
from rig.kubectl import install_crd
from rig.promise import Probe, broken_promises

from chaos.faults import scene, schedule
from chaos.live_holders import overlaps
from chaos.live_scene import LiveScene

SCHEDULES_PER_SCENE = 10


@dataclass
class Tally:
    """The results of some schedules."""

    schedules: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    probes: int = 0
    yes: int = 0
    spans: int = 0
    switchovers: int = 0
    failovers: int = 0
    worst_gap: float = 0.0
    violations: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.schedules += other.schedules
        self.counts += other.counts
        self.probes += other.probes
        self.yes += other.yes
        self.spans += other.spans
        self.switchovers += other.switchovers
        self.failovers += other.failovers
        self.worst_gap = max(self.worst_gap, other.worst_gap)
        self.violations += other.violations

    def table(self) -> str:
        """A table in Markdown, for people and for the docs."""
        faults = {name: n for name, n in self.counts.items() if not name.startswith(("switch", "refused"))}
        rows = [
            ("schedules", self.schedules),
            ("faults", sum(faults.values())),
            *((f"- {name}", n) for name, n in sorted(faults.items())),
            ("probes answered", self.probes),
            ("- with 200", self.yes),
            ("times that a holder acted", self.spans),
            ("switchovers asked for", self.counts["switch"]),
            ("role changes completed", self.switchovers),
            ("- by failover", self.failovers),
            ("longest time without an active member", f"{self.worst_gap:.1f} s"),
            ("violations", len(self.violations)),
        ]
        return "\n".join(["| | |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows)])


def play(first: int, schedules: int, *, progress: Callable[[Tally], object]) -> Tally:
    """Play so many schedules against a control plane of our own. The scene changes every few schedules."""
    total = Tally()
    with ControlPlane.start() as plane:
        install_crd(plane)
        while total.schedules < schedules:
            seed = first + total.schedules
            count = min(SCHEDULES_PER_SCENE, schedules - total.schedules)
            with tempfile.TemporaryDirectory(prefix="tcf-chaos-") as folder:
                where = scene(seed)
                with LiveScene(where, plane, Path(folder), etcdutl()) as live:
                    before = Before()
                    for number in range(count):
                        one = _one(live, number, before)
                        total.add(one)
                        progress(one)
    return total


@dataclass
class Before:
    """What earlier schedules of a scene showed: which requests ended, and who answered 200."""

    requests: set[str] = field(default_factory=set)
    yes: dict[str, Probe] = field(default_factory=dict)


def _one(live: LiveScene, number: int, before: Before) -> Tally:
    before.requests |= {past["id"] for past in live.history()}
    live.counts.clear()
    prober, holders = live.play(schedule(live.scene, number), number)
    done = [
        past
        for past in live.history()
        if past["outcome"] == "Succeeded" and past["id"] not in before.requests
    ]
    yes = [
        probe
        for probe in prober.probes
        if probe.status == 200 and live.promises(probe.sent, probe.answered, probe.term)
    ]
    broken = broken_promises([*before.yes.values(), *yes])
    spans = [span for span in holders.spans if live.promises(span.began, span.ended, span.term)]
    before.yes |= {probe.member: probe for probe in sorted(yes, key=lambda probe: probe.term)}
    before.yes = {} if live.lost_term else before.yes
    return Tally(
        schedules=1,
        counts=Counter(live.counts),
        probes=len(prober.probes),
        yes=len(yes),
        spans=len(spans),
        switchovers=len(done),
        failovers=sum(past["trigger"] == "failover" for past in done),
        worst_gap=prober.gap(),
        violations=[
            f"scene {live.scene.seed}, schedule {number}: {first} and later {second}"
            for first, second in (*broken, *overlaps(spans))
        ],
    )
