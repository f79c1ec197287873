"""The conditions of a federation, computed from its spec and its new status alone.

They contain nothing that only one coordinator knows. So all coordinators agree on what to write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from tcf.core.admission import unbelievable
from tcf.core.application_health import complaint, remedy, trouble
from tcf.core.failover import cooldown_end
from tcf.core.holds import awaited
from tcf.core.model import (
    Application,
    Condition,
    FailoverMode,
    Federation,
    Follows,
    MemberStatus,
    Now,
    Status,
    Stranger,
    Switchover,
    Trigger,
    Unfenceable,
    stamp,
)
from tcf.core.reasons import ConditionReason

_ASK_AGAIN = (
    "To ask again, POST /tcf/promote to a worker of that member,"
    " or remove spec.activeCluster and set it again"
)


@dataclass(frozen=True, slots=True)
class _Verdict:
    holds: bool
    reason: str
    message: str


def conditions(federation: Federation, status: Status, now: Now) -> tuple[Condition, ...]:
    """The four conditions for `status`. A transition time changes only when the condition's status does."""
    verdicts = {
        "Ready": _ready(federation, status, now),
        "Switching": _switching(status),
        "SpecAligned": _spec_aligned(federation, status),
        "Degraded": _degraded(federation, status, now),
    }
    return tuple(_condition(type_, verdict, federation, status, now) for type_, verdict in verdicts.items())


def _condition(type_: str, verdict: _Verdict, federation: Federation, status: Status, now: Now) -> Condition:
    old = status.condition(type_)
    value = "True" if verdict.holds else "False"
    return Condition(
        type=type_,
        status=value,
        reason=verdict.reason,
        message=verdict.message,
        last_transition_time=(old.last_transition_time if old and old.status == value else now.stamp()),
        observed_generation=federation.generation,
    )


def _start_hint(federation: Federation, cluster: str) -> str:
    return (
        f"tcf-worker --namespace {federation.namespace} --federation {federation.name} --cluster {cluster},"
        " or workers.members of the Helm chart"
    )


def _ready(federation: Federation, status: Status, now: Now) -> _Verdict:
    active = status.member(status.active_cluster)
    running = status.switchover
    if active and not active.live_workers:
        effect = "nothing answers for it"
        if any(worker.cluster == active.id for worker in status.unfenceable):
            effect = "they may still answer active under isolation KeepRole"
        return _Verdict(
            False,
            ConditionReason.NO_LIVE_WORKER,
            f"{active.id} is active, but it has no live worker"
            f"{_since(active)}, so {effect};"
            f" start or repair one ({_start_hint(federation, active.id)}), or promote another member"
            + _failover_hint(federation, status, active.silent_since or ""),
        )
    if active and (why := trouble(federation.spec, active.id, active.application)):
        return _Verdict(
            False,
            ConditionReason.APPLICATION_UNHEALTHY,
            f"{active.id} is active, but {why}; {remedy(active.application)}, or promote another member"
            + _failover_hint(federation, status, _not_ready_since(status, now)),
        )
    if active:
        return _Verdict(True, ConditionReason.ACTIVE, f"{active.id} is active")
    if running:
        return _nobody_yet(federation, status, running)
    return _Verdict(
        False,
        ConditionReason.NO_ACTIVE_CLUSTER,
        "no member is active; POST /tcf/promote to a worker of the member that should be active,"
        " or set spec.activeCluster to that member",
    )


def _nobody_yet(federation: Federation, status: Status, running: Switchover) -> _Verdict:
    if running.trigger is Trigger.BOOTSTRAP:
        target = status.member(running.to)
        if target and not target.live_workers:
            return _Verdict(
                False,
                ConditionReason.NO_WORKERS,
                f"no worker of {running.to} is alive; start one"
                f" ({_start_hint(federation, running.to)}), or promote a member that has workers"
                + _other_choice_hint(federation),
            )
        if target and (why := trouble(federation.spec, target.id, target.application)):
            return _Verdict(
                False,
                ConditionReason.APPLICATION_UNHEALTHY,
                f"{target.id} is to become active first, but {why}; {remedy(target.application)},"
                f" or promote a member that has a healthy application{_other_choice_hint(federation)}",
            )
        if in_the_way := [worker for worker in status.unfenceable if worker.cluster != running.to]:
            return _Verdict(False, ConditionReason.CANNOT_FENCE, _cannot_fence(in_the_way, running.to))
        silent = [m.id for m in status.clusters if m.id != running.to and m.live_workers < m.workers]
        if silent:
            return _Verdict(
                False,
                ConditionReason.WAITING_FOR_FENCE,
                f"{running.to} becomes active soon, when the silent workers of {', '.join(silent)} can no"
                " longer answer active",
            )
    if running.to and not status.engaged and status.in_doubt:
        return _Verdict(
            False,
            ConditionReason.HUB_RESTORED,
            f"the hub has lost an earlier status; {running.to} becomes active when no worker can still"
            f" answer by that status: {status.in_doubt.seconds} s after an operator has noticed the loss"
            f" (it was first noticed at {status.in_doubt.since})",
        )
    if running.trigger is Trigger.BOOTSTRAP:
        return _Verdict(False, ConditionReason.BOOTSTRAPPING, f"{running.to} is about to become active")
    return _Verdict(False, ConditionReason.SWITCHING, _about_to(running))


