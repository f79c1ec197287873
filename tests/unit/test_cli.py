"""The command lines: what is taken, and that what is wrong is told in one line."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tcf import cli, wiring
from tcf.core.authorization import RoleNames
from tcf.core.model import MemberRef
from tcf.core.pod_marks import Marks
from tcf.runtime import logs
from tcf.runtime.address import Address
from tcf.settings import (
    AuthMode,
    AuthSettings,
    HubSettings,
    OAuth2Settings,
    OperatorSettings,
    PodSettings,
    TlsSettings,
    WorkerSettings,
)

WORKER = ("worker", "--federation", "shop", "--cluster", "cluster_1")
OPERATOR = ("operator",)
KUBERNETES = ("--auth", "kubernetes")
URL = ("--oauth2-introspection-url",)
OAUTH2 = (
    *("--auth", "oauth2", *URL, "https://idp.example/introspect"),
    *("--oauth2-client-id", "tcf", "--oauth2-client-secret-file", "secret"),
)

Settings = WorkerSettings | OperatorSettings


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """What the programs would have been started with."""
    seen: list[Settings] = []

    async def run(settings: Settings) -> int:
        seen.append(settings)
        return 0

    monkeypatch.setattr(wiring, "run_worker", run)
    monkeypatch.setattr(wiring, "run_operator", run)
    monkeypatch.setattr(logs, "configure", lambda **_: None)
    return seen


def call(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    """The exit status of `python -m tcf` with these arguments."""
    monkeypatch.setattr(sys, "argv", ["tcf", *args])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("worker",), ("--federation", "TCF_FEDERATION")),
        (("worker", "--federation", "shop"), ("--cluster",)),
        ((*WORKER, "--listen", "8080"), ("--listen", "'8080'", "127.0.0.1:8080")),
        ((*WORKER, "--listen", ":"), ("':'", ":8080")),
        ((*WORKER, "--listen", "a:99999"), ("'a:99999'",)),
        ((*WORKER, "--listen", "127.0.0..1:80"), ("'127.0.0..1:80'",)),
        ((*WORKER, "--listen", f"{'a' * 64}.example:80"), ("not an address",)),
        ((*WORKER, "--cluster", "a/b"), ("--cluster", "'a/b'")),
        ((*WORKER, "--federation", "Shop"), ("--federation", "'Shop'")),
        ((*WORKER, "--context", "there"), ("--context", "--kubeconfig")),
        ((*WORKER, "--log-level", "loud"), ("--log-level", "'loud'", "warning")),
        ((*WORKER, "--log-format", "xml"), ("--log-format", "'xml'", "json")),
        ((*WORKER, "--lisen", "127.0.0.1:80"), ("--lisen", "--listen")),
        ((*WORKER, "more"), ("more",)),
        ((*OPERATOR, "--serve", "shop/cluster_1=127.0.0.1:80"), ("NAMESPACE/FEDERATION/CLUSTER=HOST:PORT",)),
        ((*OPERATOR, "--serve", "ns/shop/cluster_1"), ("'ns/shop/cluster_1'",)),
        ((*OPERATOR, "--serve", "ns/shop/cluster_1=here"), ("'here'",)),
        ((*OPERATOR, "--namespace", "a_b"), ("--namespace", "'a_b'")),
        ((*WORKER, "--tls-cert-file", "a"), ("--tls-cert-file", "--tls-key-file")),
        ((*WORKER, "--tls-key-file", "a"), ("--tls-cert-file", "--tls-key-file")),
        ((*OPERATOR, *KUBERNETES, "--client-ca-file", "a"), ("--tls-cert-file", "--tls-key-file")),
        ((*WORKER, "--client-ca-file", "a"), ("--client-ca-file", "--auth kubernetes")),
        ((*WORKER, *OAUTH2, "--client-ca-file", "a"), ("--client-ca-file", "--auth kubernetes")),
        ((*WORKER, "--auth", "keycloak"), ("--auth", "'keycloak'", "oauth2")),
        ((*WORKER, "--auth-reads"), ("--auth-reads", "--auth kubernetes")),
        *(
            ((*WORKER, *KUBERNETES, "--client-certificate-prefix", prefix), ("system:masters",))
            for prefix in ("", "s", "system", "system:", "system:x:")
        ),
        ((*WORKER, *KUBERNETES, "--auth-audience", ""), ("--auth-audience must not be empty",)),
        ((*WORKER, "--auth", "oauth2"), ("--oauth2-introspection-url",)),
        ((*WORKER, *OAUTH2[:4]), ("--oauth2-client-id",)),
        ((*WORKER, *OAUTH2[:6]), ("--oauth2-client-secret-file",)),
        ((*WORKER, *OAUTH2, *URL, "http://idp.example"), ("must be https",)),
        ((*WORKER, *OAUTH2, *URL, "idp.example"), ("'idp.example' is not an http or https URL",)),
        ((*WORKER, *OAUTH2, *URL, "https://me:pw@idp.example"), ("must not contain a password",)),
        ((*OPERATOR, "--probe-listen", "8081"), ("--probe-listen", "'8081'")),
        ((), ("usage: python -m tcf operator|worker",)),
        (("server",), ("usage: python -m tcf operator|worker",)),
    ],
)
def test_a_wrong_value_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    started: list[Settings],
    args: tuple[str, ...],
    told: tuple[str, ...],
) -> None:
    assert call(monkeypatch, *args) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    for words in told:
        assert words in output.err
    assert not started


def test_a_wrong_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], started: list[Settings]
) -> None:
    monkeypatch.setenv("TCF_LISTEN", "nowhere")
    assert call(monkeypatch, *WORKER) == 2
    assert "TCF_LISTEN" in capsys.readouterr().err
    assert not started


@pytest.mark.parametrize("identity", ["", "two words", "ü", "x" * 129])
def test_an_identity_fits_into_leases_events_and_the_status(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    started: list[Settings],
    identity: str,
) -> None:
    assert call(monkeypatch, *WORKER, "--identity", identity) == 2
    assert "it must match [!-~]{1,128}" in capsys.readouterr().err
    assert not started


def test_the_options_of_a_worker(monkeypatch: pytest.MonkeyPatch, started: list[Settings]) -> None:
    options = ("--namespace", "prod", "--kubeconfig", "hub.yaml", "--context", "there")
    assert call(monkeypatch, *WORKER, *options, "--listen", "[::1]:81", "--identity", "me") == 0
    (settings,) = started
    assert isinstance(settings, WorkerSettings)
    assert settings.member == MemberRef("prod", "shop", "cluster_1")
    assert settings.listen == Address("::1", 81)
    assert settings.identity == "me"
    assert (settings.hub.kubeconfig, settings.hub.context) == (Path("hub.yaml"), "there")


def test_a_port_alone_is_every_interface(monkeypatch: pytest.MonkeyPatch, started: list[Settings]) -> None:
    assert call(monkeypatch, *WORKER, "--listen", ":8080") == 0
    assert started[0].listen == Address("", 8080)


@pytest.mark.parametrize("program", [WORKER, OPERATOR])
def test_the_options_for_tls_and_probes(
    monkeypatch: pytest.MonkeyPatch, started: list[Settings], program: tuple[str, ...]
) -> None:
    tls = ("--tls-cert-file", "a.crt", "--tls-key-file", "a.key")
    assert call(monkeypatch, *program) == 0
    assert call(monkeypatch, *program, *tls) == 0
    more = (*KUBERNETES, "--client-ca-file", "ca.crt", "--probe-listen", ":81")
    assert call(monkeypatch, *program, *tls, *more) == 0
    cert, key = Path("a.crt"), Path("a.key")
    assert [(each.tls, each.probe_listen) for each in started] == [
        (None, None),
        (TlsSettings(cert, key, None), None),
        (TlsSettings(cert, key, Path("ca.crt")), Address("", 81)),
    ]


@pytest.mark.parametrize("program", [WORKER, OPERATOR])
def test_the_options_for_authentication(
    monkeypatch: pytest.MonkeyPatch, started: list[Settings], program: tuple[str, ...]
) -> None:
    assert call(monkeypatch, *program) == 0
    two = ("--auth-audience", "tcf.dev", "--auth-audience", "https://hub", "--auth-audience", "tcf.dev")
    assert call(monkeypatch, *program, *KUBERNETES, "--auth-reads", *two, "--audit-log", "-") == 0
    names = tuple(f"--oauth2-{name}-role={name}" for name in ("info", "toggle", "hold", "admin"))
    assert (
        call(monkeypatch, *program, *OAUTH2, *names, "--oauth2-ca-file", "ca", *URL, "http://[::1]:80/") == 0
    )
    none, hub, provider = (each.auth for each in started)
    default = AuthSettings(AuthMode.NONE, False, ("tcf.dev",), "cert:", None)
    assert none == default
    both = ("tcf.dev", "https://hub")
    assert hub == replace(default, mode=AuthMode.KUBERNETES, reads=True, audiences=both)
    assert [each.audit_log for each in started] == [None, Path("-"), None]
    assert provider.oauth2 == OAuth2Settings(
        "http://[::1]/",
        "tcf",
        Path("secret"),
        Path("ca"),
        "realm_access.roles",
        RoleNames("info", "toggle", "hold", "admin"),
    )


def test_a_pod_is_marked_only_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, started: list[Settings]
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "No_Pod")
    assert call(monkeypatch, *WORKER) == 0
    assert call(monkeypatch, *WORKER, "--pod-label", "--pod-name", "shop-0", "--pod-namespace", "prod") == 0
    monkeypatch.setenv("TCF_POD_CONDITION", "true")
    assert call(monkeypatch, *WORKER, "--pod-kubeconfig", "own.yaml", "--pod-uid", "uid-7") == 0
    unmarked, labelled, conditioned = (s.pod for s in started if isinstance(s, WorkerSettings))
    assert unmarked is None
    here = HubSettings(None, None)
    assert labelled == PodSettings(here, "prod", "shop-0", None, Marks(condition=False, label=True))
    own = HubSettings(Path("own.yaml"), None)
    assert conditioned == PodSettings(own, "default", "No_Pod", "uid-7", Marks(condition=True, label=False))


def test_every_option_can_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, started: list[Settings]
) -> None:
    values = {
        "FEDERATION": "shop",
        "CLUSTER": "cluster_1",
        "NAMESPACE": "prod",
        "KUBECONFIG": "hub.yaml",
        "CONTEXT": "there",
        "LISTEN": "[::1]:81",
        "IDENTITY": "me",
        "LOG_FORMAT": "JSON",
        "LOG_LEVEL": "WARNING",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"TCF_{name}", value)
    assert call(monkeypatch, "worker") == 0
    monkeypatch.setenv("TCF_NAMESPACE", "prod test prod")
    monkeypatch.setenv("TCF_SERVE", "prod/shop/cluster_1=127.0.0.1:81 prod/shop/cluster_2=127.0.0.1:82")
    assert call(monkeypatch, "operator") == 0
    worker, operator = started
    assert isinstance(worker, WorkerSettings)
    assert isinstance(operator, OperatorSettings)
    assert worker.member == MemberRef("prod", "shop", "cluster_1")
    assert worker.hub == operator.hub
    assert operator.namespaces == ("prod", "test"), "each of them once"
    assert operator.serve[1] == (MemberRef("prod", "shop", "cluster_2"), Address("127.0.0.1", 82))


@pytest.mark.parametrize("program", ["worker", "operator"])
def test_help_names_every_option_and_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], program: str
) -> None:
    assert call(monkeypatch, program, "--help") == 0
    page = capsys.readouterr().out
    command: Any = getattr(cli, f"_{program}")
    options = [o for o in command.params if o.name != "version"]
    assert len(options) >= 8
    for option in options:
        assert option.opts[0] in page
        assert f"TCF_{option.opts[0].removeprefix('--').replace('-', '_').upper()}" in page


@pytest.mark.parametrize("program", ["worker", "operator"])
def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], program: str) -> None:
    assert call(monkeypatch, program, "--version") == 0
    assert capsys.readouterr().out == f"tcf-{program} {version('tcf-operator')}\n"
