"""Automatic failover: may a silent active member be replaced, by whom, and if not, why not?

It begins an ordinary switchover, fenced like any other; a wrong verdict costs a needless switch, never
a second active member. What it must not do is to take its own trouble for a member's: an outage of the
hub, or a stop of this process, silences everybody. So silence counts only if another member's worker
was seen renewing throughout, without a break, for as long as the active one may be silent at most: then
the hub took writes, and this process received them.

Nothing fails back: a member that returns is passive until somebody asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tcf.core.fencing import JUST_AFTER, silence_needed
from tcf.core.liveness import Workers
from tcf.core.model import (
    Acknowledgement,
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
from tcf.core.policies import Proposal, cannot_fence, paused


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
    if spec.failover.mode is not FailoverMode.AUTOMATIC:
        return Standby()
    proof = _silence_of_the_dead(spec, workers, active)
    heard = workers.last_heard(active)
    due = heard + max(proof, spec.failover.timeout)
    if now.boot <= due:
        return Standby(due + JUST_AFTER)
    if refusal := paused.check(Proposal(spec, status, active, "")):
        return Standby(obstacle=refusal.message)
    rested = rests_until(spec, status)
    if rested and now.wall < rested:
        wait = (rested - now.wall).total_seconds()
        return Standby(now.boot + wait + JUST_AFTER, f"no failover before {stamp(rested)}: {_COOLDOWN}")
    chosen = _candidate(federation, status, active, workers, proof)
    if isinstance(chosen, Standby):
        return chosen
    return Switchover(
        id=f"failover-{status.term}",
        from_=active,
        to=chosen.id,
        trigger=Trigger.FAILOVER,
        requested_by="coordinator",
        reason=f"no worker of {active} has been heard of for {now.boot - heard:.1f} s",
        requested_at=now.stamp(),
        silent_since=stamp(now.wall - timedelta(seconds=now.boot - heard)),
    )


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
    """For how many seconds, at most, nobody has answered "active" when a failover ends now."""
    try:
        since = datetime.fromisoformat(request.silent_since or request.requested_at)
    except ValueError:
        since = now.wall
    return max(0, int((now.wall - since).total_seconds()) + 1)


def _silence_of_the_dead(spec: Spec, workers: Workers, cluster: str) -> float:
    """Seconds without renewal after which no worker of the member can still be answering."""
    own = [silence_needed(lease.duration) for lease in workers.of(cluster)]
    return max(own, default=silence_needed(spec.lease_duration))


def _candidate(
    federation: Federation, status: Status, active: str, workers: Workers, proof: float
) -> Member | Standby:
    """The best member that is fit to take over: highest priority first, then in the spec's order."""
    table = Acknowledgement(federation.uid, status.term)
    times: list[float] = []
    refusal: Refusal | None = None
    for member in sorted(federation.spec.clusters, key=lambda m: -m.priority):
        if member.id == active:
            continue
        since = [
            moment
            for lease in workers.of(member.id)
            if lease.acknowledged == table
            and (moment := workers.memory.renewing_since(lease, workers.now)) is not None
        ]
        if not since:
            continue
        if workers.now - min(since) <= proof:
            times.append(min(since) + proof + JUST_AFTER)
            continue
        in_the_way = workers.unfenceable(workers.others(member.id))
        proposal = Proposal(federation.spec, status, member.id, member.id, unfenceable=in_the_way)
        refused = cannot_fence.check(proposal)
        if refused is None:
            return member
        refusal = refusal or refused
    if refusal:
        return Standby(min(times, default=None), refusal.message)
    return Standby(
        min(times, default=None),
        f"{active} is silent, but no other member has a worker that has been renewing for {proof:.1f} s",
    )
