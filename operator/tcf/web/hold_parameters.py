"""The name and the parameters of a request about a hold."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aiohttp import web

from tcf.core.holds import HoldRequest
from tcf.core.model import LONGEST_LEASE
from tcf.core.reasons import Reason
from tcf.hub.records import seconds
from tcf.web.parameters import BadRequestError, flag, read_parameters, text

LONGEST_HOLD = LONGEST_LEASE
"""Seconds. A Lease has to be able to cover every hold."""
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_INSTANCE = re.compile(r"[A-Za-z0-9._-]{0,64}")


async def read_hold(request: web.BaseRequest) -> tuple[HoldRequest, float]:
    """What the holder asks for, and for how many seconds the answer may wait.

    Raises:
        BadRequestError: the request is wrong.
    """
    parameters = await read_parameters(request, ("id", "for", "wait", "draining", "healthy", "message"))
    length = _duration(parameters, "for", "")
    if not 1 <= length <= LONGEST_HOLD:
        raise BadRequestError(
            Reason.INVALID_PARAMETER, f"for is {parameters['for'][:64]}; give 1s to {LONGEST_HOLD}s"
        )
    wait = _duration(parameters, "wait", "0s")
    if wait > length / 2:
        raise BadRequestError(
            Reason.INVALID_PARAMETER,
            "wait is longer than half of for: the hold might run out before the answer comes",
        )
    hold = HoldRequest(
        name=_name(request),
        instance=_instance(parameters),
        seconds=length,
        draining=flag(parameters, "draining"),
        healthy=flag(parameters, "healthy", default=True),
        message=text(parameters, "message"),
    )
    return hold, wait


async def read_release(request: web.BaseRequest) -> tuple[str, str]:
    """The name and the instance of the hold. Raises BadRequestError if the request is wrong."""
    parameters = await read_parameters(request, ("id",))
    return _name(request), _instance(parameters)


def _name(request: web.BaseRequest) -> str:
    name = request.rel_url.raw_path.rpartition("/")[2]
    if not _NAME.fullmatch(name):
        raise BadRequestError(
            Reason.INVALID_PARAMETER,
            f"{name[:64]!r} is not a name for a holder: use up to 63 letters, digits, dashes, underscores and"
            " dots, with a letter or a digit at both ends",
        )
    return name


def _instance(parameters: Mapping[str, str]) -> str:
    instance = parameters.get("id", "")
    if not _INSTANCE.fullmatch(instance):
        raise BadRequestError(
            Reason.INVALID_PARAMETER,
            "id is not an instance: use up to 64 letters, digits, dashes, underscores and dots",
        )
    return instance


def _duration(parameters: Mapping[str, str], name: str, default: str) -> int:
    value = parameters.get(name, default)
    if not value:
        raise BadRequestError(Reason.INVALID_PARAMETER, f"{name} is missing; give a time such as {name}=10s")
    try:
        return seconds(value)
    except ValueError as bad:
        raise BadRequestError(Reason.INVALID_PARAMETER, f"{name}: {bad}") from bad
