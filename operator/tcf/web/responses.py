"""What every answer looks like, and every error: `{"error": ...}` with its reason in a header."""

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
    """Gives an answer as often as it is called, each time a new one to which headers may be added.

    Like every answer, it must not be cached, and it does not name the version of the program.
    """
    told = CIMultiDict(headers or {})  # which aiohttp copies at half the price of a dict
    if content_type:
        told["Content-Type"] = content_type
    told["Cache-Control"] = "no-store"
    told["Server"] = "tcf"
    return functools.partial(web.Response, status=status, body=body, headers=told)


def answer(
    status: int, body: bytes = b"", content_type: str | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """One such answer."""
    return answers(status, body, content_type, headers)()


def error(status: int, reason: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """The answer to everything that is not as asked; `reason` is CamelCase, for programs."""
    body = json.dumps({"error": message}, ensure_ascii=False).encode()
    return answer(status, body, JSON, {"X-TCF-Reason": reason, **(headers or {})})


def closing(response: web.Response) -> web.Response:
    """The same, with the end of the connection after it."""
    response.force_close()
    return response
