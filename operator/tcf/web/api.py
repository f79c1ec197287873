"""The `/tcf/*` application of one worker: bytes in, bytes out.

GETs are answered from the worker's reading and never touch the network. POSTs hold the connection
until the roles have changed, or until it is certain that they will not.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import parse_qsl

from aiohttp import web

from tcf.core.admission import Kind
from tcf.core.model import MemberStatus, Refusal, Role
from tcf.core.reading import Reading
from tcf.runtime.text import hidden
from tcf.web.responses import JSON, TEXT, answer, answers, closing, error
from tcf.web.server import LARGEST_BODY, Handler, Routes, for_health_checks
from tcf.worker.renewal import Worker
from tcf.worker.switchovers import Switchovers, Wish

VALID_FOR = "X-TCF-Valid-For"
LONGEST_REASON = 256
MOST_POSTS = 64
"""Requests to change roles that one worker carries out at a time. Each waits, and asks the hub meanwhile."""
_BODY_SECONDS = 5.0
_PARAMETERS = ("dry_run", "expected_term", "force", "reason")

Render = Callable[[Reading], tuple[int, bytes, str]]


def routes(worker: Worker, switchovers: Switchovers) -> Routes:
    """The handlers of every `/tcf/*` path, by path and method."""
    posts = asyncio.Semaphore(MOST_POSTS)
    gets = {
        "/tcf/status": _status,
        "/tcf/is_active": _is_active,
        "/tcf/clusters": _clusters,
    }
    return {
        **{path: for_health_checks(_Get(worker, render)) for path, render in gets.items()},
        **{f"/tcf/{kind}": {"POST": _post(worker, switchovers, kind, posts)} for kind in Kind},
    }


# --- GET --------------------------------------------------------------------------------------------

_ROLE_BYTES = {role: role.value.encode() for role in Role}


def _status(reading: Reading) -> tuple[int, bytes, str]:
    return 200, _ROLE_BYTES[reading.role], TEXT


def _is_active(reading: Reading) -> tuple[int, bytes, str]:
    return (200 if reading.role is Role.ACTIVE else 418), _ROLE_BYTES[reading.role], TEXT


def _clusters(reading: Reading) -> tuple[int, bytes, str]:
    return 200, clusters_json(reading.clusters), JSON


def clusters_json(clusters: Iterable[MemberStatus]) -> bytes:
    """The role table as `/tcf/clusters` shows it: these keys, in this order, without blanks."""
    rows = [{"status": m.role, "name": m.name, "id": m.id} for m in clusters]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()


class _Get:
    """Answers with the worker's reading, rendered once for the thousands of probes that one may last for."""

    def __init__(self, worker: Worker, render: Render) -> None:
        self._worker = worker
        self._render = render
        self._rendered: tuple[Reading, Callable[[], web.Response]] | None = None

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        now = self._worker.clock.boot()
        reading = self._worker.answer(now)
        cluster = self._worker.member.cluster
        if isinstance(reading, Refusal):
            return error(500, reading.reason, reading.message, {"X-TCF-Cluster": cluster})
        if "?" in request.raw_path and (refusal := _too_old(request, reading)):
            status = 400 if refusal.reason == "InvalidParameter" else 500
            return error(status, refusal.reason, refusal.message, _about(reading, cluster, now))
        rendered = self._rendered
        if rendered is None or rendered[0] is not reading:
            rendered = reading, answers(*self._render(reading), _about(reading, cluster, now))
            self._rendered = rendered
        response = rendered[1]()
        response.headers[VALID_FOR] = _seconds(reading.valid_for(now))
        return response


def _about(reading: Reading, cluster: str, now: float) -> dict[str, str]:
    return {
        "X-TCF-Term": str(reading.term),
        "X-TCF-Cluster": cluster,
        VALID_FOR: _seconds(reading.valid_for(now)),
    }


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"


def _too_old(request: web.BaseRequest, reading: Reading) -> Refusal | None:
    """Is the reading older than the client demands by `min_term`? Other parameters are ignored."""
    wanted = request.query.getall("min_term", [])
    if not wanted:
        return None
    if not all(_is_number(value) for value in wanted):
        return Refusal("InvalidParameter", "min_term is not a number; give a term such as 1795457003000")
    term = max(int(value) for value in wanted)
    if reading.term >= term:
        return None
    return Refusal(
        "TermTooOld",
        f"this worker knows term {reading.term}, which is older than min_term {term}; ask again shortly",
    )


# --- POST -------------------------------------------------------------------------------------------


