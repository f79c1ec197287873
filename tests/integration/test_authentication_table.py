"""Who may do what: every kind of caller, and every kind of request, against real identity providers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rig.files import place
from rig.hub_namespace import HubNamespace, own_namespace
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.access_table import Door, bearer, read_table
from support.certificate_authority import CertificateAuthority
from support.introspection_server import CLIENT_SECRET, IntrospectionServer, worker_options
from support.oidc_issuer import PREFIX, OidcIssuer

API = "https://kubernetes.default.svc"
"""The API server's own audience."""
HOUR = 3600.0
RIGHTS = {
    "get": {"verbs": ["get"], "resources": ["clusterfederations"]},
    "switch": {"verbs": ["create"], "resources": ["clusterfederations/switchover"]},
    "force": {"verbs": ["create"], "resources": ["clusterfederations/force"]},
}
"""The rule of a Role for each right."""
HOLDERS = {
    "stranger": (),
    "viewer": ("get",),
    "switcher": ("get", "switch"),
    "admin": ("get", "switch", "force"),
    "switcher who may not look": ("switch",),
    "forcer who may not switch": ("get", "force"),
}
"""The rights that people have on the federation shop."""

Headers = dict[str, str]
Json = dict[str, Any]


@pytest.fixture(scope="module")
def hub(plane_with_issuer: dict[str, str]) -> Iterator[HubNamespace]:
    with own_namespace(plane_with_issuer) as hub:
        hub.apply(leaseDuration="15s")
        yield hub


@pytest.fixture(scope="module")
def programs(hub: HubNamespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TcfProcesses]:
    started = TcfProcesses(hub, tmp_path_factory.mktemp("programs"))
    try:
        yield started
    finally:
        started.close()


@pytest.fixture(scope="module")
def open_worker(hub: HubNamespace, programs: TcfProcesses) -> TcfProcess:
    """A worker of cluster_1 that lets in everybody. The operator answers for cluster_2."""
    programs.operator("--serve", f"{hub.namespace}/shop/cluster_2=127.0.0.1:0")
    worker = programs.worker("cluster_1")
    worker.await_active()
    return worker


# --- by the hub ----------------------------------------------------------------------------------------

BY_THE_HUB = read_table("""
                           GET  dry run  forced dry run  POST  forced POST
no token                   yes  401      401             401   401
an empty token             yes  401      401             401   401
a password                 yes  401      401             401   401
two tokens                 yes  401      401             401   401
junk                       yes  401      401             401   401
another's                  yes  401      401             401   401
the API server's           yes  401      401             401   401
of a deleted account       yes  401      401             401   401
OIDC                       yes  401      401             401   401
of the administrator       yes  401      401             401   401
stranger                   yes  403      403             403   403
viewer                     yes  yes      yes             403   403
switcher                   yes  yes      yes             yes   403
admin                      yes  yes      yes             yes   yes
switcher who may not look  yes  403      403             yes   403
forcer who may not switch  yes  yes      yes             403   403
admin of another           yes  403      403             403   403
admin elsewhere            yes  403      403             403   403
""")

WITH_OIDC = read_table("""
                           GET  dry run  forced dry run  POST  forced POST
no token                   401  401      401             401   401
an empty token             401  401      401             401   401
a password                 401  401      401             401   401
two tokens                 401  401      401             401   401
junk                       401  401      401             401   401
another's                  401  401      401             401   401
of a deleted account       401  401      401             401   401
OIDC, expired              401  401      401             401   401
OIDC, not yet valid        401  401      401             401   401
OIDC, another's            401  401      401             401   401
OIDC, another issuer's     401  401      401             401   401
OIDC, forged               401  401      401             401   401
stranger                   403  403      403             403   403
viewer                     yes  yes      yes             403   403
switcher                   yes  yes      yes             yes   403
admin                      yes  yes      yes             yes   yes
switcher who may not look  403  403      403             yes   403
forcer who may not switch  yes  yes      yes             403   403
admin of another           403  403      403             403   403
admin elsewhere            403  403      403             403   403
the API server's           yes  yes      yes             yes   yes
of the administrator       yes  yes      yes             yes   yes
OIDC, nobody               403  403      403             403   403
OIDC, viewer               yes  yes      yes             403   403
OIDC, of the admins        yes  yes      yes             yes   yes
""")


