"""What the guard needs of somebody who knows users and their rights."""

from __future__ import annotations

from typing import Protocol

from tcf.core.authorization import Right, User
from tcf.core.model import MemberRef, Refusal


class DeniedError(Exception):
    """A request is not carried out.

    Attributes:
        status: of the HTTP answer.
        refusal: the reason and the message of the answer, for anybody to read.
    """

    def __init__(self, status: int, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.status = status
        self.refusal = refusal


class Authority(Protocol):
    """Both methods raise DeniedError if there is no answer. `source`: the address of the client.

    Attributes:
        hint: how to get a token, for a message.
    """

    hint: str

    async def identify(self, token: str, source: str) -> User | None:
        """The user to whom the token belongs; None if it is not valid."""
        ...

    async def refusal(self, user: User, right: Right, member: MemberRef, source: str) -> Refusal | None:
        """Why the user does not have the right on the member's federation; None if the user has it."""
        ...
