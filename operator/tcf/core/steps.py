"""How a switchover moves on: the next step for a role table, by the role of the engaged member.

===================  ==============================================  ====================
table                when                                            row of `transitions`
===================  ==============================================  ====================
E active             a request for X or for nobody, or failover      DEMOTE
E demoting           fenced                                          HAND_OVER / RETIRE
E demoting           deadline passed, X cannot act any more, or the  KEEP
                     request is gone
all passive          a request for X, fenced, and not in doubt       PROMOTE
X promoting          a worker of X has acknowledged the table        COMPLETE
X promoting          the request is for another member by now        YIELD
X promoting          deadline passed                                 GIVE_BACK / YIELD
===================  ==============================================  ====================
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tcf.core.annotations import Acknowledgement
from tcf.core.bootstrap import chosen_first, resumed
from tcf.core.failover import Standby, failover, first_instead, proposed, why_unable, without_active
from tcf.core.fencing import Fence, fence, silence_needed
from tcf.core.history import ended
from tcf.core.liveness import Workers, in_the_way, named
from tcf.core.model import (
    Event,
    Federation,
    Isolation,
    Now,
    Refusal,
    Role,
    Status,
    Switchover,
    Trigger,
    WorkerLease,
)
from tcf.core.reasons import EventReason, Outcome
from tcf.core.refusals import TO_ACT, TO_BEGIN, Policy, first_refusal
from tcf.core.transitions import Row, move

_LONGEST_QUEUE = 600.0
"""Seconds in the queue that excuse an old request, at most: this process may have been stopped in it."""


@dataclass(frozen=True, slots=True)
class Step:
    """A change of the status. `on_leases`: it depends on Leases, so they have to be listed first.

    `on_loss`: it depends on a loss, so the federation has to be read again first. The coordinator may
    remember a version from before the loss, and a restored hub may have given the same number to another
    version.
    """

    status: Status
    on_leases: bool = False
    on_loss: bool = False
    delete: tuple[WorkerLease, ...] = ()
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to change before boot time `until` (None: before something happens), because of `obstacle`."""

    until: float | None = None
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A federation that has a status, with everything by which the rules below judge it."""

    federation: Federation
    status: Status
    workers: Workers
    now: Now

    @property
    def request(self) -> Switchover | None:
        return self.status.switchover

    @property
    def table(self) -> Acknowledgement:
        """What a worker has to acknowledge to be fenced, or to take over."""
        return Acknowledgement(self.federation.uid, self.status.term)

    def deadline(self, request: Switchover) -> float:
        """Boot time until which the request may stay at this table, on the coordinator's own clock."""
        stage = self.workers.sightings.stage
        since = stage.met if stage and stage.request == request.id else self.now.boot
        excused = stage.excused if stage and stage.request == request.id else 0.0
        return since + excused + self.federation.spec.switchover_timeout

    def queued(self, request: Switchover) -> float:
        """Seconds for which the request has waited for its turn with this coordinator."""
        stage = self.workers.sightings.stage
        return min(stage.queued, _LONGEST_QUEUE) if stage and stage.request == request.id else 0.0

    def doubtful_until(self) -> float:
        """Boot time at which every reading of a lost table has expired."""
        known = self.workers.sightings.doubt
        return known.until if known else -math.inf

    def refusal(self, policies: Iterable[Policy], request: Switchover) -> Refusal | None:
        """Why the request is refused, by the first of these policies that objects; None if none does."""
        proposal = proposed(
            self.federation,
            self.status,
            self.workers,
            to=request.to,
            from_=request.from_,
            force=request.force,
        )
        return first_refusal(policies, proposal)

    def fence(self, request: Switchover, leases: Iterable[WorkerLease]) -> Fence:
        sightings, now = self.workers.sightings, self.now.boot
        return fence(leases, sightings.age, self.table, now, force=request.force)


def progress(case: Case) -> Step | Wait:
    engaged = case.status.engaged
    if engaged is None:
        return _when_nobody(case)
    rules = {
        Role.ACTIVE: _when_active,
        Role.DEMOTING: _when_demoting,
        Role.PROMOTING: _when_promoting,
    }
    return rules[engaged.role](case, engaged.id)


def _when_active(case: Case, active: str) -> Step | Wait:
    request = case.request
    if request is None:
        return _without_request(case, active)
    if request.to == active:
        return _end(case.status, Outcome.SUCCEEDED, f"{active} was active already", case.now)
    if refusal := _refusal(case, request):
        return _end(case.status, refusal.reason, refusal.message, case.now, on_leases=True)
    after = move(case.status, Row.DEMOTE, {active: Role.DEMOTING})
    return Step(after, event=event_of(after, request, EventReason.DEMOTING, f"{active} gives up its role"))


