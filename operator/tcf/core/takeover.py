"""Could a member take over now? The verdict comes from the rules that decide about real requests."""

from __future__ import annotations

from dataclasses import dataclass

from tcf.core.admission import Accepted, Command, Joined, Kind, admit, objections, unbelievable, unusable
from tcf.core.failover import cooldown_end
from tcf.core.model import FailoverMode, Federation, Now, Principal, Refusal, stamp
from tcf.core.reasons import Reason

_NOBODY = Principal("check")


@dataclass(frozen=True, slots=True)
class Verdict:
    """About one member. `obstacles`: what keeps it from acting as the active one, the first rule first."""

    member: str
    active: bool
    obstacles: tuple[Refusal, ...]

    @property
    def able(self) -> bool:
        return not self.obstacles


def verdicts(federation: Federation, now: Now) -> tuple[Verdict, ...]:
    """One for each member, in the order of the spec."""
    return tuple(_verdict(federation, member.id, now) for member in federation.spec.clusters)


def _verdict(federation: Federation, member: str, now: Now) -> Verdict:
    status = federation.status
    active = status is not None and status.active_cluster == member
    command = Command(Kind.PROMOTE, member, "check", _NOBODY)
    admission = admit(federation, command, now)
    found: list[Refusal] = []
    if refusal := unusable(federation) or unbelievable(federation, now):
        found.append(refusal)
    elif active:  # it has the role already, and nobody to fence
        found += (each for each in objections(federation, command) if each.reason != Reason.CANNOT_FENCE)
    elif isinstance(admission, Refusal):
        found.append(admission)
    elif isinstance(admission, Accepted | Joined):
        found += objections(federation, command)
    return Verdict(member, active, tuple(found))


def failover_state(federation: Federation, now: Now) -> tuple[str, str]:
    """Would the operator replace the active member by itself? A word for programs, and one for people."""
    spec, status = federation.spec, federation.status
    if spec.failover.mode is not FailoverMode.AUTOMATIC:
        return "Manual", "no member takes over by itself (failover.mode is Manual)"
    if spec.paused:
        return "Paused", "failover is paused (spec.paused), so no member takes over by itself"
    end = cooldown_end(spec, status) if status else None
    if end and now.wall < end:
        return "Cooldown", f"no failover begins before {stamp(end)} (spec.failover.cooldown)"
    if status and not status.active_cluster:
        return "Idle", "nobody is active, and failover does not change that"
    return (
        "Ready",
        (
            f"if the active member cannot act for {spec.failover.timeout} s or longer, the best member with a"
            " worker that renews all that time takes over"
        ),
    )
