"""The command line of kubectl tcf: what is taken where, and how it ends without a hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tcf.ctl.exits import Exit
from tcf.ctl.global_options import chosen
from tcf.ctl.hub_choice import HubChoice
from tcf.ctl.kubectl_tcf import run, tcf


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No hub of this machine is ever used."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def kubeconfig(path: Path, *, namespace: str = "", server: str = "http://127.0.0.1:9") -> Path:
    context = {"cluster": "it", **({"namespace": namespace} if namespace else {})}
    document = {
        "current-context": "it",
        "contexts": [{"name": "it", "context": context}],
        "clusters": [{"name": "it", "cluster": {"server": server}}],
    }
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("arguments", [["-n", "x", "-o", "json", "list"], ["list", "-n", "x", "-o", "json"]])
def test_options_before_and_after_the_command(arguments: list[str]) -> None:
    with tcf.make_context("kubectl tcf", arguments) as ctx:
        name, command, rest = tcf.resolve_command(ctx, ["list", *ctx.args])
        assert command
        with command.make_context(name, rest, parent=ctx) as inner:
            found = chosen(inner)
    assert (found.hub.namespace, found.output) == ("x", "json")


def test_what_comes_after_counts() -> None:
    with tcf.make_context("kubectl tcf", ["-n", "before", "list"]) as ctx:
        name, command, rest = tcf.resolve_command(ctx, ["list", "-n", "after"])
        assert command
        with command.make_context(name, rest, parent=ctx) as inner:
            assert chosen(inner).hub.namespace == "after"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Commands:\n  list"),
        (["lis"], "No such command 'lis'"),
        (["list", "-o", "xml"], "'xml' is not one of 'table', 'json', 'yaml'"),
        (["status"], "Missing argument 'FEDERATION'"),
        (["promote", "shop"], "Missing argument 'MEMBER'"),
        (["toggle", "shop", "--force"], "No such option '--force'"),
        (["toggle", "shop", "--timeout", "5"], "'5' is not a duration such as 15s"),
        (["toggle", "shop", "--expected-term", "x"], "'x' is not a term"),
        (["toggle", "shop", "--reason", "a\nb"], "control characters"),
        (["toggle", "shop", "--reason", "x" * 257], "longer than 256 characters"),
        (["promote", "--all"], "--all needs --to MEMBER"),
        (["promote", "--all", "--to", "c2"], "add --yes to act without a question"),
        (["promote", "--all", "--to", "c2", "shop"], "--all takes no FEDERATION and no MEMBER"),
        (["promote", "--all", "--to", "c2", "--force"], "each federation needs its own decision to force"),
        (["promote", "--all", "--to", "c2", "--expected-term", "1"], "each federation has its own term"),
        (["promote", "shop", "c2", "--to", "c2"], "--to needs --all"),
        (["promote", "--all", "--from", "c2"], "--all needs --to MEMBER"),
        (["promote", "--all", "--from", "c2", "--to", "c2"], "name the same member"),
        (["promote", "shop", "c2", "--from", "c1"], "--from needs --all"),
        (["promote", "shop", "c2", "-A"], "-A needs --all"),
        (["promote", "shop", "c2", "-l", "a=b"], "-l needs --all"),
        (["promote"], "Missing argument 'FEDERATION'"),
        (["toggle", "shop"], "add --yes to act without a question"),
    ],
)
def test_wrong_usage_is_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == Exit.USAGE
    printed = capsys.readouterr()
    assert said in printed.err + printed.out


@pytest.mark.parametrize(
    "command", ["list", "status", "promote", "demote", "toggle", "check", "history", "pause"]
)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == Exit.DONE
    assert "--kubeconfig FILE" in capsys.readouterr().out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == Exit.DONE
    assert capsys.readouterr().out.startswith("kubectl tcf ")


def test_without_a_kubeconfig_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list"]) == Exit.REFUSED
    assert "name one with --kubeconfig, or set KUBECONFIG" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "status"), [("list", 1), ("status shop", 1), ("check shop", 3), ("doctor", 1)]
)
def test_a_hub_that_is_down(
    command: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = str(kubeconfig(tmp_path / "config"))
    assert run([*command.split(), "--kubeconfig", where]) == status
    printed = capsys.readouterr()
    assert "cannot reach the hub at http://127.0.0.1:9" in printed.err + printed.out


def test_a_request_to_a_hub_that_is_down_is_certain_not_to_be_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = str(kubeconfig(tmp_path / "config"))
    assert run(["toggle", "shop", "--yes", "--kubeconfig", where]) == Exit.REFUSED
    assert "cannot reach the hub" in capsys.readouterr().err


def test_which_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (
        kubeconfig(tmp_path / "one", namespace="first"),
        kubeconfig(tmp_path / "two", namespace="second"),
    )
    monkeypatch.setenv("KUBECONFIG", f"{two}:{one}")
    assert HubChoice().paths == (two, one)
    assert HubChoice().own_namespace() == "second"
    assert HubChoice(namespace="mine").own_namespace() == "mine"
    assert HubChoice(kubeconfig=str(one)).own_namespace() == "first"
    monkeypatch.delenv("KUBECONFIG")
    assert HubChoice().paths == (tmp_path / ".kube" / "config",)
    assert HubChoice(kubeconfig=str(kubeconfig(tmp_path / "three"))).own_namespace() == "default"


def test_a_bug_is_not_taken_for_a_refusal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: click.Context) -> None:
        raise RuntimeError("boo")

    monkeypatch.setattr(tcf, "invoke", broken)
    assert run(["list"]) == Exit.UNKNOWN
    assert "RuntimeError: boo" in capsys.readouterr().err


def test_it_loads_nothing_that_it_does_not_need() -> None:
    """It has to start fast."""
    program = "import sys, tcf.ctl.kubectl_tcf, tcf.ctl.list_command; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    foreign = {"kopf", "kubernetes", "tcf.coordinator", "tcf.web", "tcf.wiring", "tcf.ctl.doctor_command"}
    assert not foreign.intersection(loaded.stdout.split())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["hist"], ["history"]),
        (["toggle", "shop", "--dr"], ["--dry-run"]),
        (["list", "-o", "j"], ["json"]),
        (["status", ""], []),
        ([], ["list", "status"]),
    ],
)
def test_completion_without_a_hub(words: list[str], expected: list[str]) -> None:
    program = "import sys; from tcf.ctl.completion import kubectl_complete; kubectl_complete()"
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
    *found, directive = done.stdout.splitlines()
    assert [line.split("\t")[0] for line in found][: len(expected) or None] == expected
    assert directive == ":4"
    assert not done.stderr


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"_KUBECTL_TCF_COMPLETE": "bash_source"}, "_kubectl_tcf_completion kubectl-tcf"),
        (
            {"_KUBECTL_TCF_COMPLETE": "bash_complete", "COMP_WORDS": "kubectl-tcf hist", "COMP_CWORD": "1"},
            "plain,history",
        ),
    ],
)
def test_completion_by_a_shell(asked: dict[str, str], expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tcf.ctl.kubectl_tcf"],
        env=os.environ | asked,
        capture_output=True,
        text=True,
        check=False,
    )
    assert expected in done.stdout
