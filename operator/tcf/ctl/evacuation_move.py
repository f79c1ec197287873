"""The course of one federation's move in an evacuation: it is placed with patience, and waited for."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from tcf.core import claims
from tcf.core.admission import Accepted, Admission, Joined, admit
from tcf.core.claims import Patience
from tcf.core.model import Federation, HistoryEntry, Refusal
from tcf.core.plan import Plan
from tcf.core.reasons import Outcome
from tcf.ctl.federation_sight import FederationSight
from tcf.ctl.hub_choice import OpenHub
from tcf.ctl.hub_errors import told
from tcf.ctl.idle_time import IdleTime
from tcf.ctl.namespace_sight import NamespaceSight
from tcf.ctl.switch_course import Ending
from tcf.hub import errors
from tcf.hub.records import newer
from tcf.runtime.backoff import Backoff
from tcf.runtime.waiting import within
from tcf.worker.placed_requests import HubLostError, OutcomeUnknownError, PlacedRequests

_TURN_SECONDS = 1.0
"""How long a move that has been placed holds up others. Nobody is active while a federation moves, and each
takes longer if all move at the same time."""
_LOOK_SECONDS = 1.0
"""How often a move looks whether the hub is back."""


class Move:
    """What has become of a plan.

    Attributes:
        request: the one that counts. Somebody else may have placed it.
        sent: it may be on the hub.
        placed: it is.
        ending: None until it has ended.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.request = plan.command.id
        self.sent = False
        self.placed = False
        self.ending: Ending | None = None

    async def run(self, hub: OpenHub, seen: NamespaceSight, turns: asyncio.Semaphore) -> None:
        """Carry the plan out. `turns`: so many moves may be under way."""
        self.ending = await _Course(self, hub, seen).run(turns)


