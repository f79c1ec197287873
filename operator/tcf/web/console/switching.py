"""`POST /console/toggle`, `/console/promote` and `/console/demote`: what the user of the page asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from tcf.coordinator.cached_sight import CachedSight
from tcf.coordinator.dispatcher import Dispatcher
from tcf.core.admission import Accepted, Command, Kind, Unchanged
from tcf.core.authorization import READ, rights_to_change
from tcf.core.model import Federation, MemberRef, Refusal
from tcf.core.plan import command_for, plan_of, told
from tcf.core.reasons import Outcome, Reason
from tcf.hub import errors
from tcf.hub.answers import Json
from tcf.hub.federation_json import refusal_json
from tcf.hub.interfaces import FederationStore
from tcf.runtime.clock import Clock
from tcf.web.bodies import Bodies, refused
from tcf.web.console.places import Places
from tcf.web.envelope import JSON, answer, closing, compact, error
from tcf.web.guard import Caller
from tcf.web.parameters import BadRequestError, read_parameters
from tcf.web.post_parameters import PARAMETERS, wish_in
from tcf.worker.placed_requests import OutcomeUnknownError, PlacedRequests
from tcf.worker.switchovers import Wish

MOST_POSTS, MOST_OF_ONE = 32, 4
"""How many requests one operator carries out at a time, and how many of one user. Some wait for minutes."""


@dataclass(frozen=True, slots=True)
class Order:
    """A wish, and the federation that it is about. `member`: "" for a toggle."""

    namespace: str
    federation: str
    member: str
    wish: Wish


class Switching:
    """Carries out orders."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        federations: FederationStore,
        *,
        trouble: Callable[[], Refusal | None],
        clock: Clock,
    ) -> None:
        """`federations`: with connections of its own, so that no order delays the operator."""
        self._dispatcher = dispatcher
        self._trouble = trouble
        self._federations = federations
        self._clock = clock
        self._bodies = Bodies()
        self._places = Places(MOST_POSTS, MOST_OF_ONE)

    async def handle(self, kind: Kind, request: web.BaseRequest, caller: Caller) -> web.StreamResponse:
        try:
            order = await self._bodies.read(request, partial(_read, kind))
        except BadRequestError as bad:
            return refused(request, bad)
        wish = order.wish
        caller.asked.about = MemberRef(order.namespace, order.federation, order.member)
        caller.asked.annotations["reason"] = wish.reason
        await caller.needs(READ, *rights_to_change(force=wish.force, dry_run=wish.dry_run))
        if trouble := self._trouble():
            return error(503, trouble.reason, f"nothing was changed: {trouble.message}", {"Retry-After": "1"})
        sight = CachedSight(self._dispatcher, (order.namespace, order.federation))
        federation = sight.latest
        if federation is None:
            message = f"there is no federation {order.federation} in namespace {order.namespace}"
            return error(404, Reason.FEDERATION_NOT_FOUND, message)
        command = command_for(
            federation,
            wish.kind,
            order.member or None,
            id_=caller.asked.id,
            principal=caller.principal,
            reason=wish.reason,
            force=wish.force,
            expected_term=wish.expected_term,
        )
        if wish.dry_run:
            return self._foreseen(federation, command)
        user = caller.principal.name
        if self._places.full(user):
            message = (
                "nothing was changed: too many requests of the console are under way"
                f" ({MOST_OF_ONE} of one user, {MOST_POSTS} of all together); try again later"
            )
            return closing(error(503, Reason.TOO_MANY_REQUESTS, message, {"Retry-After": "1"}))
        with self._places.taken(user):
            return await self._carry_out(order, sight, command, caller)

    def _foreseen(self, federation: Federation, command: Command) -> web.StreamResponse:
        """What would happen. `term`: for `expected_term`, so that nothing else happens."""
        plan = plan_of(federation, command, self._clock.now())
        found: Json = {
            "lines": list(told(plan)),
            "from": plan.from_ or None,
            "to": plan.to or None,
            "refusal": refusal_json(plan.verdict) if isinstance(plan.verdict, Refusal) else None,
            "objection": refusal_json(plan.objection) if plan.objection else None,
            "changes": isinstance(plan.verdict, Accepted),
            "term": federation.status.term if federation.status else None,
        }
        return answer(200, compact(found), JSON)

    async def _carry_out(
        self, order: Order, sight: CachedSight, command: Command, caller: Caller
    ) -> web.StreamResponse:
        requests = PlacedRequests(
            self._federations, order.namespace, order.federation, sight=sight, clock=self._clock
        )
        try:
            federation, verdict = await requests.place(command, dry_run=False)
            if isinstance(verdict, Refusal):
                return error(409, verdict.reason, verdict.message)
            if isinstance(verdict, Unchanged):
                return _done(federation, "Unchanged")
            caller.asked.request = verdict.request
            entry = await requests.outcome(federation, verdict.request, own=isinstance(verdict, Accepted))
        except OutcomeUnknownError as unknown:
            return error(504, Reason.OUTCOME_UNKNOWN, str(unknown))
        except errors.NotFoundError as missing:
            return error(404, Reason.FEDERATION_NOT_FOUND, f"nothing was changed: {missing.public}")
        except errors.HubError as trouble:
            return error(503, trouble.reason, f"nothing was changed: {trouble.public}")
        caller.asked.annotations["outcome"] = entry.outcome
        if not entry.succeeded:
            return error(409, entry.outcome, entry.message)
        return _done(sight.latest or federation, Outcome.SUCCEEDED)


def _done(federation: Federation, outcome: str) -> web.StreamResponse:
    status = federation.status
    found = {
        "outcome": outcome,
        "active": (status.active_cluster if status else "") or None,
        "term": status.term if status else None,
    }
    return answer(200, compact(found), JSON)


async def _read(kind: Kind, request: web.BaseRequest) -> Order:
    """What the page asks for. Raises BadRequestError if the request is wrong."""
    own = ("namespace", "federation") if kind is Kind.TOGGLE else ("namespace", "federation", "member")
    parameters = await read_parameters(request, (*own, *PARAMETERS))
    for name in own:
        if not parameters.get(name):
            raise BadRequestError(Reason.INVALID_PARAMETER, f"{name} is missing")
    namespace, federation, member = (
        parameters.get(name, "") for name in ("namespace", "federation", "member")
    )
    return Order(namespace, federation, member, wish_in(kind, parameters))
