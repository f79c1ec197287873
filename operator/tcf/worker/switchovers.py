"""Makes requests for clients: writes a request into the status, waits until it has ended, and reports how.

`core.claims` decides what a worker may claim to a client. This module only reads, writes and waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TypeVar

from tcf.core import claims
from tcf.core.admission import Accepted, Command, Joined, Kind, Unchanged, admit, foreseen
from tcf.core.claims import PATIENCE_SECONDS, Claim, Patience
from tcf.core.history import untouched, withdrawn
from tcf.core.model import Federation, HistoryEntry, Principal, Refusal, Status
from tcf.core.reading import Reading
from tcf.core.reasons import Reason
from tcf.hub import errors
from tcf.hub.interfaces import FederationStore
from tcf.hub.records import newer
from tcf.runtime.backoff import Backoff
from tcf.runtime.logs import Fields
from tcf.runtime.waiting import within
from tcf.worker.knowledge import Knowledge

T = TypeVar("T")

READ_SECONDS = 5.0
"""The deadline of one read or write that a client waits for."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client asks for: the parameters of a POST."""

    kind: Kind
    reason: str = ""
    expected_term: int | None = None
    force: bool = False
    dry_run: bool = False


class Effect(StrEnum):
    """What a wish that was not refused has done to the roles."""

    CHANGED = "Changed"
    UNCHANGED = "Unchanged"
    DRY_RUN = "DryRun"


@dataclass(slots=True)
class Course:
    """What becomes of a wish. `request`: the id in history of the request that carries it out."""

    request: str
    effect: Effect = Effect.UNCHANGED


class OutcomeUnknownError(Exception):
    """A write was sent, and this worker cannot find out whether it was carried out."""


