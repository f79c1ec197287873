"""`--auth oauth2`: what is asked of an identity provider, and what the log says when it gives no answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from rig.asking import free_port
from support.certificate_authority import CertificateAuthority
from support.introspection_server import CLIENT_ID, CLIENT_SECRET, TROUBLES, IntrospectionServer

from tcf.auth import introspection
from tcf.auth.authority import DeniedError
from tcf.auth.introspection import IntrospectionAuthority
from tcf.core.authorization import FORCE, HOLD, READ, SWITCH, Right, RoleNames, User
from tcf.core.model import MemberRef
from tcf.runtime.clock import CLOCK
from tcf.settings import OAuth2Settings

SHOP = MemberRef("ns", "shop", "c1")
ALICE = {"sub": "alice", "roles": ["TCF_TOGGLE"]}
CREDENTIALS = "check the client's id and its secret"
THEIR_LOG = "look at the provider's log"
URL = "check the URL"
TOLD = {
    "error": f"answers 500; {THEIR_LOG}",
    "overloaded": f"answers 503; {THEIR_LOG}",
    "no endpoint": f"answers 404; {URL} of the introspection endpoint",
    "refuses the client": f"answers 401; {CREDENTIALS}",
    "a page": f"does not answer with a JSON object; {URL}",
    "junk": f"does not answer with a JSON object; {URL}",
    "nothing": f"does not answer with a JSON object; {URL}",
    "cut short": f"does not answer with a JSON object; {URL}",
    "a list": f"does not answer with a JSON object; {URL}",
    "another status": f"answers 203; {URL}",
    "too deep": "an answer has more than 65536 bytes",
    "moved": f"answers 307; {URL}",
    "silent": "does not answer within 0 s",
    "half": "does not answer within 0 s",
    "endless": "an answer has more than 65536 bytes",
    "repeats the token": f"answers 400; {CREDENTIALS}",
    "hangs up": "failed: ServerDisconnectedError",
}


@pytest.fixture
def provider() -> Iterator[IntrospectionServer]:
    with IntrospectionServer() as provider:
        provider.tokens["good"] = ALICE
        yield provider


@pytest.fixture
def settings(provider: IntrospectionServer, tmp_path: Path) -> OAuth2Settings:
    secret = tmp_path / "secret"
    secret.write_text(CLIENT_SECRET + "\n")
    return OAuth2Settings(provider.url, CLIENT_ID, secret, None, "roles", RoleNames())


@pytest.fixture
async def authority(settings: OAuth2Settings) -> AsyncIterator[IntrospectionAuthority]:
    authority = IntrospectionAuthority(settings, clock=CLOCK)
    yield authority
    await authority.close()


async def why_denied(authority: IntrospectionAuthority, caplog: pytest.LogCaptureFixture, token: str) -> str:
    """What the log says of a question that gets no answer. A client hears less."""
    caplog.clear()
    with pytest.raises(DeniedError) as denied:
        await authority.identify(token, "1.1.1.1")
    assert (denied.value.status, denied.value.refusal.reason) == (500, "IdentityProviderError")
    assert "gives no usable answer" in denied.value.refusal.message
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    return record.getMessage()


async def test_users_are_known_by_their_tokens(
    provider: IntrospectionServer, authority: IntrospectionAuthority
) -> None:
    for _ in range(2):
        user = await authority.identify("good", "1.1.1.1")
        assert user == User("alice", roles=frozenset({"TCF_TOGGLE"}))
    assert await authority.identify("bad", "1.1.1.1") is None
    assert provider.asked == ["good", "bad"]


@pytest.mark.parametrize(
    ("right", "needed"), [(READ, ""), (SWITCH, ""), (HOLD, "TCF_HOLD"), (FORCE, "TCF_ADMIN")]
)
async def test_the_roles_of_a_user_say_what_is_allowed(
    authority: IntrospectionAuthority, right: Right, needed: str
) -> None:
    user = await authority.identify("good", "1.1.1.1")
    assert user
    refusal = await authority.refusal(user, right, SHOP, "1.1.1.1")
    assert (refusal.message if refusal else "").endswith(f"ask for the role {needed}" if needed else "")
    assert bool(refusal) == bool(needed)


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_the_log_says_what_is_wrong_and_what_to_do(
    provider: IntrospectionServer,
    authority: IntrospectionAuthority,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:
    if trouble in {"silent", "half"}:
        monkeypatch.setattr(introspection, "_SECONDS", 0.3)
    provider.troubles["secret-token"] = TROUBLES[trouble]
    told = await why_denied(authority, caplog, "secret-token")
    assert TOLD[trouble] in told
    assert "secret-token" not in told


@pytest.mark.parametrize(("length", "fits"), [(64 * 1024, True), (64 * 1024 + 1, False)])
async def test_the_largest_answer_that_is_read(
    provider: IntrospectionServer, authority: IntrospectionAuthority, length: int, *, fits: bool
) -> None:
    body = b'{"active": false}'

    async def pad(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=body + b" " * (length - len(body)), content_type="application/json")

    provider.troubles["long"] = pad
    if fits:
        assert await authority.identify("long", "1.1.1.1") is None
        return
    with pytest.raises(DeniedError):
        await authority.identify("long", "1.1.1.1")


async def test_only_so_many_questions_are_asked_at_a_time(
    provider: IntrospectionServer, authority: IntrospectionAuthority
) -> None:
    """A flood of unknown tokens must not become a flood of connections to the provider."""
    at_once: list[int] = []
    now = 0

    async def slowly(_: web.BaseRequest) -> web.StreamResponse:
        nonlocal now
        now += 1
        at_once.append(now)
        await asyncio.sleep(0.1)
        now -= 1
        return web.json_response({"active": False})

    tokens = [f"token-{number}" for number in range(8)]
    provider.troubles |= dict.fromkeys(tokens, slowly)
    assert await asyncio.gather(*(authority.identify(token, "1.1.1.1") for token in tokens)) == [None] * 8
    assert max(at_once) == 4


@pytest.mark.parametrize(
    ("status", "advice"),
    [(400, CREDENTIALS), (401, CREDENTIALS), (402, URL), (403, CREDENTIALS), (404, URL), (500, THEIR_LOG)],
)
async def test_the_advice_is_about_the_status(
    provider: IntrospectionServer,
    authority: IntrospectionAuthority,
    caplog: pytest.LogCaptureFixture,
    status: int,
    advice: str,
) -> None:
    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status)

    provider.troubles["x"] = refuse
    assert f"answers {status}; {advice}" in await why_denied(authority, caplog, "x")


async def test_the_secret_is_read_each_time(
    settings: OAuth2Settings, authority: IntrospectionAuthority, caplog: pytest.LogCaptureFixture
) -> None:
    file = settings.client_secret_file
    file.write_text(" \n")
    assert f"{file} is empty; write the client's secret into it" in await why_denied(
        authority, caplog, "good"
    )
    file.write_bytes(b"\xff\xfe")
    assert f"{file} is not a text file" in await why_denied(authority, caplog, "good")
    file.unlink()
    assert f"cannot read {file}: No such file or directory" in await why_denied(authority, caplog, "good")
    file.write_text("wrong")
    assert f"answers 401; {CREDENTIALS}" in await why_denied(authority, caplog, "good")
    file.write_text(CLIENT_SECRET)
    assert await authority.identify("good", "1.1.1.1")


async def test_a_provider_that_is_down(settings: OAuth2Settings, caplog: pytest.LogCaptureFixture) -> None:
    url = f"http://127.0.0.1:{free_port()}/introspect"
    authority = IntrospectionAuthority(replace(settings, url=url), clock=CLOCK)
    assert f"cannot reach {url}: " in await why_denied(authority, caplog, "good")
    await authority.close()


@pytest.mark.parametrize("trusted", [True, False])
async def test_only_a_provider_with_a_certificate_that_is_trusted_is_asked(
    settings: OAuth2Settings, tmp_path: Path, *, trusted: bool
) -> None:
    own = CertificateAuthority(tmp_path)
    with IntrospectionServer(own.server().server_context) as provider:
        provider.tokens["good"] = ALICE
        asks = replace(settings, url=provider.url, ca_file=own.file if trusted else None)
        authority = IntrospectionAuthority(asks, clock=CLOCK)
        if trusted:
            assert await authority.identify("good", "1.1.1.1")
        else:
            with pytest.raises(DeniedError):
                await authority.identify("good", "1.1.1.1")
        assert bool(provider.asked) == trusted
        await authority.close()


async def test_an_authority_that_was_never_asked_has_nothing_to_close(settings: OAuth2Settings) -> None:
    await IntrospectionAuthority(settings, clock=CLOCK).close()


async def test_its_connections_are_closed_in_the_end(settings: OAuth2Settings) -> None:
    authority = IntrospectionAuthority(settings, clock=CLOCK)
    await authority.identify("good", "1.1.1.1")
    session = authority._session
    assert session
    await authority.close()
    assert session.closed
