"""An OpenID Connect issuer on this machine, and the configuration of an API server that trusts it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from rig.files import place

from support.certificate_authority import CertificateAuthority
from support.loopback_server import LoopbackServer

Json = dict[str, Any]
AUDIENCE, PREFIX = "tcf.dev", "oidc:"
"""For whom an API server takes the issuer's tokens, and what it puts before names of users and groups."""
_ALGORITHM, _KEY_ID = "ES256", "only"


def authentication_config(
    path: Path, issuer: str, authority: CertificateAuthority, audience: str, claims: Mapping[str, str]
) -> Path:
    """Write an AuthenticationConfiguration, with which an API server takes an issuer's tokens.

    Args:
        path: of the file.
        issuer: its URL.
        authority: the API server trusts it to certify the issuer.
        audience: that tokens must have.
        claims: which claim has the `username`, and which one the `groups`. Names get the prefix `oidc:`.
    """
    version = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration"}
    trusted = {"url": issuer, "certificateAuthority": authority.file.read_text(), "audiences": [audience]}
    mappings = {name: {"claim": claim, "prefix": PREFIX} for name, claim in claims.items()}
    return place(path, json.dumps({**version, "jwt": [{"issuer": trusted, "claimMappings": mappings}]}))


class OidcIssuer(LoopbackServer):
    """Serves its discovery document and its key over HTTPS, and signs whatever token it is asked for."""

    def __init__(self, authority: CertificateAuthority) -> None:
        """`authority`: signs the certificate of the HTTPS server."""
        self._authority = authority
        self._key = ec.generate_private_key(ec.SECP256R1())
        super().__init__(authority.server("issuer").server_context)

    def token(
        self,
        user: str,
        *groups: str,
        audience: str = AUDIENCE,
        lives: tuple[float, float] = (-60, 3600),
        issuer: str | None = None,
        forged: bool = False,
    ) -> str:
        """A signed token.

        Args:
            lives: from when to when it is valid, in seconds from now.
            issuer: who claims to have made it; None for this issuer.
            forged: sign it with another key, and name this issuer's key as the one that signed.
        """
        now = int(time.time())
        claims = {
            "iss": issuer or self.url,
            "sub": user,
            "groups": groups,
            "aud": audience,
            "iat": now + int(lives[0]),
            "nbf": now + int(lives[0]),
            "exp": now + int(lives[1]),
        }
        key = ec.generate_private_key(ec.SECP256R1()) if forged else self._key
        return jwt.encode(claims, key, algorithm=_ALGORITHM, headers={"kid": _KEY_ID})

    def authentication_config(self, path: Path) -> Path:
        """Write an AuthenticationConfiguration, with which an API server takes this issuer's tokens."""
        claims = {"username": "sub", "groups": "groups"}
        return authentication_config(path, self.url, self._authority, AUDIENCE, claims)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        match request.path:
            case "/.well-known/openid-configuration":
                return web.json_response(self._discovery())
            case "/keys":
                return web.json_response({"keys": [self._public_key()]})
            case _:
                return web.Response(status=404)

    def _discovery(self) -> Json:
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [_ALGORITHM],
        }

    def _public_key(self) -> Json:
        key = jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {**key, "kid": _KEY_ID, "use": "sig", "alg": _ALGORITHM}
