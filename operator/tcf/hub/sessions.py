"""aiohttp sessions for the hub: how requests are sent, and which are never sent twice."""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp

from tcf.hub.credentials import Connection
from tcf.runtime.backoff import Backoff
from tcf.runtime.connector import Connector
from tcf.runtime.text import printable

JSON: Final = "application/json"
LASTING_SECONDS: Final = 10.0
"""A watch that ends sooner than this has not ended regularly."""
_LONGEST_LINE: Final = 2**22


def open_session(
    connection: Connection, user_agent: str, failed: Callable[[str], None]
) -> aiohttp.ClientSession:
    """A session that sends every request to the connection's server, with its credentials.

    If a watch has ended at once, the next one waits before it begins. The caller closes the session.

    Args:
        failed: called with the reason for each request that fails.
    """

    async def ask_for_name(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.server_hostname = connection.tls_server_name
        return await handler(request)

    async def report_failures(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        try:
            response = await handler(request)
        except aiohttp.ClientError as error:
            failed(f"cannot reach {connection.where}: {cause(error)}")
            raise
        if response.status >= 400:  # noqa: PLR2004
            failed(f"{connection.where} answers {response.status} to {request.method} {request.url.path}")
        return response

    return new_session(
        identity_headers(connection, user_agent),
        connection.tls,
        proxy=connection.proxy,
        more=(ask_for_name, report_failures, _PacedWatches()),
    )


def new_session(
    headers: Mapping[str, str],
    tls: ssl.SSLContext | None = None,
    *,
    proxy: str | None = None,
    more: tuple[aiohttp.ClientMiddlewareType, ...] = (),
) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=Connector(ssl=tls or False, limit=0),
        middlewares=(_no_second_write, *more),
        headers=headers,
        proxy=proxy,
        read_bufsize=_LONGEST_LINE,
    )


class _PacedWatches:
    """Makes a watch wait before it begins, if the previous watch of the same objects has ended too soon."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[float, Backoff]] = {}

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if request.url.query.get("watch") == "true":
            of = request.url.path
            began, backoff = self._before.get(of, (-math.inf, Backoff()))
            if time.monotonic() - began > LASTING_SECONDS:
                backoff.reset()
            else:
                await asyncio.sleep(backoff.next())
            self._before[of] = time.monotonic(), backoff
        return await handler(request)


class _BrokenOffError(aiohttp.ClientError):
    """The connection broke after a request had been sent on it."""


async def _no_second_write(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a write twice.

    By itself, aiohttp repeats a PUT or DELETE when a kept connection breaks, and reports only the second
    attempt. If that fails, nobody would know that the first may have been carried out.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if request.method == "GET":
            raise
        raise _BrokenOffError(reported(error)) from error


def identity_headers(connection: Connection, user_agent: str) -> dict[str, str]:
    headers = {"User-Agent": user_agent, "Accept": JSON}
    if connection.authorization:
        headers["Authorization"] = connection.authorization
    return headers


def cause(error: Exception) -> str:
    """Why a request could not be sent, without aiohttp's descriptions of its own objects."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted ({printable(str(error.certificate_error))})"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answers {error.status} {printable(error.message)}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return printable(error.os_error.strerror or str(error.os_error) or type(error.os_error).__name__)
    return reported(error)


def reported(error: Exception) -> str:
    return printable(str(error)) or type(error).__name__
