"""An identity provider that is broken, slow or not what it should be opens no door, and learns no more."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rig.asking import Answer, free_port
from rig.files import place
from rig.hub_namespace import HubNamespace
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.access_table import bearer
from support.certificate_authority import CertificateAuthority
from support.introspection_server import CLIENT_SECRET, TROUBLES, IntrospectionServer, worker_options

AT_ONCE = 4
"""Fewer requests than a worker lets wait for one client's address."""


def demote(worker: TcfProcess, token: str) -> Answer:
    return bearer(token).ask(worker, "POST", "/tcf/demote")


def refusal(worker: TcfProcess, token: str) -> str:
    """The message, if nobody knows who asks."""
    answer = demote(worker, token)
    assert (answer.status, answer.reason) == (500, "IdentityProviderError")
    return answer.error


@pytest.fixture
def provider() -> Iterator[IntrospectionServer]:
    with IntrospectionServer() as provider:
        provider.tokens = {
            f"good-{number}": {"sub": "alice", "realm_access": {"roles": ["TCF_TOGGLE"]}}
            for number in range(9)
        }
        yield provider


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """The file with the client's secret."""
    return place(tmp_path / "secret", CLIENT_SECRET)


@pytest.fixture
def shop(hub: HubNamespace, programs: TcfProcesses) -> HubNamespace:
    hub.apply()
    programs.operator()
    return hub


def test_what_is_no_answer_opens_no_door(
    shop: HubNamespace, programs: TcfProcesses, provider: IntrospectionServer, secret: Path
) -> None:
    worker = programs.worker("cluster_1", *worker_options(provider.url, secret))
    worker.await_active()
    provider.troubles = {f"token-{name.replace(' ', '-')}": trouble for name, trouble in TROUBLES.items()}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        told = set(pool.map(lambda token: refusal(worker, token), provider.troubles))
    assert told == {"cannot check who sent this: the identity provider gives no usable answer"}
    assert sorted(provider.asked) == sorted(provider.troubles)  # each once, and nothing at another address

    assert worker.is_active().status == 200  # GETs go on
    assert demote(worker, "good-0").status == 200
    for private in (*provider.troubles, *provider.tokens, CLIENT_SECRET):
        assert private not in worker.log
    assert "the identity provider answers again" in worker.log


def test_a_secret_may_be_replaced(
    shop: HubNamespace, programs: TcfProcesses, provider: IntrospectionServer, secret: Path
) -> None:
    place(secret, "wrong")
    worker = programs.worker("cluster_1", *worker_options(provider.url, secret))
    worker.await_active()
    refusal(worker, "good-0")
    assert f"{provider.url} answers 401; check the client's id and its secret" in worker.log
    secret.unlink()
    refusal(worker, "good-1")
    assert f"cannot read {secret}: No such file or directory" in worker.log
    place(secret, CLIENT_SECRET)
    assert demote(worker, "good-0").status == 200


def test_a_provider_that_comes_back_is_asked_again(
    shop: HubNamespace, programs: TcfProcesses, secret: Path
) -> None:
    port = free_port()
    worker = programs.worker("cluster_1", *worker_options(f"http://127.0.0.1:{port}/introspect", secret))
    worker.await_active()
    refusal(worker, "good")
    assert f"cannot reach http://127.0.0.1:{port}/introspect: " in worker.log
    with IntrospectionServer(port=port) as provider:
        provider.tokens = {"good": {"sub": "alice", "realm_access": {"roles": ["TCF_TOGGLE"]}}}
        assert demote(worker, "good").status == 200


def test_a_provider_that_nobody_certifies_learns_no_token(
    shop: HubNamespace, programs: TcfProcesses, secret: Path, authority: CertificateAuthority
) -> None:
    with IntrospectionServer(authority.server().server_context) as provider:
        worker = programs.worker("cluster_1", *worker_options(provider.url, secret))
        worker.await_active()
        refusal(worker, "good")
        assert f"cannot reach {provider.url}: " in worker.log
        assert provider.asked == []


def test_a_netrc_of_whoever_starts_the_worker_is_left_alone(
    shop: HubNamespace,
    programs: TcfProcesses,
    provider: IntrospectionServer,
    secret: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    netrc = place(tmp_path / "netrc", "default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    worker = programs.worker("cluster_1", *worker_options(provider.url, secret))
    worker.await_active()
    assert demote(worker, "good-0").status == 200
