"""Breaks of what a failover waits for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import tcf.core.failover
import tcf.core.steps
from simulation import profiles
from simulation.mutant import Mutant, Patch, changed
from tcf.core.model import Federation, WorkerLease
from tcf.core.sightings import Sightings


def _hasty_first() -> Iterable[Patch]:
    def instead(_: Any, *args: Any) -> Any:
        return tcf.core.failover.best_candidate(*args)

    yield changed(tcf.core.steps, "first_instead", instead)


def _no_proof() -> Iterable[Patch]:
    def since(original: Any, sightings: Sightings, lease: WorkerLease, now: float) -> float | None:
        del original, now
        return 0.0 if lease.uid in sightings.leases else None

    yield changed(Sightings, "renewing_since", since)


def _paused_ignored() -> Iterable[Patch]:
    yield Patch(tcf.core.failover, "TO_REPLACE", ())


def _cooldown_ignored() -> Iterable[Patch]:
    yield changed(tcf.core.failover, "rests_until", lambda *_: None)


def _timeout_ignored() -> Iterable[Patch]:
    def judged(original: Any, federation: Federation, *args: Any) -> Any:
        spec = federation.spec
        hasty = replace(spec, failover=replace(spec.failover, timeout=0))
        return original(replace(federation, spec=hasty), *args)

    yield changed(tcf.core.steps, "failover", judged)


FAILOVER_MUTANTS = (
    Mutant(
        "hasty first",
        "another member begins although the chosen one is not silent for long enough",
        _hasty_first,
        profiles.BEGINNINGS,
    ),
    Mutant("no proof", "a member is taken for dead without a witness", _no_proof, profiles.OUTAGES),
    Mutant("paused ignored", "a failover begins while paused", _paused_ignored, profiles.FAILOVERS),
    Mutant("cooldown ignored", "one begins during the cooldown", _cooldown_ignored, profiles.FAILOVERS),
    Mutant("timeout ignored", "one begins before failover.timeout", _timeout_ignored, profiles.FAILOVERS),
)
