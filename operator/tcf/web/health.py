"""The health of a process, for the probes of Kubernetes: `/healthz` (alive) and `/readyz` (ready)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiohttp import web

from tcf.core.reasons import Reason
from tcf.web.envelope import TEXT, answer, error
from tcf.web.server import Handler, Routes, for_health_checks

Check = Callable[[], str | None]
"""Returns what is wrong, for a person to read; None if nothing is."""
Remarks = Callable[[], Iterable[str]]
"""Returns what a person should know although the process is ready: one line each."""


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
