"""The parameters of a POST that moves a role."""

from __future__ import annotations

from aiohttp import web

from tcf.core.admission import Kind
from tcf.core.reasons import Reason
from tcf.web.parameters import BadRequestError, flag, is_number, read_parameters, text
from tcf.worker.switchovers import Wish

_PARAMETERS = ("dry_run", "expected_term", "force", "reason")


async def read_wish(kind: Kind, request: web.BaseRequest) -> Wish:
    """What the client asks for. Raises BadRequestError if the request is wrong."""
    parameters = await read_parameters(request, _PARAMETERS)
    term = parameters.get("expected_term")
    if term is not None and not is_number(term):
        raise BadRequestError(
            Reason.INVALID_PARAMETER, "expected_term is not a number; give a term such as 1795457003000"
        )
    return Wish(
        kind=kind,
        reason=text(parameters, "reason"),
        expected_term=int(term) if term is not None else None,
        force=flag(parameters, "force"),
        dry_run=flag(parameters, "dry_run"),
    )
