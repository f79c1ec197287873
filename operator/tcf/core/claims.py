"""What a worker may claim to a client about its request, given what was read before and after it.

The rules are strict:

* 200 means that the roles were changed as asked, and that this worker answers by that table or a later one.
* A refusal means that the roles were not changed, and that this request will not change them.
* Where neither is certain, the reason is `OutcomeUnknown`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tcf.core.history import table_after
from tcf.core.model import HISTORY_LENGTH, Federation, HistoryEntry, MemberStatus, Refusal, Role, Status
from tcf.core.reading import Reading
from tcf.core.reasons import Outcome, Reason

PATIENCE_SECONDS = 10.0
"""For how long a write of unknown fate is repeated, and for how long the own reading may lag behind the
outcome."""

_LOOK = "look at /tcf/clusters and decide again"
DELETED = f"the federation was deleted meanwhile; {_LOOK}"
RECREATED = f"the federation was deleted and created again meanwhile; {_LOOK}"
REMOVED = f"somebody has removed the request from the status; {_LOOK}"
STOPPED = (
    "this worker is being stopped. The request is on the hub and goes on without it:"
    " look at /tcf/clusters of another worker, or at the status of the federation"
)
TOO_LONG = (
    "the request is still under way, for longer than its steps may take; look at /tcf/clusters"
    " and at the status of the federation"
)


def lost_while_writing(why: str) -> str:
    """The hub stopped answering before it confirmed the write of the request. `why`: fit for a stranger."""
    return (
        f"the hub stopped answering while the request was being written ({why});"
        " it may or may not be carried out: look at /tcf/clusters when the hub is back"
    )


def lost_while_waiting(why: str) -> str:
    """The hub stopped answering when the request had been written. `why`: fit for a stranger."""
    return (
        f"the hub stopped answering after the request had been sent ({why});"
        " it may or may not be carried out: look at /tcf/clusters when the hub is back"
    )


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a worker waits for its request, in boot seconds.

    An operator has as long as `switchoverTimeout` for each of two stages, counted from when it saw the
    request, by its own clock. A table that is in doubt makes it wait before that.

    `withdraw_at`: nobody has acted on the request until then, so its own worker takes it back.
    `give_up_at`: an operator is at it, for longer than it may take.
    """

    withdraw_at: float
    give_up_at: float

    @classmethod
    def with_request_in(cls, federation: Federation, now: float) -> Patience:
        timeout = federation.spec.switchover_timeout
        doubt = federation.status.in_doubt if federation.status else None
        start = now + (1.1 * doubt.seconds if doubt else 0)
        return cls(start + 1.1 * timeout + 1, start + 3 * timeout + PATIENCE_SECONDS)


def set_back_before(federation: Federation, known_term: int) -> Refusal | None:
    """Nothing is asked of a hub that shows a lower term than `known_term`, which has been seen already."""
    if federation.status is None or federation.status.term >= known_term:
        return None
    return Refusal(
        Reason.HUB_RESTORED,
        f"nothing was changed: the hub shows term {federation.status.term}, but term {known_term} has been"
        " seen already, so it was restored; ask again when the operator has begun again above that term",
    )


def uncertain(before: Federation, after: Federation, request: str, known_term: int) -> str | None:
    """Why `after` does not show what became of a request that was made in `before`; None if it does.

    `known_term`: the highest term that this worker had seen of the object before it read `after`.
    """
    status = after.status
    if after.uid != before.uid or status is None:
        return RECREATED
    if not knows(status, request) and _lost_between(before.status, status):
        return f"the hub has lost the request, or its outcome; {_LOOK}"
    if status.term < known_term:
        return (
            f"the hub was restored meanwhile: it shows term {status.term}, but term {known_term} has been"
            f" seen already; the request may have been carried out before that; {_LOOK}"
        )
    return None


def knows(status: Status, request: str) -> bool:
    """Is the request under way, or has it ended already?"""
    running = status.switchover is not None and status.switchover.id == request
    return running or status.ended(request) is not None


def _lost_between(before: Status | None, after: Status) -> bool:
    """May `after` say nothing of a request that was made since `before`?

    The hub may have lost a status in between. Or so many requests may have ended that the history, which is
    short, has none left of those before.
    """
    fresh = [past for past in after.history if before is None or before.ended(past.id) is None]
    return len(fresh) >= HISTORY_LENGTH or any(past.outcome == Outcome.HUB_RESTORED for past in fresh)


@dataclass(frozen=True, slots=True)
class Claim:
    """The table in which the roles are as asked: the answer to a client, once this worker answers by it.

    `uid`, `term` and `clusters` are the table's; `own` is the member that this worker speaks for.
    """

    uid: str
    term: int
    clusters: tuple[MemberStatus, ...]
    own: str

    @classmethod
    def of_present(cls, federation: Federation, own: str) -> Claim:
        """The roles are as asked already."""
        status = federation.status
        return cls(federation.uid, status.term if status else 0, status.clusters if status else (), own)

    @classmethod
    def of_outcome(cls, entry: HistoryEntry, known: Federation, own: str) -> Claim:
        """A request has succeeded. `known` names the members."""
        rows = known.status.clusters if known.status else ()
        return cls(known.uid, entry.term, table_after(entry, rows), own)

    def met_by(self, answer: Reading | Refusal) -> Reading | None:
        """The answer to the client if this worker answers by the table, or by a later one; None if it has to
        wait.

        Before that, its answers would contradict the one to this request. If it answers by a later table, the
        client is still shown the table that it asked for, as one that is over.
        """
        if isinstance(answer, Refusal) or answer.uid != self.uid or answer.term < self.term:
            return None
        if answer.term > self.term:
            role = next((row.role for row in self.clusters if row.id == self.own), Role.PASSIVE)
            return replace(answer, term=self.term, role=role, clusters=self.clusters, valid_until=-math.inf)
        return answer if _agree(answer.clusters, self.clusters) else None

    def missed_by(self, answer: Reading | Refusal) -> Refusal:
        """What to say if this worker could not come to answer by the table in time."""
        if isinstance(answer, Reading):
            return Refusal(
                Reason.READING_BEHIND,
                f"the roles are as asked (term {self.term}), but this worker still knows only term"
                f" {answer.term}: the hub is slow to answer it",
            )
        return Refusal(
            answer.reason,
            f"the roles are as asked (term {self.term}), but this worker can't answer for them:"
            f" {answer.message}",
        )


def _agree(some: Iterable[MemberStatus], others: Iterable[MemberStatus]) -> bool:
    """Has each member that is in both tables the same role? (Not if somebody has edited a table by hand.)"""
    roles = {row.id: row.role for row in others}
    return all(roles.get(row.id, row.role) is row.role for row in some)
