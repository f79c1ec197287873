"""Workers that let in the users of a real Keycloak: asked by introspection, and as the issuer of the hub.

Nothing here needs the cluster of the other tests: the hub is a control plane of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from controlplane.plane import ControlPlane
from rig.asking import Answer
from rig.files import place
from rig.hub_namespace import HubNamespace, own_namespace
from rig.kubectl import install_crd
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.access_table import Caller, Door, bearer, open_worker, read_table
from support.certificate_authority import CertificateAuthority
from support.introspection_server import worker_options
from support.oidc_issuer import authentication_config

from e2e.keycloak import CLIENT_ID, CLIENT_SECRET, Keycloak

pytestmark = pytest.mark.timeout(1200)
API = "https://kubernetes.default.svc"
"""The API server's own audience."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keycloak")


@pytest.fixture(scope="module")
def authority(folder: Path) -> CertificateAuthority:
    return CertificateAuthority(folder)


@pytest.fixture(scope="module")
def keycloak(
    pytestconfig: pytest.Config, folder: Path, authority: CertificateAuthority
) -> Iterator[Keycloak]:
    with contextlib.ExitStack() as stack:
        # It takes minutes: show what goes on.
        with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            keycloak = stack.enter_context(Keycloak(folder, authority))
        yield keycloak


@pytest.fixture(scope="module")
def hub(keycloak: Keycloak, folder: Path, authority: CertificateAuthority) -> Iterator[HubNamespace]:
    """A hub that takes Keycloak's tokens for workers, too. Its users are `oidc:` and Keycloak's name."""
    claims = {"username": "preferred_username"}
    config = authentication_config(folder / "config.json", keycloak.realm, authority, CLIENT_ID, claims)
    with ControlPlane.start("--authentication-config", config) as plane:
        install_crd(plane)
        with own_namespace({"kubectl": str(plane.kubectl), "kubeconfig": str(plane.kubeconfig)}) as hub:
            yield hub


@pytest.fixture(scope="module")
def programs(hub: HubNamespace, folder: Path) -> Iterator[TcfProcesses]:
    started = TcfProcesses(hub, folder)
    try:
        yield started
    finally:
        started.close()


@pytest.fixture(scope="module")
def everybody(hub: HubNamespace, programs: TcfProcesses) -> TcfProcess:
    """A worker of cluster_1 that lets in everybody."""
    return open_worker(hub, programs)


@pytest.fixture
def callers(keycloak: Keycloak) -> dict[str, Caller]:
    """Everybody with a token of Keycloak's."""
    tokens = keycloak.tokens("admin")
    left = keycloak.tokens("admin")
    keycloak.log_out(left)
    head, body, signature = tokens["access_token"].split(".")
    return {
        "ID token": bearer(tokens["id_token"]),
        "refresh token": bearer(tokens["refresh_token"]),
        "another's signature": bearer(f"{head}.{body}.{signature[::-1]}"),
        "not for workers": bearer(keycloak.token("admin", client="elsewhere")),
        "logged out": bearer(left["access_token"]),
        **{
            user: bearer(keycloak.token(user))
            for user in ("visitor", "viewer", "switcher", "holder", "admin")
        },
    }


def test_introspection(
    keycloak: Keycloak,
    callers: dict[str, Caller],
    everybody: TcfProcess,
    programs: TcfProcesses,
    folder: Path,
    authority: CertificateAuthority,
) -> None:
    secret = place(folder / "client-secret", CLIENT_SECRET)
    options = worker_options(keycloak.introspection, secret, CLIENT_ID)
    trust = ("--oauth2-ca-file", str(authority.file))
    guarded = programs.worker("cluster_1", *options, *trust, "--auth-reads")
    assert Door(guarded, everybody).table(callers) == read_table("""
                               GET  hold  dry run  forced dry run  POST  forced POST
    ID token                   401  401   401      401             401   401
    refresh token              401  401   401      401             401   401
    another's signature        401  401   401      401             401   401
    not for workers            401  401   401      401             401   401
    logged out                 401  401   401      401             401   401
    visitor                    403  403   403      403             403   403
    viewer                     yes  403   yes      yes             403   403
    switcher                   yes  403   yes      yes             yes   403
    holder                     yes  yes   yes      yes             403   403
    admin                      yes  yes   yes      yes             yes   yes
    """)


def test_the_issuer_of_the_hub(
    hub: HubNamespace, callers: dict[str, Caller], everybody: TcfProcess, programs: TcfProcesses
) -> None:
    """The hub knows the users by name, and RBAC their rights. It does not notice when they log out."""
    resource, name = "clusterfederations.tcf.dev", "--resource-name=shop"
    hub.kubectl("create", "role", "look", "--verb=get", f"--resource={resource}", name)
    hub.kubectl("create", "role", "switch", "--verb=create", f"--resource={resource}/switchover", name)
    hub.kubectl("create", "role", "hold", "--verb=update", f"--resource={resource}/holds", name)
    hub.kubectl("create", "rolebinding", "look", "--role=look", "--user=oidc:viewer", "--user=oidc:admin")
    hub.kubectl("create", "rolebinding", "switch", "--role=switch", "--user=oidc:admin")
    hub.kubectl("create", "rolebinding", "hold", "--role=hold", "--user=oidc:holder")
    options = ("--auth", "kubernetes", "--auth-audience", API, "--auth-reads")
    guarded = programs.worker("cluster_1", *options)
    assert Door(guarded, everybody).table(callers) == read_table("""
                               GET  hold  dry run  forced dry run  POST  forced POST
    ID token                   401  401   401      401             401   401
    refresh token              401  401   401      401             401   401
    another's signature        401  401   401      401             401   401
    not for workers            401  401   401      401             401   401
    logged out                 yes  403   yes      yes             yes   403
    visitor                    403  403   403      403             403   403
    viewer                     yes  403   yes      yes             403   403
    switcher                   403  403   403      403             403   403
    holder                     403  yes   403      403             403   403
    admin                      yes  403   yes      yes             yes   403
    """)


def test_a_wrong_secret(
    keycloak: Keycloak,
    everybody: TcfProcess,
    programs: TcfProcesses,
    folder: Path,
    authority: CertificateAuthority,
) -> None:
    secret = place(folder / "wrong-secret", "wrong")
    options = worker_options(keycloak.introspection, secret, CLIENT_ID)
    guarded = programs.worker("cluster_1", *options, "--oauth2-ca-file", str(authority.file))

    def demote() -> Answer:
        return bearer(keycloak.token("switcher")).ask(guarded, "POST", "/tcf/demote")

    assert demote().reason == "IdentityProviderError"
    assert f"{keycloak.introspection} answers 401; check the client's id and its secret" in guarded.log
    place(secret, CLIENT_SECRET)
    assert demote().status == 200
