"""The history: how requests have ended, and which table each of them has led to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tcf.core.model import (
    HISTORY_LENGTH,
    LONGEST_MESSAGE,
    HistoryEntry,
    MemberStatus,
    Now,
    Role,
    Status,
    Switchover,
)
from tcf.core.reasons import Outcome


def ended(
    status: Status, outcome: str, message: str, now: Now, *, request: Switchover | None = None
) -> Status:
    """`status` with its request moved to the history. If `request` is given, only that one is moved."""
    over = request or status.switchover
    if over is None:
        return status
    entry = HistoryEntry(
        id=over.id,
        term=status.term,
        from_=over.from_,
        to=over.to,
        trigger=over.trigger,
        requested_by=over.requested_by,
        reason=over.reason,
        started_at=over.requested_at,
        finished_at=now.stamp(),
        outcome=outcome,
        message=message[:LONGEST_MESSAGE],
        silent_since=over.silent_since,
    )
    return replace(
        status,
        switchover=None if over == status.switchover else status.switchover,
        history=(entry, *status.history)[:HISTORY_LENGTH],
    )


def newly_ended(before: Status | None, after: Status) -> tuple[HistoryEntry, ...]:
    """What has ended since an earlier status of the same federation (None: all), the latest first."""
    known = {past.id for past in before.history} if before else set()
    return tuple(past for past in after.history if past.id not in known)


def table_after(entry: HistoryEntry, rows: Iterable[MemberStatus]) -> tuple[MemberStatus, ...]:
    """The rows of the table right after the request has succeeded. `rows`: another table of these members.

    In it, the target is active and every other member is passive.
    """
    return tuple(replace(row, role=Role.ACTIVE if row.id == entry.to else Role.PASSIVE) for row in rows)


def withdrawn(status: Status, request: str, now: Now) -> Status | None:
    """`status` without the request, if it is still there and no operator has acted on it; otherwise None."""
    running = status.switchover
    if running is None or running.id != request or not untouched(status):
        return None
    return ended(
        status,
        Outcome.NO_COORDINATOR,
        "no operator acted on the request in time, so it was withdrawn and no role has changed;"
        " check that tcf-operator is running, and look at its log",
        now,
    )


def untouched(status: Status) -> bool:
    """Has no role moved for the request yet? (The first move makes a member promoting or demoting.)"""
    engaged, running = status.engaged, status.switchover
    if engaged is None or engaged.role is Role.ACTIVE:
        return True
    # The target of a bootstrap stays promoting until an operator acts on the request that replaces it.
    return engaged.role is Role.PROMOTING and running is not None and running.to != engaged.id
