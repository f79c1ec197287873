"""Breaks of what a failover waits for."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import tcf.core.failover
import tcf.core.steps
from simulation import profiles
from simulation.mutant import Mutant, Patch, changed
from tcf.core.liveness import Workers
from tcf.core.model import Application, Federation, Spec, Status, WorkerLease
from tcf.core.peers import Peers
from tcf.core.refusals import application_unhealthy
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
    yield changed(tcf.core.failover, "cooldown_end", lambda *_: None)


def _timeout_ignored() -> Iterable[Patch]:
    def judged(original: Any, federation: Federation, *args: Any) -> Any:
        spec = federation.spec
        hasty = replace(spec, failover=replace(spec.failover, timeout=0))
        return original(replace(federation, spec=hasty), *args)

    yield changed(tcf.core.steps, "failover", judged)


def _only_successes_count() -> Iterable[Patch]:
    def end(original: Any, spec: Spec, status: Status) -> Any:
        return original(
            spec, replace(status, history=tuple(past for past in status.history if past.succeeded))
        )

    yield changed(tcf.core.failover, "cooldown_end", end)


def _unhealthy_promoted() -> Iterable[Patch]:
    for module, chain in (
        (tcf.core.steps, "TO_ACT"),
        (tcf.core.steps, "TO_BEGIN"),
        (tcf.core.failover, "TO_TAKE_OVER"),
    ):
        policies = tuple(each for each in getattr(module, chain) if each is not application_unhealthy)
        yield Patch(module, chain, policies)


def _hasty_illness() -> Iterable[Patch]:
    def last(original: Any, workers: Workers, cluster: str) -> float:
        healthy = workers.application(workers.of(cluster)) is Application.HEALTHY
        found: float = original(workers, cluster)
        return found if healthy else -math.inf

    yield changed(Workers, "last_healthy", last)


def _no_time_to_become_healthy() -> Iterable[Patch]:
    def see(original: Any, sightings: Sightings, *args: Any) -> Sightings:
        seen: Sightings = original(sightings, *args)
        known = {member: since for member, since in sightings.healthy.items() if member in seen.healthy}
        return replace(seen, healthy={**seen.healthy, **known})

    yield changed(Sightings, "see_federation", see)


def _queue_counts() -> Iterable[Patch]:
    yield changed(Sightings, "excused", lambda _, sightings, *__, **___: sightings)


def _never_steps_in() -> Iterable[Patch]:
    def acts_at(original: Any, peers: Peers, federation: str, due: float, now: float, at_work: str) -> float:
        before = peers.before(federation, now, at_work)
        return math.inf if before else original(peers, federation, due, now, at_work)

    yield changed(Peers, "acts_at", acts_at)


FAILOVER_MUTANTS = (
    Mutant(
        "queue counts",
        "a request is rolled back because the operator had no time for it",
        _queue_counts,
        profiles.OVERLOAD,
    ),
    Mutant(
        "never steps in",
        "a step is left to an operator that is dead",
        _never_steps_in,
        profiles.ONE_LEFT,
    ),
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
    Mutant(
        "only successes count",
        "a failover that was rolled back is tried again at once",
        _only_successes_count,
        profiles.STUCK,
    ),
    Mutant(
        "unhealthy promoted",
        "a member is promoted although its application is not healthy",
        _unhealthy_promoted,
        profiles.ILLNESSES,
    ),
    Mutant(
        "hasty illness",
        "a failover begins as soon as an application is not healthy",
        _hasty_illness,
        profiles.ILLNESSES,
    ),
    Mutant(
        "no time to become healthy",
        "what a member reported before it became active counts against it",
        _no_time_to_become_healthy,
        profiles.FORCED,
    ),
)
