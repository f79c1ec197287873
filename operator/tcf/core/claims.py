"""What a worker may claim to a client about its request, by what it read before and after the request.

The rules are strict:

* 200 means that the roles were changed as asked, and that this worker answers by that table or a later one.
* A refusal means that this request has not changed the roles, and will not change them.
* If neither is certain, the reason is `OutcomeUnknown`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tcf.core.fencing import CLOCK_RATES
from tcf.core.history import table_after
from tcf.core.model import HISTORY_LENGTH, Federation, HistoryEntry, MemberStatus, Refusal, Role, Status
from tcf.core.reading import Reading
from tcf.core.reasons import Outcome, Reason

PATIENCE_SECONDS = 10.0
"""How long a worker repeats a write whose outcome is unknown, and how long its reading may lag behind the
outcome of a request."""

_LOOK = "look at the roles (/tcf/clusters, or kubectl tcf status) and decide again"
DELETED = f"the federation was deleted meanwhile; {_LOOK}"
RECREATED = f"the federation was deleted and created again meanwhile; {_LOOK}"
REMOVED = f"somebody has removed the request from the status; {_LOOK}"
STOPPED = (
    "this worker is being stopped. The request is on the hub and goes on without it:"
    " look at /tcf/clusters of another worker, or at the status of the federation"
)
TOO_LONG = (
    "the request is still under way and has taken longer than it may; look at /tcf/clusters"
    " and at the status of the federation"
)


def hub_lost(when: str, why: str) -> str:
    """The hub stopped answering at a moment such as WRITING. `why`: a public message of an error."""
    return (
        f"the hub stopped answering {when} ({why});"
        " it may or may not be carried out: look at /tcf/clusters when the hub is back"
    )


WRITING, WAITING = "while the request was being written", "after the request was sent"


@dataclass(frozen=True, slots=True)
class Patience:
    """Until when a worker waits for its request, in boot seconds.

    An operator has `switchoverTimeout` for each of two stages, and counts on its own clock from when it saw
    the request. If the table is in doubt, it waits for the end of the doubt first.

    `withdraw_at`: if no operator has acted on the request by then, the worker that made it withdraws it.
    `give_up_at`: if an operator has acted on it but has not finished by then, its outcome is unknown.
    """

    withdraw_at: float
    give_up_at: float

    @classmethod
    def with_request_in(cls, federation: Federation, now: float) -> Patience:
        timeout = federation.spec.switchover_timeout
        doubt = federation.status.in_doubt if federation.status else None
        start = now + (CLOCK_RATES * doubt.seconds if doubt else 0)
        return cls(start + CLOCK_RATES * timeout + 1, start + 3 * timeout + PATIENCE_SECONDS)


def restored_since(federation: Federation, known_term: int) -> Refusal | None:
    """The refusal to send a request to a hub that shows a lower term than `known_term`, seen before."""
    if federation.status is None or federation.status.term >= known_term:
        return None
    return Refusal(
        Reason.HUB_RESTORED,
        f"nothing was changed: the hub shows term {federation.status.term}, but this worker has seen term"
        f" {known_term} already, so the hub was restored; ask again when the operator has begun again above"
        " that term",
    )


def uncertain(before: Federation, after: Federation, request: str, known_term: int) -> str | None:
    """Why `after` does not show how a request that was made in `before` has ended; None if it does.

    `known_term`: the highest term that this worker had seen of the object before it read `after`.
    """
    status = after.status
    if after.uid != before.uid or status is None:
        return RECREATED
    if not knows(status, request) and _lost_between(before.status, status):
        return f"the hub has lost the request, or its outcome; {_LOOK}"
    if status.term < known_term:
        return (
            f"the hub was restored meanwhile: it shows term {status.term}, but this worker has seen term"
            f" {known_term} already; the request may have been carried out before that; {_LOOK}"
        )
    return None


def end_of(request: str, placed: Federation, latest: Federation | None) -> HistoryEntry | None:
    """How the request that is under way in `placed` has ended, as far as `latest` shows.

    The ids of requests by `spec.activeCluster` can come back when a backup is restored. What is known from
    before, at a lower term, is then the end of another request, and may have been lost.
    """
    status, before = latest.status if latest else None, placed.status
    if status is None or (before and status.term < before.term):
        return None
    return status.ended(request)


def knows(status: Status, request: str) -> bool:
    """Does `status` show the request, under way or ended?"""
    running = status.switchover is not None and status.switchover.id == request
    return running or status.ended(request) is not None


def _lost_between(before: Status | None, after: Status) -> bool:
    """Can a request that was made since `before` be missing from `after`?

    The hub may have lost a status in between. Or so many requests may have ended since then that the history,
    which is short, shows only the latest of them.
    """
    fresh = [past for past in after.history if before is None or before.ended(past.id) is None]
    return len(fresh) >= HISTORY_LENGTH or any(past.outcome == Outcome.HUB_RESTORED for past in fresh)


@dataclass(frozen=True, slots=True)
class Claim:
    """The table in which the roles are as asked: the answer to a client, once this worker answers by it.

    `uid`, `term` and `clusters` are those of the table; `own` is the member of this worker.
    """

    uid: str
    term: int
    clusters: tuple[MemberStatus, ...]
    own: str

    @classmethod
    def of_present(cls, federation: Federation, own: str) -> Claim:
        """For a request that had nothing to change."""
        status = federation.status
        return cls(federation.uid, status.term if status else 0, status.clusters if status else (), own)

    @classmethod
    def of_outcome(cls, entry: HistoryEntry, known: Federation, own: str) -> Claim:
        """For a request that has succeeded. `known` has the names of the members."""
        rows = known.status.clusters if known.status else ()
        return cls(known.uid, entry.term, table_after(entry, rows), own)

    def met_by(self, answer: Reading | Refusal) -> Reading | None:
        """The answer to the client if this worker answers by the table or a later one; None if it has to
        wait.

        Without the wait, the worker's other answers would contradict the answer to this request. If the
        worker answers by a later table already, the client still gets the table that it asked for, as one
        that is no longer valid.
        """
        if isinstance(answer, Refusal) or answer.uid != self.uid or answer.term < self.term:
            return None
        if answer.term > self.term:
            role = next((row.role for row in self.clusters if row.id == self.own), Role.PASSIVE)
            return replace(answer, term=self.term, role=role, clusters=self.clusters, valid_until=-math.inf)
        return answer if _agree(answer.clusters, self.clusters) else None

    def missed_by(self, answer: Reading | Refusal) -> Refusal:
        """The refusal if this worker does not answer by the table in time."""
        if isinstance(answer, Reading):
            return Refusal(
                Reason.READING_BEHIND,
                f"the roles are as asked (term {self.term}), but this worker still knows only term"
                f" {answer.term}: the hub answers slowly",
            )
        return Refusal(
            answer.reason,
            f"the roles are as asked (term {self.term}), but this worker can't answer by them:"
            f" {answer.message}",
        )


def _agree(some: Iterable[MemberStatus], others: Iterable[MemberStatus]) -> bool:
    """Do all members that are in both tables have the same role? (Not if somebody has edited a table.)"""
    roles = {row.id: row.role for row in others}
    return all(roles.get(row.id, row.role) is row.role for row in some)
