"""A small client of the Kubernetes API on aiohttp: requests with deadlines, and watches.

Plain aiohttp rather than a generated client: it takes half the memory, and its read timeout finds a
half-open watch, which is what a worker waits on.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

from tcf.hub import errors
from tcf.hub.credentials import Connection, Credentials
from tcf.runtime.backoff import Backoff
from tcf.runtime.text import printable

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH: Final = "application/strategic-merge-patch+json"
WATCH_SECONDS: Final = 30
"""How long one watch request lasts. A half-open one is found this much, and a little, after it died."""
WATCH_GRACE: Final = 5
TLS_CLOSE_SECONDS: Final = 0.25
"""For connections to be closed before their loop is: aiohttp does not wait for TLS that was broken off."""
LASTING_SECONDS: Final = 10.0
"""A watch that ended sooner was not ended by the server as it regularly does."""
_LONGEST_LINE: Final = 2**22
_MOST_SHOWN: Final = 200
"""Bytes of an answer that a message quotes."""

Json = dict[str, Any]


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
                    return _decoded(await response.read())
        except TimeoutError as error:
            if not sent:
                what = "a turn among other requests" if self._turns.locked() else "the credentials"
                message = f"{what} for {self._called} did not come within {deadline:.1f} s"
                raise errors.UnreachableError(message) from error
            message = f"no answer from {self._called} within {deadline:.1f} s to {method} {path}"
            raise errors.UnreachableError(message, ambiguous=True) from error
        except aiohttp.ClientError as error:
            message = f"the connection to {self._called} failed during {method} {path}: {_told(error)}"
            raise errors.UnreachableError(message, ambiguous=True) from error
        except _UNREADABLE as error:
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
                        event = _decoded(line)
                        kind, value = event.get("type"), event.get("object")
                        if kind == "ERROR" or not isinstance(kind, str) or not isinstance(value, dict):
                            raise errors.UnreachableError(f"the watch of {path} ended: {_shown(line)}")
                        yield kind, value
        except TimeoutError as error:
            raise errors.UnreachableError(f"the watch of {path} got no answer in time") from error
        except aiohttp.ClientError as error:
            raise errors.UnreachableError(f"the watch of {path} broke: {_told(error)}") from error
        except _UNREADABLE as error:
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

        Once, fresh credentials are had: after a 401, and where the server can't prove who it is.
        """
        if self._session is None:
            self._session = _session({})
        for attempt in (1, 2):
            connection = await self._credentials.current()
            request = self._session.request(
                method,
                connection.server + path,
                params=params,
                headers={**_identity(connection, self._user_agent), **(headers or {})},
                data=data,
                ssl=connection.tls or False,
                proxy=connection.proxy,
                server_hostname=connection.tls_server_name,
                timeout=aiohttp.ClientTimeout(total=None, sock_read=sock_read),
                allow_redirects=False,
            )
            try:
                response = await request
            except _NEVER_SENT as error:
                if isinstance(error, ssl.SSLError | ssl.CertificateError):
                    self._credentials.refused(connection)
                    if attempt == 1:
                        continue
                raise errors.UnreachableError(
                    f"cannot reach {self._called} at {connection.where}: {_cause(error)}"
                ) from error
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


_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.InvalidURL)
"""What aiohttp raises before it has sent anything to the server."""


def folder(group: str, version: str, plural: str, namespace: str | None) -> str:
    """The path under which objects of a kind are (None: those of all namespaces)."""
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{group}/{version}{within}/{plural}"


def open_session(
    connection: Connection, user_agent: str, failed: Callable[[str], None]
) -> aiohttp.ClientSession:
    """A session in which every request goes where, and by which credentials, the connection says.

    Watches that end at once are not begun again at once. The caller closes it.

    Args:
        failed: is given, for each request that fails, the reason.
    """

    async def ask_for_name(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.server_hostname = connection.tls_server_name
        return await handler(request)

    async def told(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        try:
            response = await handler(request)
        except aiohttp.ClientError as error:
            failed(f"cannot reach {connection.where}: {_cause(error)}")
            raise
        if response.status >= 400:  # noqa: PLR2004
            failed(f"{connection.where} answers {response.status} to {request.method} {request.url.path}")
        return response

    return _session(
        _identity(connection, user_agent),
        connection.tls,
        proxy=connection.proxy,
        more=(ask_for_name, told, _Unhurried()),
    )


def _session(
    headers: Mapping[str, str],
    tls: ssl.SSLContext | None = None,
    *,
    proxy: str | None = None,
    more: tuple[aiohttp.ClientMiddlewareType, ...] = (),
) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls or False, limit=0),
        middlewares=(_no_second_write, *more),
        headers=headers,
        proxy=proxy,
        read_bufsize=_LONGEST_LINE,
    )


