"""Who may do what with `--auth kubernetes`: every kind of caller, and every kind of request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rig.hub_namespace import HubNamespace, own_namespace
from rig.tcf_processes import TcfProcesses
from support import rights
from support.access_table import Caller, Door, bearer, open_worker, read_table
from support.oidc_issuer import PREFIX, OidcIssuer
from support.rights import EVERYTHING, PEOPLE

API = "https://kubernetes.default.svc"
"""The API server's own audience."""
HOUR = 3600.0


@pytest.fixture
def hub(plane_with_issuer: dict[str, str]) -> Iterator[HubNamespace]:
    """A namespace of the test's own, on a hub that takes the issuer's tokens."""
    with own_namespace(plane_with_issuer) as hub:
        yield hub


BY_THE_HUB = read_table("""
                           GET  hold  dry run  forced dry run  POST  forced POST
no token                   yes  401   401      401             401   401
an empty token             yes  401   401      401             401   401
a password                 yes  401   401      401             401   401
two tokens                 yes  401   401      401             401   401
junk                       yes  401   401      401             401   401
another's                  yes  401   401      401             401   401
the API server's           yes  401   401      401             401   401
of a deleted account       yes  401   401      401             401   401
OIDC                       yes  401   401      401             401   401
of the administrator       yes  401   401      401             401   401
stranger                   yes  403   403      403             403   403
viewer                     yes  403   yes      yes             403   403
switcher                   yes  403   yes      yes             yes   403
holder                     yes  yes   yes      yes             403   403
admin                      yes  yes   yes      yes             yes   yes
switcher who may not look  yes  403   403      403             yes   403
forcer who may not switch  yes  403   yes      yes             403   403
holder who may not look    yes  yes   403      403             403   403
admin of another           yes  403   403      403             403   403
admin elsewhere            yes  403   403      403             403   403
""")

WITH_OIDC = read_table("""
                           GET  hold  dry run  forced dry run  POST  forced POST
no token                   401  401   401      401             401   401
an empty token             401  401   401      401             401   401
a password                 401  401   401      401             401   401
two tokens                 401  401   401      401             401   401
junk                       401  401   401      401             401   401
another's                  401  401   401      401             401   401
of a deleted account       401  401   401      401             401   401
OIDC, expired              401  401   401      401             401   401
OIDC, not yet valid        401  401   401      401             401   401
OIDC, another's            401  401   401      401             401   401
OIDC, another issuer's     401  401   401      401             401   401
OIDC, forged               401  401   401      401             401   401
stranger                   403  403   403      403             403   403
viewer                     yes  403   yes      yes             403   403
switcher                   yes  403   yes      yes             yes   403
holder                     yes  yes   yes      yes             403   403
admin                      yes  yes   yes      yes             yes   yes
switcher who may not look  403  403   403      403             yes   403
forcer who may not switch  yes  403   yes      yes             403   403
holder who may not look    403  yes   403      403             403   403
admin of another           403  403   403      403             403   403
admin elsewhere            403  403   403      403             403   403
the API server's           yes  yes   yes      yes             yes   yes
of the administrator       yes  yes   yes      yes             yes   yes
OIDC, nobody               403  403   403      403             403   403
OIDC, viewer               yes  403   yes      yes             403   403
OIDC, holder               403  yes   403      403             403   403
OIDC, of the admins        yes  yes   yes      yes             yes   yes
""")


@pytest.fixture
def callers(hub: HubNamespace, plane_with_issuer: dict[str, str]) -> dict[str, Caller]:
    """Those whom the hub may know, or not."""
    deleted = "of a deleted account"
    accounts = (*PEOPLE, "admin of another", "admin elsewhere", deleted)
    rights.create(
        hub,
        *map(rights.new_account, accounts),
        *(each for name, held in PEOPLE.items() for each in rights.grant(rights.account(hub, name), *held)),
        *rights.grant(rights.account(hub, "admin of another"), *EVERYTHING, federation="other"),
        *rights.grant(rights.account(hub, deleted), *EVERYTHING),
        *rights.grant(rights.user(f"{PREFIX}viewer"), "get"),
        *rights.grant(rights.user(f"{PREFIX}holder"), "hold"),
        *rights.grant(rights.group(f"{PREFIX}admins"), *EVERYTHING),
    )
    with own_namespace(plane_with_issuer) as elsewhere:
        rights.create(elsewhere, *rights.grant(rights.account(hub, "admin elsewhere"), *EVERYTHING))
    tokens = {name: rights.token(hub, name) for name in accounts}
    hub.kubectl("delete", "serviceaccount", rights.dashed(deleted))
    tokens["another's"] = rights.token(hub, "admin", "another.example.com")
    tokens["the API server's"] = rights.token(hub, "admin", API)
    tokens["of the administrator"] = hub.token
    tokens["junk"] = "junk"
    return {
        "no token": Caller(),
        "an empty token": Caller("Bearer "),
        "a password": Caller("Basic YWRtaW46YWRtaW4="),
        "two tokens": bearer(f"{tokens['admin']} {tokens['admin']}"),
        **{name: bearer(token) for name, token in tokens.items()},
    }


@pytest.mark.timeout(600)
def test_the_hub_knows_who_may_do_what(
    hub: HubNamespace, programs: TcfProcesses, callers: dict[str, Caller], issuer: OidcIssuer
) -> None:
    """The hub takes the tokens of its issuer only if a worker asks for the hub's own audience, too."""
    everybody = open_worker(hub, programs)
    guarded = programs.worker("cluster_1", "--auth", "kubernetes")
    table = Door(guarded, everybody).table({**callers, "OIDC": bearer(issuer.token("viewer", "admins"))})
    assert table == BY_THE_HUB

    tokens = {
        "nobody": issuer.token("nobody"),
        "viewer": issuer.token("viewer"),
        "holder": issuer.token("holder"),
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
