"""Who may do what with `--client-ca-file`: every kind of certificate, and every kind of request."""

from __future__ import annotations

import pytest
from rig.hub_namespace import HubNamespace
from rig.tcf_processes import TcfProcesses
from support import rights
from support.access_table import Caller, Door, bearer, open_worker, read_table
from support.certificate_authority import CertificateAuthority
from support.rights import EVERYTHING

TABLE = read_table("""
                                GET  hold  dry run  forced dry run  POST  forced POST
no certificate                  401  401   401      401             401   401
stranger                        403  403   403      403             403   403
viewer                          yes  403   yes      yes             403   403
switcher                        yes  403   yes      yes             yes   403
holder                          yes  yes   yes      yes             403   403
one of the admins               yes  yes   yes      yes             yes   yes
another user's name             403  403   403      403             403   403
the administrators' group       403  403   403      403             403   403
an admin with a viewer's token  yes  403   yes      yes             403   403
a viewer with an admin's token  yes  yes   yes      yes             yes   yes
an admin with a bad token       401  401   401      401             401   401
a token alone                   yes  yes   yes      yes             yes   yes
""")


@pytest.mark.timeout(300)
def test_the_hub_knows_what_the_holders_of_certificates_may_do(
    hub: HubNamespace, programs: TcfProcesses, authority: CertificateAuthority
) -> None:
    """Names in certificates have a prefix, so nobody becomes a user or group of the hub itself by one."""
    rights.create(
        hub,
        *map(rights.new_account, ("viewer", "admin")),
        *rights.grant(rights.account(hub, "viewer"), "get"),
        *rights.grant(rights.account(hub, "admin"), *EVERYTHING),
        *rights.grant(rights.user("cert:viewer"), "get"),
        *rights.grant(rights.user("cert:switcher"), "get", "switch"),
        *rights.grant(rights.user("cert:holder"), "get", "hold"),
        *rights.grant(rights.group("cert:admins"), *EVERYTHING),
    )
    everybody = open_worker(hub, programs)
    server = authority.server()
    guarded = programs.worker(
        "cluster_1",
        *("--auth", "kubernetes", "--auth-reads", "--client-ca-file", str(authority.file)),
        *("--tls-cert-file", str(server.certificate), "--tls-key-file", str(server.key)),
        tls=authority.trusting(),
    )
    somebody = authority.trusting(authority.client("somebody", "team", "admins"))
    viewer = authority.trusting(authority.client("viewer"))
    admin, viewers = rights.token(hub, "admin"), rights.token(hub, "viewer")
    callers = {
        "no certificate": Caller(tls=authority.trusting()),
        "stranger": Caller(tls=authority.trusting(authority.client("stranger", "team"))),
        "viewer": Caller(tls=viewer),
        "switcher": Caller(tls=authority.trusting(authority.client("switcher"))),
        "holder": Caller(tls=authority.trusting(authority.client("holder"))),
        "one of the admins": Caller(tls=somebody),
        "another user's name": Caller(
            tls=authority.trusting(authority.client(f"system:serviceaccount:{hub.namespace}:admin"))
        ),
        "the administrators' group": Caller(
            tls=authority.trusting(authority.client("root", "system:masters"))
        ),
        "an admin with a viewer's token": bearer(viewers, somebody),
        "a viewer with an admin's token": bearer(admin, viewer),
        "an admin with a bad token": bearer("junk", somebody),
        "a token alone": bearer(admin, authority.trusting()),
    }
    assert Door(guarded, everybody).table(callers) == TABLE
