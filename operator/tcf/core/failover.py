"""Automatic failover: may a silent active member be replaced, by whom, and if not, why not?

A beginning is covered as well: if the member that was chosen to become active first is silent, another one is
chosen in its stead. The cooldown does not count there, since nobody is active.

It begins an ordinary switchover, fenced like any other; a wrong verdict costs a needless switch, never
a second active member. What it must not do is to take its own trouble for a member's: an outage of the
hub, or a stop of this process, silences everybody. So silence counts only if another member's worker
was seen renewing throughout, without a break, for as long as the active one has to be silent: then the
hub took writes, and this process received them.

Nothing fails back: a member that returns is passive until somebody asks for it.
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
from tcf.core.policies import TO_REPLACE, TO_TAKE_OVER, Proposal, first_refusal


@dataclass(frozen=True, slots=True)
class Standby:
    """No failover now. `until`: boot seconds at which that may change by itself, None if it won't."""

    until: float | None = None
    obstacle: str = ""


def failover(
    federation: Federation, status: Status, active: str, workers: Workers, now: Now
) -> Switchover | Standby:
    """The request that replaces `active`, if all of its workers have been silent for long enough."""
    spec = federation.spec
    if (standby := _not_dead(federation, status, active, workers)) is not None:
        return standby
    rested = rests_until(spec, status)
    # A change that is recorded as one of the future says nothing of when it was.
    if rested and now.wall < rested <= now.wall + timedelta(seconds=spec.failover.cooldown) + _CLOCKS_APART:
        wait = (rested - now.wall).total_seconds()
        return Standby(now.boot + wait + JUST_AFTER, f"no failover before {stamp(rested)}: {_COOLDOWN}")
    chosen = best_candidate(federation, status, active, workers)
    if isinstance(chosen, Standby):
        return chosen
    return Switchover(
        id=f"failover-{status.term}",
        from_=active,
        to=chosen.id,
        trigger=Trigger.FAILOVER,
        requested_by=str(COORDINATOR),
        reason=unheard(active, workers, now),
        requested_at=now.stamp(),
        silent_since=_silent_since(status, active, workers, now),
    )


def first_instead(federation: Federation, status: Status, chosen: str, workers: Workers) -> Member | Standby:
    """Who becomes active first in the stead of `chosen`, if its workers have been silent for long enough."""
    standby = _not_dead(federation, status, chosen, workers)
    return best_candidate(federation, status, chosen, workers) if standby is None else standby


def unheard(member: str, workers: Workers, now: Now) -> str:
    """For how long a member has been silent, for people."""
    return f"no worker of {member} has been heard of for {now.boot - workers.last_heard(member):.1f} s"


def _not_dead(federation: Federation, status: Status, member: str, workers: Workers) -> Standby | None:
    """Why `member` is not to be replaced for its silence; None if it is."""
    spec = federation.spec
    if spec.failover.mode is not FailoverMode.AUTOMATIC:
        return Standby()
    due = workers.last_heard(member) + _needed(spec, workers, member)
    if workers.as_of <= due:
        return Standby(due + JUST_AFTER)
    refusal = first_refusal(TO_REPLACE, Proposal(spec, status, member, ""))
    return Standby(obstacle=refusal.message) if refusal else None


def _needed(spec: Spec, workers: Workers, member: str) -> float:
    """Seconds of silence of a member, and of a witness beside it, until it is replaced."""
    return max(_silence_of_the_dead(spec, workers, member), spec.failover.timeout)


def _silent_since(status: Status, active: str, workers: Workers, now: Now) -> str:
    """Since when nobody has answered for the member: the earliest that is known, for people to read.

    This process may have seen less of it than another one has written down, or than the Leases tell.
    """
    row = status.member(active)
    renewed = max((lease.renewed_at for lease in workers.of(active)), default="")
    heard = stamp(now.wall - timedelta(seconds=now.boot - workers.last_heard(active)))
    return min(moment for moment in (heard, renewed, row.silent_since if row else None) if moment)


_CLOCKS_APART = timedelta(minutes=1)
"""How far apart the wall clocks of two replicas are believed to be at most."""
_COOLDOWN = "the active member has changed only recently (spec.failover.cooldown)"


def rests_until(spec: Spec, status: Status) -> datetime | None:
    """The end of the cooldown after the latest change of the active member; None if there was none.

    By the wall clock, because every replica has to count from the same moment, across restarts.
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
    """For how many seconds nobody has answered "active", as far as is known, when a failover ends now."""
    try:
        since = datetime.fromisoformat(request.silent_since or request.requested_at)
    except ValueError:
        since = now.wall
    return max(0, int((now.wall - since).total_seconds()) + 1)


def _silence_of_the_dead(spec: Spec, workers: Workers, cluster: str) -> float:
    """Seconds without renewal after which no worker of the member can still be answering.

    At least as the spec has it: the short duration of a Lease that has just been created says nothing
    of those that were there before.
    """
    own = (silence_needed(lease.duration) for lease in workers.of(cluster) if not workers.silent(lease))
    return max((silence_needed(spec.lease_duration), *own))


def best_candidate(federation: Federation, status: Status, active: str, workers: Workers) -> Member | Standby:
    """The best member that is fit to take over: highest priority first, then in the spec's order.

    Its witness is a Lease of the spec's duration: one of a longer duration may be renewed too seldom to tell
    that this process was not stopped meanwhile.
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
