"""The parameters of a request, from its query and its body."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from urllib.parse import parse_qsl

from aiohttp import web

from tcf.core.reasons import Reason
from tcf.runtime.text import unfit

LARGEST_BODY = 16 * 1024
_BODY_SECONDS = 5.0


class BadRequestError(Exception):
    """A wrong request. `reason` and `status` are those of the answer."""

    def __init__(self, reason: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status


async def read_parameters(request: web.BaseRequest, allowed: Collection[str]) -> dict[str, str]:
    """The parameters from the query and the body together. Each may be given only once.

    Raises:
        BadRequestError: something is wrong, or there is a parameter that is not among those `allowed`.
    """
    pairs = _query(request.query_string)
    if request.can_read_body:
        pairs += await _body(request)
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in allowed:
            known = ", ".join(allowed)
            raise BadRequestError(
                Reason.UNKNOWN_PARAMETER, f"there is no parameter {name[:64]!r}; the parameters are {known}"
            )
        if name in found:
            raise BadRequestError(Reason.INVALID_PARAMETER, f"{name} is given more than once")
        found[name] = value
    return found


def _query(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict")
    except ValueError as bad:
        raise BadRequestError(
            Reason.MALFORMED_REQUEST, f"the parameters cannot be understood: {bad}"
        ) from bad


async def _body(request: web.BaseRequest) -> list[tuple[str, str]]:
    """The parameters of the body: none, a form (as curl -d sends it) or a JSON object."""
    data = await _read(request)
    if not data:
        return []
    content_type = request.content_type
    try:
        text = data.decode()
        if content_type == "application/x-www-form-urlencoded":
            return _query(text)
        value = json.loads(text, object_pairs_hook=_Members)
    except (ValueError, RecursionError) as bad:
        raise BadRequestError(Reason.MALFORMED_REQUEST, f"the body cannot be understood: {bad}") from bad
    if not isinstance(value, _Members):
        raise BadRequestError(Reason.MALFORMED_REQUEST, "the body is not a JSON object of parameters")
    return [(name, _plain(name, member)) for name, member in value]


class _Members(list[tuple[str, object]]):
    """A JSON object as it was written, so that a name that is given twice is noticed."""


def _plain(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int):
        return json.dumps(value)
    raise BadRequestError(
        Reason.INVALID_PARAMETER, f"{name[:64]} must be a string, a whole number, true or false"
    )


async def _read(request: web.BaseRequest) -> bytes:
    data = bytearray()
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        # If an encoded body were cut short, a parameter such as dry_run=true might be lost unnoticed.
        raise BadRequestError(
            Reason.MALFORMED_REQUEST, "the body is encoded; send it without Content-Encoding"
        )
    try:
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.content.iter_any():
                data += chunk
                if len(data) > LARGEST_BODY:
                    message = f"the body has more than {LARGEST_BODY} bytes"
                    raise BadRequestError(Reason.BODY_TOO_LARGE, message, 413)
    except TimeoutError as late:
        message = f"the body did not arrive within {_BODY_SECONDS:.0f} s"
        raise BadRequestError(Reason.MALFORMED_REQUEST, message) from late
    except (web.RequestPayloadError, ConnectionResetError) as bad:
        raise BadRequestError(Reason.MALFORMED_REQUEST, f"the body cannot be read: {bad}") from bad
    return bytes(data)


def text(parameters: Mapping[str, str], name: str) -> str:
    """A text for people; "" if there is none. Raises BadRequestError if it is not fit to be shown."""
    value = parameters.get(name, "")
    if wrong := unfit(value):
        raise BadRequestError(Reason.INVALID_PARAMETER, f"{name} {wrong}")
    return value


def flag(parameters: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    """True or false. Raises BadRequestError for anything else."""
    value = parameters.get(name, "true" if default else "false")
    if value not in {"true", "false"}:
        raise BadRequestError(Reason.INVALID_PARAMETER, f"{name} is {value[:64]!r}; give true or false")
    return value == "true"


def is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19  # noqa: PLR2004 - fits in 63 bits
