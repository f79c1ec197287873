"""`--auth oauth2`: an identity provider knows the users and their roles (introspection, RFC 7662)."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import aiohttp
from yarl import URL

from tcf.auth.inquiries import Inquiries, NoAnswerError
from tcf.auth.known_users import KnownUsers
from tcf.core.authorization import Right, User, forbidden
from tcf.core.model import MemberRef, Refusal
from tcf.core.reasons import Reason
from tcf.hub.answers import NotJsonError, decoded
from tcf.hub.proxies import proxy_for
from tcf.hub.sessions import cause
from tcf.runtime.clock import Clock
from tcf.runtime.connector import Connector
from tcf.settings import OAuth2Settings

_SECONDS = 5.0
_CONNECTIONS = 4
_LARGEST_ANSWER = 64 * 1024
_NAMES = ("username", "preferred_username", "client_id", "sub")
"""The fields of an answer that may name the user, the best one first."""


class ProviderError(NoAnswerError):
    """The identity provider gives no usable answer."""

    def __init__(self, message: str) -> None:
        public = "the identity provider gives no usable answer"
        super().__init__(message, reason=Reason.IDENTITY_PROVIDER_ERROR, public=public)


class IntrospectionAuthority:
    """An `Authority` that asks an identity provider such as Keycloak."""

    hint = "get one from the identity provider; it has to be for this worker's client, too (its audience)"

    def __init__(self, settings: OAuth2Settings, *, clock: Clock) -> None:
        self._settings = settings
        self._users = KnownUsers(Inquiries("the identity provider", clock), clock)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def identify(self, token: str, source: str) -> User | None:
        """See `Authority`."""

        async def ask() -> User | None:
            return user_of(await self._introspect(token), self._settings.roles_claim)

        return await self._users.of(token, source, ask)

    async def refusal(self, user: User, right: Right, member: MemberRef, source: str) -> Refusal | None:  # noqa: ARG002 - nobody has to be asked
        """See `Authority`."""
        names = self._settings.roles
        if right in names.rights(user.roles):
            return None
        return forbidden(user, right, member, f"ask for the role {names.giving(right)}")

    async def _introspect(self, token: str) -> Mapping[str, Any]:
        """The provider's answer about a token. Raises ProviderError."""
        settings = self._settings
        try:
            if self._session is None:
                self._session = _session(settings.ca_file)
            async with self._session.post(
                settings.url,
                data={"token": token, "token_type_hint": "access_token"},
                headers={"Authorization": _basic(settings), "Accept": "application/json"},
                proxy=proxy_for(URL(settings.url)),
                allow_redirects=False,
            ) as response:
                if response.status != 200:  # noqa: PLR2004
                    raise ProviderError(
                        f"{settings.url} answers {response.status}; {_advice(response.status)}"
                    )
                return _object(await _read(response.content), settings.url)
        except TimeoutError as error:
            raise ProviderError(f"{settings.url} does not answer within {_SECONDS:.0f} s") from error
        except aiohttp.ClientConnectorError as error:
            raise ProviderError(f"cannot reach {settings.url}: {cause(error)}") from error
        except aiohttp.ClientError as error:
            raise ProviderError(f"a request to {settings.url} failed: {type(error).__name__}") from error
        except OSError as error:
            raise ProviderError(f"cannot read {error.filename}: {error.strerror}") from error


def user_of(answer: Mapping[str, Any], roles_claim: str) -> User | None:
    """The user in an answer (RFC 7662, section 2.2); None if the token is not active.

    Args:
        roles_claim: where the roles are, such as `realm_access.roles`. If the claim is missing, the user has
            none. A name with dots that is a claim itself is found, too.

    Raises:
        ProviderError: the token is active, but the answer does not name the user.
    """
    if answer.get("active") is not True:
        return None
    name = next((answer[key] for key in _NAMES if isinstance(answer.get(key), str) and answer[key]), None)
    if name is None:
        raise ProviderError("the identity provider does not say whose token it is")
    found: Any = answer
    for part in [roles_claim] if roles_claim in answer else roles_claim.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    words = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
    return User(name, roles=frozenset(word for word in words if isinstance(word, str)))


def _session(ca_file: Path | None) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=Connector(
            limit=_CONNECTIONS, ssl=ssl.create_default_context(cafile=ca_file) if ca_file else True
        ),
        timeout=aiohttp.ClientTimeout(total=_SECONDS),
    )


def _basic(settings: OAuth2Settings) -> str:
    """RFC 6749, section 2.3.1. The secret is read each time, so that it may be replaced."""
    path = settings.client_secret_file
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except UnicodeError as error:
        raise ProviderError(f"{path} is not a text file with the client's secret") from error
    if not secret:
        raise ProviderError(f"{path} is empty; write the client's secret into it")
    return aiohttp.encode_basic_auth(quote_plus(settings.client_id), quote_plus(secret))


def _advice(status: int) -> str:
    if status in {400, 401, 403}:
        return "check the client's id and its secret, and that this client may introspect tokens"
    if status >= 500:  # noqa: PLR2004
        return "look at the provider's log"
    return "check the URL of the introspection endpoint"


async def _read(content: aiohttp.StreamReader) -> bytes:
    data = b""
    async for chunk in content.iter_any():
        data += chunk
        if len(data) > _LARGEST_ANSWER:
            raise ProviderError(f"an answer has more than {_LARGEST_ANSWER} bytes")
    return data


def _object(data: bytes, url: str) -> Mapping[str, Any]:
    try:
        return decoded(data)
    except NotJsonError:  # its message quotes the answer, which may repeat the token
        raise ProviderError(f"{url} does not answer with a JSON object; check the URL") from None
