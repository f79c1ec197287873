"""`--auth kubernetes`: what is asked of the hub, what is remembered, and what is said if it is down."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from tcf.auth.authority import DeniedError
from tcf.auth.hub_authority import HubAuthority
from tcf.auth.verdicts import GOOD_SECONDS
from tcf.core.authorization import FORCE, SWITCH, Right, User
from tcf.core.model import MemberRef
from tcf.hub import errors
from tcf.hub.reviews import Reviews
from unit.jumping_loop import CLOCK, jumping, passed

ALICE, KNOWN = User("alice", ("people",)), {"good"}
SHOP, ORDERS = MemberRef("ns", "shop", "c1"), MemberRef("ns", "orders", "c1")
ELSEWHERE = MemberRef("other", "shop", "c1")


class Hub:
    """Knows Alice by the token `good`; she may switch in the federation shop of the namespace ns."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.trouble: errors.HubError | None = None

    async def user_of(self, token: str, audiences: tuple[str, ...], *, deadline: float) -> User | None:
        assert (audiences, deadline) == (("tcf.dev", "hub"), 5)
        return ALICE if self._ask(token) and token in KNOWN else None

    async def may(self, user: User, right: Right, member: MemberRef, *, deadline: float) -> bool:
        assert (user, deadline) == (ALICE, 5)
        return self._ask(f"{right} {member}") and (right, member) == (SWITCH, SHOP)

    def _ask(self, what: str) -> bool:
        self.asked.append(what)
        if self.trouble:
            raise self.trouble
        return True


def authority(hub: Hub) -> HubAuthority:
    return HubAuthority(cast("Reviews", hub), ("tcf.dev", "hub"), clock=CLOCK)


async def denied(authority: HubAuthority) -> str:
    with pytest.raises(DeniedError) as error:
        await authority.identify("good", "1.1.1.1")
    assert error.value.status == 500
    return f"{error.value.refusal.reason}: {error.value.refusal.message}"


@jumping
async def test_users_are_known_by_their_tokens() -> None:
    hub = Hub()
    known = authority(hub)
    assert "--audience tcf.dev`" in known.hint
    for _ in range(3):
        assert await known.identify("good", "1.1.1.1") == ALICE
        assert await known.identify("junk", "1.1.1.1") is None
    assert hub.asked == ["good", "junk"]


@jumping
async def test_each_right_is_asked_for_by_itself() -> None:
    hub = Hub()
    known = authority(hub)
    for _ in range(2):
        assert await known.refusal(ALICE, SWITCH, SHOP, "1.1.1.1") is None
        for right, member in ((FORCE, SHOP), (SWITCH, ORDERS), (SWITCH, ELSEWHERE)):
            refusal = await known.refusal(ALICE, right, member, "1.1.1.1")
            assert refusal is not None
            assert f"alice may not {right} of {member.federation} in namespace {member.namespace};" in (
                refusal.message
            )
    assert len(hub.asked) == 4


@jumping
async def test_a_flood_of_junk_holds_up_nobody_who_was_known_before() -> None:
    known = authority(Hub())
    await known.identify("good", "1.1.1.1")
    await asyncio.sleep(GOOD_SECONDS)
    junk = (known.identify(f"junk-{n}", f"10.0.0.{n}") for n in range(100))
    flood = asyncio.gather(*junk, return_exceptions=True)
    await asyncio.sleep(0)
    assert await known.identify("good", "1.1.1.1") == ALICE
    assert await known.refusal(ALICE, SWITCH, SHOP, "1.1.1.1") is None
    assert passed() == pytest.approx(GOOD_SECONDS, abs=1e-6)
    assert sum(isinstance(each, DeniedError) for each in await flood) == 36


@jumping
async def test_only_a_refusal_of_the_hub_is_quoted_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Any other message may repeat the token."""
    hub = Hub()
    known = authority(hub)
    hub.trouble = errors.UnreachableError("a proxy says: what is good-token?")
    assert await denied(known) == f"HubUnreachable: cannot check who sent this: {hub.trouble.public}"
    assert "good-token" not in caplog.text
    hub.trouble = errors.ForbiddenError("cannot create tokenreviews")
    assert await denied(known) == f"HubForbidden: cannot check who sent this: {hub.trouble.public}"
    assert "cannot create tokenreviews" in caplog.text
    hub.trouble = None
    assert await known.identify("good", "1.1.1.1") == ALICE