class _BadRequestError(Exception):
    def __init__(self, reason: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status


def _post(worker: Worker, switchovers: Switchovers, kind: Kind, posts: asyncio.Semaphore) -> Handler:
    cluster = worker.member.cluster

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if posts.locked():
            message = f"{MOST_POSTS} requests to change roles are under way here already; try again later"
            more = {"X-TCF-Cluster": cluster, "Retry-After": "1"}
            return closing(error(503, "TooManyRequests", message, more))
        async with posts:
            return await carry_out(request)

    async def carry_out(request: web.BaseRequest) -> web.StreamResponse:
        try:
            requested_by = f"{request.remote or 'a local client'} via {cluster}"
            wish = _wish(kind, await _parameters(request), requested_by)
        except _BadRequestError as bad:
            refused = error(bad.status, bad.reason, str(bad), {"X-TCF-Cluster": cluster})
            if request.content.exception():
                # Where the next request begins is not known; and nobody must wait for the rest of this one.
                request.content.feed_eof()
                closing(refused)
            return refused
        result = await switchovers.ask(wish)
        now = worker.clock.boot()
        if isinstance(result, Refusal):
            return error(500, result.reason, result.message, {"X-TCF-Cluster": cluster})
        headers = _about(result, cluster, now)
        if wish.dry_run:
            headers["X-TCF-Dry-Run"] = "true"
        return answer(200, clusters_json(result.clusters), JSON, headers)

    return handle


async def _parameters(request: web.BaseRequest) -> dict[str, str]:
    """The parameters, each at most once, from the query and from a form or JSON body alike."""
    pairs = _query(request.query_string)
    if request.can_read_body:
        pairs += await _body(request)
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in _PARAMETERS:
            known = ", ".join(_PARAMETERS)
            raise _BadRequestError(
                "UnknownParameter", f"there is no parameter {name[:64]!r}; there are {known}"
            )
        if name in found:
            raise _BadRequestError("InvalidParameter", f"{name} is given more than once")
        found[name] = value
    return found


def _query(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict")
    except ValueError as bad:
        raise _BadRequestError("MalformedRequest", f"the parameters can't be read: {bad}") from bad


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
        raise _BadRequestError("MalformedRequest", f"the body can't be read: {bad}") from bad
    if not isinstance(value, _Members):
        raise _BadRequestError("MalformedRequest", "the body is not a JSON object of parameters")
    return [(name, _plain(name, member)) for name, member in value]


class _Members(list[tuple[str, object]]):
    """A JSON object as it was written, so that a name that is given twice is seen."""


def _plain(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int):
        return json.dumps(value)
    raise _BadRequestError("InvalidParameter", f"{name[:64]} is neither text, a number nor true or false")


async def _read(request: web.BaseRequest) -> bytes:
    data = bytearray()
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        # What is cut short in there could not be told from what is not there, such as dry_run=true.
        raise _BadRequestError("MalformedRequest", "the body is encoded; send it without Content-Encoding")
    try:
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.content.iter_any():
                data += chunk
                if len(data) > LARGEST_BODY:
                    message = f"the body has more than {LARGEST_BODY} bytes"
                    raise _BadRequestError("BodyTooLarge", message, 413)
    except TimeoutError as late:
        message = f"the body did not arrive within {_BODY_SECONDS:.0f} s"
        raise _BadRequestError("MalformedRequest", message) from late
    except (web.RequestPayloadError, ConnectionResetError) as bad:
        raise _BadRequestError("MalformedRequest", f"the body can't be read: {bad}") from bad
    return bytes(data)


def _wish(kind: Kind, parameters: Mapping[str, str], requested_by: str) -> Wish:
    reason = parameters.get("reason", "")
    if len(reason) > LONGEST_REASON:
        raise _BadRequestError("InvalidParameter", f"reason is longer than {LONGEST_REASON} characters")
    if any(hidden(character) for character in reason):
        raise _BadRequestError(
            "InvalidParameter", "reason has control characters, line breaks or invisible characters in it"
        )
    term = parameters.get("expected_term")
    if term is not None and not _is_number(term):
        raise _BadRequestError(
            "InvalidParameter", "expected_term is not a number; give a term such as 1795457003000"
        )
    return Wish(
        kind=kind,
        reason=reason,
        requested_by=requested_by,
        expected_term=int(term) if term is not None else None,
        force=_flag(parameters, "force"),
        dry_run=_flag(parameters, "dry_run"),
    )


def _flag(parameters: Mapping[str, str], name: str) -> bool:
    value = parameters.get(name, "false")
    if value not in {"true", "false"}:
        raise _BadRequestError("InvalidParameter", f"{name} is {value[:64]!r}; give true or false")
    return value == "true"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19  # noqa: PLR2004 - fits in 63 bits
