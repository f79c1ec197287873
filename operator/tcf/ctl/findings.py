"""What `kubectl tcf doctor` finds out from the facts: is it as it should be, and if not, what mends it?"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tcf.core.admission import unbelievable, unusable
from tcf.core.annotations import Acknowledgement
from tcf.core.model import Federation, Isolation, Now, WorkerLease, age_of
from tcf.ctl.operator_sign import OperatorSign, late, spoken
from tcf.hub.server_facts import KnownFields

POLICIES = ("federations.tcf.dev", "leases.tcf.dev", "status.tcf.dev", "unknown-workers.tcf.dev")
"""The admission policies of this project. Each has a binding of the same name."""
OLDEST_MINOR = 30
"""The oldest Kubernetes, 1.30, with which this project works."""
_APART = timedelta(seconds=5)
"""Clocks that differ by more than this deserve a look. (The API tells its time in whole seconds.)"""
_SYNCHRONIZE = "synchronize the clocks (NTP): terms, cooldowns and ages go by them"


class Level(StrEnum):
    GOOD = "good"
    BAD = "bad"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """`about`: what was looked at. `mend`: what to do about it; "" if there is nothing to do."""

    about: str
    level: Level
    message: str
    mend: str = ""


def unreadable(about: str, why: str) -> Finding:
    """Something that this person may not read is not known to be bad."""
    return Finding(about, Level.NOTE, f"not checked: {why}", "ask somebody who may read it")


def of_version(version: str) -> Finding:
    found = re.match(r"v?1\.(\d+)", version)
    if found and int(found[1]) < OLDEST_MINOR:
        return Finding("hub", Level.BAD, f"it runs Kubernetes {version}", f"use 1.{OLDEST_MINOR} or newer")
    return Finding("hub", Level.GOOD, f"it answers, and runs Kubernetes {version}")


def of_clocks(hub: datetime | None, now: Now) -> Finding:
    """Compare the clock of this machine with that of the hub."""
    if hub is None:
        return unreadable("clocks", "the hub does not tell its time")
    apart = now.wall - hub
    if abs(apart) <= _APART:
        return Finding("clocks", Level.GOOD, "this machine and the hub agree on the time")
    word = "ahead of" if apart > timedelta() else "behind"
    message = f"the clock of this machine is {spoken(abs(apart.total_seconds()))} {word} that of the hub"
    return Finding("clocks", Level.BAD, message, _SYNCHRONIZE)


def of_fields(fields: KnownFields) -> Finding:
    if fields.only_here:
        names = ", ".join(fields.only_here)
        return Finding(
            "CRD",
            Level.BAD,
            f"it is older than this program and does not know {names}",
            "update the CRD before the programs: kubectl apply --server-side -f crds/ (docs/upgrades.md)",
        )
    if fields.only_there:
        names = ", ".join(fields.only_there)
        message = f"it is newer than this program, which does not know {names}"
        return Finding("CRD", Level.NOTE, message, "update kubectl tcf: a request of it may be refused")
    return Finding("CRD", Level.GOOD, "it has exactly the fields that this program knows")


@dataclass(frozen=True, slots=True)
class Need:
    """A right, why somebody needs it, and whether everybody does who uses this program."""

    verb: str
    resource: str
    purpose: str
    everybody: bool = False


def of_rights(allowed: Mapping[Need, bool], user: str, name: str) -> Iterator[Finding]:
    """One line for all rights that are there, and one for each that is missing.

    `name`: the federation for which rights were asked about; "" if that is all of them.
    """
    which = name or "every federation here"
    if there := [need for need, may in allowed.items() if may]:
        purposes = ", ".join(dict.fromkeys(need.purpose for need in there))
        yield Finding("rights", Level.GOOD, f"for {which}, {user} may {purposes}")
    for need, may in allowed.items():
        if not may:
            level = Level.BAD if need.everybody else Level.NOTE
            message = f"for {which}, {user} may not {need.purpose}"
            mend = f"grant {need.verb} {need.resource} by RBAC, if that is wanted (docs/security.md)"
            yield Finding("rights", level, message, mend)


def of_policies(policies: Collection[str], bindings: Collection[str]) -> Finding:
    """Are the admission policies installed, and bound?"""
    missing = [name for name in POLICIES if name not in policies or name not in bindings]
    if not missing:
        return Finding("admission policies", Level.GOOD, "all are installed and bound")
    message = f"missing or not bound: {', '.join(missing)}; so RBAC alone says who can move the role, and how"
    return Finding(
        "admission policies",
        Level.BAD,
        message,
        "kubectl apply --server-side -f policies/, after the rights are granted (docs/security.md)",
    )


def of_operator(sign: OperatorSign, now: Now) -> Finding:
    alive = sign.alive(now.wall)
    if alive is None:
        return unreadable(f"operator of {sign.namespace}", sign.unknown)
    message, _, mend = sign.told(now.wall).partition("; ")
    level = Level.GOOD if alive else Level.BAD
    return Finding(f"operator of {sign.namespace}", level, message, mend)


def of_federation(
    federation: Federation, leases: Sequence[WorkerLease] | None, operator: OperatorSign, now: Now
) -> Iterator[Finding]:
    """What is wrong with a federation; one good line if nothing is."""
    about = f"{federation.namespace}/{federation.name}"
    found = [*_of_status(about, federation, now)]
    if leases is None:
        found.append(unreadable(about, "you may not list Leases in its namespace"))
    else:
        found += _of_leases(about, federation, leases, operator, now)
    if not any(finding.level is Level.BAD for finding in found):
        status = federation.status
        active = status.active_cluster if status else ""
        workers = "" if leases is None else f", {len(leases)} workers renew and have acknowledged the roles"
        yield Finding(about, Level.GOOD, f"{active or 'nobody'} is active{workers}")
    yield from found


def _of_status(about: str, federation: Federation, now: Now) -> Iterator[Finding]:
    status = federation.status
    if refusal := unusable(federation) or unbelievable(federation, now):
        yield Finding(about, Level.BAD, refusal.reason, refusal.message)
    if status is None:
        return
    for type_, bad in (("Ready", "False"), ("Degraded", "True")):
        condition = status.condition(type_)
        if condition and condition.status == bad:
            yield Finding(about, Level.BAD, f"{type_} is {bad}: {condition.reason}", condition.message)
    if federation.spec.paused:
        mend = f"kubectl tcf -n {federation.namespace} resume {federation.name}"
        yield Finding(about, Level.NOTE, "failover is paused", mend)


def _of_leases(
    about: str, federation: Federation, leases: Sequence[WorkerLease], operator: OperatorSign, now: Now
) -> Iterator[Finding]:
    status = federation.status
    table = Acknowledgement(federation.uid, status.term) if status else None
    for lease in leases:
        who = f"worker {lease.holder} of {lease.cluster or 'no member'} (Lease {lease.name})"
        if late(lease, now.wall):
            mend = "start or repair it, or let it reach the hub; its log says what is wrong"
            if lease.isolation is Isolation.KEEP_ROLE:
                mend += ". It may still answer active, so make sure that it is dead before you use --force"
            silence = spoken(age_of(lease.renewed_at, now.wall))
            yield Finding(about, Level.BAD, f"{who} has not renewed for {silence}", mend)
        elif _ahead(lease, now):
            message = f"the clock of {who} is ahead of the clock of this machine"
            yield Finding(about, Level.BAD, message, _SYNCHRONIZE)
        elif status and not status.switchover and lease.acknowledged != table and operator.alive(now.wall):
            held = f": it waits for {lease.held_by} to let go" if lease.held_by else ""
            message = f"{who} has not acknowledged term {status.term}{held}"
            yield Finding(about, Level.NOTE, message, "look again in a moment; if it stays so, see its log")


def _ahead(lease: WorkerLease, now: Now) -> bool:
    try:
        return datetime.fromisoformat(lease.renewed_at) - now.wall > _APART
    except ValueError:
        return False
