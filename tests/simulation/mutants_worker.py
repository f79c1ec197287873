"""Breaks of what a worker may answer, and of how it keeps its Lease."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import tcf.worker.lease_keeper
from simulation import profiles
from simulation.mutant import Mutant, Patch, changed
from simulation.sim_hub import SimHub, renewed
from simulation.world import Process
from tcf.core.lease_content import Renewal
from tcf.core.model import Federation, Role, WorkerLease
from tcf.core.reading import Cycle, Reading, WorkerState
from tcf.hub import errors
from tcf.worker.knowledge import Knowledge


def _late_expiry() -> Iterable[Patch]:
    granted: dict[Knowledge, float] = {}

    def announce(original: Any, knowledge: Knowledge) -> None:
        state, reading = knowledge.state, knowledge.state.reading
        if reading and reading.valid_until > granted.get(knowledge, 0):
            granted[knowledge] = knowledge.clock.boot() + 3 * state.period
            state.reading = replace(reading, valid_until=granted[knowledge])
        original(knowledge)

    yield changed(Knowledge, "announce", announce)


def _late_lowering() -> Iterable[Patch]:
    held: dict[int, Reading | None] = {}

    def observe(
        original: Any, machine: WorkerState, cycle: Cycle, about: Federation | None
    ) -> Renewal | None:
        before = machine.reading
        result: Renewal | None = original(machine, cycle, about)
        if before and before.role is Role.ACTIVE:
            held[id(machine)] = machine.reading
            machine.reading = before
        return result

    def done(original: Any, machine: WorkerState, cycle: Cycle, renewal: Renewal) -> None:
        if id(machine) in held:
            machine.reading = held.pop(id(machine))
        original(machine, cycle, renewal)

    yield changed(WorkerState, "observe", observe)
    yield changed(WorkerState, "renewed", done)


def _no_cap() -> Iterable[Patch]:
    def observe(
        original: Any, machine: WorkerState, cycle: Cycle, about: Federation | None
    ) -> Renewal | None:
        before = machine.reading
        result: Renewal | None = original(machine, cycle, about)
        after = machine.reading
        if before and after and before.term == after.term:
            machine.reading = replace(after, valid_until=before.valid_until, keep=before.keep)
        return result

    yield changed(WorkerState, "observe", observe)


def _yes_from_the_watch() -> Iterable[Patch]:
    def watched(original: Any, knowledge: Knowledge, federation: Federation) -> None:
        original(knowledge, federation)
        status = federation.status
        own = status.member(knowledge.member.cluster) if status else None
        if status and own and own.role is Role.ACTIVE:
            until = knowledge.clock.boot() + federation.spec.lease_duration
            knowledge.state.reading = Reading(
                federation.uid, status.term, own.role, status.clusters, until, keep=False
            )

    yield changed(Knowledge, "watched", watched)


def _cycle_not_voided() -> Iterable[Patch]:
    def watched(original: Any, machine: WorkerState, federation: Federation | None, now: float) -> bool:
        candidate = machine.candidate
        result: bool = original(machine, federation, now)
        machine.candidate = candidate
        return result

    def done(original: Any, machine: WorkerState, cycle: Cycle, renewal: Renewal) -> None:
        candidate = machine.candidate
        original(machine, cycle, renewal)
        machine.reading = candidate or machine.reading

    yield changed(WorkerState, "watched", watched)
    yield changed(WorkerState, "renewed", done)


def _put() -> Iterable[Patch]:
    def renew(original: Any, hub: SimHub, seen: WorkerLease, renewal: Renewal) -> WorkerLease:
        try:
            result: WorkerLease = original(hub, seen, renewal)
        except errors.NotFoundError:
            created = hub.create_lease(seen.name, seen.cluster, seen.holder, 1)
            return hub.put_lease(renewed(created, renewal))
        return result

    yield changed(SimHub, "renew_lease", renew)


def _lost_and_going_on() -> Iterable[Patch]:
    yield changed(WorkerState, "lost", lambda *_: None)


def _whosever_lease() -> Iterable[Patch]:
    yield changed(tcf.worker.lease_keeper, "counts", lambda *_: True)


def _stopped_clock() -> Iterable[Patch]:
    def stop(original: Any, process: Process, seconds: float) -> None:
        original(process, seconds)
        process.machine.stand_still(seconds)

    yield changed(Process, "stop_for", stop)


WORKER_MUTANTS = (
    Mutant("late expiry", "a reading is good from the renewal's response on", _late_expiry, profiles.FADED),
    Mutant("late lowering", "an answer is lowered after the renewal", _late_lowering, profiles.UNANSWERED),
    Mutant("no cap", "a shorter duration does not cap the present reading", _no_cap, profiles.SHORTER),
    Mutant("yes from the watch", "a watch event makes a reading", _yes_from_the_watch, profiles.FROZEN),
    Mutant(
        "cycle not voided",
        "a lowering does not void the cycle in flight",
        _cycle_not_voided,
        profiles.ANSWERED_LATE,
    ),
    Mutant("PUT", "a renewal creates the Lease again if it is gone", _put, profiles.STALLS),
    Mutant(
        "lost and going on",
        "a worker goes on answering although its Lease is lost",
        _lost_and_going_on,
        profiles.ROBBED,
    ),
    Mutant("whosever Lease", "a Lease without the labels is renewed", _whosever_lease, profiles.ROBBED),
    Mutant(
        "stopped clock", "the clock stands still while a process is stopped", _stopped_clock, profiles.FROZEN
    ),
)
