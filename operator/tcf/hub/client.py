"""A small client of the Kubernetes API on aiohttp: requests with deadlines, and watches.

It uses plain aiohttp and no generated client. That takes half the memory, and the read timeout of aiohttp
notices a watch whose connection is dead.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import aiohttp

from tcf.hub import errors
from tcf.hub.answers import UNREADABLE, Json, decoded, refusal, shown
from tcf.hub.credentials import Connection, Credentials
from tcf.hub.sessions import JSON, cause, identity_headers, new_session, reported
from tcf.hub.verbs import verb_and_resource
from tcf.runtime.clock import CLOCK
from tcf.runtime.tallies import HUB_TALLY

MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH: Final = "application/strategic-merge-patch+json"
WATCH_SECONDS: Final = 30
"""How long one watch request lasts. If its connection dies, that is noticed a little later than this."""
WATCH_GRACE: Final = 5
_MOST_WARNINGS: Final = 100

log = logging.getLogger(__name__)


class HubClient:
    """Requests to one API server, with shared credentials and connections of its own.

    `called`: the name of the server in messages. (A worker reaches the cluster of its Pod in the same way.)
    `requests`: how many requests may be under way at a time. More than that have to wait, so they cannot
    delay the requests of other clients.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        user_agent: str,
        called: str = "the hub",
        requests: int = 100,
    ) -> None:
        self._credentials = credentials
        self._called = called
        self._user_agent = user_agent
        self._turns = asyncio.Semaphore(requests)
        self._session: aiohttp.ClientSession | None = None
        self._warned: set[str] = set()

    async def close(self) -> None:
        """End all connections."""
        await self._credentials.close()
        if self._session:
            await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        deadline: float,
        body: Json | None = None,
        content_type: str = JSON,
        params: Mapping[str, str] | None = None,
    ) -> Json:
        """Send one request and return the decoded answer.

        Args:
            deadline: seconds within which the answer must arrive, including the time to connect.

        Raises:
            HubError: the subclass depends on what the hub has answered, or on what the network has reported.
        """
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": content_type} if data is not None else {}
        sent = False
        try:
            async with asyncio.timeout(deadline), self._turns:
                await self._credentials.current()
                sent = True
                async with self._open(method, path, headers=headers, data=data, params=params) as response:
                    return decoded(await response.read())
        except TimeoutError as error:
            if not sent:
                reason = "too many other requests" if self._turns.locked() else "no credentials"
                message = f"a request to {self._called} could not be sent within {deadline:.1f} s: {reason}"
                raise errors.UnreachableError(message) from error
            message = f"no answer from {self._called} within {deadline:.1f} s to {method} {path}"
            raise errors.UnreachableError(message, ambiguous=True) from error
        except aiohttp.ClientError as error:
            message = f"the connection to {self._called} failed during {method} {path}: {reported(error)}"
            raise errors.UnreachableError(message, ambiguous=True) from error
        except UNREADABLE as error:
            message = f"the answer of {self._called} to {method} {path} is {error}"
            raise errors.MalformedError(message, ambiguous=True) from error

    async def watch(
        self,
        path: str,
        params: Mapping[str, str],
        *,
        deadline: float,
        opened: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[tuple[str, Json]]:
        """Yield the type and the object of each event until the server ends the watch, as it does regularly.

        Args:
            deadline: seconds within which the server must begin to answer.
            opened: is called when it does.

        Raises:
            HubError: the watch could not be opened, its connection broke, or nothing came for too long.
        """
        query = {**params, "watch": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        silence = WATCH_SECONDS + WATCH_GRACE
        try:
            async with asyncio.timeout(deadline) as opening:
                async with self._open("GET", path, params=query, sock_read=silence) as response:
                    opening.reschedule(None)
                    opened()
                    async for line in response.content:
                        event = decoded(line)
                        kind, value = event.get("type"), event.get("object")
                        if (
                            kind == "ERROR"
                            and isinstance(value, dict)
                            and value.get("code") == HTTPStatus.GONE
                        ):
                            raise errors.VersionGoneError(f"the watch of {path} ended: {shown(line)}")
                        if kind == "ERROR" or not isinstance(kind, str) or not isinstance(value, dict):
                            raise errors.UnreachableError(f"the watch of {path} ended: {shown(line)}")
                        yield kind, value
        except TimeoutError as error:
            raise errors.UnreachableError(f"the watch of {path} got no answer in time") from error
        except aiohttp.ClientError as error:
            raise errors.UnreachableError(f"the watch of {path} broke: {reported(error)}") from error
        except UNREADABLE as error:
            raise errors.MalformedError(f"an event of the watch of {path} is {error}") from error

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        sock_read: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send the request and return the response, if its status is 2xx.

        It tries once more, with new credentials, after a 401 and if the server's certificate is not trusted.
        """
        for attempt in (1, 2):
            connection = await self._credentials.current()
            try:
                response = await self._send(
                    connection, method, path, params=params, headers=headers, data=data, sock_read=sock_read
                )
            except _NEVER_SENT as error:
                if isinstance(error, ssl.SSLError | ssl.CertificateError):
                    self._credentials.refused(connection)
                    if attempt == 1:
                        continue
                message = f"cannot reach {self._called} at {connection.where}: {cause(error)}"
                raise errors.UnreachableError(message) from error
            async with response:
                self._report_warnings(response.headers.getall("Warning", ()))
                if response.status < 300:  # noqa: PLR2004
                    yield response
                    return
                answer = await response.read()
                refused = refusal(response.status, answer, method, path, self._called, connection.where)
                refused.retry_after = _seconds(response.headers.get("Retry-After"))
            if isinstance(refused, errors.UnauthorizedError):
                self._credentials.refused(connection)
                # Send a write again only if the first one was certainly not carried out.
                if attempt == 1 and (method == "GET" or not refused.ambiguous):
                    continue
            raise refused

    def _report_warnings(self, warnings: Iterable[str]) -> None:
        """Log what the API server warns of (RFC 9111, section 5.5), each only once."""
        for warning in warnings:
            if warning not in self._warned and len(self._warned) < _MOST_WARNINGS:
                self._warned.add(warning)
                log.warning("%s warns: %s", self._called, warning.partition('"')[2].rstrip('"') or warning)

    async def _send(
        self,
        connection: Connection,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None,
        sock_read: float | None,
        **how: Any,
    ) -> aiohttp.ClientResponse:
        """Send a request, and count it with the status of its answer."""
        if self._session is None:
            self._session = new_session({})
        began, code = CLOCK.boot(), ""
        try:
            response = await self._session.request(
                method,
                connection.server + path,
                headers={**identity_headers(connection, self._user_agent), **(headers or {})},
                timeout=aiohttp.ClientTimeout(total=None, sock_read=sock_read),
                ssl=connection.tls or False,
                proxy=connection.proxy,
                server_hostname=connection.tls_server_name,
                allow_redirects=False,
                **how,
            )
            code = str(response.status)
            return response
        finally:
            what = verb_and_resource(method, path, watches=sock_read is not None)
            HUB_TALLY.add(*what, code, CLOCK.boot() - began)


def _seconds(text: str | None) -> float:
    """A Retry-After in seconds; 0 for anything else."""
    return float(text) if text and text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else 0.0


_MOST_DIGITS = 4
_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.InvalidURL)
"""The errors that aiohttp raises before it has sent anything to the server."""


def folder(group: str, version: str, plural: str, namespace: str | None) -> str:
    """The path of the objects of one kind (namespace None: in all namespaces)."""
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{group}/{version}{within}/{plural}"
