"""The health of a process, for Kubernetes' probes: `/healthz` (alive) and `/readyz` (at work)."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from tcf.web.server import TEXT, Handler, Routes, answer, error

Check = Callable[[], str | None]
"""What is wrong, in words for a person; None when nothing is."""


def routes(*, alive: Check, ready: Check) -> Routes:
    return {
        path: {"GET": handler, "HEAD": handler}
        for path, handler in {"/healthz": _probe(alive), "/readyz": _probe(ready)}.items()
    }


def _probe(check: Check) -> Handler:
    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        trouble = check()
        if trouble:
            return error(503, "NotReady", trouble)
        return answer(200, b"ok", TEXT)

    return handle
