"""The options by which worker and operator serve: who may ask, what is recorded of it, and TLS."""

from __future__ import annotations

from typing import Any

import click
from yarl import URL

from tcf.core.authorization import RoleNames
from tcf.options import ADDRESS, FILE, F, option
from tcf.settings import AuthMode, AuthSettings, OAuth2Settings, TlsSettings

_DEFAULT_ROLES = RoleNames()
_ROLES = {"info": "read", "toggle": "switch", "hold": "have holds", "admin": "force"}
"""The roles of an identity provider, and what each is for."""
_AUTH = [mode.value for mode in AuthMode]
_NEEDED = ("oauth2_introspection_url", "oauth2_client_id", "oauth2_client_secret_file")
"""The parameters without which `--auth oauth2` cannot work."""


def _role(name: str, what: str) -> Any:
    return option(
        f"--oauth2-{name}-role",
        metavar="NAME",
        default=getattr(_DEFAULT_ROLES, name),
        show_default=True,
        help=f"The role whose users may {what}.",
    )


_OPTIONS = (
    option(
        "--auth",
        type=click.Choice(_AUTH),
        default=AuthMode.NONE.value,
        show_default=True,
        help="Who knows which client may change roles: nobody (everybody may), the hub (by its tokens and"
        " RBAC), or an identity provider (by OAuth 2.0 introspection).",
    ),
    option("--auth-reads", is_flag=True, help="GETs of /tcf/* need a right, too."),
    option(
        "--auth-audience",
        "audiences",
        metavar="NAME",
        multiple=True,
        default=["tcf.dev"],
        show_default=True,
        help="With --auth kubernetes: the audience that a token must be for; may be repeated. Tokens of"
        " the hub's own identity provider (OIDC) need the hub's own audience here.",
    ),
    option(
        "--client-certificate-prefix",
        metavar="TEXT",
        default="cert:",
        show_default=True,
        help="What to put in front of the names of users and groups from client certificates.",
    ),
    option(
        "--oauth2-introspection-url",
        metavar="URL",
        help="With --auth oauth2: where to introspect tokens (RFC 7662). For Keycloak:"
        " https://HOST/realms/REALM/protocol/openid-connect/token/introspect.",
    ),
    option("--oauth2-client-id", metavar="ID", help="The client that introspects."),
    option(
        "--oauth2-client-secret-file", type=FILE, metavar="FILE", help="A file with that client's secret."
    ),
    option(
        "--oauth2-ca-file",
        type=FILE,
        metavar="FILE",
        show_default="the system's authorities",
        help="The certificate authority of the identity provider.",
    ),
    option(
        "--oauth2-roles-claim",
        metavar="NAME",
        default="realm_access.roles",
        show_default=True,
        help="Where the answer has the user's roles.",
    ),
    *(_role(name, what) for name, what in _ROLES.items()),
    option(
        "--audit-log",
        type=FILE,
        metavar="FILE",
        help="Record every POST, and every request that is refused, as a line of JSON; - is stdout."
        " SIGHUP opens the file again.",
    ),
    option(
        "--tls-cert-file",
        type=FILE,
        metavar="FILE",
        help="Certificate with its chain (PEM), to serve HTTPS. It is read again when it changes.",
    ),
    option("--tls-key-file", type=FILE, metavar="FILE", help="The key of that certificate (PEM)."),
    option(
        "--client-ca-file",
        type=FILE,
        metavar="FILE",
        help="The authority (CA) that must have signed client certificates (PEM).",
    ),
    option(
        "--probe-listen",
        type=ADDRESS,
        help="One more address, always without TLS, for probes: it takes GET, HEAD and OPTIONS only.",
    ),
)


def serving(function: F) -> F:
    """Adds the options to a command."""
    for each in reversed(_OPTIONS):
        function = each(function)
    return function


def auth_settings(given: dict[str, Any]) -> AuthSettings:
    """Raises click.UsageError if the options do not fit together."""
    mode = AuthMode(given["auth"])
    if given["client_ca_file"] and mode is not AuthMode.KUBERNETES:
        raise click.UsageError("--client-ca-file needs --auth kubernetes, which knows what each user may do")
    if given["auth_reads"] and mode is AuthMode.NONE:
        raise click.UsageError("--auth-reads needs --auth kubernetes or --auth oauth2")
    prefix = given["client_certificate_prefix"]
    if "system:".startswith(prefix) or prefix.startswith("system:"):
        raise click.UsageError(
            f"--client-certificate-prefix {prefix!r} would let certificates have names of Kubernetes itself,"
            " such as system:masters; use another one"
        )
    if not all(given["audiences"]):
        raise click.UsageError("--auth-audience must not be empty")
    return AuthSettings(
        mode=mode,
        reads=given["auth_reads"],
        audiences=tuple(dict.fromkeys(given["audiences"])),
        certificate_prefix=prefix,
        oauth2=_oauth2(given) if mode is AuthMode.OAUTH2 else None,
    )


def tls_settings(given: dict[str, Any]) -> TlsSettings | None:
    """None without TLS. Raises click.UsageError if the options do not fit together."""
    cert, key, client_ca = given["tls_cert_file"], given["tls_key_file"], given["client_ca_file"]
    if cert and key:
        return TlsSettings(cert, key, client_ca)
    if cert or key or client_ca:
        raise click.UsageError("TLS needs both --tls-cert-file and --tls-key-file")
    return None


def _oauth2(given: dict[str, Any]) -> OAuth2Settings:
    for name in _NEEDED:
        if not given[name]:
            raise click.UsageError(f"--auth oauth2 needs --{name.replace('_', '-')}")
    return OAuth2Settings(
        url=_provider(given["oauth2_introspection_url"]),
        client_id=given["oauth2_client_id"],
        client_secret_file=given["oauth2_client_secret_file"],
        ca_file=given["oauth2_ca_file"],
        roles_claim=given["oauth2_roles_claim"],
        roles=RoleNames(**{name: given[f"oauth2_{name}_role"] for name in _ROLES}),
    )


def _provider(text: str) -> str:
    """The URL of the provider: HTTPS unless it is on this machine, because it gets a secret and tokens."""
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise click.UsageError(f"--oauth2-introspection-url {text!r} is not an http or https URL")
    if url.scheme == "http" and url.host not in {"localhost", "127.0.0.1", "::1"}:
        raise click.UsageError("--oauth2-introspection-url must be https, since secrets are sent to it")
    if url.user or url.password:
        raise click.UsageError(
            "--oauth2-introspection-url must not contain a password; use --oauth2-client-secret-file"
        )
    return str(url)
