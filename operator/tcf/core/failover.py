"""Automatic failover: may a silent active member be replaced, and by which member? If not, why not?

This also covers the bootstrap: if the member that was chosen to become active first is silent, another one is
chosen instead. The cooldown does not apply there, since nobody is active.

A failover is an ordinary switchover, fenced like any other. A wrong decision here costs a needless switch,
never a second active member. But the coordinator must not take its own trouble for that of a member: an
outage of the hub, or a stop of this process, makes every member look silent. So silence counts only if there
is a witness: a worker of another member that this coordinator has seen renewing, without a break, for as long
as the active member has to be silent. Then the hub took writes all the while, and this process received them.

Nothing fails back: a member that returns is passive until somebody promotes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tcf.core.annotations import Acknowledgement
from tcf.core.fencing import JUST_AFTER, silence_needed
from tcf.core.liveness import Workers
from tcf.core.model import (
    COORDINATOR,
    FailoverMode,
    Federation,
    Member,
    Now,
    Refusal,
    Spec,
    Status,
    Switchover,
    Trigger,
    stamp,
)
from tcf.core.refusals import TO_REPLACE, TO_TAKE_OVER, Proposal, first_refusal


@dataclass(frozen=True, slots=True)
class Standby:
    """No failover now. `until`: boot seconds at which that may change by itself; None if it will not."""

    until: float | None = None
    obstacle: str = ""


def failover(
    federation: Federation, status: Status, active: str, workers: Workers, now: Now
) -> Switchover | Standby:
    """The request that replaces `active`, if all of its workers have been silent for long enough."""
    spec = federation.spec
    if (standby := _not_dead(federation, status, active, workers)) is not None:
        return standby
    end = rests_until(spec, status)
    # If the record of a change has a time in the future, that time means nothing.
    if end and now.wall < end <= now.wall + timedelta(seconds=spec.failover.cooldown) + _CLOCKS_APART:
        wait = (end - now.wall).total_seconds()
        return Standby(now.boot + wait + JUST_AFTER, f"no failover before {stamp(end)}: {_COOLDOWN}")
    chosen = best_candidate(federation, status, active, workers)
    if isinstance(chosen, Standby):
        return chosen
    return Switchover(
        id=f"failover-{status.term}",
        from_=active,
        to=chosen.id,
        trigger=Trigger.FAILOVER,
        requested_by=str(COORDINATOR),
        reason=silence_of(active, workers, now),
        requested_at=now.stamp(),
        silent_since=_silent_since(status, active, workers, now),
    )


def first_instead(federation: Federation, status: Status, chosen: str, workers: Workers) -> Member | Standby:
    """The member that becomes active first if the workers of `chosen` have been silent for long enough."""
    standby = _not_dead(federation, status, chosen, workers)
    return best_candidate(federation, status, chosen, workers) if standby is None else standby


def silence_of(member: str, workers: Workers, now: Now) -> str:
    """How long a member has been silent, for people to read."""
    return f"no worker of {member} has given a sign of life for {now.boot - workers.last_heard(member):.1f} s"


def _not_dead(federation: Federation, status: Status, member: str, workers: Workers) -> Standby | None:
    """Why `member` must not be replaced because of its silence; None if it may be."""
    spec = federation.spec
    if spec.failover.mode is not FailoverMode.AUTOMATIC:
        return Standby()
    due = workers.last_heard(member) + _needed(spec, workers, member)
    if workers.as_of <= due:
        return Standby(due + JUST_AFTER)
    refusal = first_refusal(TO_REPLACE, Proposal(spec, status, member, ""))
    return Standby(obstacle=refusal.message) if refusal else None


def _needed(spec: Spec, workers: Workers, member: str) -> float:
    """Seconds for which a member has to be silent, and a witness has to renew, before a failover."""
    return max(_silence_of_the_dead(spec, workers, member), spec.failover.timeout)


def _silent_since(status: Status, active: str, workers: Workers, now: Now) -> str:
    """Since when the member has been silent: the earliest time that is known, for people to read.

    Another process may have recorded an earlier time than this one has seen, and so may the Leases.
    """
    row = status.member(active)
    renewed = max((lease.renewed_at for lease in workers.of(active)), default="")
    heard = stamp(now.wall - timedelta(seconds=now.boot - workers.last_heard(active)))
    return min(moment for moment in (heard, renewed, row.silent_since if row else None) if moment)


_CLOCKS_APART = timedelta(minutes=1)
"""The wall clocks of two operators are assumed to differ by no more than this."""
_COOLDOWN = "the active member has changed only recently (spec.failover.cooldown)"


def rests_until(spec: Spec, status: Status) -> datetime | None:
    """The end of the cooldown after the latest change of the active member; None if there was no change.

    It counts by the wall clock, because every operator has to count from the same moment, across restarts.
    """
    for past in status.history:
        if past.succeeded and past.to and past.trigger is not Trigger.BOOTSTRAP:
            try:
                changed = datetime.fromisoformat(past.finished_at).astimezone(UTC)
            except ValueError:
                return None
            return changed + timedelta(seconds=spec.failover.cooldown)
    return None


def without_active(request: Switchover, now: Now) -> int:
    """If a failover ends now: for how many seconds nobody has answered "active", as far as is known."""
    try:
        since = datetime.fromisoformat(request.silent_since or request.requested_at)
    except ValueError:
        since = now.wall
    return max(0, int((now.wall - since).total_seconds()) + 1)


def _silence_of_the_dead(spec: Spec, workers: Workers, cluster: str) -> float:
    """Seconds without a renewal after which no worker of the member can still answer "active".

    The duration in the spec is the least that counts: a Lease that has just been created has a short
    duration, which says nothing about the Leases that were there before.
    """
    own = (silence_needed(lease.duration) for lease in workers.of(cluster) if not workers.silent(lease))
    return max((silence_needed(spec.lease_duration), *own))


def best_candidate(federation: Federation, status: Status, active: str, workers: Workers) -> Member | Standby:
    """The best member that can take over: by priority, the highest first, then by the order of the spec.

    A Lease whose duration is longer than the spec's is no witness. Its renewals may be too far apart to
    prove that this process was not stopped in between.
    """
    table = Acknowledgement(federation.uid, status.term)
    needed = _needed(federation.spec, workers, active)
    times: list[float] = []
    refusal: Refusal | None = None
    for member in sorted(federation.spec.clusters, key=lambda m: -m.priority):
        if member.id == active:
            continue
        since = [
            moment
            for lease in workers.of(member.id)
            if lease.acknowledged == table
            and lease.duration <= federation.spec.lease_duration
            and (moment := workers.sightings.renewing_since(lease, workers.now)) is not None
        ]
        if not since:
            continue
        if workers.as_of - min(since) <= needed:
            times.append(min(since) + needed + JUST_AFTER)
            continue
        in_the_way = workers.unfenceable(workers.others(member.id))
        proposal = Proposal(federation.spec, status, member.id, member.id, unfenceable=in_the_way)
        refused = first_refusal(TO_TAKE_OVER, proposal)
        if refused is None:
            return member
        refusal = refusal or refused
    if refusal:
        return Standby(min(times, default=None), refusal.message)
    return Standby(
        min(times, default=None),
        f"{active} is silent, but no other member has a worker that has been renewing for {needed:.1f} s",
    )
