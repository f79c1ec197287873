"""Who may do what with `--auth kubernetes`: every kind of caller, and every kind of request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from rig.hub_namespace import HubNamespace, own_namespace
from rig.tcf_processes import TcfProcesses
from support.access_table import Door, bearer, open_worker, read_table
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


@pytest.fixture
def hub(plane_with_issuer: dict[str, str]) -> Iterator[HubNamespace]:
    """A namespace of the test's own, on a hub that takes the issuer's tokens."""
    with own_namespace(plane_with_issuer) as hub:
        yield hub


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


@pytest.fixture
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


@pytest.mark.timeout(300)
def test_the_hub_knows_who_may_do_what(
    hub: HubNamespace, programs: TcfProcesses, callers: dict[str, Headers], issuer: OidcIssuer
) -> None:
    """The hub takes the tokens of its issuer only if a worker asks for the hub's own audience, too."""
    everybody = open_worker(hub, programs)
    guarded = programs.worker("cluster_1", "--auth", "kubernetes")
    table = Door(guarded, everybody).table({**callers, "OIDC": bearer(issuer.token("viewer", "admins"))})
    assert table == BY_THE_HUB

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
    options = ("--auth-reads", "--auth-audience", "tcf.dev", "--auth-audience", API)
    guarded = programs.worker("cluster_1", "--auth", "kubernetes", *options)
    assert Door(guarded, everybody).table(callers | people) == WITH_OIDC