def _about_to(running: Switchover) -> str:
    if running.to:
        return f"{running.to} is about to become active"
    return f"{running.from_ or 'the active member'} is about to become passive, and nobody becomes active"


def _switching(status: Status) -> _Verdict:
    running = status.switchover
    if running is None:
        return _Verdict(False, ConditionReason.IDLE, "nothing is under way")
    reason = {
        Trigger.API: ConditionReason.REQUESTED_BY_API,
        Trigger.SPEC: ConditionReason.REQUESTED_BY_SPEC,
        Trigger.FAILOVER: ConditionReason.FAILOVER,
        Trigger.BOOTSTRAP: ConditionReason.BOOTSTRAP,
    }[running.trigger]
    message = f"from {running.from_ or 'nobody'} to {running.to or 'nobody'}"
    if running.requested_by:
        message += f", requested by {running.requested_by}"
    if running.reason:
        message += f": {running.reason}"
    message += "".join(f"; {awaited(row.held_by, row.id)}" for row in status.clusters if row.held_by)
    return _Verdict(True, reason, message)


def _spec_aligned(federation: Federation, status: Status) -> _Verdict:
    wanted = federation.spec.active_cluster
    if not wanted:
        return _Verdict(True, ConditionReason.NOT_REQUESTED, "spec.activeCluster asks for no member")
    if wanted == status.active_cluster:
        return _Verdict(True, ConditionReason.ALIGNED, f"{wanted} is active, as spec.activeCluster asks")
    running = status.switchover
    if running and running.to == wanted:
        return _Verdict(False, ConditionReason.SWITCHING, f"a switchover to {wanted} is under way")
    if running and wanted != status.observed_active_cluster:
        return _Verdict(
            False,
            ConditionReason.WAITING,
            f"the switchover to {running.to or 'nobody'} has to end first; then it is the turn of {wanted}",
        )
    last = next((h for h in status.history if h.trigger is Trigger.SPEC), None)
    if last and last.to == wanted and not last.succeeded:
        return _Verdict(
            False,
            last.outcome,
            f"spec.activeCluster asked for {wanted}, but that did not succeed: {last.message}. {_ASK_AGAIN}",
        )
    present = _about_to(running) if running else f"{status.active_cluster or 'nobody'} is active"
    return _Verdict(
        False,
        ConditionReason.DIVERGED,
        f"spec.activeCluster is {wanted}, but {present}; only a change of that field moves roles."
        f" {_ASK_AGAIN}",
    )


def _degraded(federation: Federation, status: Status, now: Now) -> _Verdict:
    if problems := list(_problems(federation, status, now)):
        return _Verdict(True, problems[0][0], ". Besides, ".join(message for _, message in problems))
    if any(m.live_workers < m.workers for m in status.clusters):
        return _Verdict(
            False,
            ConditionReason.SOME_WORKERS_SILENT,
            f"every member has a live worker, but these are silent: {_silent_workers(federation, status)};"
            " if a worker is gone for good, the operator removes its Lease after a while",
        )
    return _Verdict(
        False, ConditionReason.ALL_WORKERS_ALIVE, "every member has a live worker, and none is silent"
    )


def _problems(federation: Federation, status: Status, now: Now) -> Iterator[tuple[str, str]]:
    """Everything that a person has to look at, as reason and message, the worst first."""
    if refusal := unbelievable(replace(federation, status=status), now):
        yield refusal.reason, refusal.message
    if status.unfenceable:
        yield ConditionReason.CANNOT_FENCE, _cannot_fence(status.unfenceable, "another member")
    strays = [each for each in status.strangers if not each.problem]
    silent = [m for m in status.clusters if not m.live_workers]
    without_workers = {m.id for m in silent}
    mistyped = [each for each in strays if _meant(federation, each.cluster) in without_workers]
    if mistyped:
        yield ConditionReason.UNKNOWN_MEMBER, _of_no_member(federation, mistyped)
    if silent:
        names = ", ".join(m.id + _since(m) for m in silent)
        hints = "; ".join(_start_hint(federation, m.id) for m in silent)
        yield ConditionReason.NO_LIVE_WORKER, f"no worker is alive for {names}; start one: {hints}"
    for member in status.clusters:
        if why := _application_trouble(federation, member):
            yield ConditionReason.APPLICATION_UNHEALTHY, f"{why}; {remedy(member.application)}"
    if crashing := [m for m in status.clusters if not silent and m.workers > 2 * m.live_workers]:
        yield (
            ConditionReason.WORKERS_SILENT,
            (
                f"every member has a live worker, but most workers of {', '.join(m.id for m in crashing)}"
                f" are silent: {_silent_workers(federation, status)}; they crash again and again, or cannot"
                " reach the hub: look at their logs"
            ),
        )
    if others := [each for each in strays if each not in mistyped]:
        yield ConditionReason.UNKNOWN_MEMBER, _of_no_member(federation, others)
    if odd := [each for each in status.strangers if each.problem]:
        yield ConditionReason.STRANGE_LEASE, _strangers(federation, odd)