class _Unhurried:
    """Lets a watch wait before it begins if the one before it, of the same objects, did not last."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[float, Backoff]] = {}

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if request.url.query.get("watch") == "true":
            of = request.url.path + request.url.query.get("labelSelector", "")
            began, backoff = self._before.get(of, (-math.inf, Backoff()))
            if time.monotonic() - began > LASTING_SECONDS:
                backoff.reset()
            else:
                await asyncio.sleep(backoff.next())
            self._before[of] = time.monotonic(), backoff
        return await handler(request)


class _BrokenOffError(aiohttp.ClientError):
    """The connection ended when a request had been sent on it."""


async def _no_second_write(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a write once more by itself.

    It does so with PUT and DELETE when a kept connection breaks, and tells of the second attempt only: one
    that could not be made would hide that the first may have been carried out.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if request.method == "GET":
            raise
        raise _BrokenOffError(_told(error)) from error


def _identity(connection: Connection, user_agent: str) -> dict[str, str]:
    headers = {"User-Agent": user_agent, "Accept": JSON}
    if connection.authorization:
        headers["Authorization"] = connection.authorization
    return headers


class _NotJsonError(ValueError):
    """What an answer is instead of a JSON object; the message is read after "is"."""


_UNREADABLE = (_NotJsonError, aiohttp.http_exceptions.HttpProcessingError)


def _decoded(data: bytes) -> Json:
    """Raises _NotJsonError."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _NotJsonError(f"no JSON: {_shown(data)}") from error
    if not isinstance(value, dict):
        raise _NotJsonError(f"no JSON object: {_shown(data)}")
    return value


def _shown(data: bytes) -> str:
    """The beginning of a text that anybody may have written."""
    return printable(data[:_MOST_SHOWN].decode(errors="replace"))


def _dict(value: object) -> Json:
    """An object of JSON, which is empty if there is something else."""
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _cause(error: Exception) -> str:
    """Why nothing could be sent, without what aiohttp tells of its own objects."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted ({printable(str(error.certificate_error))})"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answers {error.status} {printable(error.message)}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return printable(error.os_error.strerror or str(error.os_error) or type(error.os_error).__name__)
    return _told(error)


def _told(error: Exception) -> str:
    return printable(str(error)) or type(error).__name__


def refusal(status: int, data: bytes, method: str, path: str, called: str, server: str) -> errors.HubError:
    """The error for an answer that is no success.

    The API server explains its refusals in a `Status` object, and those are certain. Anything else comes from
    a proxy, or from the server when it is not itself: a write that was answered so may have been carried out.
    """
    answer = _failure(data, status)
    if answer is None:
        return _unproven(status, data, f"{method} {path}", called, server)
    details, message = _dict(answer.get("details")), printable(str(answer.get("message")))
    text = f"{method} {path}: {message}"
    match status:
        case 401:
            return _unauthorized(called, server)
        case 403:
            return _forbidden(details, message, called)
        case 404:
            return _not_found(details, text, called)
        case 409:
            return errors.ConflictError(text)
        case 429:
            return errors.UnreachableError(f"{called} is overloaded (429): {text}")
        case _ if status >= 500:  # noqa: PLR2004
            return errors.UnreachableError(f"{called} failed ({status}): {text}", ambiguous=True)
        case _:
            return errors.InvalidError(f"{called} refused ({status}): {text}")


def _failure(data: bytes, status: int) -> Json | None:
    """The `Status` object with which the API server refuses a request; None for anything else."""
    try:
        answer = _decoded(data)
    except _NotJsonError:
        return None
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status}
    return answer if said.items() <= answer.items() else None


def _unproven(status: int, data: bytes, request: str, called: str, server: str) -> errors.HubError:
    text = f"{request}: {_shown(data)}"
    match status:
        case 401:
            return _unauthorized(called, server, ambiguous=True)
        case 404:  # the API server's own words for a path that it does not know are no Status either
            return errors.KindNotFoundError(
                f"{text}; is the CRD of this project installed on {called}?", ambiguous=True
            )
        case _:
            return errors.UnreachableError(
                f"{called}, or something on the way to it, answered {status} and does not say why: {text}",
                ambiguous=True,
            )


def _unauthorized(called: str, server: str, *, ambiguous: bool = False) -> errors.HubError:
    return errors.UnauthorizedError(
        f"{called} ({server}) does not accept the credentials (401): renew the token or kubeconfig",
        ambiguous=ambiguous,
    )


def _forbidden(details: Json, message: str, called: str) -> errors.HubError:
    causes = details.get("causes")
    if any(_dict(cause).get("reason") == "NamespaceTerminating" for cause in _list(causes)):
        return errors.NamespaceUnusableError(f"the namespace on {called} is being deleted: {message}")
    hint = ""
    if "system:anonymous" in message:
        # To grant anything to that user would be to grant it to everybody.
        hint = "; it takes this program for a stranger: see that the kubeconfig has credentials for it"
    elif re.search(r"\bcannot \S+ resource\b", message):
        hint = "; grant it by RBAC"
    return errors.ForbiddenError(f"{called} refuses (403): {message}{hint}")


def _not_found(details: Json, text: str, called: str) -> errors.HubError:
    name = details.get("name")
    if name and details.get("kind") == "namespaces":
        return errors.NamespaceUnusableError(
            f"there is no namespace {name} on {called}; create it, or correct --namespace"
        )
    if name:
        return errors.NotFoundError(text)
    return errors.KindNotFoundError(f"{text}; is the CRD of this project installed on {called}?")
