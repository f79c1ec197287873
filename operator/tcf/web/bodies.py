"""Requests that bring parameters: how many may send bodies at a time, and the answer if one is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import web

from tcf.core.reasons import Reason
from tcf.web.envelope import closing, error
from tcf.web.parameters import BadRequestError

T = TypeVar("T")

MOST_BODIES = 64
"""How many clients may send bodies at a time. Requests without a body do not wait for them."""


class Bodies:
    """The bodies that clients of one listener are sending."""

    def __init__(self) -> None:
        self._reading = asyncio.Semaphore(MOST_BODIES)

    async def read(self, request: web.BaseRequest, reader: Callable[[web.BaseRequest], Awaitable[T]]) -> T:
        """What `reader` makes of the request. Raises BadRequestError, also if too many send bodies."""
        if not request.can_read_body:
            return await reader(request)
        if self._reading.locked():
            message = f"{MOST_BODIES} clients are sending bodies already; try again later"
            raise BadRequestError(Reason.TOO_MANY_REQUESTS, message, 503)
        async with self._reading:
            return await reader(request)


def refused(request: web.BaseRequest, bad: BadRequestError, cluster: str = "") -> web.Response:
    """The answer to a wrong request. `cluster`: the member of the worker; "" for the console."""
    headers = {"X-TCF-Cluster": cluster} if cluster else {}
    if bad.status == 503:  # noqa: PLR2004
        return closing(error(bad.status, bad.reason, str(bad), {**headers, "Retry-After": "1"}))
    answer = error(bad.status, bad.reason, str(bad), headers)
    if request.content.exception():
        # Do not wait for the rest of this request. Nobody knows where the next one begins, so close.
        request.content.feed_eof()
        closing(answer)
    return answer
