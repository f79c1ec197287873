"""The guard in front of the handlers: it finds out who asks, and whether they may."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from aiohttp import web

from tcf.auth.authority import Authority, DeniedError
from tcf.core.authorization import READ, Right, User
from tcf.core.model import MemberRef, Principal, Refusal
from tcf.core.reasons import Reason
from tcf.runtime.logs import Fields
from tcf.runtime.text import printable
from tcf.web.audit_trail import ASKED, REQUEST, Asked, AuditTrail
from tcf.web.envelope import error
from tcf.web.server import Handler

FindCertificate = Callable[[web.BaseRequest], User | None]
"""The user of the client's TLS certificate; None if it has shown none that counts."""


CONSOLE = MemberRef("", "", "console")
"""In place of a member: the console asks in its name, for all federations."""


class Guard:
    """The guard of one worker, or of the console."""

    def __init__(
        self,
        member: MemberRef,
        *,
        authority: Authority | None = None,
        reads: bool = False,
        certificate: FindCertificate = lambda _: None,
        audit: AuditTrail | None = None,
    ) -> None:
        """`authority`: None if everybody may do everything. `reads`: GETs need a right, too."""
        self.member = member
        self._authority = authority
        self._reads = reads
        self._certificate = certificate
        self._audit = audit
        self._log = Fields(logging.getLogger(__name__), member.log_fields)

    @property
    def knows_users(self) -> bool:
        """False if everybody may do everything."""
        return self._authority is not None

    def changing(self, handler: GuardedHandler) -> Handler:
        """A handler that calls `handler` with the caller. `handler` says which rights it needs."""

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            asked = request[ASKED]
            try:
                await self.identify(request, asked)
                return await handler(request, Caller(self, asked))
            except DeniedError as denied:
                return self.denial(denied)

        return handle

    def reading(self, handler: Handler) -> Handler:
        """A handler that calls `handler` if the caller may read."""
        return self._if_allowed(handler) if self._authority and self._reads else handler

    def naming(self, handler: NamingHandler) -> Handler:
        """A handler that also answers those who are not known, if everybody may read.

        `handler` gets whether it may name users: only to somebody who has the right to read.
        """
        if self._reads or not self._authority:
            return self.reading(partial(handler, names=True))

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            asked = Asked.new(request)
            try:
                await self._check_reader(request, asked)
            except DeniedError as denied:
                return (
                    await handler(request, names=False) if denied.status in _FOR_GOOD else self.denial(denied)
                )
            return await handler(request, names=True)

        return handle

    def knowing(self, handler: KnowingHandler) -> Handler:
        """A handler that calls `handler` with the one who asks. `handler` finds out what they may do."""
        return self._unless_denied(self.identify, handler)

    def _if_allowed(self, handler: Handler) -> Handler:
        return self._unless_denied(self._check_reader, lambda request, _: handler(request))

    def _unless_denied(self, check: Check, handler: KnowingHandler) -> Handler:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            asked = Asked.new(request)
            try:
                await check(request, asked)
            except DeniedError as denied:
                return self._recorded(request, asked, denied)
            return await handler(request, asked)

        return handle

    def _recorded(self, request: web.BaseRequest, asked: Asked, denied: DeniedError) -> web.Response:
        """The answer to a request that only reads. The audit log has it, too."""
        response = self.denial(denied)
        response.headers[REQUEST] = asked.request
        if self._audit:
            self._audit.record(request, asked, response)
        return response

    async def _check_reader(self, request: web.BaseRequest, asked: Asked) -> None:
        """Raises DeniedError unless the caller is known and may read."""
        await self.identify(request, asked)
        await self.check(asked, READ)

    def credential(self, request: web.BaseRequest) -> bytes | None:
        """What the client identifies itself by, so that it can be recognized; None if nobody is checked."""
        if not self._authority:
            return None
        shown = (*request.headers.getall("Authorization", []), str(self._certificate(request)))
        return hashlib.sha256("\n".join(shown).encode(errors="surrogateescape")).digest()

    async def check(self, asked: Asked, right: Right) -> None:
        """Raises DeniedError if the one who asks lacks the right."""
        if refusal := await self.refusal(asked, right, asked.about or self.member):
            extra = {"request": asked.id, **(asked.about or self.member).log_fields}
            self._log.warning("refused: %s", refusal.message, extra=extra)
            raise DeniedError(403, refusal)

    async def refusal(self, asked: Asked, right: Right, about: MemberRef) -> Refusal | None:
        """Why the one who asks lacks the right. Raises DeniedError if nobody knows."""
        if not self._authority or not asked.user:
            return None
        return await self._authority.refusal(asked.user, right, about, asked.address)

    async def identify(self, request: web.BaseRequest, asked: Asked) -> None:
        """Find out who asks. Raises DeniedError if nobody knows."""
        if not self._authority:
            return
        token = _bearer(request.headers.getall("Authorization", []))
        if token:
            asked.user = await self._authority.identify(token, asked.address)
            trouble = "the token is not valid, for example because it has expired or is for another audience"
        else:
            asked.user = self._certificate(request)
            trouble = "this request has no token: send one in the header `Authorization: Bearer TOKEN`"
        if asked.user is None:
            raise DeniedError(401, Refusal(Reason.UNAUTHENTICATED, f"{trouble}; {self._authority.hint}"))

    def denial(self, denied: DeniedError) -> web.Response:
        headers = {**_MORE.get(denied.status, {})}
        if self.member is not CONSOLE:
            headers["X-TCF-Cluster"] = self.member.cluster
        return error(denied.status, denied.refusal.reason, denied.refusal.message, headers)


_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/-]+=*)")
"""RFC 6750, section 2.1."""
_LONGEST_NAME = 180
"""How much of a name is recorded. With the member it has to fit into 256 characters (the CRD's limit)."""
_FOR_GOOD = frozenset({401, 403})
"""The statuses of denials that say something about the one who asks."""
_MORE = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}
"""Headers of denials, by their status."""


class Caller:
    """Who has sent a request. `principal` is recorded wherever the request is."""

    def __init__(self, guard: Guard, asked: Asked) -> None:
        self.asked = asked
        name = printable(asked.user.name, _LONGEST_NAME) if asked.user else asked.address
        self.principal = Principal(name, guard.member.cluster)
        self._guard = guard

    async def needs(self, *rights: Right) -> None:
        """Raises DeniedError if the caller lacks one of these rights."""
        for right in rights:
            await self._guard.check(self.asked, right)


class NamingHandler(Protocol):
    """Answers a request. `names`: may the answer name users?"""

    async def __call__(self, request: web.BaseRequest, /, *, names: bool) -> web.StreamResponse: ...


Check = Callable[[web.BaseRequest, Asked], Awaitable[None]]
KnowingHandler = Callable[[web.BaseRequest, Asked], Awaitable[web.StreamResponse]]
GuardedHandler = Callable[[web.BaseRequest, Caller], Awaitable[web.StreamResponse]]


def _bearer(headers: list[str]) -> str:
    """The token in the values of the header Authorization; "" if there is none.

    Raises:
        DeniedError: there is something else.
    """
    if not headers:
        return ""
    found = _BEARER.fullmatch(headers[0])
    if len(headers) > 1 or not found:
        message = "send exactly one header Authorization, of the form `Bearer TOKEN`"
        raise DeniedError(401, Refusal(Reason.UNAUTHENTICATED, message))
    return found[1]