class _Course:
    def __init__(self, move: Move, hub: OpenHub, seen: NamespaceSight) -> None:
        where = move.plan.federation
        self._move = move
        self._plan = move.plan
        self._hub = hub
        self._seen = seen
        self._sight: FederationSight = seen.of(where)
        self._requests = PlacedRequests(
            hub.federations, where.namespace, where.name, sight=self._sight, clock=hub.clock
        )
        self._idle = IdleTime(where.status)
        self._began = hub.clock.boot()
        self._ours = False
        """Whether the request is our own, and no operator may have acted on it yet."""

    async def run(self, turns: asyncio.Semaphore) -> Ending:
        try:
            if isinstance(self._plan.verdict, Joined):
                return await self._to_the_end(self._plan.federation, self._plan.verdict)
            with contextlib.ExitStack() as turn:
                await turns.acquire()
                turn.callback(turns.release)
                self._began = self._hub.clock.boot()
                federation, verdict = await self._place()
                asyncio.get_running_loop().call_later(_TURN_SECONDS, turn.close)
                return await self._to_the_end(federation, verdict)
        except OutcomeUnknownError as error:
            return self._ending(self._plan.federation, unknown=str(error))
        except errors.HubError as error:  # nothing was written
            return self._ending(self._plan.federation, refusal=Refusal(error.reason, str(told(error))))

    # --- placing it ---------------------------------------------------------------------------------

    async def _place(self) -> tuple[Federation, Admission]:
        """Place the request, for as long as the hub is busy or out of reach.

        An attempt may be on the hub although no answer came. So the next one first looks for it.
        """
        backoff, doubtful = Backoff(first=0.1), False
        while True:
            self._move.sent, least = True, 0.0
            try:
                federation, verdict = await self._requests.place(self._plan.command, dry_run=False)
            except HubLostError:
                doubtful = True
            except errors.UnreachableError as error:
                self._move.sent, least = doubtful, error.retry_after
            except errors.HubError as error:
                self._move.sent = doubtful
                if not doubtful:
                    raise
                raise OutcomeUnknownError(str(told(error))) from error
            else:
                verdict = (self._found(federation) if doubtful else None) or verdict
                self._move.sent = isinstance(verdict, Accepted | Joined)
                return federation, verdict
            await asyncio.sleep(backoff.next(least=least))

    def _found(self, federation: Federation) -> Accepted | None:
        """The verdict if an earlier attempt has succeeded; None if none has.

        Raises:
            OutcomeUnknownError: nobody can find that out.
        """
        request, status = self._plan.command.id, federation.status
        if why := self._uncertain(self._plan.federation, federation, request):
            raise OutcomeUnknownError(why)
        return Accepted(status, request) if status and claims.knows(status, request) else None

    def _uncertain(self, before: Federation, after: Federation, request: str) -> str | None:
        return claims.uncertain(before, after, request, self._sight.known_term(before.uid))

    # --- waiting for it -----------------------------------------------------------------------------

    async def _to_the_end(self, federation: Federation, verdict: Admission) -> Ending:
        """Wait for the request, and then for others that somebody else has placed for the same member."""
        if isinstance(verdict, Refusal):
            verdict = self._met(federation) or verdict
        while isinstance(verdict, Accepted | Joined):
            self._move.request = verdict.request
            self._move.sent = self._move.placed = True
            self._ours = isinstance(verdict, Accepted)
            entry = await self._entry(federation, verdict.request)
            federation = self._sight.latest or federation
            if entry.succeeded:
                return self._ending(federation, past=entry)
            verdict = self._met(federation) or _refusal(entry, federation)
        if isinstance(verdict, Refusal):
            return self._ending(federation, refusal=verdict)
        self._move.request = ""
        return self._ending(federation)

    def _met(self, federation: Federation) -> Admission | None:
        """Whether somebody else makes the member active, or has done so; None if not."""
        again = replace(self._plan.command, expected_term=None)
        verdict = admit(federation, again, self._hub.clock.now())
        if isinstance(verdict, Refusal | Accepted):
            return None
        return verdict if not isinstance(verdict, Joined) or verdict.request != self._move.request else None

    async def _entry(self, placed: Federation, request: str) -> HistoryEntry:
        """How the request has ended. If it is our own and no operator is at work, it is withdrawn.

        An operator that has many requests to carry out may begin with this one late. So only the time counts
        in which it moves no role at all.

        Raises:
            OutcomeUnknownError: nobody can find that out.
        """
        since = self._hub.clock.boot()
        while True:
            if entry := self._look(placed, request):
                return entry
            now = self._hub.clock.boot()
            last_act = max(since, self._seen.last_act)
            patience = Patience.with_request_in(placed, last_act)
            if self._seen.trouble:
                left = _LOOK_SECONDS
            elif now >= patience.give_up_at:
                raise OutcomeUnknownError(claims.TOO_LONG)
            elif self._ours and now >= patience.withdraw_at:
                if entry := await self._withdrawn(placed, request):
                    return entry
                left = _LOOK_SECONDS
            else:
                left = (patience.withdraw_at if self._ours else patience.give_up_at) - now
            await within(left, self._sight.changed())

    async def _withdrawn(self, placed: Federation, request: str) -> HistoryEntry | None:
        """The end of the request; None if an operator has acted on it, or if the hub does not answer."""
        try:
            entry = await self._requests.withdraw(placed, request)
        except (errors.HubError, HubLostError):
            return None
        self._ours = False
        return entry

    def _look(self, placed: Federation, request: str) -> HistoryEntry | None:
        """The request's entry in the history, if it is there by now."""
        for at, version in self._sight.taken():
            self._idle.see(at, version.status)
        latest = self._sight.latest
        if latest is None:
            raise OutcomeUnknownError(claims.DELETED)
        self._requests.check_is_still(placed)
        known = latest.status is not None and claims.knows(latest.status, request)
        if not known and newer(latest.resource_version, placed.resource_version):
            raise OutcomeUnknownError(self._uncertain(placed, latest, request) or claims.REMOVED)
        return claims.end_of(request, placed, latest)

    def _ending(
        self,
        federation: Federation,
        *,
        past: HistoryEntry | None = None,
        refusal: Refusal | None = None,
        unknown: str = "",
    ) -> Ending:
        seconds, gap = self._hub.clock.boot() - self._began, self._idle.seconds
        return Ending.of(
            self._move.request, federation, seconds, past=past, refusal=refusal, unknown=unknown, gap=gap
        )


def _refusal(entry: HistoryEntry, federation: Federation) -> Refusal:
    """Why the request has not made the member active, and which other one has taken its place, if any."""
    status = federation.status
    others = (status.switchover, *status.history) if status and entry.outcome == Outcome.SUPERSEDED else ()
    other = next((each for each in others if each and each.id in entry.message), None)
    if other is None:
        return Refusal(entry.outcome, entry.message)
    by = f", requested by {other.requested_by}" if other.requested_by else ""
    change = f"from {other.from_ or 'nobody'} to {other.to or 'nobody'}"
    return Refusal(entry.outcome, f"{entry.message} ({change}{by})")
