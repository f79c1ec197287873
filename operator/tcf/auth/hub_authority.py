"""`--auth kubernetes`: the hub knows the users and their rights, by its own authenticators and by RBAC."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from tcf.auth.inquiries import Inquiries, NoAnswerError
from tcf.auth.known_users import KnownUsers
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
        self._users = KnownUsers(self._inquiries, clock)
        self._rights = Verdicts[tuple[User, Right, str, str], bool](clock, good=bool)

    async def identify(self, token: str, source: str) -> User | None:
        """See `Authority`."""

        def ask() -> Awaitable[User | None]:
            return _answered(self._reviews.user_of(token, self._audiences, deadline=_REVIEW_SECONDS))

        return await self._users.of(token, source, ask)

    async def refusal(self, user: User, right: Right, member: MemberRef, source: str) -> Refusal | None:
        """See `Authority`."""

        def ask() -> Awaitable[bool]:
            return _answered(self._reviews.may(user, right, member, deadline=_REVIEW_SECONDS))

        key, make = (user, right, member.namespace, member.federation), self._inquiries.make
        allowed = await self._rights.of(key, lambda: make("what the client may do", source, ask, known=True))
        return None if allowed else forbidden(user, right, member, _HINT)


async def _answered(review: Awaitable[T]) -> T:
    """The hub's answer. Raises NoAnswerError if there is none."""
    try:
        return await review
    except errors.HubError as error:
        # Only a refusal is certain not to repeat the token. Other errors may quote a proxy's answer.
        detail = str(error) if isinstance(error, errors.ForbiddenError) else error.public
        raise NoAnswerError(detail, reason=error.reason, public=error.public) from None