def _application_trouble(federation: Federation, member: MemberStatus) -> str:
    """What is wrong with the application of a member with live workers; "" if nothing is known to be.

    An application that is reported as unhealthy needs a person, also where roles do not follow applications.
    """
    if not member.live_workers:
        return ""
    if member.application is Application.UNHEALTHY:
        return complaint(member.id, member.application)
    return trouble(federation.spec, member.id, member.application)


def _silent_workers(federation: Federation, status: Status) -> str:
    some_silent = (m for m in status.clusters if m.live_workers < m.workers)
    counts = ", ".join(f"{m.workers - m.live_workers} of {m.workers} of {m.id}" for m in some_silent)
    selector = f"tcf.dev/federation={federation.name}"
    return f"{counts} (kubectl -n {federation.namespace} get leases -l {selector} shows which)"


def _cannot_fence(holders: Iterable[Unfenceable], target: str) -> str:
    return (
        "these workers are silent under isolation KeepRole and may go on answering active:"
        f" {', '.join(map(str, holders))};"
        " nobody else is promoted until you reconnect or stop them, or make sure that they are dead and"
        f" POST /tcf/promote?force=true to {target}"
    )


def _strangers(federation: Federation, strangers: Iterable[Stranger]) -> str:
    return (
        f"these Leases have the label tcf.dev/federation={federation.name}, but no worker can have written"
        f" them: {', '.join(map(str, strangers))}; they hold up promotions like the Lease of a silent worker."
        " If such a Lease does not belong to a worker, remove the label:"
        f" kubectl -n {federation.namespace} label lease NAME tcf.dev/federation-"
    )


def _of_no_member(federation: Federation, workers: Iterable[Stranger]) -> str:
    """The message about workers whose member does not exist."""
    return "; ".join(_stray(federation, worker) for worker in workers)


def _stray(federation: Federation, worker: Stranger) -> str:
    if not worker.cluster:
        return f"the Lease {worker.lease} names no member: its label tcf.dev/cluster is missing"
    problem = f"{worker.cluster} has a worker (Lease {worker.lease}) but is not a member"
    if meant := _meant(federation, worker.cluster):
        return (
            f"{problem}: did you mean {meant}? Then correct --cluster of that worker"
            " (or workers.members of the Helm chart)"
        )
    members = ", ".join(member.id for member in federation.spec.clusters)
    return f"{problem} (the members are {members}). Add it to spec.clusters, or stop that worker"


def _meant(federation: Federation, cluster: str) -> str:
    """The member whose id differs from this one only in capitals, dashes and underscores; "" if none does.

    The CRD refuses two members that differ only in that. A bolder guess might lead a person to let the
    workers of two sites answer for the same member.
    """
    ids = (member.id for member in federation.spec.clusters)
    return next((member for member in ids if _plain(member) == _plain(cluster)), "")


def _plain(cluster: str) -> str:
    return cluster.lower().replace("_", "").replace("-", "")


def _since(member: MemberStatus) -> str:
    return f" since {member.silent_since}" if member.silent_since else ""


def _not_ready_since(status: Status, now: Now) -> str:
    """Since when the condition Ready has been False, if it is."""
    ready = status.condition("Ready")
    return ready.last_transition_time if ready and ready.status == "False" else now.stamp()


def _able_to_take_over(federation: Federation) -> str:
    """What a member needs to be chosen by the operator."""
    needed = "a worker that keeps renewing"
    if federation.spec.failover.follows is Follows.APPLICATIONS:
        needed += " and a healthy application"
    return needed


def _other_choice_hint(federation: Federation) -> str:
    """What the operator will do if the member that was chosen to become active first cannot act."""
    if federation.spec.failover.mode is not FailoverMode.AUTOMATIC:
        return ""
    if federation.spec.paused:
        return "; failover is paused: set spec.paused to false, and the operator chooses another member"
    return f"; otherwise the operator chooses another member with {_able_to_take_over(federation)}"


def _failover_hint(federation: Federation, status: Status, since: str) -> str:
    """What the operator will do by itself about an active member that has not been able to act `since`."""
    spec = federation.spec
    if spec.failover.mode is not FailoverMode.AUTOMATIC:
        return ""
    if status.unfenceable:
        holders = ", ".join(map(str, status.unfenceable))
        return f"; no failover begins while these silent workers under KeepRole may still answer: {holders}"
    if spec.paused:
        return "; failover is paused: set spec.paused to false, and the operator promotes another member"
    end = cooldown_end(spec, status)
    if end and stamp(end) > since:
        return f"; no failover begins before {stamp(end)} (spec.failover.cooldown)"
    return f"; otherwise the operator promotes another member with {_able_to_take_over(federation)}"
