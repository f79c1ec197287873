"""The form of every answer and of every error: `{"error": ...}`, with its reason in a header."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping

from aiohttp import web
from multidict import CIMultiDict

TEXT = "text/plain; charset=utf-8"
JSON = "application/json; charset=utf-8"


def answers(
    status: int, body: bytes = b"", content_type: str | None = None, headers: Mapping[str, str] | None = None
) -> Callable[[], web.Response]:
    """A function that makes this answer, a new one for each call, to which headers may be added.

    No answer may be cached, and none names the version of the program.
    """
    return functools.partial(web.Response, status=status, body=body, headers=fields(content_type, headers))


def fields(content_type: str | None, headers: Mapping[str, str] | None = None) -> CIMultiDict[str]:
    """The header fields of an answer."""
    found = CIMultiDict(headers or {})  # aiohttp copies it in half the time that a dict takes
    if content_type:
        found["Content-Type"] = content_type
    found["Cache-Control"] = "no-store"
    found["Server"] = "tcf"
    return found


def compact(value: object) -> bytes:
    """JSON without blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def answer(
    status: int, body: bytes = b"", content_type: str | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """One answer."""
    return answers(status, body, content_type, headers)()


def error(status: int, reason: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """The answer if something is wrong or refused; `reason` is CamelCase, for programs."""
    body = json.dumps({"error": message}, ensure_ascii=False).encode(errors="backslashreplace")
    return answer(status, body, JSON, {"X-TCF-Reason": reason, **(headers or {})})


def closing(response: web.Response) -> web.Response:
    """The same answer. The connection is closed after it."""
    response.force_close()
    return response