@pytest.fixture(scope="module")
def callers(hub: HubNamespace, plane_with_issuer: dict[str, str]) -> dict[str, Headers]:
    """Those whom the hub may know, or not."""
    everything, deleted = HOLDERS["admin"], "of a deleted account"
    in_another, elsewhere = _subject(hub, "admin of another"), _subject(hub, "admin elsewhere")
    accounts = (*HOLDERS, "admin of another", "admin elsewhere", deleted)
    named = (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": _dashed(n)}} for n in accounts
    )
    _create(
        hub,
        *named,
        *(each for name, rights in HOLDERS.items() for each in _grant(_subject(hub, name), *rights)),
        *_grant(_subject(hub, deleted), *everything),
        *_grant(in_another, *everything, federation="other"),
        *_grant({"kind": "User", "name": f"{PREFIX}viewer"}, "get"),
        *_grant({"kind": "Group", "name": f"{PREFIX}admins"}, *everything),
    )
    with own_namespace(plane_with_issuer) as other_namespace:
        _create(other_namespace, *_grant(elsewhere, *everything))
    tokens = {name: _token(hub, name) for name in accounts}
    hub.kubectl("delete", "serviceaccount", _dashed(deleted))
    tokens["another's"] = _token(hub, "admin", "another.example.com")
    tokens["the API server's"] = _token(hub, "admin", API)
    tokens["of the administrator"] = hub.token
    tokens["junk"] = "junk"
    return {
        "no token": {},
        "an empty token": {"Authorization": "Bearer "},
        "a password": {"Authorization": "Basic YWRtaW46YWRtaW4="},
        "two tokens": bearer(f"{tokens['admin']} {tokens['admin']}"),
        **{name: bearer(token) for name, token in tokens.items()},
    }


