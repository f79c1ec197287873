"""Who may do what with `--auth oauth2`: every kind of caller, and every kind of request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rig.asking import ask, free_port
from rig.files import place
from rig.hub_namespace import HubNamespace
from rig.patience import eventually
from rig.tcf_processes import TcfProcesses
from support.access_table import Caller, Door, bearer, open_worker, read_table
from support.certificate_authority import CertificateAuthority
from support.introspection_server import CLIENT_SECRET, IntrospectionServer, worker_options

Json = dict[str, Any]

DEFAULT_NAMES = read_table("""
                         GET  hold  dry run  forced dry run  POST  forced POST
no token                 yes  401   401      401             401   401
unknown                  yes  401   401      401             401   401
of the hub               yes  401   401      401             401   401
no roles                 yes  403   403      403             403   403
roles that are no list   yes  403   403      403             403   403
a role like ours         yes  403   403      403             403   403
a role in another place  yes  403   403      403             403   403
TCF_INFO                 yes  403   yes      yes             403   403
TCF_TOGGLE               yes  403   yes      yes             yes   403
TCF_HOLD                 yes  yes   yes      yes             403   403
TCF_ADMIN                yes  yes   yes      yes             yes   yes
other roles as well      yes  403   yes      yes             yes   403
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
    "TCF_HOLD": {"realm_access": {"roles": ["TCF_HOLD"]}},
    "TCF_ADMIN": {"realm_access": {"roles": ["TCF_ADMIN"]}},
    "other roles as well": {"realm_access": {"roles": ["offline_access", "TCF_TOGGLE", "TCF_INFO"]}},
}
"""What an identity provider says of active tokens, apart from who it is."""


OWN_NAMES = read_table("""
                         GET  hold  dry run  forced dry run  POST  forced POST
no token                 401  401   401      401             401   401
unknown                  401  401   401      401             401   401
TCF_ADMIN                403  403   403      403             403   403
see                      yes  403   yes      yes             403   403
move                     yes  403   yes      yes             yes   403
act                      yes  yes   yes      yes             403   403
insist                   yes  yes   yes      yes             yes   yes
""")


@pytest.mark.timeout(300)
def test_an_identity_provider_knows_who_may_do_what(
    hub: HubNamespace, programs: TcfProcesses, authority: CertificateAuthority, tmp_path: Path
) -> None:
    """Names of roles, and where they are, may be others than Keycloak's. Everybody may GET unless told so."""
    everybody = open_worker(hub, programs)
    secret = place(tmp_path / "secret", f"{CLIENT_SECRET}\n")
    with IntrospectionServer() as provider:
        provider.tokens = {_dashed(name): {"username": name, **claims} for name, claims in GIVEN.items()}
        guarded = programs.worker("cluster_1", *worker_options(provider.url, secret))
        strangers = {"no token": Caller(), "unknown": bearer("unknown"), "of the hub": bearer(hub.token)}
        callers = {name: bearer(_dashed(name)) for name in GIVEN}
        assert Door(guarded, everybody).table(strangers | callers) == DEFAULT_NAMES

    with IntrospectionServer(authority.server("provider").server_context) as provider:
        roles = ("TCF_ADMIN", "see", "move", "act", "insist")
        provider.tokens = {role: {"sub": "somebody", "groups": [role]} for role in roles}
        own_names = (
            *("--oauth2-ca-file", str(authority.file), "--auth-reads", "--oauth2-roles-claim", "groups"),
            *("--oauth2-info-role", "see", "--oauth2-toggle-role", "move"),
            *("--oauth2-hold-role", "act", "--oauth2-admin-role", "insist"),
        )
        guarded = programs.worker("cluster_1", *worker_options(provider.url, secret), *own_names)
        strangers = {"no token": Caller(), "unknown": bearer("unknown")}
        callers = {role: bearer(role) for role in roles}
        assert Door(guarded, everybody).table(strangers | callers) == OWN_NAMES


def _dashed(name: str) -> str:
    return name.replace(" ", "-")


def test_an_operator_that_serves_lets_in_the_same_callers(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    """Its own port has health only, which everybody may see."""
    hub.apply()
    secret, port = place(tmp_path / "secret", CLIENT_SECRET), free_port()
    with IntrospectionServer() as provider:
        provider.tokens = {"good": {"sub": "alice", "realm_access": {"roles": ["TCF_TOGGLE"]}}}
        served = ("--serve", f"{hub.namespace}/shop/cluster_1=127.0.0.1:{port}", "--auth-reads")
        operator = programs.operator(*served, *worker_options(provider.url, secret))
        operator.await_ready()

        def ask_it(method: str, path: str, token: str | None = None) -> int:
            return ask(
                port, method, path, headers={"Authorization": f"Bearer {token}"} if token else {}
            ).status

        eventually(lambda: ask_it("GET", "/tcf/is_active", "good") == 200, what="cluster_1 is active")
        for method, path in (("GET", "/tcf/is_active"), ("POST", "/tcf/demote")):
            assert ask_it(method, path) == ask_it(method, path, "bad") == 401
        assert ask_it("POST", "/tcf/demote?force=true", "good") == 403
        assert ask_it("POST", "/tcf/demote", "good") == 200
        assert ask_it("GET", "/readyz") == operator.get("/readyz").status == 200
