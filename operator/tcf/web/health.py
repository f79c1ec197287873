"""The health of a process, for Kubernetes' probes: `/healthz` (alive) and `/readyz` (at work)."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from tcf.web.responses import TEXT, answer, error
from tcf.web.server import Handler, Routes, for_health_checks

Check = Callable[[], str | None]
"""What is wrong, in words for a person; None when nothing is."""


def routes(*, alive: Check, ready: Check) -> Routes:
    checks = {"/healthz": alive, "/readyz": ready}
    return {path: for_health_checks(_probe(check)) for path, check in checks.items()}


def _probe(check: Check) -> Handler:
    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        trouble = check()
        if trouble:
            return error(503, "NotReady", trouble)
        return answer(200, b"ok", TEXT)

    return handle
