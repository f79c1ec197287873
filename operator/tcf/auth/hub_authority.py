"""`--auth kubernetes`: the hub knows the users and their rights, by its own authenticators and by RBAC."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tcf.auth.inquiries import Inquiries, NoAnswerError
from tcf.auth.verdicts import Verdicts
from tcf.core.authorization import Right, User, forbidden
from tcf.core.model import MemberRef, Refusal
from tcf.hub import errors
from tcf.hub.reviews import Reviews
from tcf.runtime.clock import Clock

T = TypeVar("T")

_REVIEW_SECONDS = 5.0
_HINT = "ask for a Role that grants it, such as those that the chart creates"


class HubAuthority:
    """An `Authority` that asks the hub, with the worker's own credentials."""

    def __init__(self, reviews: Reviews, audiences: tuple[str, ...], *, clock: Clock) -> None:
        """`reviews`: with connections of their own, so that they cannot delay renewals."""
        self.hint = f"get one, for example by `kubectl create token ACCOUNT --audience {audiences[0]}`"
        self._reviews = reviews
        self._audiences = audiences
        self._inquiries = Inquiries("the hub", clock)
        self._users = Verdicts[bytes, User | None](clock, good=bool)
        self._rights = Verdicts[tuple[User, Right, str, str], bool](clock, good=bool)

    async def identify(self, token: str, source: str) -> User | None:
        """See `Authority`."""

        async def ask() -> User | None:
            return await self._reviews.user_of(token, self._audiences, deadline=_REVIEW_SECONDS)

        key = hashlib.sha256(token.encode()).digest()
        known = self._users.good_before(key)
        return await self._users.of(key, lambda: self._review("who sent this", source, ask, known=known))

    async def refusal(self, user: User, right: Right, member: MemberRef, source: str) -> Refusal | None:
        """See `Authority`."""

        async def ask() -> bool:
            return await self._reviews.may(user, right, member, deadline=_REVIEW_SECONDS)

        key = user, right, member.namespace, member.federation
        what = "what the client may do"
        allowed = await self._rights.of(key, lambda: self._review(what, source, ask, known=True))
        return None if allowed else forbidden(user, right, member, _HINT)

    def _review(
        self, what: str, source: str, ask: Callable[[], Awaitable[T]], *, known: bool
    ) -> Awaitable[T]:
        async def ask_hub() -> T:
            try:
                return await ask()
            except errors.HubError as error:
                # Only a refusal is certain not to repeat the token. Other errors may quote a proxy's answer.
                detail = str(error) if isinstance(error, errors.ForbiddenError) else error.public
                raise NoAnswerError(detail, reason=error.reason, public=error.public) from None

        return self._inquiries.make(what, source, ask_hub, known=known)