def _create(hub: HubNamespace, *objects: Json) -> None:
    hub.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def _grant(subject: Json, *rights: str, federation: str = "shop") -> list[Json]:
    """A Role with these rights, and the RoleBinding that gives it to the subject."""
    api, metadata = "rbac.authorization.k8s.io", {"name": subject["name"]}
    rules = [{"apiGroups": ["tcf.dev"], "resourceNames": [federation], **RIGHTS[right]} for right in rights]
    role = {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": metadata, "rules": rules}
    reference = {"apiGroup": api, "kind": "Role", **metadata}
    bound = {"subjects": [{"apiGroup": api, **subject}], "roleRef": reference}
    return [role, {"apiVersion": f"{api}/v1", "kind": "RoleBinding", "metadata": metadata, **bound}]


def _subject(hub: HubNamespace, name: str) -> Json:
    return {"apiGroup": "", "kind": "ServiceAccount", "name": _dashed(name), "namespace": hub.namespace}


def _dashed(name: str) -> str:
    return name.replace(" ", "-")


def _token(hub: HubNamespace, name: str, audience: str = "tcf.dev") -> str:
    return hub.kubectl("create", "token", _dashed(name), f"--audience={audience}").stdout.strip()


def test_the_hub_knows_who_may_do_what(
    open_worker: TcfProcess, programs: TcfProcesses, callers: dict[str, Headers], issuer: OidcIssuer
) -> None:
    guarded = programs.worker("cluster_1", "--auth", "kubernetes")
    table = Door(guarded, open_worker).table({**callers, "OIDC": bearer(issuer.token("viewer", "admins"))})
    assert table == BY_THE_HUB


def test_the_hub_knows_the_users_of_its_issuer_if_its_own_audience_is_named(
    open_worker: TcfProcess, programs: TcfProcesses, callers: dict[str, Headers], issuer: OidcIssuer
) -> None:
    options = ("--auth-reads", "--auth-audience", "tcf.dev", "--auth-audience", API)
    guarded = programs.worker("cluster_1", "--auth", "kubernetes", *options)
    tokens = {
        "nobody": issuer.token("nobody"),
        "viewer": issuer.token("viewer"),
        "of the admins": issuer.token("somebody", "admins"),
        "expired": issuer.token("somebody", "admins", lives=(-2 * HOUR, -HOUR)),
        "not yet valid": issuer.token("somebody", "admins", lives=(HOUR, 2 * HOUR)),
        "another's": issuer.token("somebody", "admins", audience="another.example.com"),
        "another issuer's": issuer.token("somebody", "admins", issuer="https://issuer.example.com"),
        "forged": issuer.token("somebody", "admins", forged=True),
    }
    people = {f"OIDC, {name}": bearer(token) for name, token in tokens.items()}
    assert Door(guarded, open_worker).table(callers | people) == WITH_OIDC


# --- by an identity provider ----------------------------------------------------------------------------

BY_A_PROVIDER = read_table("""
                           GET  dry run  forced dry run  POST  forced POST
no token                   yes  401      401             401   401
unknown                    yes  401      401             401   401
of the hub                 yes  401      401             401   401
no roles                   yes  403      403             403   403
roles that are no list     yes  403      403             403   403
a role like ours           yes  403      403             403   403
a role in another place    yes  403      403             403   403
TCF_INFO                   yes  yes      yes             403   403
TCF_TOGGLE                 yes  yes      yes             yes   403
TCF_ADMIN                  yes  yes      yes             yes   yes
other roles as well        yes  yes      yes             yes   403
""")
GIVEN: dict[str, Json] = {
    "no roles": {},
    "roles that are no list": {"realm_access": {"roles": {"TCF_ADMIN": True}}},
    "a role like ours": {"realm_access": {"roles": ["tcf_admin", "TCF_ADMINS", "", None, ["TCF_ADMIN"]]}},
    "a role in another place": {
        "roles": ["TCF_ADMIN"],
        "resource_access": {"shop": {"roles": ["TCF_ADMIN"]}},
    },
    "TCF_INFO": {"realm_access": {"roles": ["TCF_INFO"]}},
    "TCF_TOGGLE": {"realm_access": {"roles": ["TCF_TOGGLE"]}},
    "TCF_ADMIN": {"realm_access": {"roles": ["TCF_ADMIN"]}},
    "other roles as well": {"realm_access": {"roles": ["offline_access", "TCF_TOGGLE", "TCF_INFO"]}},
}
"""What an identity provider says of active tokens, apart from who it is."""


WITH_OWN_NAMES = read_table("""
                           GET  dry run  forced dry run  POST  forced POST
no token                   401  401      401             401   401
unknown                    401  401      401             401   401
TCF_ADMIN                  403  403      403             403   403
see                        yes  yes      yes             403   403
move                       yes  yes      yes             yes   403
insist                     yes  yes      yes             yes   yes
""")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    return place(tmp_path / "secret", f"{CLIENT_SECRET}\n")


def test_an_identity_provider_knows_who_may_do_what(
    hub: HubNamespace, open_worker: TcfProcess, programs: TcfProcesses, secret: Path
) -> None:
    with IntrospectionServer() as provider:
        provider.tokens = {_dashed(name): {"username": name, **claims} for name, claims in GIVEN.items()}
        guarded = programs.worker("cluster_1", *worker_options(provider.url, secret))
        callers = {name: bearer(_dashed(name)) for name in GIVEN}
        strangers = {"no token": {}, "unknown": bearer("unknown"), "of the hub": bearer(hub.token)}
        assert Door(guarded, open_worker).table(strangers | callers) == BY_A_PROVIDER


def test_an_identity_provider_may_have_names_of_its_own(
    open_worker: TcfProcess, programs: TcfProcesses, authority: CertificateAuthority, secret: Path
) -> None:
    """It is reached by HTTPS here."""
    with IntrospectionServer(authority.server("provider").server_context) as provider:
        roles = ("TCF_ADMIN", "see", "move", "insist")
        provider.tokens = {role: {"sub": "somebody", "groups": [role]} for role in roles}
        own_names = (
            *("--oauth2-ca-file", str(authority.file), "--auth-reads", "--oauth2-roles-claim", "groups"),
            *("--oauth2-info-role", "see", "--oauth2-toggle-role", "move", "--oauth2-admin-role", "insist"),
        )
        guarded = programs.worker("cluster_1", *worker_options(provider.url, secret), *own_names)
        callers = {role: bearer(role) for role in roles}
        strangers = {"no token": {}, "unknown": bearer("unknown")}
        assert Door(guarded, open_worker).table(strangers | callers) == WITH_OWN_NAMES
