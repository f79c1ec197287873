"""What is between a program and its hub: proxies, other names in certificates, files that are replaced."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from rig.asking import free_port
from rig.files import place
from rig.hub_namespace import HubNamespace
from rig.patience import eventually
from rig.tcf_processes import TcfProcesses
from support.tls_gate import CERTIFICATES, TlsGate
from support.trouble import Json, complaints, variant
from support.tunnel import Tunnel

ELSEWHERE = "https://hub.invalid:6443"


def test_operators_and_workers_go_through_the_proxy_of_the_kubeconfig(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    """And ask for the name in the certificate that it says, also when they watch."""
    hub.apply(leaseDuration="3s", switchoverTimeout="10s")
    with Tunnel(hub) as tunnel:

        def change(cluster: Json, _: Json) -> None:
            proxy = f"http://me:s3cret@127.0.0.1:{tunnel.port}"
            cluster |= {"server": ELSEWHERE, "proxy-url": proxy, "tls-server-name": "kubernetes.default.svc"}

        path = variant(hub, tmp_path / "kubeconfig", change)
        operator = programs.operator(kubeconfig=path)
        one, two = (programs.worker(f"cluster_{n}", kubeconfig=path) for n in (1, 2))
        one.await_active()
        assert two.post("/tcf/promote").status == 200
        operator.await_ready()
        assert set(tunnel.asked) == {"hub.invalid:6443"}
        for program in (operator, one, two):
            assert "s3cret" not in program.log


def test_a_proxy_that_is_down_is_named_without_its_password(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    port = free_port()
    proxy = f"http://me:s3cret@127.0.0.1:{port}"
    path = variant(hub, tmp_path / "kubeconfig", lambda cluster, _: cluster.update({"proxy-url": proxy}))
    worker, operator = programs.worker("cluster_1", kubeconfig=path), programs.operator(kubeconfig=path)
    worker.await_reason("HubUnreachable")
    (line,) = complaints(worker)
    through = f"cannot reach the hub at {hub.server} through the proxy http://127.0.0.1:{port}"
    assert through in line
    assert "127.0.0.1" not in worker.is_active().error
    eventually(lambda: through in operator.log, what="so does the operator")
    assert "s3cret" not in worker.log + operator.log


def test_an_authority_that_is_replaced_is_trusted(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    """Its file alone is replaced, as rotations do it, and the kubeconfig is not touched."""
    hub.apply(leaseDuration="3s", switchoverTimeout="10s")
    authority = tmp_path / "ca.crt"
    right: list[str] = []

    def change(cluster: Json, _: Json) -> None:
        right.append(base64.b64decode(cluster.pop("certificate-authority-data")).decode())
        cluster["certificate-authority"] = authority.name

    place(authority, WRONG_AUTHORITY)
    path = variant(hub, tmp_path / "kubeconfig", change)
    worker, operator = programs.worker("cluster_1", kubeconfig=path), programs.operator(kubeconfig=path)
    worker.await_reason("HubUnreachable")
    (line,) = complaints(worker)
    assert "its certificate is not trusted" in line
    eventually(lambda: "its certificate is not trusted" in operator.log, what="so does the operator")
    place(authority, right[0])
    worker.await_active()
    operator.await_ready()
    place(authority, WRONG_AUTHORITY)
    eventually(lambda: "is not trusted" in worker.log[-2000:], what="it is not trusted any more")
    place(authority, right[0])
    worker.await_active()
    operator.await_ready()


def test_a_client_certificate_that_is_replaced_is_used(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    """Its two files alone are replaced, as rotations do it, and the kubeconfig is not touched."""
    hub.apply(leaseDuration="3s", switchoverTimeout="10s")
    certificate, key = tmp_path / "client.crt", tmp_path / "client.key"

    def show(name: str) -> None:
        place(key, (CERTIFICATES / f"{name}-key.pem").read_text())
        place(certificate, (CERTIFICATES / f"{name}-cert.pem").read_text())

    with TlsGate(hub, takes="second") as gate:

        def change(cluster: Json, user: Json) -> None:
            cluster.pop("certificate-authority-data")
            cluster |= {"server": gate.server, "certificate-authority": str(CERTIFICATES / "gate-cert.pem")}
            user |= {"client-certificate": certificate.name, "client-key": key.name}

        show("first")
        path = variant(hub, tmp_path / "kubeconfig", change)
        worker, operator = programs.worker("cluster_1", kubeconfig=path), programs.operator(kubeconfig=path)
        worker.await_reason("HubUnreachable")
        show("second")
        worker.await_active()
        operator.await_ready()
        show("first")
        worker.await_reason("HubUnreachable")
        show("second")
        worker.await_active()
        operator.await_ready()


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_not_for_this_machine(
    hub: HubNamespace, programs: TcfProcesses, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As for every other Kubernetes client. (What it is for: test_proxies.)"""
    hub.apply()
    scheme = "socks5" if name == "ALL_PROXY" else "http"
    monkeypatch.setenv(name, f"{scheme}://127.0.0.1:{free_port()}")
    programs.operator()
    programs.worker("cluster_1").await_active()


WRONG_AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIDAzCCAeugAwIBAgIUeZCSelKkCXlWfVPzJOgWilUPdC4wDQYJKoZIhvcNAQEL
BQAwEDEOMAwGA1UEAwwFd3JvbmcwIBcNMjYxMTI2MTcyMDI1WhgPMjEyNjExMDIx
NzIwMjVaMBAxDjAMBgNVBAMMBXdyb25nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A
MIIBCgKCAQEAofnXhSaKPQqUYG2PdMHFaSqy8L0BzjsobodJmVP/vtXvXzvug001
8Fzs+cKgBmofyJPC+zQ0XDjcxf3SDlmMA8QkXMM3z08ZdBFzhd17FFjNij5nx7DD
TDo6Cee/MB1FHy6YIEtZr8NKpGjg3Q4how29RUgc5jOEr4FLC5fgF9lOmI0RVtDG
zG91te0MUfODXAZAZDkcs2n1C6ww18c8h10+hWDF6QSI4AdtbXTEjTuRg6fbOsF8
QXYkLwnGtlmj4z+GikCkg1ftYnLhGcxm5QrhqgX7RUjXVPlLyCDxYsIYjLoy3rUp
DUCMJ+SNM89EWtvmxy4yATik11MDIxrw7wIDAQABo1MwUTAdBgNVHQ4EFgQUxliv
E7oFNE5iwGlkkzHPJi1Am4QwHwYDVR0jBBgwFoAUxlivE7oFNE5iwGlkkzHPJi1A
m4QwDwYDVR0TAQH/BAUwAwEB/zANBgkqhkiG9w0BAQsFAAOCAQEAXqiZfmjZbpUi
yu4lOnKmMJtoLGSpnsygtTmdplQcYMZ+I6R36Csly0d3feaxQW4iACbjdIv0xkps
If8AlZ0FrzlliZ2UKLI/ozNuBDRkVADeqNF/Ir+LUvuob47YMLIZKb9ub4zXpfQA
tb/c0Ismt2HX9HDwKEB0ydELIraVEhoGlOuNTDBf2366GbkkEeDg9FO/HMp48X5p
KwXuJcrgmRBZUa407PWkTQKvLNOi66hwu0Y51UyEMxwbcbzo0JZnuc89l1R+1/SG
vT6P3DmJaiqbjwp2lig0wjr4VNflNP4tr9uXvk9NbC+W038M1/JkoLAUR4NDAM/I
LACDGJ17dA==
-----END CERTIFICATE-----
"""
