"""How a federation begins, and how it begins again after the hub has lost its latest tables.

The status is lost when the object is deleted, and may be lost when a backup is restored. So the operator
copies the active member and the term into an annotation of the object, which outlives the status. Every
worker notes them in its Lease, too, which outlives the object. Both notes may lag behind. They decide only
which member is *chosen* to become active; the fence decides when. A bootstrap starts at the Unix time in
milliseconds, or above the highest term that is known, so that terms do not fall.

A fence is only as good as the Leases that it looks at. A hub that has lost a status may have lost Leases and
acknowledgements, too. So the table that begins after a loss is *in doubt*: nobody is promoted in it before
every reading of an earlier table has expired. How long that takes is recorded together with the loss, so that
no later edit of `leaseDuration` shortens it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC

from tcf.core.annotations import ANNOTATION_LAST_ACTIVE, ANNOTATION_LONGEST_LEASE, NOBODY, LastActive
from tcf.core.fencing import silence_needed
from tcf.core.history import ended
from tcf.core.model import (
    COORDINATOR,
    HISTORY_LENGTH,
    LONGEST_LEASE,
    PROTOCOL,
    Doubt,
    Federation,
    MemberStatus,
    Now,
    Role,
    Status,
    Switchover,
    Trigger,
    WorkerLease,
)
from tcf.core.reasons import Outcome
from tcf.core.transitions import all_passive, with_members

_KEPT = "workers' Leases note that it was active last, before an earlier object of this name was deleted"


def bootstrapped(
    federation: Federation,
    leases: Sequence[WorkerLease],
    now: Now,
    *,
    seen: int,
    doubt: Doubt | None = None,
) -> Status:
    """The first table: every member is passive, and a request without a deadline names the first target.

    `seen`: a term that this object is known to have had; 0 for none. `doubt`: that of an earlier object.
    """
    acknowledged = [lease.acknowledged for lease in leases if lease.acknowledged]
    mirrored = _mirrored(federation)
    known = [*(table.term for table in acknowledged), mirrored.term if mirrored else 0, seen]
    status = Status(
        protocol=PROTOCOL,
        term=first_term(known, now),
        clusters=tuple(MemberStatus(m.id, m.name, Role.PASSIVE) for m in federation.spec.clusters),
        observed_active_cluster=federation.spec.active_cluster or "",
        in_doubt=doubt,
    )
    if mirrored or seen or any(table.uid == federation.uid for table in acknowledged):
        message = "the hub has lost the status that this federation had"
        status = _lost(federation, status, leases, message, now)
    latest = list(_active_last(federation, status, leases, now))
    known_active = [] if latest[:1] == [NOBODY] else latest
    members = [member for member in known_active if status.member(member)]
    reason = _KEPT if members and not mirrored else ""
    return _with_request(federation, status, now, known=members, reason=reason)


def longest_lease(federation: Federation, status: Status) -> int:
    """The longest `leaseDuration`, in seconds, that the spec of this federation is known to have had."""
    noted = federation.annotations.get(ANNOTATION_LONGEST_LEASE, "")
    readable = noted.isascii() and noted.isdigit() and len(noted) <= len(str(LONGEST_LEASE))
    known = (federation.spec.lease_duration, status.longest_lease_seconds, int(noted) if readable else None)
    return min(max(filter(None, known)), LONGEST_LEASE)


def first_term(known: Iterable[int], now: Now) -> int:
    """A term that is higher than any earlier one. `known`: earlier terms that have been found."""
    return max((now.term, *(term + 1 for term in known if now.plausible(term))))


def restored(
    federation: Federation, status: Status, leases: Sequence[WorkerLease], known_term: int, now: Now
) -> Status:
    """The table that follows when a term of this object is known that the hub no longer has.

    Its members are those of the spec. The old table may be wrong about any other member that was engaged, and
    the fence looks at Leases, not at rows.
    """
    passive = all_passive(status, first_term([known_term, status.term], now))
    members = (MemberStatus(m.id, m.name, Role.PASSIVE) for m in federation.spec.clusters)
    passive = with_members(passive, tuple(members))
    message = f"the hub had lost the table of term {known_term}"
    passive = _lost(federation, passive, leases, message, now)
    return _with_request(federation, passive, now, known=_active_last(federation, status, leases, now))


def _lost(
    federation: Federation, status: Status, leases: Sequence[WorkerLease], message: str, now: Now
) -> Status:
    """`status` with a record of the loss in the history, and with the doubt.

    If a request was under way, its entry in the history records the loss. A reading under a Lease that was
    lost, too, lasts no longer than the longest `leaseDuration`.
    """
    over = status.switchover or _request(federation, "restored", "", now)
    durations = (longest_lease(federation, status), *(lease.duration for lease in leases))
    seconds = math.ceil(silence_needed(max(durations)))
    doubt = Doubt(since=now.wall.astimezone(UTC).isoformat(timespec="microseconds"), seconds=seconds)
    return ended(replace(status, in_doubt=doubt), Outcome.HUB_RESTORED, message, now, request=over)


def resumed(federation: Federation, status: Status, now: Now) -> Status | None:
    """The bootstrap begun again, if nobody is active although nobody asked for that; None otherwise.

    Nobody is meant to be active only if a demotion was requested and succeeded. Otherwise the request that
    took the place of the bootstrap may have failed, or somebody may have edited the status. (A full history
    may no longer show the demotion.)
    """
    newest = next((past for past in status.history if past.succeeded), None)
    begun = any(past.trigger is Trigger.BOOTSTRAP for past in status.history)
    if newest and not newest.to:
        return None
    if newest is None and not begun and len(status.history) >= HISTORY_LENGTH:
        return None
    return _with_request(federation, status, now, known=_active_last(federation, status, (), now))


def mirror(federation: Federation, status: Status) -> Mapping[str, str]:
    """The annotations to write so that the notes outlive the status; empty if they are up to date."""
    mirrored = _mirrored(federation)
    member = next(_recorded(status), mirrored.member if mirrored else "")
    if not member or status.switchover is not None:
        return {}
    wanted = {
        ANNOTATION_LAST_ACTIVE: str(LastActive(member, status.term)),
        ANNOTATION_LONGEST_LEASE: str(longest_lease(federation, status)),
    }
    return {} if wanted.items() <= federation.annotations.items() else wanted


def _active_last(
    federation: Federation, status: Status, leases: Iterable[WorkerLease], now: Now
) -> Iterator[str]:
    """The members that are known to have been active, the latest first.

    A note may lag behind the status: it misses a member that was promoted and demoted in quick succession.
    But a status from a backup is older than the notes.
    """
    found = (_mirrored(federation), *(lease.last_active for lease in leases))
    notes = sorted((note for note in found if note and now.plausible(note.term)), key=lambda note: -note.term)
    yield from (note.member for note in notes if note.term > status.term)
    yield from _recorded(status)
    yield from (note.member for note in notes if note.term <= status.term)


def _recorded(status: Status) -> Iterator[str]:
    """The members that were active according to the status itself, the latest first."""
    yield from filter(
        None, (status.active_cluster, *(h.to or h.from_ for h in status.history if h.succeeded))
    )


def _mirrored(federation: Federation) -> LastActive | None:
    return LastActive.parse(federation.annotations.get(ANNOTATION_LAST_ACTIVE))


def _with_request(
    federation: Federation, status: Status, now: Now, *, known: Iterable[str], reason: str = ""
) -> Status:
    """`status` with the request of a bootstrap.

    Its target is the member that was active last, otherwise the one that the spec names, otherwise the one
    with the highest priority.
    """
    spec = federation.spec
    by_priority = max(spec.clusters, key=lambda member: member.priority).id
    choices = filter(None, (*known, spec.active_cluster, by_priority))
    target = next(choice for choice in choices if status.member(choice))
    return chosen_first(federation, status, target, now, reason)


def chosen_first(federation: Federation, status: Status, member: str, now: Now, reason: str = "") -> Status:
    """`status` with a request, without a deadline, that makes `member` the first to become active."""
    return replace(status, switchover=_request(federation, "bootstrap", member, now, reason))


def _request(federation: Federation, what: str, to: str, now: Now, reason: str = "") -> Switchover:
    """A request of the coordinator itself. Its id is `what` and the version from which it was made."""
    return Switchover(
        id=f"{what}-{federation.resource_version}",
        from_="",
        to=to,
        trigger=Trigger.BOOTSTRAP,
        requested_by=str(COORDINATOR),
        reason=reason,
        requested_at=now.stamp(),
    )
