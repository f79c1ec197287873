"""A stand-in for the introspection endpoint of an authorization server (RFC 7662), with its troubles."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus

from aiohttp import web

from support.loopback_server import LoopbackServer

Json = dict[str, Any]
Trouble = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
"""Answers a request in place of the stand-in."""

CLIENT_ID, CLIENT_SECRET = "tcf worker", "s3cret:/+%&="
"""With every kind of character that HTTP Basic needs encoded (RFC 6749, section 2.3.1)."""


def worker_options(url: str, secret: Path, client: str = CLIENT_ID) -> tuple[str, ...]:
    """The options of a worker that asks there, as this client. `secret`: the file with its secret."""
    return (
        *("--auth", "oauth2", "--oauth2-introspection-url", url),
        *("--oauth2-client-id", client, "--oauth2-client-secret-file", str(secret)),
    )


class IntrospectionServer(LoopbackServer):
    """Knows tokens, and tells only its one client about them.

    Attributes:
        url: the endpoint's URL.
        tokens: what it knows of each active token: its claims, without `active`. All others are not active.
        troubles: for which tokens something else answers in its place.
        asked: the tokens that it was asked for, in order, whatever it answered.

    Tokens and troubles may be changed at any time and from any thread.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, *, port: int = 0) -> None:
        self.tokens: dict[str, Json] = {}
        self.troubles: dict[str, Trouble] = {}
        self.asked: list[str] = []
        super().__init__(tls, port=port)
        self.url += "/introspect"

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        form = parse_qs((await request.read()).decode())
        token = form.get("token", [""])[0]
        self.asked.append(token)
        if trouble := self.troubles.get(token):
            return await trouble(request)
        if request.path != "/introspect":
            return web.Response(status=404)
        if request.method != "POST" or request.content_type != "application/x-www-form-urlencoded":
            return web.json_response({"error": "invalid_request"}, status=400)
        if _client(request) != (CLIENT_ID, CLIENT_SECRET):
            challenge = {"WWW-Authenticate": 'Basic realm="stand-in"'}
            return web.json_response({"error": "invalid_client"}, status=401, headers=challenge)
        if not token:
            return web.json_response({"error": "invalid_request"}, status=400)
        known = self.tokens.get(token)
        return web.json_response({"active": False} if known is None else {"active": True, **known})


def _client(request: web.BaseRequest) -> tuple[str, str] | None:
    """Who asks: id and secret, each encoded as in a form before HTTP Basic encodes them together."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    name, _, secret = base64.b64decode(encoded).decode().partition(":")
    return unquote_plus(name), unquote_plus(secret)


# --- troubles -----------------------------------------------------------------------------------------


def _says(status: int, body: bytes, content_type: str = "application/json", **headers: str) -> Trouble:
    async def trouble(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, body=body, content_type=content_type, headers=headers)

    return trouble


async def _silent(_: web.BaseRequest) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def _half(request: web.BaseRequest) -> web.StreamResponse:
    """The beginning of an answer, and then nothing."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"active": true, ')
    return await _silent(request)


async def _endless(request: web.BaseRequest) -> web.StreamResponse:
    """An object that does not end, sent as fast as it is read."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"active": true, "junk": "')
    while True:
        await response.write(b"x" * 65536)


async def _repeat(request: web.BaseRequest) -> web.StreamResponse:
    """What was asked for, in a place where programs look for an explanation."""
    return web.Response(status=400, reason="Bad token", body=await request.read(), content_type="text/plain")


async def _hang_up(request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport
    request.transport.abort()
    return web.Response()


_YES = json.dumps({"active": True, "sub": "mallory", "realm_access": {"roles": ["TCF_ADMIN"]}}).encode()
TROUBLES: dict[str, Trouble] = {
    "error": _says(500, b'{"error": "server_error"}'),
    "overloaded": _says(503, b"later", "text/plain", **{"Retry-After": "5"}),
    "no endpoint": _says(404, b"<html>Not Found</html>", "text/html"),
    "refuses the client": _says(401, b'{"error": "invalid_client"}'),
    "a page": _says(200, b"<html>Please log in</html>", "text/html"),
    "junk": _says(200, b"%&!"),
    "nothing": _says(200, b""),
    "cut short": _says(200, _YES[:-3]),
    "a list": _says(200, b"[]"),
    "another status": _says(203, _YES),
    "too deep": _says(200, b'{"active": true, "x": ' + b"[" * 100_000),
    "moved": _says(307, _YES, Location="/elsewhere"),
    "silent": _silent,
    "half": _half,
    "endless": _endless,
    "repeats the token": _repeat,
    "hangs up": _hang_up,
}
"""None of these is an answer by which a worker may go."""
