"""The guard in front of holds: whoever was let in once is let in while nobody can check that."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import pytest
from aiohttp.test_utils import make_mocked_request

from tcf.auth.authority import DeniedError
from tcf.core.authorization import HOLD, Right, User, forbidden
from tcf.core.model import MemberRef, Refusal
from tcf.core.reasons import Reason
from tcf.web.audit_trail import ASKED, Asked
from tcf.web.guard import Guard
from tcf.web.hold_guard import HoldGuard
from unit.build import BOOT, ClockAt

MEMBER = MemberRef("ns", "shop", "cluster_1")
DOWN = DeniedError(500, Refusal(Reason.HUB_UNREACHABLE, "down"))
BUSY = DeniedError(503, Refusal(Reason.TOO_MANY_REQUESTS, "busy"))


@dataclass
class Hub:
    """Knows users, whose names are their tokens, but no `strangers`. They may have holds unless `banned`."""

    trouble: DeniedError | None = None
    banned: set[str] = field(default_factory=set)
    strangers: set[str] = field(default_factory=set)
    asked: int = 0
    hint = "ask nicely"

    async def identify(self, token: str, *_: object) -> User | None:
        self.asked += 1
        if self.trouble:
            raise self.trouble
        return None if token in self.strangers else User(token)

    async def refusal(self, user: User, right: Right, member: MemberRef, *_: object) -> Refusal | None:
        assert (right, member) == (HOLD, MEMBER)
        return forbidden(user, right, member, "ask") if user.name in self.banned else None


class Door:
    """The guard, and a clock that the test moves."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.now = BOOT
        guard = Guard(MEMBER, authority=self.hub, certificate=lambda _: self.certified)
        self._guard = HoldGuard(guard, ClockAt(lambda: self.now))
        self.certified: User | None = None

    async def asks(self, name: str = "app", *, releasing: bool = False) -> str:
        """A holder asks for a hold or releases it: its name as recorded, or the reason of the refusal."""
        headers = {"Authorization": f"Bearer {name}"} if name else {}
        request = make_mocked_request("PUT", "/tcf/holds/app", headers=headers)
        asked = request[ASKED] = Asked("id", "id", "192.0.2.7", dt.datetime.now(dt.UTC))
        try:
            await self._guard.admit(request, releasing=releasing)
        except DeniedError as denied:
            return denied.refusal.reason
        assert asked.user
        return asked.user.name

    async def after(self, seconds: float, name: str = "app", *, releasing: bool = False) -> str:
        """The same, so many seconds after the test began."""
        self.now = BOOT + seconds
        return await self.asks(name, releasing=releasing)


@pytest.fixture
def door() -> Door:
    return Door()


async def test_a_check_counts_for_a_minute(door: Door) -> None:
    assert [await door.after(seconds) for seconds in (0, 10, 59.9)] == ["app"] * 3
    assert door.hub.asked == 1
    assert await door.after(60) == "app"
    assert door.hub.asked == 2
    assert await door.after(119.9) == "app"
    assert door.hub.asked == 2


async def test_a_right_that_was_taken_away_is_used_for_a_minute_at_most(door: Door) -> None:
    await door.asks()
    door.hub.banned.add("app")
    assert [await door.after(seconds) for seconds in (59.9, 60, 61)] == ["app", "Forbidden", "Forbidden"]
    assert await door.asks(releasing=True) == "Forbidden", "it is not known any more"
    door.hub.banned.clear()
    assert await door.after(62) == "app", "a refusal is not remembered"


@pytest.mark.parametrize("trouble", [DOWN, BUSY])
async def test_a_known_holder_is_let_in_while_nobody_can_check_it(door: Door, trouble: DeniedError) -> None:
    await door.asks()
    door.hub.trouble = trouble
    times = [60 + 5 * number for number in range(109)]
    assert {await door.after(seconds) for seconds in times} == {"app"}
    assert times[-1] == 600
    assert door.hub.asked == 1 + 55, "every ten seconds, somebody is asked again"
    assert await door.after(600.1) == trouble.refusal.reason


async def test_a_denial_ends_that(door: Door) -> None:
    await door.asks()
    door.hub.trouble = DOWN
    assert await door.after(60) == "app"
    door.hub.trouble = None
    door.hub.strangers.add("app")
    assert [await door.after(seconds) for seconds in (69.9, 70)] == ["app", "Unauthenticated"]
    door.hub.trouble = DOWN
    assert await door.after(71) == "HubUnreachable"


async def test_after_the_trouble_a_check_counts_for_a_minute_again(door: Door) -> None:
    await door.asks()
    door.hub.trouble = DOWN
    await door.after(300)
    door.hub.trouble = None
    assert await door.after(310) == "app"
    door.hub.trouble = DOWN
    assert await door.after(910) == "app"
    assert await door.after(910.1) == "HubUnreachable"


@pytest.mark.parametrize("trouble", [DOWN, BUSY])
async def test_nobody_else_is_let_in_while_nobody_can_check_it(door: Door, trouble: DeniedError) -> None:
    await door.asks()
    door.hub.trouble = trouble
    for releasing in (False, True):
        assert await door.asks("another", releasing=releasing) == trouble.refusal.reason
        assert await door.asks("", releasing=releasing) == "Unauthenticated"


async def test_a_release_by_a_known_holder_needs_no_check(door: Door) -> None:
    """Twice as long as any hold: nobody has one for longer without having asked for it."""
    await door.asks()
    door.hub.banned.add("app")
    assert await door.after(600, releasing=True) == "app"
    assert door.hub.asked == 1
    assert await door.after(600.1, releasing=True) == "Forbidden"


async def test_an_unknown_holder_is_checked_at_its_release(door: Door) -> None:
    door.hub.banned.add("another")
    assert await door.asks("another", releasing=True) == "Forbidden"
    assert await door.asks(releasing=True) == "app"


async def test_so_many_holders_are_remembered(door: Door) -> None:
    """Whoever was checked last stays."""
    for number in range(256):
        await door.asks(f"app-{number}")
    assert await door.after(60, "app-0") == "app-0"
    await door.asks("one-more")
    door.hub.trouble = DOWN
    assert await door.asks("app-0") == "app-0"
    assert await door.asks("app-2") == "app-2"
    assert await door.asks("app-1") == "HubUnreachable"


async def test_a_certificate_is_recognized_too(door: Door) -> None:
    door.certified = User("cert:app")
    assert await door.asks("") == "cert:app"
    door.hub.banned.add("cert:app")
    assert await door.asks("") == "cert:app"
    door.certified = User("cert:other")
    door.hub.banned.add("cert:other")
    assert await door.asks("") == "Forbidden"


async def test_without_authentication_everybody_is_let_in() -> None:
    request = make_mocked_request("PUT", "/tcf/holds/app")
    asked = request[ASKED] = Asked("id", "id", "192.0.2.7", dt.datetime.now(dt.UTC))
    await HoldGuard(Guard(MEMBER), ClockAt(lambda: BOOT)).admit(request, releasing=False)
    assert asked.user is None