def _without_request(case: Case, active: str) -> Step | Wait:
    """There is no request, but an active member that cannot act may have to be replaced."""
    verdict = failover(case.federation, case.status, active, case.workers, case.now)
    if isinstance(verdict, Standby):
        return Wait(verdict.until, verdict.obstacle)
    after = move(replace(case.status, switchover=verdict), Row.DEMOTE, {active: Role.DEMOTING})
    event = event_of(
        after, verdict, EventReason.FAILING_OVER, f"{verdict.to} replaces {active}", warning=True
    )
    return Step(after, on_leases=True, event=event)


def _when_demoting(case: Case, old: str) -> Step | Wait:
    status, request, now = case.status, case.request, case.now
    if request is None or request.to == old:
        message = f"{old} stays active: no request is for another member"
        after = move(status, Row.KEEP, {old: Role.ACTIVE})
        event = event_of(after, request, EventReason.KEPT, message)
        return Step(ended(after, Outcome.SUCCEEDED, message, now), event=event)
    if refusal := case.refusal(TO_ACT, request):
        after = move(status, Row.KEEP, {old: Role.ACTIVE})
        return _rolled_back(after, request, f"{old} stays active: {refusal.message}", now)
    # If nobody is promoted, it is enough that the old member has stopped. A member that is promoted later is
    # fenced against all others.
    verdict = case.fence(request, case.workers.others(request.to) if request.to else case.workers.of(old))
    if verdict.closed and request.to:
        message = f"{old} is passive, {request.to} takes over"
        after = move(status, Row.HAND_OVER, {old: Role.PASSIVE, request.to: Role.PROMOTING})
        return _fenced(after, request, EventReason.PROMOTING, message, verdict)
    if verdict.closed:
        message = f"{old} is passive, nobody is active"
        after = move(status, Row.RETIRE, {old: Role.PASSIVE})
        step = _fenced(after, request, EventReason.DEMOTED, message, verdict)
        return replace(step, status=ended(after, Outcome.SUCCEEDED, message + _forced(request), now))
    deadline = case.deadline(request)
    if now.boot >= deadline:
        after = move(status, Row.KEEP, {old: Role.ACTIVE})
        return _rolled_back(after, request, f"{old} stays active: {_blocked_by(case, verdict)}", now)
    return _waiting(verdict, deadline)


def _when_nobody(case: Case) -> Step | Wait:
    request = case.request
    if request is None:
        again = resumed(case.federation, case.status, case.now)
        return Step(again) if again else Wait()
    if not request.to:
        return _end(case.status, Outcome.SUCCEEDED, "nobody is active", case.now)
    if case.now.boot < (until := case.doubtful_until()):
        return Wait(until, f"{request.to} waits until every reading of the lost table has expired")
    return _to_be_promoted(case, request)


def _to_be_promoted(case: Case, request: Switchover) -> Step | Wait:
    bootstrap = request.trigger is Trigger.BOOTSTRAP
    if bootstrap and (unable := case.refusal(TO_ACT, request)):
        return _chosen_instead(case, request, unable.message)
    if not bootstrap and (refusal := _refusal(case, request)):
        return _end(case.status, refusal.reason, refusal.message, case.now, on_leases=True)
    verdict = case.fence(request, case.workers.others(request.to))
    if verdict.closed:
        after = move(case.status, Row.PROMOTE, {request.to: Role.PROMOTING})
        return _fenced(after, request, EventReason.PROMOTING, f"{request.to} takes the active role", verdict)
    if bootstrap:
        return _waiting(verdict)
    deadline = case.deadline(request)
    if case.now.boot >= deadline:
        message = f"nobody became active: {_blocked_by(case, verdict)}"
        return _end(case.status, Outcome.TIMED_OUT, message, case.now, on_leases=True)
    return _waiting(verdict, deadline)


def _chosen_instead(case: Case, request: Switchover, obstacle: str) -> Step | Wait:
    """Choose another member to become active first, if the chosen one cannot act. Otherwise wait for it."""
    chosen = first_instead(case.federation, case.status, request.to, case.workers)
    if isinstance(chosen, Standby):
        return Wait(chosen.until, chosen.obstacle or obstacle)
    why = why_unable(case.federation.spec, request.to, case.workers)
    message = f"{why}; {chosen.id} becomes active first instead"
    over = ended(case.status, Outcome.SUPERSEDED, message, case.now)
    after = chosen_first(case.federation, over, chosen.id, case.now)
    event = event_of(after, after.switchover, EventReason.CHOSEN_INSTEAD, message, warning=True)
    return Step(after, on_leases=True, event=event)


