"""Makes requests for clients: writes a request into the status, waits until it has ended, and reports how.

`core.claims` decides what a worker may claim to a client. This module only reads, writes and waits.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum

from tcf.core.admission import Accepted, Command, Kind, Unchanged, foreseen
from tcf.core.claims import PATIENCE_SECONDS, Claim
from tcf.core.model import Federation, Principal, Refusal
from tcf.core.reading import Reading
from tcf.core.reasons import Reason
from tcf.hub import errors
from tcf.hub.interfaces import FederationStore
from tcf.runtime.logs import Fields
from tcf.runtime.waiting import within
from tcf.worker.knowledge import Knowledge
from tcf.worker.placed_requests import OutcomeUnknownError, PlacedRequests


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


class Switchovers:
    """Makes requests for the member of one worker."""

    def __init__(self, knowledge: Knowledge, federations: FederationStore) -> None:
        """`federations`: with connections of its own, so that requests cannot delay renewals."""
        self.knowledge = knowledge
        self._clock = knowledge.clock
        self._member = member = knowledge.member
        self._requests = PlacedRequests(
            federations, member.namespace, member.federation, sight=knowledge, clock=knowledge.clock
        )
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
        federation, verdict = await self._requests.place(command, dry_run=dry_run)
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
        entry = await self._requests.outcome(federation, request, own=isinstance(verdict, Accepted))
        latest = self.knowledge.latest
        known = latest if latest and latest.uid == federation.uid and latest.status else federation
        if entry.succeeded:
            return await self._reached(federation, Claim.of_outcome(entry, known, own))
        await self._reached(federation, Claim(federation.uid, entry.term, (), own))
        return Refusal(entry.outcome, entry.message)

    async def _reached(self, federation: Federation, claim: Claim) -> Reading | Refusal:
        """The claimed table, as soon as this worker answers by it; otherwise why it does not."""
        deadline = self._clock.boot() + PATIENCE_SECONDS
        while True:
            answer = self.knowledge.answer()
            if met := claim.met_by(answer):
                return met
            self._requests.check_is_still(federation)
            left = deadline - self._clock.boot()
            if left <= 0:
                return claim.missed_by(answer)
            await within(left, self.knowledge.changed())


def _unchanged(reason: str, error: errors.HubError) -> Refusal:
    return Refusal(reason, f"nothing was changed: {error.public}")
