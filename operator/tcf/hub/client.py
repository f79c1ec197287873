"""A small client of the Kubernetes API on aiohttp: requests with deadlines, and watches.

Plain aiohttp rather than a generated client: it takes half the memory, and its read timeout finds a
half-open watch, which is what a worker waits on.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from tcf.hub import errors
from tcf.hub.answers import UNREADABLE, Json, decoded, refusal, shown
from tcf.hub.credentials import Connection, Credentials
from tcf.hub.sessions import JSON, TLS_CLOSE_SECONDS, cause, identity_headers, new_session, reported

MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH: Final = "application/strategic-merge-patch+json"
WATCH_SECONDS: Final = 30
"""How long one watch request lasts. A half-open one is found this much, and a little, after it died."""
WATCH_GRACE: Final = 5


class HubClient:
    """Requests to one API server with shared credentials, on connections of its own.

    `called`: what messages call the server; the cluster of a worker's pod is reached in the same way.
    `requests`: how many may be under way at a time, lest one use crowd out others; others wait.
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

    async def close(self) -> None:
        await self._credentials.close()
        if self._session:
            await self._session.close()
            await asyncio.sleep(TLS_CLOSE_SECONDS)

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
            deadline: seconds until an answer must be here, connecting and reconnecting included.

        Raises:
            HubError: one of its subclasses, according to what the hub or the network said.
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
                what = "a turn among other requests" if self._turns.locked() else "the credentials"
                message = f"{what} for {self._called} did not come within {deadline:.1f} s"
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
        self, path: str, params: Mapping[str, str], *, deadline: float
    ) -> AsyncGenerator[tuple[str, Json]]:
        """Yield (type, object) of each event until the server ends the watch, as it does regularly.

        Args:
            deadline: seconds within which the server must have begun to answer.

        Raises:
            HubError: the watch could not be opened, broke, or has been silent for too long.
        """
        query = {**params, "watch": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        silence = WATCH_SECONDS + WATCH_GRACE
        try:
            async with asyncio.timeout(deadline) as opening:
                async with self._open("GET", path, params=query, sock_read=silence) as response:
                    opening.reschedule(None)
                    async for line in response.content:
                        event = decoded(line)
                        kind, value = event.get("type"), event.get("object")
                        if kind == "ERROR" or not isinstance(kind, str) or not isinstance(value, dict):
                            raise errors.UnreachableError(f"the watch of {path} ended: {shown(line)}")
                        yield kind, value
        except TimeoutError as error:
            raise errors.UnreachableError(f"the watch of {path} got no answer in time") from error
        except aiohttp.ClientError as error:
            raise errors.UnreachableError(f"the watch of {path} broke: {reported(error)}") from error
        except UNREADABLE as error:
            raise errors.MalformedError(f"the watch of {path} is {error}") from error

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
        """The response with a 2xx status.

        It tries again once, with fresh credentials: after a 401, and where the server can't prove who it is.
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
                if response.status < 300:  # noqa: PLR2004
                    yield response
                    return
                answer = await response.read()
                refused = refusal(response.status, answer, method, path, self._called, connection.where)
            if isinstance(refused, errors.UnauthorizedError):
                self._credentials.refused(connection)
                # A write is sent again only if it certainly was not carried out.
                if attempt == 1 and (method == "GET" or not refused.ambiguous):
                    continue
            raise refused

    async def _send(
        self,
        connection: Connection,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        data: bytes | None,
        sock_read: float | None,
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = new_session({})
        return await self._session.request(
            method,
            connection.server + path,
            params=params,
            headers={**identity_headers(connection, self._user_agent), **(headers or {})},
            data=data,
            ssl=connection.tls or False,
            proxy=connection.proxy,
            server_hostname=connection.tls_server_name,
            timeout=aiohttp.ClientTimeout(total=None, sock_read=sock_read),
            allow_redirects=False,
        )


_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.InvalidURL)
"""What aiohttp raises before it has sent anything to the server."""


def folder(group: str, version: str, plural: str, namespace: str | None) -> str:
    """The path under which objects of a kind are (None: those of all namespaces)."""
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{group}/{version}{within}/{plural}"
