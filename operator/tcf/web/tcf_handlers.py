"""The `/tcf/*` paths of one worker.

A GET is answered by the worker's reading, without a request to the hub. A POST is answered when the roles
have changed, or when it is certain that they will not change.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import partial

from aiohttp import web

from tcf.core.admission import Kind
from tcf.core.authorization import rights_to_change
from tcf.core.model import Refusal, Role
from tcf.core.reading import Reading
from tcf.core.reasons import Reason
from tcf.web.bodies import Bodies, refused
from tcf.web.envelope import JSON, TEXT, answer, answers, closing, error
from tcf.web.guard import Caller, Guard
from tcf.web.parameters import BadRequestError, is_number
from tcf.web.post_parameters import read_wish
from tcf.web.reading_headers import VALID_FOR, about, shown_seconds
from tcf.web.role_table import role_table
from tcf.web.server import Routes, for_health_checks
from tcf.worker.knowledge import Knowledge
from tcf.worker.switchovers import Course, Switchovers, Wish

MOST_POSTS = 64
"""How many POSTs one worker carries out at a time. Each of them waits, and makes requests to the hub."""

Render = Callable[[Reading], tuple[int, bytes, str]]
ChooseStatus = Callable[[web.BaseRequest, Reading], int | None]
"""Another status than usual, if a parameter asks for one. Other parameters are ignored."""


def routes(knowledge: Knowledge, switchovers: Switchovers, guard: Guard) -> Routes:
    """The handlers for the roles and their changes, by path and method."""
    posts = _Posts(knowledge, switchovers)
    return {
        **_get_routes(knowledge, guard),
        **{f"/tcf/{kind}": {"POST": guard.changing(partial(posts.handle, kind))} for kind in Kind},
    }


def probe_routes(knowledge: Knowledge, *, role_only: bool) -> Routes:
    """The paths for probes, which carry no credentials. `role_only`: nothing but /tcf/is_active."""
    paths = _get_routes(knowledge, Guard(knowledge.member))
    return {"/tcf/is_active": paths["/tcf/is_active"]} if role_only else paths


def _get_routes(knowledge: Knowledge, guard: Guard) -> Routes:
    gets = {
        "/tcf/status": _Get(knowledge, _status),
        "/tcf/is_active": _Get(knowledge, _is_active, _passive_status),
        "/tcf/clusters": _Get(knowledge, _clusters),
    }
    return {path: for_health_checks(guard.reading(get)) for path, get in gets.items()}


# --- GET --------------------------------------------------------------------------------------------

_ROLE_BYTES = {role: role.value.encode() for role in Role}


def _status(reading: Reading) -> tuple[int, bytes, str]:
    return 200, _ROLE_BYTES[reading.role], TEXT


def _is_active(reading: Reading) -> tuple[int, bytes, str]:
    return (200 if reading.role is Role.ACTIVE else 418), _ROLE_BYTES[reading.role], TEXT


def _clusters(reading: Reading) -> tuple[int, bytes, str]:
    return 200, role_table(reading.clusters), JSON


class _Get:
    """Answers by the worker's reading, which it renders only once. Thousands of probes may get the same."""

    def __init__(
        self, knowledge: Knowledge, render: Render, choose_status: ChooseStatus | None = None
    ) -> None:
        self._knowledge = knowledge
        self._render = render
        self._choose_status = choose_status
        self._rendered: tuple[Reading, Callable[[], web.Response]] | None = None

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        now = self._knowledge.clock.boot()
        reading = self._knowledge.answer(now)
        cluster = self._knowledge.member.cluster
        if isinstance(reading, Refusal):
            return error(500, reading.reason, reading.message, {"X-TCF-Cluster": cluster})
        status = None
        if "?" in request.raw_path:
            try:
                status = self._choose_status(request, reading) if self._choose_status else None
                _require_term(request, reading)
            except BadRequestError as bad:
                return error(bad.status, bad.reason, str(bad), about(reading, cluster, now))
        rendered = self._rendered
        if rendered is None or rendered[0] is not reading:
            rendered = reading, answers(*self._render(reading), about(reading, cluster, now))
            self._rendered = rendered
        response = rendered[1]()
        if status:
            response.set_status(status)
        response.headers[VALID_FOR] = shown_seconds(reading.valid_for(now))
        return response


_MAY_MEAN_PASSIVE = re.compile("(?!500)[45][0-9][0-9]", re.ASCII)


def _passive_status(request: web.BaseRequest, reading: Reading) -> int | None:
    """The status that the client wants if the member is not active; None for the usual one."""
    wanted = request.query.getall("passive", [])
    if not wanted:
        return None
    if len(wanted) > 1 or not _MAY_MEAN_PASSIVE.fullmatch(wanted[0]):
        raise BadRequestError(
            Reason.INVALID_PARAMETER,
            "passive is not a status that can mean `not active`; give one from 400 to 599, such as 403, but"
            " not 500, which means that the role is not certain",
        )
    return None if reading.role is Role.ACTIVE else int(wanted[0])


def _require_term(request: web.BaseRequest, reading: Reading) -> None:
    """Raises BadRequestError if the reading is older than the client's `min_term`."""
    wanted = request.query.getall("min_term", [])
    if not wanted:
        return
    if not all(is_number(value) for value in wanted):
        raise BadRequestError(
            Reason.INVALID_PARAMETER, "min_term is not a number; give a term such as 1795457003000"
        )
    term = max(int(value) for value in wanted)
    if reading.term < term:
        raise BadRequestError(
            Reason.TERM_TOO_OLD,
            f"this worker knows term {reading.term}, which is older than min_term {term};"
            " ask again in a moment",
            500,
        )


# --- POST -------------------------------------------------------------------------------------------


class _Posts:
    """Carries out the POSTs of one worker, a limited number at a time."""

    def __init__(self, knowledge: Knowledge, switchovers: Switchovers) -> None:
        self._knowledge = knowledge
        self._switchovers = switchovers
        self._cluster = knowledge.member.cluster
        self._bodies = Bodies()
        self._carrying_out = asyncio.Semaphore(MOST_POSTS)

    async def handle(self, kind: Kind, request: web.BaseRequest, caller: Caller) -> web.StreamResponse:
        try:
            wish = await self._bodies.read(request, partial(read_wish, kind))
        except BadRequestError as bad:
            return refused(request, bad, self._cluster)
        caller.asked.annotations["reason"] = wish.reason
        await caller.needs(*rights_to_change(force=wish.force, dry_run=wish.dry_run))
        # Whoever may not change anything must not take the place of somebody who may.
        if self._carrying_out.locked():
            return self._busy(f"{MOST_POSTS} requests to change roles are under way in this worker")
        async with self._carrying_out:
            return await self._carry_out(wish, caller)

    async def _carry_out(self, wish: Wish, caller: Caller) -> web.StreamResponse:
        course = Course(caller.asked.id)
        result = await self._switchovers.ask(wish, caller.principal, course)
        caller.asked.request = course.request
        if isinstance(result, Refusal):
            return error(500, result.reason, result.message, {"X-TCF-Cluster": self._cluster})
        caller.asked.annotations["outcome"] = course.effect
        headers = about(result, self._cluster, self._knowledge.clock.boot())
        if wish.dry_run:
            headers["X-TCF-Dry-Run"] = "true"
        return answer(200, role_table(result.clusters), JSON, headers)

    def _busy(self, message: str) -> web.Response:
        more = {"X-TCF-Cluster": self._cluster, "Retry-After": "1"}
        return closing(error(503, Reason.TOO_MANY_REQUESTS, f"{message}; try again later", more))
