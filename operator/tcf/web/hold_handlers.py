"""The `/tcf/holds` paths of one worker: applications ask for how long they may act as the active member."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from tcf.auth.authority import DeniedError
from tcf.core.holds import MOST_HOLDERS
from tcf.core.model import Refusal, stamp
from tcf.core.reasons import Reason
from tcf.web.audit_trail import ASKED, Asked
from tcf.web.bodies import Bodies, refused
from tcf.web.envelope import JSON, TEXT, answer, compact, error
from tcf.web.guard import Guard
from tcf.web.hold_guard import HoldGuard
from tcf.web.hold_parameters import read_hold, read_release
from tcf.web.parameters import BadRequestError
from tcf.web.reading_headers import about, shown_seconds
from tcf.web.server import Handler, Routes
from tcf.worker.holders import HoldAnswer, Holders

HELD_FOR = "X-TCF-Held-For"


def hold_routes(holders: Holders, guard: Guard) -> Routes:
    """The handlers, by path and method."""
    handlers = _HoldHandlers(holders, guard)
    return {
        "/tcf/holds": {"GET": guard.reading(handlers.show), "HEAD": guard.reading(handlers.show)},
        "/tcf/holds/": {"PUT": handlers.guarded(handlers.hold), "DELETE": handlers.guarded(handlers.release)},
    }


Work = Callable[[web.BaseRequest, Asked], Awaitable[web.StreamResponse]]


class _HoldHandlers:
    def __init__(self, holders: Holders, guard: Guard) -> None:
        self._holders = holders
        self._guard = guard
        self._member = guard.member
        self._hold_guard = HoldGuard(guard, holders.clock)
        self._bodies = Bodies()

    def guarded(self, work: Work) -> Handler:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            try:
                await self._hold_guard.admit(request, releasing=request.method == "DELETE")
                return await work(request, request[ASKED])
            except DeniedError as denied:
                return self._guard.denial(denied)
            except BadRequestError as bad:
                return refused(request, bad, self._member.cluster)

        return handle

    async def hold(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        """Grant or extend a hold."""
        hold, wait = await self._bodies.read(request, read_hold)
        given = await self._holders.ask(hold, wait, there=lambda: request.transport is not None)
        if given is None:
            raise BadRequestError(
                Reason.TOO_MANY_HOLDERS, f"this worker has {MOST_HOLDERS} holders already; stop some", 503
            )
        asked.routine = not given.begun
        asked.annotations["holder"] = hold.name
        return self._answer(given)

    def _answer(self, given: HoldAnswer) -> web.StreamResponse:
        headers = {
            "X-TCF-Cluster": self._member.cluster,
            "X-TCF-Federation": f"{self._member.namespace}/{self._member.federation}",
        }
        if given.held_for:
            headers[HELD_FOR] = shown_seconds(given.held_for)
        known = given.answer
        if isinstance(known, Refusal):
            return error(500, known.reason, known.message, headers)
        headers.update(about(known, self._member.cluster, given.answered_at))
        return answer(200 if given.active else 418, known.role.value.encode(), TEXT, headers)

    async def release(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        """End a hold, if there is one."""
        name, instance = await self._bodies.read(request, read_release)
        asked.annotations["holder"] = name
        asked.routine = not self._holders.release(name, instance)
        return answer(204, headers={"X-TCF-Cluster": self._member.cluster})

    async def show(self, _: web.BaseRequest) -> web.StreamResponse:
        """All holders, for people."""
        rows = [
            {
                "name": row.name,
                "state": row.state,
                "seconds_left": round(row.seconds_left, 3),
                "healthy": row.healthy,
                "message": row.message,
                "since": stamp(row.since),
            }
            for row in self._holders.rows()
        ]
        return answer(200, compact(rows), JSON, {"X-TCF-Cluster": self._member.cluster})
