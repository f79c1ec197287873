"""What a person can do next, as commands."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from tcf.core.model import Federation, Refusal
from tcf.core.reasons import Outcome, Reason
from tcf.ctl.operator_sign import OperatorSign


def command(federation: Federation, verb: str, *more: str) -> str:
    """A command line about this federation."""
    return " ".join(("kubectl tcf -n", federation.namespace, verb, federation.name, *more))


def next_steps(federation: Federation, operator: OperatorSign, wall: datetime) -> list[str]:
    """What to do about the present state, the most important first; empty if there is nothing to do."""
    return list(dict.fromkeys(_steps(federation, operator, wall)))


def _steps(federation: Federation, operator: OperatorSign, wall: datetime) -> Iterator[str]:
    status = federation.status
    if operator.alive(wall) is False:
        yield operator.told(wall)
    if status is None:
        return
    if status.switchover:
        yield f"a switchover is under way; follow it: {command(federation, 'status', '--watch')}"
    elif not status.active_cluster:
        members = "|".join(member.id for member in federation.spec.clusters)
        yield f"nobody is active; choose a member: {command(federation, 'promote', members)}"
    if status.unfenceable:
        names = ", ".join(map(str, status.unfenceable))
        yield (
            f"make sure that these workers are dead, or reconnect them: {names}. Until then, only promote"
            " --force moves the role"
        )
    for type_, bad in (("Ready", "False"), ("Degraded", "True"), ("SpecAligned", "False")):
        condition = status.condition(type_)
        if condition and condition.status == bad and not status.switchover:
            yield f"{type_} is {condition.status} ({condition.reason}): {condition.message}"
    if federation.spec.paused:
        yield f"failover is paused; to end that: {command(federation, 'resume')}"


def after_refusal(federation: Federation, refusal: Refusal, target: str) -> list[str]:
    """What to do when a request was refused."""
    members = "|".join(member.id for member in federation.spec.clusters)
    force = f"if you are sure: {command(federation, 'promote', target or members, '--force')}"
    look = f"look again: {command(federation, 'status')}"
    match refusal.reason:
        case Reason.NOT_TWO_CLUSTERS | Reason.NO_ACTIVE_CLUSTER | Reason.UNKNOWN_CLUSTER:
            return [f"name the member that should become active: {command(federation, 'promote', members)}"]
        case Reason.NO_LIVE_WORKER | Reason.APPLICATION_UNHEALTHY | Reason.CANNOT_FENCE:
            return [f"see why: {command(federation, 'check')}", force]
        case Reason.SWITCHOVER_IN_PROGRESS:
            return [f"follow it: {command(federation, 'status', '--watch')}"]
        case Reason.NOT_BOOTSTRAPPED | Outcome.NO_COORDINATOR | Outcome.EXPIRED:
            return [f"see what is wrong: kubectl tcf -n {federation.namespace} doctor"]
        case _:
            return [look]
