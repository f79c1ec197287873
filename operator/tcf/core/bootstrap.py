"""How a federation begins: without any status, or anew when the hub has lost its latest tables.

The status does not survive deletion, nor a restore from backup. The operator therefore mirrors the
active member and the term into an annotation of the object, which survives where a status is lost, and every
worker notes them in its Lease, which survives the object. Both may lag behind. They decide only who is
*chosen* to become active; the fence decides when. A bootstrap starts at the Unix time in milliseconds, or
above the highest term that is known of an earlier life, so that terms do not fall.

A fence is only as good as the Leases that it looks at, and what loses a status may have lost Leases and
acknowledgements, too. A table that begins anew is therefore `in_doubt`: nobody is promoted in it before
every answer has run out that may have been given by an earlier one. How long that takes is written down with
the loss, so that no later edit of `leaseDuration` shortens it.
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

_KEPT = "it was active last, as Leases of workers note, before an earlier object of this name was deleted"


def bootstrapped(
    federation: Federation,
    leases: Sequence[WorkerLease],
    now: Now,
    *,
    seen: int = 0,
    doubt: Doubt | None = None,
) -> Status:
    """The first table: everybody passive, and a request without deadline for the initial member.

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
    """Seconds: the longest `leaseDuration` that is known to have been in the spec of this federation."""
    noted = federation.annotations.get(ANNOTATION_LONGEST_LEASE, "")
    readable = noted.isascii() and noted.isdigit() and len(noted) <= len(str(LONGEST_LEASE))
    known = (federation.spec.lease_duration, status.longest_lease_seconds, int(noted) if readable else None)
    return min(max(filter(None, known)), LONGEST_LEASE)


def first_term(known: Iterable[int], now: Now) -> int:
    """A term above all that an earlier life can have had, of which these are `known`."""
    return max((now.term, *(term + 1 for term in known if now.plausible(term))))


def restored(
    federation: Federation, status: Status, leases: Sequence[WorkerLease], known_term: int, now: Now
) -> Status:
    """The table after a worker has shown a term of this object that the hub no longer knows.

    Its members are the spec's: what the old table says of others who were engaged is not to be
    relied on, and whoever they are, the fence is about their Leases, not about their rows.
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
    """`status` with a record of the loss: the end of its request, or an entry of its own, and the doubt.

    An answer under a Lease that was lost as well lasted no longer than the longest `leaseDuration`.
    """
    over = status.switchover or _request(federation, "restored", "", now)
    durations = (longest_lease(federation, status), *(lease.duration for lease in leases))
    seconds = math.ceil(silence_needed(max(durations)))
    doubt = Doubt(since=now.wall.astimezone(UTC).isoformat(timespec="microseconds"), seconds=seconds)
    return ended(replace(status, in_doubt=doubt), Outcome.HUB_RESTORED, message, now, request=over)


def resumed(federation: Federation, status: Status, now: Now) -> Status | None:
    """The bootstrap, begun again where nobody is active for no good reason; None where there is one.

    That nobody is active is trusted only if somebody asked for it and was granted it. It may also be that
    what superseded the bootstrap failed, or that somebody has edited the status. (A full history may have
    forgotten who asked.)
    """
    newest = next((past for past in status.history if past.succeeded), None)
    begun = any(past.trigger is Trigger.BOOTSTRAP for past in status.history)
    if newest and not newest.to:
        return None
    if newest is None and not begun and len(status.history) >= HISTORY_LENGTH:
        return None
    return _with_request(federation, status, now, known=_active_last(federation, status, (), now))


def mirror(federation: Federation, status: Status) -> Mapping[str, str]:
    """The annotations that have to be written, for what has to outlive the status; empty for none."""
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
    """Who was active, the last one first, as far as is known.

    A note may lag behind the status: a member that was promoted and demoted at once is in none. A status from
    a backup, though, is older than the notes.
    """
    found = (_mirrored(federation), *(lease.last_active for lease in leases))
    notes = sorted((note for note in found if note and now.plausible(note.term)), key=lambda note: -note.term)
    yield from (note.member for note in notes if note.term > status.term)
    yield from _recorded(status)
    yield from (note.member for note in notes if note.term <= status.term)


def _recorded(status: Status) -> Iterator[str]:
    """Who was active by the status itself, the last one first."""
    yield from filter(
        None, (status.active_cluster, *(h.to or h.from_ for h in status.history if h.succeeded))
    )


def _mirrored(federation: Federation) -> LastActive | None:
    return LastActive.parse(federation.annotations.get(ANNOTATION_LAST_ACTIVE))


def _with_request(
    federation: Federation, status: Status, now: Now, *, known: Iterable[str], reason: str = ""
) -> Status:
    """Who is to be active first: who was it last, else the spec's choice, else the first by priority."""
    spec = federation.spec
    by_priority = max(spec.clusters, key=lambda member: member.priority).id
    wishes = filter(None, (*known, spec.active_cluster, by_priority))
    return chosen_first(federation, status, next(wish for wish in wishes if status.member(wish)), now, reason)


def chosen_first(federation: Federation, status: Status, member: str, now: Now, reason: str = "") -> Status:
    """`status` with a request, without a deadline, that makes `member` the first to become active."""
    return replace(status, switchover=_request(federation, "bootstrap", member, now, reason))


def _request(federation: Federation, what: str, to: str, now: Now, reason: str = "") -> Switchover:
    """One of the coordinator's own; `what` and the version that it is made from are its name."""
    return Switchover(
        id=f"{what}-{federation.resource_version}",
        from_="",
        to=to,
        trigger=Trigger.BOOTSTRAP,
        requested_by=str(COORDINATOR),
        reason=reason,
        requested_at=now.stamp(),
    )
