"""Plays schedules of one profile on all cores, or looks for each mutant with the profile `general`."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from simulation.draw import draw
from simulation.mutants import MUTANTS
from simulation.profiles import GENERAL, PROFILES
from simulation.schedule_player import play
from simulation.search import report

_BATCH = 50


@dataclass(frozen=True)
class Batch:
    """What a range of seeds came to."""

    failing: tuple[int, ...]
    switchovers: int
    failovers: int
    longest_settling: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=20_000, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument("--profile", choices=sorted(PROFILES), default=GENERAL.name)
    parser.add_argument("--seed", type=int, help="play one seed only, and print its trace")
    parser.add_argument("--mutants", action="store_true", help="look for each mutant instead")
    options = parser.parse_args()
    profile = PROFILES[options.profile]
    if options.seed is not None:
        schedule = draw(profile, options.seed)
        outcome = play(schedule, tracing=True)
        print(schedule, *outcome.trace, *outcome.broken, sep="\n")
        return bool(outcome.broken)
    seeds = range(options.first, options.first + options.schedules)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        if options.mutants:
            return _hunt(pool, seeds)
        return _soak(pool, options.profile, seeds)


def _soak(pool: ProcessPoolExecutor, profile: str, seeds: range) -> int:
    began, done = time.monotonic(), 0
    failing: list[int] = []
    switchovers = failovers = 0
    longest = 0.0
    parts = list(_batches(seeds))
    for part, batch in zip(parts, pool.map(_play, itertools.repeat(profile), parts), strict=True):
        done += len(part)
        failing += batch.failing
        switchovers += batch.switchovers
        failovers += batch.failovers
        longest = max(longest, batch.longest_settling)
        print(f"\r{done} of {len(seeds)} schedules, {len(failing)} failing", end="", flush=True)
    print(
        f"\nprofile {profile}, seeds {seeds.start} to {seeds.stop - 1}: {len(failing)} violations,"
        f" {switchovers} role changes completed, {failovers} of them failovers;"
        f" at rest at most {longest:.0f} s after the last fault; {time.monotonic() - began:.0f} s"
    )
    for seed in failing[:3]:
        print(report(draw(PROFILES[profile], seed)))
    return bool(failing)


def _hunt(pool: ProcessPoolExecutor, seeds: range) -> int:
    survivors = 0
    for name, found in zip(MUTANTS, pool.map(_hunt_one, MUTANTS, itertools.repeat(seeds)), strict=True):
        survivors += found is None
        print(f"{name:20} {'SURVIVED' if found is None else f'caught by schedule {found}'}", flush=True)
    print(f"{len(MUTANTS) - survivors} of {len(MUTANTS)} mutants caught by the profile {GENERAL.name}")
    return bool(survivors)


def _play(profile: str, seeds: range) -> Batch:
    outcomes = {seed: play(draw(PROFILES[profile], seed)) for seed in seeds}
    return Batch(
        tuple(seed for seed, outcome in outcomes.items() if outcome.broken),
        sum(outcome.switchovers for outcome in outcomes.values()),
        sum(outcome.failovers for outcome in outcomes.values()),
        max(outcome.settled_after for outcome in outcomes.values()),
    )


def _hunt_one(name: str, seeds: range) -> int | None:
    with MUTANTS[name].applied():
        return next((seed for seed in seeds if play(draw(GENERAL, seed)).broken), None)


def _batches(seeds: range) -> Iterator[range]:
    for start in range(seeds.start, seeds.stop, _BATCH):
        yield range(start, min(start + _BATCH, seeds.stop))


if __name__ == "__main__":
    sys.exit(main())
