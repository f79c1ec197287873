"""The parameters of a POST that moves a role."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from tcf.core.admission import Kind
from tcf.core.reasons import Reason
from tcf.web.parameters import BadRequestError, flag, is_number, read_parameters, text
from tcf.worker.switchovers import Wish

PARAMETERS = ("dry_run", "expected_term", "force", "reason")


async def read_wish(kind: Kind, request: web.BaseRequest) -> Wish:
    """What the client asks for. Raises BadRequestError if the request is wrong."""
    return wish_in(kind, await read_parameters(request, PARAMETERS))


def wish_in(kind: Kind, parameters: Mapping[str, str]) -> Wish:
    """The wish in these parameters. Raises BadRequestError if one is wrong."""
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
