"""The users whose tokens an authority has been asked about. No token is kept, only its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from tcf.auth.inquiries import Inquiries
from tcf.auth.verdicts import Verdicts
from tcf.core.authorization import User
from tcf.runtime.clock import Clock


class KnownUsers:
    """Finds the user of a token: remembered for seconds, or by a question among the `inquiries`."""

    def __init__(self, inquiries: Inquiries, clock: Clock) -> None:
        self._inquiries = inquiries
        self._verdicts = Verdicts[bytes, User | None](clock, good=bool)

    async def of(self, token: str, source: str, ask: Callable[[], Awaitable[User | None]]) -> User | None:
        """None if the token is not valid. Raises DeniedError if there is no answer.

        Args:
            source: the client's address.
            ask: asks the authority about this token. It may raise NoAnswerError.
        """
        key = hashlib.sha256(token.encode()).digest()
        known, make = self._verdicts.good_before(key), self._inquiries.make
        return await self._verdicts.of(key, lambda: make("who sent this", source, ask, known=known))
