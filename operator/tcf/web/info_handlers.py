"""`GET /tcf/info` and `GET /tcf/history` of one worker."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tcf.core.model import PROTOCOL, Refusal
from tcf.core.reading import Reading
from tcf.core.reasons import Reason
from tcf.hub.records import history_json
from tcf.runtime.release import VERSION
from tcf.web.envelope import JSON, answer, compact, error
from tcf.web.guard import Guard
from tcf.web.reading_headers import about
from tcf.web.server import Routes, for_health_checks
from tcf.worker.knowledge import Knowledge


def info_routes(knowledge: Knowledge, guard: Guard) -> Routes:
    """The handlers, by path and method."""
    handlers = _InfoHandlers(knowledge)
    return {
        "/tcf/info": for_health_checks(guard.reading(handlers.info)),
        "/tcf/history": for_health_checks(guard.naming(handlers.history)),
    }


class _InfoHandlers:
    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge

    async def info(self, _: web.BaseRequest) -> web.StreamResponse:
        """Answer 200 also when the roles are not certain: `role` is null then."""
        member, now = self._knowledge.member, self._knowledge.clock.boot()
        known = self._knowledge.answer(now)
        reading = known if isinstance(known, Reading) else None
        found: dict[str, Any] = {
            "version": VERSION,
            "protocol": PROTOCOL,
            "federation": f"{member.namespace}/{member.federation}",
            "cluster": member.cluster,
            "role": reading.role if reading else None,
            "term": reading.term if reading else None,
            "valid_for": round(reading.valid_for(now), 3) if reading else None,
            "hub": self._hub(),
        }
        return answer(200, compact(found), JSON, {"X-TCF-Cluster": member.cluster})

    def _hub(self) -> dict[str, str]:
        """Whether the latest attempt to renew the reading has succeeded; if not, why."""
        why = self._knowledge.state.why
        if (
            why.reason == Reason.READING_EXPIRED
        ):  # the reason that would be given if no other attempt succeeded
            return {"state": "Renewed"}
        return {"state": why.reason, "error": why.message}

    async def history(self, _: web.BaseRequest, *, names: bool) -> web.StreamResponse:
        """Answer with how the latest requests have ended, the newest first. `names`: also who has asked."""
        now, cluster = self._knowledge.clock.boot(), self._knowledge.member.cluster
        known, latest = self._knowledge.answer(now), self._knowledge.latest
        if isinstance(known, Refusal):
            return error(500, known.reason, known.message, {"X-TCF-Cluster": cluster})
        entries = history_json(latest.status) if latest and latest.status else []
        if not names:
            for entry in entries:
                entry.pop("requestedBy")
        return answer(200, compact(entries), JSON, about(known, cluster, now))
