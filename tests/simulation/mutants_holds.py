"""Breaks of the rules of holds: those that the worker keeps, and those that a holder keeps."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from simulation import profiles
from simulation.holders import Holder
from simulation.mutant import Mutant, Patch, changed
from tcf.core.cover import Cover
from tcf.core.holds import Hold, HoldRequest, Holds
from tcf.core.lease_content import Renewal
from tcf.core.model import Federation, Role, WorkerLease
from tcf.core.reading import WorkerState
from tcf.worker.holders import HoldAnswer, Holders


def _acknowledged_in_spite() -> Iterable[Patch]:
    yield Patch(Cover, "withholds", lambda *_: False)


def _beyond_the_reading() -> Iterable[Patch]:
    def hold(
        original: Any, cover: Cover, request: HoldRequest, now: float, *, active_until: float, keep: bool
    ) -> Any:
        until = math.inf if active_until > now else active_until
        return original(cover, request, now, active_until=until, keep=keep)

    yield changed(Cover, "hold", hold)


def _on_a_watch_event() -> Iterable[Patch]:
    newest: dict[WorkerState, tuple[bool, int]] = {}

    def watched(original: Any, state: WorkerState, federation: Federation | None, now: float) -> Any:
        result = original(state, federation, now)
        status = federation.status if federation else None
        row = status.member(state._cluster) if status else None
        duration = federation.spec.lease_duration if federation else 0
        newest[state] = (row is not None and row.role is Role.ACTIVE), duration
        return result

    def hold(original: Any, state: WorkerState, request: HoldRequest, now: float) -> Any:
        active, duration = newest.get(state, (False, 0))
        if active:
            return state.cover.hold(request, now, active_until=now + duration, keep=False)
        return original(state, request, now)

    yield changed(WorkerState, "watched", watched)
    yield changed(WorkerState, "hold", hold)


def _drained_for_ever() -> Iterable[Patch]:
    """A draining hold is extended whatever the Lease promises."""

    def hold(original: Any, cover: Cover, request: HoldRequest, now: float, **more: Any) -> Any:
        if request.draining and cover.holds.outstanding(*request.key, now):
            return cover.holds.note(request, now, math.inf)
        return original(cover, request, now, **more)

    yield changed(Cover, "hold", hold)


def _drained_past_the_limit() -> Iterable[Patch]:
    def saw(original: Any, cover: Cover, *seen: Any) -> None:
        original(cover, *seen)
        cover._lost_at = math.inf

    yield changed(Cover, "saw", saw)


def _unsure_writes_ignored() -> Iterable[Patch]:
    def sending(original: Any, cover: Cover, renewal: Renewal, now: float) -> None:
        promised = cover._promised
        original(cover, renewal, now)
        cover._promised = promised

    yield changed(Cover, "sending", sending)


def _not_stretched() -> Iterable[Patch]:
    def composed(original: Any, cover: Cover, renewal: Renewal, lease: WorkerLease, now: float) -> Renewal:
        content: Renewal = original(cover, renewal, lease, now)
        return replace(content, duration=renewal.duration)

    yield changed(Cover, "composed", composed)


def _shortened() -> Iterable[Patch]:
    def note(original: Any, holds: Holds, request: HoldRequest, now: float, limit: float) -> Hold | None:
        hold: Hold | None = original(holds, request, now, limit)
        if hold and limit > now:
            hold = replace(hold, until=min(now + request.seconds, limit))
            holds._holds[request.key] = hold
        return hold

    yield changed(Holds, "note", note)


def _revived() -> Iterable[Patch]:
    """And its holder believes the answer."""
    yield Patch(Holds, "outstanding", lambda holds, name, instance, _: (name, instance) in holds._holds)
    yield Patch(Holder, "may_take", lambda *_: True)


def _deleted_in_spite() -> Iterable[Patch]:
    yield Patch(Holders, "end", lambda _: None)


def _anybodys_release() -> Iterable[Patch]:
    def release(original: Any, holds: Holds, name: str, _: str) -> None:
        for other in [key for key in holds._holds if key[0] == name]:
            original(holds, *other)

    yield changed(Holds, "release", release)


def _released_unnoticed() -> Iterable[Patch]:
    """Nobody acts on the end of a hold before the next cycle, nor then."""

    def withholds(original: Any, cover: Cover, now: float) -> bool:
        return original(cover, now) or bool(cover.holds._holds)

    yield changed(Cover, "withholds", withholds)


def _counted_from_the_answer() -> Iterable[Patch]:
    def take(original: Any, holder: Holder, given: HoldAnswer, epoch: int, _: float) -> None:
        original(holder, given, epoch, holder.machine.boot())

    yield changed(Holder, "take", take)


def _late_answers_count() -> Iterable[Patch]:
    def take(original: Any, holder: Holder, given: HoldAnswer, _: int, sent: float) -> None:
        original(holder, given, holder.epoch, sent)

    yield changed(Holder, "take", take)


def _same_instance() -> Iterable[Patch]:
    yield Patch(Holder, "instance", property(lambda holder: holder.name))


def _mutant(name: str, what: str, patches: Any, profile: Any = profiles.HOLDS) -> Mutant:
    return Mutant(name, what, patches, profile)


HOLDS_MUTANTS = (
    _mutant(
        "in spite of a hold", "a loss is acknowledged although a hold is outstanding", _acknowledged_in_spite
    ),
    _mutant("beyond the reading", "a hold lasts longer than the reading", _beyond_the_reading),
    _mutant("on a watch event", "a hold is granted because of a watch event", _on_a_watch_event),
    _mutant(
        "drained for ever",
        "a holder that drains gets all the time it wants",
        _drained_for_ever,
        profiles.INTERRUPTED_DRAINERS,
    ),
    _mutant(
        "drained past the limit",
        "draining holds up a switchover for longer than half of switchoverTimeout",
        _drained_past_the_limit,
        profiles.DRAINERS,
    ),
    _mutant(
        "unsure writes ignored",
        "a holder that drains gets time that a write under way may have taken away",
        _unsure_writes_ignored,
        profiles.SHORTER_WHILE_DRAINING,
    ),
    _mutant("not stretched", "a shorter Lease does not last until the holds have ended", _not_stretched),
    _mutant("shortened", "a later request makes a hold shorter", _shortened),
    _mutant("revived", "a hold that has run out is extended", _revived, profiles.SLOW_HOLDERS),
    _mutant(
        "deleted in spite",
        "a clean stop deletes the Lease in spite of a hold",
        _deleted_in_spite,
        profiles.INTERRUPTED_DRAINERS,
    ),
    _mutant("anybody's release", "a release ends the holds of others", _anybodys_release),
    _mutant("released unnoticed", "the end of a hold does not count", _released_unnoticed),
    _mutant("counted from the answer", "a holder counts from the answer", _counted_from_the_answer),
    _mutant(
        "late answers count",
        "a holder acts by answers from before its release",
        _late_answers_count,
        profiles.SLOW_HOLDERS,
    ),
    _mutant(
        "same instance",
        "a holder uses its instance again after a release",
        _same_instance,
        profiles.SLOW_HOLDERS,
    ),
)