class Switchovers:
    """Makes requests for the member of one worker."""

    def __init__(self, knowledge: Knowledge, federations: FederationStore) -> None:
        """`federations`: with connections of its own, so that requests cannot delay renewals."""
        self.knowledge = knowledge
        self._federations = federations
        self._clock = knowledge.clock
        self._member = knowledge.member
        self._log = Fields(logging.getLogger(__name__), self._member.log_fields)

    async def ask(self, wish: Wish, principal: Principal, course: Course) -> Reading | Refusal:
        """Carry out a wish to the end. This may take a few times `switchoverTimeout`.

        Args:
            course: has an id that no other request has. If a request for the same outcome is under way
                already, it gets the id of that one.

        Returns:
            the table in which the roles are as asked, as soon as this worker answers by it or by a later one;
            otherwise, why they are not as asked. (For a dry run: the worker's present answer.)
        """
        command = Command(
            kind=wish.kind,
            cluster=self._member.cluster,
            id=course.request,
            principal=principal,
            reason=wish.reason,
            expected_term=wish.expected_term,
            force=wish.force,
        )
        extra = {"trigger": command.trigger, "kind": wish.kind, "request": command.id, "by": str(principal)}
        trouble = ""
        try:
            result = await self._carry_out(command, course, dry_run=wish.dry_run)
        except OutcomeUnknownError as error:
            result = Refusal(Reason.OUTCOME_UNKNOWN, str(error))
        except errors.NotFoundError as error:
            result, trouble = _unchanged(Reason.FEDERATION_NOT_FOUND, error), str(error)
        except errors.HubError as error:
            result, trouble = _unchanged(error.reason, error), str(error)
        if isinstance(result, Refusal):
            extra |= {"reason": result.reason, "trouble": trouble}
            self._log.warning("%s refused: %s", wish.kind, result.message, extra=extra)
        elif not wish.dry_run:
            self._log.info("%s done", wish.kind, extra=extra | {"term": result.term})
        return result

    async def _carry_out(self, command: Command, course: Course, *, dry_run: bool) -> Reading | Refusal:
        federation, verdict = await self._place(command, dry_run=dry_run)
        if isinstance(verdict, Refusal):
            return verdict
        if dry_run:
            course.effect = Effect.DRY_RUN
            foreseeable = isinstance(verdict, Accepted) and foreseen(federation, command)
            return foreseeable or self.knowledge.answer()
        own = self._member.cluster
        if isinstance(verdict, Unchanged):
            return await self._reached(federation, Claim.of_present(federation, own))
        request = course.request = verdict.request
        course.effect = Effect.CHANGED
        extra = {"request": request, "trigger": command.trigger, "by": str(command.principal)}
        self._log.info("%s requested", command.kind, extra=extra)
        entry = await self._outcome(federation, request, own=isinstance(verdict, Accepted))
        latest = self.knowledge.latest
        known = latest if latest and latest.uid == federation.uid and latest.status else federation
        if entry.succeeded:
            return await self._reached(federation, Claim.of_outcome(entry, known, own))
        await self._reached(federation, Claim(federation.uid, entry.term, (), own))
        return Refusal(entry.outcome, entry.message)

    # --- placing it ---------------------------------------------------------------------------------

    async def _place(
        self, command: Command, *, dry_run: bool
    ) -> tuple[Federation, Accepted | Joined | Unchanged | Refusal]:
        """Read the federation, judge the command and write the request; again after each conflict."""
        backoff = Backoff(first=0.01, longest=1)
        before = self.knowledge.latest
        known = self.knowledge.known_term(before.uid) if before else 0
        federation = await self._get()
        same = before is not None and before.uid == federation.uid
        if same and (refusal := claims.restored_since(federation, known)):
            return federation, refusal
        while True:
            verdict = admit(federation, command, self._clock.now())
            if dry_run or not isinstance(verdict, Accepted):
                return federation, verdict
            if await self._write(federation, verdict.status):
                return federation, verdict
            await asyncio.sleep(backoff.next())
            federation, status = await self._certainly(partial(self._after, federation, command.id))
            # The version has changed. Most likely another program has written, but it may also have been an
            # attempt of ours whose answer was lost, or one that a proxy has repeated.
            if claims.knows(status, command.id):
                return federation, verdict

    async def _write(self, federation: Federation, status: Status) -> bool:
        """Write `status`, and repeat that while the outcome is unknown. False if there is another version.

        The repetition does no harm, because it names the same version. As soon as the hub answers 409, no
        earlier attempt can succeed any more, and a read shows whether one has.
        """
        backoff = Backoff(first=0.02, longest=1)
        give_up = self._clock.boot() + PATIENCE_SECONDS
        ambiguous = False
        while True:
            try:
                await self._federations.write_status(federation, status, deadline=READ_SECONDS)
            except errors.ConflictError:
                return False
            except errors.NotFoundError as error:
                # The federation was there a moment ago. A proxy may have repeated an attempt that succeeded.
                raise OutcomeUnknownError(claims.DELETED) from error
            except errors.HubError as error:
                ambiguous = ambiguous or error.ambiguous
                if not ambiguous:
                    raise
                if self._clock.boot() >= give_up:
                    raise OutcomeUnknownError(claims.hub_lost(claims.WRITING, error.public)) from error
                await asyncio.sleep(backoff.next())
            else:
                return True

    # --- waiting for the end ------------------------------------------------------------------------

    async def _outcome(self, federation: Federation, request: str, *, own: bool) -> HistoryEntry:
        """How the request has ended. If it is our own and no operator acts on it in time, withdraw it."""
        patience = Patience.with_request_in(federation, self._clock.boot())
        entry = await self._ended_by(federation, request, patience.withdraw_at)
        if entry is None and own:
            entry = await self._certainly(lambda: self._withdraw(federation, request))
        entry = entry or await self._ended_by(federation, request, patience.give_up_at)
        if entry is None:
            raise OutcomeUnknownError(claims.TOO_LONG)
        return entry

    async def _ended_by(self, federation: Federation, request: str, deadline: float) -> HistoryEntry | None:
        """The request's entry in the history, as soon as this worker knows it; None after `deadline`."""
        while True:
            self._check_is_still(federation)
            if self.knowledge.stopped:
                raise OutcomeUnknownError(claims.STOPPED)
            latest = self.knowledge.latest
            entry = latest.status.ended(request) if latest and latest.status else None
            left = deadline - self._clock.boot()
            if entry or left <= 0:
                return entry
            await within(left, self.knowledge.changed())

    async def _withdraw(self, placed: Federation, request: str) -> HistoryEntry | None:
        """Withdraw a request if no operator has acted on it. Returns its end, or None if one has."""
        while True:
            federation, status = await self._after(placed, request)
            if entry := status.ended(request):
                return entry
            if not untouched(status):
                return None
            without = withdrawn(status, request, self._clock.now())
            if without is None:
                raise OutcomeUnknownError(claims.REMOVED)
            await self._write(federation, without)

    async def _after(self, before: Federation, request: str) -> tuple[Federation, Status]:
        """The federation as it is now. It shows how a request that was made in `before` has ended."""
        known = self.knowledge.known_term(before.uid)
        federation = await self._get()
        if why := claims.uncertain(before, federation, request, known):
            raise OutcomeUnknownError(why)
        assert federation.status is not None  # noqa: S101 - without one, it would be uncertain
        return federation, federation.status

    def _check_is_still(self, federation: Federation) -> None:
        """Raises OutcomeUnknownError if this worker has since seen another object with that name."""
        latest = self.knowledge.latest
        if latest is None or latest.uid == federation.uid:
            return
        if newer(latest.resource_version, federation.resource_version):
            raise OutcomeUnknownError(claims.RECREATED)

    async def _reached(self, federation: Federation, claim: Claim) -> Reading | Refusal:
        """The claimed table, as soon as this worker answers by it; otherwise why it does not."""
        deadline = self._clock.boot() + PATIENCE_SECONDS
        while True:
            answer = self.knowledge.answer()
            if met := claim.met_by(answer):
                return met
            self._check_is_still(federation)
            left = deadline - self._clock.boot()
            if left <= 0:
                return claim.missed_by(answer)
            await within(left, self.knowledge.changed())

    async def _get(self) -> Federation:
        member = self._member
        return await self._federations.get(member.namespace, member.federation, deadline=READ_SECONDS)

    async def _certainly(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Repeat `ask` until the hub answers: it has a request of ours, and we must know its outcome."""
        backoff = Backoff(first=0.05, longest=1)
        give_up = self._clock.boot() + PATIENCE_SECONDS
        while True:
            try:
                return await ask()
            except errors.NotFoundError as error:
                raise OutcomeUnknownError(claims.DELETED) from error
            except errors.HubError as error:
                if self._clock.boot() >= give_up:
                    raise OutcomeUnknownError(claims.hub_lost(claims.WAITING, error.public)) from error
            await asyncio.sleep(backoff.next())


def _unchanged(reason: str, error: errors.HubError) -> Refusal:
    return Refusal(reason, f"nothing was changed: {error.public}")
