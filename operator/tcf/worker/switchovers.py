"""Requests made for clients: place one in the status, wait until it has ended, say how.

What may be said to a client is strict. 200 means that the roles were changed as asked and that this worker
answers by that table or a later one. A refusal means that they are not and will not be on account of this
request. Where neither is certain, because the hub is gone after the write was sent, the refusal is
`OutcomeUnknown`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from tcf.core.admission import (
    Accepted,
    Command,
    Joined,
    Kind,
    Unchanged,
    admit,
    foreseen,
    table_after,
    untouched,
    withdrawn,
)
from tcf.core.model import (
    HISTORY_LENGTH,
    Federation,
    HistoryEntry,
    MemberStatus,
    Outcome,
    Refusal,
    Role,
    Status,
)
from tcf.core.reading import Reading
from tcf.hub import errors
from tcf.hub.federations import Federations
from tcf.hub.records import newer
from tcf.runtime.backoff import Backoff
from tcf.runtime.logs import Fields
from tcf.runtime.waiting import within
from tcf.worker.renewal import Worker

T = TypeVar("T")

READ_SECONDS = 5.0
"""Deadline of one read or write that a client waits for."""
PATIENCE_SECONDS = 10.0
"""How long a write of unknown fate is repeated, and how long the own reading may lag behind the outcome."""

_LOOK = "look at /tcf/clusters and decide again"
_DELETED = f"the federation was deleted meanwhile; {_LOOK}"
_CREATED_ANEW = f"the federation was deleted and created anew meanwhile; {_LOOK}"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client asks: the parameters of a POST."""

    kind: Kind
    reason: str = ""
    requested_by: str = ""
    expected_term: int | None = None
    force: bool = False
    dry_run: bool = False


class OutcomeUnknownError(Exception):
    """The hub is gone after a write was sent: nobody here can know whether it was carried out."""