def _when_promoting(case: Case, new: str) -> Step | Wait:
    status, request, now = case.status, case.request, case.now
    if request is None or request.to != new:
        after = move(status, Row.YIELD, {new: Role.PASSIVE})
        why = "the request is for another member now" if request else "the request is gone"
        message = f"{new} is passive again: {why}"
        return Step(after, event=event_of(after, request, EventReason.YIELDED, message))
    own = case.workers.of(new)
    ready = any(lease.acknowledged == case.table for lease in own)
    if ready or (request.force and not case.workers.alive(own)):
        message = f"{new} is active" + ("" if ready else " by force, without a live worker")
        if request.trigger is Trigger.FAILOVER:
            message += f"; nobody was active for {without_active(request, now)} s, as far as is known"
        after = replace(move(status, Row.COMPLETE, {new: Role.ACTIVE}), in_doubt=None)
        event = event_of(after, request, EventReason.ACTIVE, message, warning=not ready)
        message += _forced(request) if ready else ""
        return Step(ended(after, Outcome.SUCCEEDED, message, now), event=event)
    obstacle = f"no worker of {new} has taken over yet"
    if request.trigger is Trigger.BOOTSTRAP:
        return _chosen_instead(case, request, obstacle)
    deadline = case.deadline(request)
    if now.boot < deadline:
        return Wait(deadline, obstacle)
    why = (
        f"no worker of {new} took over in time;"
        " check that one is running and can reach the hub, then ask again"
    )
    former = request.from_
    if case.federation.spec.member(former):
        after = move(status, Row.GIVE_BACK, {new: Role.PASSIVE, former: Role.ACTIVE})
        message = f"{former} is active again: {why}"
    else:
        after = move(status, Row.YIELD, {new: Role.PASSIVE})
        message = f"nobody is active: {why}"
    return _rolled_back(after, request, message, now)


# --- what the rules depend on -----------------------------------------------------------------------


def _refusal(case: Case, request: Switchover) -> Refusal | None:
    """Why no coordinator may begin with this request; None if one may."""
    if _expired(case, request):
        return Refusal(
            Outcome.EXPIRED,
            f"the request was made at {request.requested_at}, too long ago to act on it now: ask again"
            " (if you have only just made it, the clocks of the worker and of the operator differ)",
        )
    return case.refusal(TO_BEGIN, request)


def _expired(case: Case, request: Switchover) -> bool:
    """Was the request made so long ago (wall clock) that nobody can still be waiting for it?

    The time for which it has waited for its turn does not count. An outage of the hub does count.
    """
    spec, doubt, now = case.federation.spec, case.status.in_doubt, case.now
    try:
        made = datetime.fromisoformat(request.requested_at)
    except ValueError:
        return False
    limit = timedelta(seconds=2 * spec.switchover_timeout + 60 + (doubt.seconds if doubt else 0))
    age = now.wall - made - timedelta(seconds=case.queued(request)) if made.tzinfo else timedelta()
    return age > limit


def _waiting(verdict: Fence, deadline: float | None = None) -> Wait:
    until = min((t for t in (deadline, verdict.retry_at) if t is not None), default=None)
    return Wait(until, in_the_way(verdict.waiting, "these workers may still answer active"))


def _blocked_by(case: Case, verdict: Fence) -> str:
    """Why the fence did not close in time, and what to do about it."""
    workers, waiting = case.workers, verdict.waiting
    message = in_the_way(waiting, "these workers might still have answered active")
    if all(lease.held_by for lease in waiting):
        return message + "; look at their logs (GET /tcf/holds shows who holds), then ask again"
    message += "; check that they can reach the hub, or stop them, then ask again"
    if any(lease.isolation is Isolation.KEEP_ROLE for lease in waiting):
        return message + " (with force=true if you are certain that the workers under KeepRole are dead)"
    silent_at = max(workers.silent_at(lease, silence_needed(lease.duration)) for lease in waiting)
    return message + f" (if they are dead, their readings expire in {math.ceil(silent_at - workers.now)} s)"


# --- what a step looks like ---------------------------------------------------------------------------


def _end(status: Status, outcome: str, message: str, now: Now, *, on_leases: bool = False) -> Step:
    return Step(ended(status, outcome, message, now), on_leases=on_leases)


def _fenced(after: Status, request: Switchover, reason: str, message: str, verdict: Fence) -> Step:
    """A step behind a closed fence. The message names the workers that `force` has overridden."""
    overridden = [lease for lease in verdict.silent if lease.isolation is Isolation.KEEP_ROLE]
    if overridden:
        message += f", by force over silent workers under KeepRole: {named(overridden)}"
    event = event_of(after, request, reason, message, warning=bool(overridden))
    return Step(after, on_leases=True, delete=verdict.silent, event=event)


def _forced(request: Switchover) -> str:
    return " (asked for with force=true)" if request.force else ""


def _rolled_back(after: Status, request: Switchover, message: str, now: Now) -> Step:
    event = event_of(after, request, EventReason.ROLLED_BACK, message, warning=True)
    return Step(ended(after, Outcome.ROLLED_BACK, message, now), on_leases=True, event=event)


def event_of(
    after: Status, request: Switchover | None, reason: str, message: str, *, warning: bool = False
) -> Event:
    parts = [f"term {after.term}"]
    if request:
        parts += [f"request {request.id}", f"trigger {request.trigger}"]
        parts += [f"requested by {request.requested_by or 'unknown'}"]
        parts += [request.reason] if request.reason else []
    text = f"{message} ({', '.join(parts)})"
    trigger = request.trigger if request else None
    return Event(request.id if request else "repair", after.term, trigger, reason, text, warning)
