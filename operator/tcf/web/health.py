"""The health of a process, for Kubernetes' probes: `/healthz` (alive) and `/readyz` (at work)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiohttp import web

from tcf.core.reasons import Reason
from tcf.web.responses import TEXT, answer, error
from tcf.web.server import Handler, Routes, for_health_checks

Check = Callable[[], str | None]
"""What is wrong, in words for a person; None when nothing is."""
Remarks = Callable[[], Iterable[str]]
"""What a person should know although the process is at work: a line for each."""


def routes(*, alive: Check, ready: Check, remarks: Remarks = tuple) -> Routes:
    checks = {"/healthz": _probe(alive, tuple), "/readyz": _probe(ready, remarks)}
    return {path: for_health_checks(probe) for path, probe in checks.items()}


def _probe(check: Check, remarks: Remarks) -> Handler:
    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        trouble = check()
        if trouble:
            return error(503, Reason.NOT_READY, trouble)
        return answer(200, "\n".join(["ok", *remarks()]).encode(), TEXT)

    return handle