class Switchovers:
    """Makes requests on behalf of one worker's member."""

    def __init__(self, worker: Worker, federations: Federations) -> None:
        """`federations`: on connections of its own, so that clients can't get in the way of renewals."""
        self._worker = worker
        self._federations = federations
        self._log = Fields(logging.getLogger(__name__), worker.member.log_fields)

    async def ask(self, wish: Wish) -> Reading | Refusal:
        """Carry out a wish to the end; takes up to a few times `switchoverTimeout`.

        Returns:
            the table in which the roles are as asked, once this worker answers by it or by a later one; or
            why they are not. (Of a dry run: what this worker answers by.)
        """
        command = Command(
            kind=wish.kind,
            cluster=self._worker.member.cluster,
            id=uuid.uuid4().hex,
            requested_by=wish.requested_by,
            reason=wish.reason,
            expected_term=wish.expected_term,
            force=wish.force,
        )
        extra = {"trigger": command.trigger, "kind": wish.kind, "request": command.id}
        trouble = ""
        try:
            result = await self._carry_out(command, dry_run=wish.dry_run)
        except OutcomeUnknownError as error:
            result = Refusal("OutcomeUnknown", str(error))
        except errors.NotFoundError as error:
            result, trouble = _unchanged("FederationNotFound", error), str(error)
        except errors.HubError as error:
            result, trouble = _unchanged(error.reason, error), str(error)
        if isinstance(result, Refusal):
            extra |= {"reason": result.reason, "trouble": trouble}
            self._log.warning("%s refused: %s", wish.kind, result.message, extra=extra)
        elif not wish.dry_run:
            self._log.info("%s done", wish.kind, extra=extra | {"term": result.term})
        return result

    async def _carry_out(self, command: Command, *, dry_run: bool) -> Reading | Refusal:
        federation, verdict = await self._place(command, dry_run=dry_run)
        if isinstance(verdict, Refusal):
            return verdict
        if dry_run:
            foreseeable = isinstance(verdict, Accepted) and foreseen(federation, command)
            return foreseeable or self._worker.answer()
        if isinstance(verdict, Unchanged):
            return await self._reached(federation, _term(federation), _clusters(federation))
        request = verdict.request
        self._log.info("%s requested", command.kind, extra={"request": request, "trigger": command.trigger})
        entry = await self._outcome(federation, request, own=isinstance(verdict, Accepted))
        latest = self._worker.latest
        known = latest if latest and latest.uid == federation.uid and latest.status else federation
        if entry.succeeded:
            return await self._reached(federation, entry.term, table_after(entry, _clusters(known)))
        await self._reached(federation, entry.term, ())
        return Refusal(entry.outcome, entry.message)

    # --- placing it ---------------------------------------------------------------------------------

    async def _place(
        self, command: Command, *, dry_run: bool
    ) -> tuple[Federation, Accepted | Joined | Unchanged | Refusal]:
        """Judge the command by a fresh read and write it down, again after each conflict."""
        backoff = Backoff(first=0.01, longest=1)
        before = self._worker.latest
        known = self._worker.known_term(before.uid) if before else 0
        federation = await self._get()
        same = before is not None and before.uid == federation.uid
        if same and federation.status and federation.status.term < known:
            return federation, Refusal(
                "HubRestored",
                f"nothing was changed: the hub shows term {_term(federation)}, but term {known} has been seen"
                " already, so it was restored; ask again when the operator has begun anew above that",
            )
        while True:
            verdict = admit(federation, command, self._worker.clock.now())
            if dry_run or not isinstance(verdict, Accepted):
                return federation, verdict
            if await self._write(federation, verdict.status):
                return federation, verdict
            await asyncio.sleep(backoff.next())
            federation, status = await self._certainly(partial(self._after, federation, command.id))
            # Somebody was faster: most likely another writer, but perhaps an attempt of ours whose answer
            # was lost, or one that was repeated on the way, as proxies may do with a PUT.
            if _knows(status, command.id):
                return federation, verdict

    async def _write(self, federation: Federation, status: Status) -> bool:
        """Write `status`, repeating an ambiguous write identically. False: there is another version.

        An identical repetition can't do harm: it names the version it replaces. Once that is answered
        409, no earlier attempt can land any more, and a read tells whether one has.
        """
        backoff = Backoff(first=0.02, longest=1)
        give_up = self._worker.clock.boot() + PATIENCE_SECONDS
        ambiguous = False
        while True:
            try:
                await self._federations.write_status(federation, status, deadline=READ_SECONDS)
            except errors.ConflictError:
                return False
            except errors.NotFoundError as error:
                # It was there a moment ago, and may have taken an attempt that was repeated on the way.
                raise OutcomeUnknownError(_DELETED) from error
            except errors.HubError as error:
                ambiguous = ambiguous or error.ambiguous
                if not ambiguous:
                    raise
                if self._worker.clock.boot() >= give_up:
                    raise OutcomeUnknownError(
                        f"the hub went away while the request was being written ({error.public});"
                        " it may or may not be carried out: look at /tcf/clusters when the hub is back"
                    ) from error
                await asyncio.sleep(backoff.next())
            else:
                return True

    # --- waiting for the end ------------------------------------------------------------------------

    async def _outcome(self, federation: Federation, request: str, *, own: bool) -> HistoryEntry:
        """How the request ended. If nobody touches it before its timeout, and it is ours, take it back."""
        timeout = federation.spec.switchover_timeout
        doubt = federation.status.in_doubt if federation.status else None
        start = self._worker.clock.boot() + (1.1 * doubt.seconds if doubt else 0)
        # An operator has as long as that, counted from when it saw the request, by its own clock.
        entry = await self._ended_by(federation, request, start + 1.1 * timeout + 1)
        if entry is None and own:
            entry = await self._certainly(lambda: self._withdraw(federation, request))
        # An operator is at it: each of its two stages has a deadline of its own.
        entry = entry or await self._ended_by(federation, request, start + 3 * timeout + PATIENCE_SECONDS)
        if entry is None:
            raise OutcomeUnknownError(
                "the request is still under way, for longer than its steps may take; look at /tcf/clusters"
                " and at the status of the federation"
            )
        return entry

    async def _ended_by(self, federation: Federation, request: str, deadline: float) -> HistoryEntry | None:
        """The end of the request as soon as this worker knows of it; None at boot time `deadline`."""
        while True:
            self._check_is_still(federation)
            if self._worker.stopped:
                raise OutcomeUnknownError(
                    "this worker is being stopped. The request is on the hub and goes on without it:"
                    " look at /tcf/clusters of another worker, or at the status of the federation"
                )
            latest = self._worker.latest
            entry = latest.status.ended(request) if latest and latest.status else None
            left = deadline - self._worker.clock.boot()
            if entry or left <= 0:
                return entry
            await within(left, self._worker.changed())

    async def _withdraw(self, placed: Federation, request: str) -> HistoryEntry | None:
        """Take back a request that nobody acted on; its end, or None if somebody is acting on it."""
        while True:
            federation, status = await self._after(placed, request)
            if entry := status.ended(request):
                return entry
            if not untouched(status):
                return None
            without = withdrawn(status, request, self._worker.clock.now())
            if without is None:
                raise OutcomeUnknownError(f"somebody has removed the request from the status; {_LOOK}")
            await self._write(federation, without)

    async def _after(self, before: Federation, request: str) -> tuple[Federation, Status]:
        """The federation as it is now, from which the fate of a request made `before` can be told."""
        known = self._worker.known_term(before.uid)
        federation = await self._get()
        status = federation.status
        if federation.uid != before.uid or status is None:
            raise OutcomeUnknownError(_CREATED_ANEW)
        if not _knows(status, request) and _lost_between(before.status, status):
            raise OutcomeUnknownError(f"the hub has lost the request, or that it was carried out; {_LOOK}")
        if status.term < known:
            raise OutcomeUnknownError(
                f"the hub was restored meanwhile: it shows term {status.term}, but term {known} has been"
                f" seen already; the request may have been carried out before that; {_LOOK}"
            )
        return federation, status

    def _check_is_still(self, federation: Federation) -> None:
        """Raises OutcomeUnknownError if the worker has seen another one in its place since."""
        latest = self._worker.latest
        if latest is None or latest.uid == federation.uid:
            return
        if newer(latest.resource_version, federation.resource_version):
            raise OutcomeUnknownError(_CREATED_ANEW)

    async def _reached(
        self, federation: Federation, term: int, clusters: tuple[MemberStatus, ...]
    ) -> Reading | Refusal:
        """The table `clusters` of `term`, once this worker's reading has come to that.

        Before that, its answers would contradict the one to this request. If the reading is of a later table
        by then, the answer still is about the table that was asked for, and says that it is over.
        """
        deadline = self._worker.clock.boot() + PATIENCE_SECONDS
        while True:
            answer = self._worker.answer()
            if isinstance(answer, Reading) and answer.uid == federation.uid and answer.term >= term:
                if answer.term == term and _agree(answer.clusters, clusters):
                    return answer
                if answer.term > term:
                    return _as_of(answer, term, clusters, self._worker.member.cluster)
            self._check_is_still(federation)
            left = deadline - self._worker.clock.boot()
            if left <= 0:
                break
            await within(left, self._worker.changed())
        if isinstance(answer, Reading):
            return Refusal(
                "ReadingBehind",
                f"the roles are as asked (term {term}), but this worker still knows only term"
                f" {answer.term}: the hub is slow to answer it",
            )
        return Refusal(
            answer.reason,
            f"the roles are as asked (term {term}), but this worker can't answer for them: {answer.message}",
        )

    async def _get(self) -> Federation:
        member = self._worker.member
        return await self._federations.get(member.namespace, member.federation, deadline=READ_SECONDS)

    async def _certainly(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the hub until it answers: there is a request of ours out there, and its fate is asked for."""
        backoff = Backoff(first=0.05, longest=1)
        give_up = self._worker.clock.boot() + PATIENCE_SECONDS
        while True:
            try:
                return await ask()
            except errors.NotFoundError as error:
                raise OutcomeUnknownError(_DELETED) from error
            except errors.HubError as error:
                if self._worker.clock.boot() >= give_up:
                    raise OutcomeUnknownError(
                        f"the hub went away after the request had been sent ({error.public});"
                        " it may or may not be carried out: look at /tcf/clusters when the hub is back"
                    ) from error
            await asyncio.sleep(backoff.next())


def _unchanged(reason: str, error: errors.HubError) -> Refusal:
    return Refusal(reason, f"nothing was changed: {error.public}")


def _knows(status: Status, request: str) -> bool:
    """Is the request under way, or has it ended already?"""
    running = status.switchover is not None and status.switchover.id == request
    return running or status.ended(request) is not None


def _lost_between(before: Status | None, after: Status) -> bool:
    """Need `after` not tell what became of a request made since `before`?

    The hub may have lost a status in between, or so many requests may have ended that the history, which is
    short, has none left of those before.
    """
    fresh = [past for past in after.history if before is None or before.ended(past.id) is None]
    return len(fresh) >= HISTORY_LENGTH or any(past.outcome == Outcome.HUB_RESTORED for past in fresh)


def _term(federation: Federation) -> int:
    return federation.status.term if federation.status else 0


def _clusters(federation: Federation) -> tuple[MemberStatus, ...]:
    return federation.status.clusters if federation.status else ()


def _agree(some: tuple[MemberStatus, ...], others: tuple[MemberStatus, ...]) -> bool:
    """Has each member that is in both tables the same role? (Not if somebody has edited a table by hand.)"""
    roles = {row.id: row.role for row in others}
    return all(roles.get(row.id, row.role) is row.role for row in some)


def _as_of(later: Reading, term: int, clusters: tuple[MemberStatus, ...], own: str) -> Reading:
    """A reading of an earlier table than `later`: it is over."""
    role = next((row.role for row in clusters if row.id == own), Role.PASSIVE)
    return replace(later, term=term, role=role, clusters=clusters, valid_until=-math.inf)
