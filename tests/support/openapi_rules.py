"""Hooks of schemathesis: the rules of the API that an OpenAPI description has no words for.

schemathesis loads this file. It makes requests that are valid by the description. These hooks make them valid
by the rest of the rules as well. Requests that are meant to be wrong stay as they are.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

import requests
import schemathesis
from schemathesis import CheckContext, DeserializationContext, HookContext, Response

from tcf.hub.records import seconds
from tcf.runtime.text import hidden
from tcf.web.hold_parameters import LONGEST_HOLD

Case = schemathesis.Case[Any]
Parameters = dict[str, Any]


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Correct a request that is meant to be valid."""
    if case.meta is None or case.meta.generation.mode.is_negative:
        return
    query, body = case.query, _form(case)
    for name in body:  # each parameter only once
        query.pop(name, None)
    body |= {name: int(value) for name, value in body.items() if isinstance(value, float)}  # 3, not 3.0
    for given in (query, body):
        for name in {"reason", "message"} & given.keys():
            given[name] = _fit_to_be_shown(given[name])
    if case.method == "PUT":
        _correct_times(query, body)


def _form(case: Case) -> Parameters:
    """The parameters in the body."""
    return case.body if isinstance(case.body, dict) else {}


def _fit_to_be_shown(value: Any) -> Any:
    return "".join(each for each in value if not hidden(each)) if isinstance(value, str) else value


def _correct_times(query: Parameters, body: Parameters) -> None:
    """A hold has a length, and a wait that is not longer than half of that."""
    given = body if "for" in body else query
    if not _is_length(given.get("for", "")):
        given["for"] = "10s"
    for given in (query, body):
        if "wait" in given:
            given["wait"] = "0s"  # nobody should have to wait for this test


def _is_length(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return 1 <= seconds(text) <= LONGEST_HOLD
    return False


@schemathesis.hook
def after_call(context: HookContext, case: Case, response: Response) -> None:
    """Release what was granted. A worker takes only a few holders, and a switchover waits for each."""
    if case.method == "PUT" and "x-tcf-federation" in response.headers:
        given, sent = {**case.query, **_form(case)}, response.request
        released = requests.delete(
            str(sent.url).partition("?")[0],
            params={"id": _as_sent(given.get("id", ""))},
            headers={name: sent.headers[name] for name in ("Authorization",) if name in sent.headers},
            timeout=90,
        )
        assert released.status_code == 204, released.text


def _as_sent(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@schemathesis.check
def no_bug(context: CheckContext, response: Response, case: Case) -> bool | None:
    """The description allows `InternalError`, since a worker says so. But no request should cause one."""
    assert response.headers.get("x-tcf-reason") != ["InternalError"]
    return None


@schemathesis.deserializer("text/plain")
def text_of(context: DeserializationContext, response: Response) -> str:
    """Bodies that are text are compared with their schemas, too."""
    return response.content.decode()
