"""Automatic failover: may an active member that cannot act be replaced, and by which one? If not, why not?

A member cannot act when it is silent. If the federation follows applications, it cannot act either while none
of its live workers reports a healthy application (`refusals.TO_ACT` judges both).

This also covers the bootstrap: if the member that was chosen to become active first cannot act, another one
is chosen instead. The cooldown does not apply there, since nobody is active.

A failover is an ordinary switchover, fenced like any other. A wrong decision here costs a needless switch,
never a second active member. But the coordinator must not take its own trouble for that of a member: an
outage of the hub, or a stop of this process, makes every member look silent, and hides that an application
has become healthy again. So the time counts only if there is a witness: a worker of another member that this
coordinator has seen renewing, without a break, for all of that time. Then the hub took writes all the while,
and this process received them.

A failover that was rolled back is not tried again before the cooldown is over. Each attempt takes the role
from a member for a while, and its applications have to stop for it. With a cause that lasts (a candidate that
never takes over, an application that never lets go), a federation without this rest would do nothing else.

Nothing fails back: a member that returns is passive until somebody promotes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tcf.core.annotations import Acknowledgement
from tcf.core.application_health import trouble
from tcf.core.fencing import JUST_AFTER, silence_needed
from tcf.core.liveness import Workers
from tcf.core.model import (
    COORDINATOR,
    FailoverMode,
    Federation,
    Follows,
    HistoryEntry,
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
    """The request that replaces `active`, if it has not been able to act for long enough."""
    spec = federation.spec
    if (standby := _not_yet(federation, status, active, workers)) is not None:
        return standby
    end = cooldown_end(spec, status)
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
        reason=why_unable(spec, active, workers),
        requested_at=now.stamp(),
        silent_since=None if _trouble(spec, active, workers) else _silent_since(status, active, workers, now),
    )


def first_instead(federation: Federation, status: Status, chosen: str, workers: Workers) -> Member | Standby:
    """The member that becomes active first if `chosen` has not been able to act for long enough."""
    standby = _not_yet(federation, status, chosen, workers)
    return best_candidate(federation, status, chosen, workers) if standby is None else standby


def proposed(
    federation: Federation,
    status: Status,
    workers: Workers,
    *,
    to: str,
    from_: str = "",
    force: bool = False,
) -> Proposal:
    """The proposal to make `to` active, or nobody instead of `from_`, with what the Leases say about it."""
    own = workers.of(to)
    return Proposal(
        spec=federation.spec,
        status=status,
        cluster=to,
        target=to,
        live_workers=workers.alive(own),
        application=workers.application(own),
        unfenceable=workers.unfenceable(workers.others(to) if to else workers.of(from_)),
        force=force,
    )


def why_unable(spec: Spec, member: str, workers: Workers) -> str:
    """Why a member cannot act, and for how long that has been so, for people to read."""
    if why := _trouble(spec, member, workers):
        return f"{why}; it has not been healthy for {workers.now - workers.last_healthy(member):.1f} s"
    silence = workers.now - workers.last_heard(member)
    return f"no worker of {member} has given a sign of life for {silence:.1f} s"


def _trouble(spec: Spec, member: str, workers: Workers) -> str:
    """What is wrong with the application of a member that has a live worker; "" if it has none."""
    own = workers.of(member)
    return trouble(spec, member, workers.application(own)) if workers.alive(own) else ""


def _last_able(spec: Spec, member: str, workers: Workers) -> float:
    """Boot time at which the member was last able to act, as far as this coordinator knows."""
    if spec.failover.follows is Follows.APPLICATIONS:
        return workers.last_healthy(member)
    return workers.last_heard(member)


def _not_yet(federation: Federation, status: Status, member: str, workers: Workers) -> Standby | None:
    """Why `member` must not be replaced; None if it may be."""
    spec = federation.spec
    if spec.failover.mode is not FailoverMode.AUTOMATIC:
        return Standby()
    due = _last_able(spec, member, workers) + _needed(spec, workers, member)
    if workers.as_of <= due:
        return Standby(due + JUST_AFTER)
    refusal = first_refusal(TO_REPLACE, Proposal(spec, status, member, ""))
    return Standby(obstacle=refusal.message) if refusal else None


def _needed(spec: Spec, workers: Workers, member: str) -> float:
    """Seconds for which a member must not have been able to act, and a witness has to renew."""
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
_COOLDOWN = "the active member has changed, or a failover has failed, only recently (spec.failover.cooldown)"


def cooldown_end(spec: Spec, status: Status) -> datetime | None:
    """The end of the latest cooldown; None if there was no reason for one.

    It counts by the wall clock, because every operator has to count from the same moment, across restarts.
    """
    for past in status.history:
        if _calls_for_rest(past):
            try:
                changed = datetime.fromisoformat(past.finished_at).astimezone(UTC)
            except ValueError:
                return None
            return changed + timedelta(seconds=spec.failover.cooldown)
    return None


def _calls_for_rest(past: HistoryEntry) -> bool:
    """Has this request changed the active member, or was it a failover that has failed?"""
    if past.succeeded:
        return bool(past.to) and past.trigger is not Trigger.BOOTSTRAP
    return past.trigger is Trigger.FAILOVER


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
        refused = first_refusal(TO_TAKE_OVER, proposed(federation, status, workers, to=member.id))
        if refused is None:
            return member
        refusal = refusal or refused
    if refusal:
        return Standby(min(times, default=None), refusal.message)
    why = _trouble(federation.spec, active, workers) or f"{active} is silent"
    return Standby(
        min(times, default=None),
        f"{why}, but no other member has a worker that has been renewing for {needed:.1f} s",
    )
