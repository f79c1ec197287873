"""The guard: which credentials count, and under which name a request is recorded."""

from __future__ import annotations

import datetime as dt

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from tcf.auth.authority import DeniedError
from tcf.core.authorization import FORCE, SWITCH, Right, User, forbidden
from tcf.core.model import MemberRef, Refusal
from tcf.core.reasons import Reason
from tcf.web.audit_trail import ASKED, Asked
from tcf.web.envelope import answer
from tcf.web.guard import Caller, Guard

MEMBER = MemberRef("ns", "shop", "cluster_1")
CERTIFIED = User("cert:carol")
KNOWN = {"alice", "x" * 300}


class Names:
    """Knows the user whose name is the token, and grants each user the right to switch."""

    hint = "ask nicely"

    def __init__(self, trouble: DeniedError | None = None) -> None:
        self.trouble = trouble

    async def identify(self, token: str, source: str) -> User | None:
        assert source == "192.0.2.7"
        if self.trouble:
            raise self.trouble
        return User(token) if token in KNOWN else None

    async def refusal(self, user: User, right: Right, member: MemberRef, source: str) -> Refusal | None:
        assert source == "192.0.2.7"
        return None if right == SWITCH else forbidden(user, right, member, "ask")


async def by(guard: Guard, headers: dict[str, str], *rights: Right) -> tuple[int, str]:
    """The status of the answer, and the principal or the reason."""
    request = make_mocked_request("POST", "/tcf/toggle", headers=headers)
    request[ASKED] = Asked("id", "id", "192.0.2.7", dt.datetime.now(dt.UTC))

    async def handle(_: web.BaseRequest, caller: Caller) -> web.StreamResponse:
        await caller.needs(*rights)
        return answer(200, headers={"X-Principal": str(caller.principal)})

    response = await guard.changing(handle)(request)
    assert response.headers.get("X-TCF-Cluster", "cluster_1") == "cluster_1"
    return response.status, response.headers.get("X-Principal") or response.headers["X-TCF-Reason"]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def guard(**more: object) -> Guard:
    return Guard(MEMBER, **{"authority": Names(), **more})  # type: ignore[arg-type] # whatever the test gives


@pytest.mark.parametrize(
    ("name", "recorded"),
    [
        ("alice", "alice via cluster_1"),
        ("x" * 300, "x" * 180 + "... via cluster_1"),
    ],
)
async def test_the_name_of_a_user_is_recorded_with_the_member(name: str, recorded: str) -> None:
    assert await by(guard(), bearer(name), SWITCH) == (200, recorded)
    assert len(recorded) <= 256


async def test_without_authentication_the_address_is_recorded() -> None:
    assert await by(Guard(MEMBER), bearer("junk"), SWITCH, FORCE) == (200, "192.0.2.7 via cluster_1")


async def test_every_right_is_needed() -> None:
    assert await by(guard(), bearer("alice"), SWITCH, FORCE) == (403, "Forbidden")


async def test_a_token_counts_and_a_certificate_only_without_one() -> None:
    certified = guard(certificate=lambda _: CERTIFIED)
    assert await by(certified, {}, SWITCH) == (200, "cert:carol via cluster_1")
    assert await by(certified, bearer("alice"), SWITCH) == (200, "alice via cluster_1")
    assert await by(certified, bearer("junk"), SWITCH) == (401, "Unauthenticated")


async def test_a_name_cannot_pretend_to_be_another_members() -> None:
    eve = guard(certificate=lambda _: User("eve via cluster_2"))
    assert await by(eve, {}, SWITCH) == (200, "eve via cluster_2 via cluster_1")
    hidden = guard(certificate=lambda _: User("a\u202eb\nc"))
    assert await by(hidden, {}, SWITCH) == (200, "a\\u202eb c via cluster_1")


@pytest.mark.parametrize(
    "header",
    [
        "Bearer alice alice",
        "Bearer alice, Bearer alice",
        "Bearer al=ice",
        "Basic YTpi",
        "Bearer",
        "Bearer ",
        "alice",
        "",
    ],
)
async def test_another_header_is_no_token(header: str) -> None:
    assert await by(guard(certificate=lambda _: CERTIFIED), {"Authorization": header}, SWITCH) == (
        401,
        "Unauthenticated",
    )


async def test_no_answer_is_no_open_door() -> None:
    trouble = DeniedError(500, Refusal(Reason.HUB_UNREACHABLE, "down"))
    assert await by(guard(authority=Names(trouble)), bearer("alice"), SWITCH) == (500, "HubUnreachable")
