"""The command line of tcf-run, its environment variables, and what it says about wrong ones."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rig.files import ROOT

from tcf import run
from tcf.run import Worker, parsed

COMMAND = ("--", "true")


def options(*arguments: str, **environment: str) -> run.Options:
    return parsed([*arguments, *([] if "--" in arguments else COMMAND)], environment)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str, **environment: str) -> str:
    with pytest.raises(SystemExit) as ended:
        parsed(arguments, environment)
    assert ended.value.code == 2
    message, hint = capsys.readouterr().err.splitlines()
    assert message.startswith("tcf-run: ")
    assert hint == "tcf-run: see 'tcf-run --help'"
    return message.removeprefix("tcf-run: ")


def test_defaults() -> None:
    found = options("--name", "pg-0")
    assert found.worker == Worker(secure=False, host="127.0.0.1", port=8080, prefix="")
    assert (found.for_, found.stop_signal) == (10, signal.SIGTERM)
    assert found.grace == pytest.approx(10 / 3)
    assert (found.once, found.check_interval, found.command) == (False, 2, ("true",))
    assert not found.notifies


def test_the_command_is_taken_as_it_is() -> None:
    assert options("--once", "--", "sh", "-c", "--once", "--").command == ("sh", "-c", "--once", "--")


def test_options_win_over_the_environment() -> None:
    found = options("--for", "20s", TCF_RUN_FOR="30s", TCF_RUN_ONCE="true", TCF_RUN_STOP_SIGNAL="int")
    assert (found.for_, found.once, found.stop_signal) == (20, True, signal.SIGINT)


@pytest.mark.parametrize("option", run._OPTIONS, ids=lambda option: option.name)
def test_every_option_has_a_variable(option: run._Option) -> None:
    values = {
        "URL": "https://h",
        "NAME": "n",
        "DURATION": "3s",
        "SIGNAL": "HUP",
        "FILE": "/f",
        "CMD": "c",
        "": "1",
    }
    variable = f"TCF_RUN_{option.name.upper().replace('-', '_')}"
    scripts = option.name in {"on-active", "on-passive", "check"}
    secure = {"TCF_RUN_WORKER": "https://h"} if option.name == "ca-file" else {}
    if scripts:
        secure = {"TCF_RUN_ON_ACTIVE": "a", "TCF_RUN_ON_PASSIVE": "p"}
    before = parsed([] if scripts else COMMAND, secure)
    after = parsed([] if scripts else COMMAND, {**secure, variable: values[option.metavar]})
    field = {"for": "for_"}.get(option.name, option.name.replace("-", "_"))
    assert getattr(before, field) != getattr(after, field)
    empty = parsed([] if scripts else COMMAND, {variable: "", **secure})
    assert empty == before, "an empty variable is no variable"


def test_scripts_are_split_into_words() -> None:
    found = parsed(["--on-active", "site 'a b'", "--on-passive", "x"], {})
    assert (found.on_active, found.on_passive, found.check) == (("site", "a b"), ("x",), ())
    assert found.notifies


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://worker", Worker(secure=False, host="worker", port=80, prefix="")),
        ("https://worker/", Worker(secure=True, host="worker", port=443, prefix="")),
        (
            "https://w.example.org:8443/a/b/",
            Worker(secure=True, host="w.example.org", port=8443, prefix="/a/b"),
        ),
        ("http://[::1]:8080", Worker(secure=False, host="::1", port=8080, prefix="")),
    ],
)
def test_urls(text: str, expected: Worker) -> None:
    assert options("--worker", text).worker == expected


def test_urls_are_shown_as_they_are_written() -> None:
    for text in ("http://[::1]:8080", "https://worker:8443/a"):
        assert str(options("--worker", text).worker) == text


@pytest.mark.parametrize(("text", "seconds"), [("10s", 10), ("1m30s", 90), ("1h", 3600), ("2m", 120)])
def test_durations(text: str, seconds: int) -> None:
    assert run.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "s", "1.5s", "-1s", "10s ", "1s1m", "10ms", "٣s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        run.duration(text)


WRONG = {
    (): "say what to run: -- COMMAND, or --on-active together with --on-passive",
    ("--",): "say what to run: -- COMMAND, or --on-active together with --on-passive",
    ("--on-active", "a"): "say what to run: -- COMMAND, or --on-active together with --on-passive",
    ("sleep", "1"): "write -- before the command: sleep",
    ("--nmae", "a", "--", "b"): "there is no option --nmae",
    ("--fo", "10s", "--", "b"): "there is no option --fo",
    ("--for", "10", *COMMAND): "--for: '10' is not a duration such as 10s or 1m30s",
    ("--for", "301s", *COMMAND): "--for: '301s' is not between 1s and 300s",
    ("--for", "0s", *COMMAND): "--for: '0s' is not between 1s and 300s",
    ("--grace", "6s", *COMMAND): "--grace has to be at most half of --for (10s)",
    ("--grace", "0s", *COMMAND): "--grace: '0s' is too short; write at least 1s",
    (
        "--worker",
        "worker:8080",
        *COMMAND,
    ): "--worker: 'worker:8080' is not a URL such as http://127.0.0.1:8080",
    ("--worker", "http://u@h", *COMMAND): "--worker: 'http://u@h' is not a URL",
    ("--worker", "http://h:65536", *COMMAND): "--worker: 'http://h:65536' is not a URL",
    ("--worker", "http://h:0", *COMMAND): "--worker: 'http://h:0' is not a URL",
    ("--worker", "http://h/a?b", *COMMAND): "--worker: 'http://h/a?b' is not a URL",
    ("--worker", "http://h/ä", *COMMAND): "--worker: 'http://h/ä' is not a URL",
    ("--name", "a-", *COMMAND): "--name: 'a-' is not a name",
    ("--name", "a" * 64, *COMMAND): "is not a name: write 1 to 63",
    ("--stop-signal", "STOPP", *COMMAND): "--stop-signal: 'STOPP' is not a signal that ends",
    (
        "--stop-signal",
        "STOP",
        *COMMAND,
    ): "--stop-signal: 'STOP' is not a signal that ends a program, such as TERM",
    ("--ca-file", "a", *COMMAND): "--ca-file needs a --worker with https",
    ("--check", "a", *COMMAND): "--check is for something that tcf-run does not start: leave out COMMAND",
    (
        "--on-active",
        "a",
        "--on-passive",
        "b",
        *COMMAND,
    ): "--on-active is for something",
    ("--on-active", "a", "--on-passive", "b", "--once"): "--once needs a COMMAND",
    ("--on-active", "'a", "--on-passive", "b"): "--on-active: No closing quotation",
    ("--on-active", " ", "--on-passive", "b"): "--on-active: it is empty",
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.items(), ids=lambda value: " ".join(value)[:30])
def test_what_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert message in refusal(capsys, *arguments)


def test_a_wrong_variable_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, *COMMAND, TCF_RUN_FOR="x").startswith("TCF_RUN_FOR: 'x' is not a duration")
    assert (
        refusal(capsys, *COMMAND, TCF_RUN_ONCE="maybe") == "TCF_RUN_ONCE: 'maybe' is neither true nor false"
    )


# --- the module and its documentation -------------------------------------------------------------------

PAGE = ROOT / "docs/tcf-run.md"


def test_the_page_has_every_option() -> None:
    documented = set(re.findall(r"^\| `--([a-z-]+)", PAGE.read_text(), re.MULTILINE))
    assert documented == {option.name for option in run._OPTIONS}


def test_the_help_fits_a_terminal() -> None:
    shown = subprocess.run(
        [sys.executable, run.__file__, "--help"],
        capture_output=True, text=True, check=True, env={"COLUMNS": "80"},
    ).stdout  # fmt: skip
    assert max(map(len, shown.splitlines())) <= 82
    for option in run._OPTIONS:
        assert f"--{option.name}" in shown


def test_it_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    """A copy of the one file runs by itself, without this package and without what is installed."""
    copy = tmp_path / "copy.py"
    copy.write_bytes(Path(run.__file__).read_bytes())
    program = [sys.executable, "-I", "-S", str(copy)]
    shown = subprocess.run([*program, "--help"], capture_output=True, text=True, check=True)
    assert "usage: tcf-run" in shown.stdout
    missing = subprocess.run([*program, "--", "no-such-program"], capture_output=True, text=True, check=False)
    assert (missing.returncode, missing.stderr) == (127, "tcf-run: there is no program no-such-program\n")


def test_it_imports_little() -> None:
    """So it starts fast. TLS, JSON and the like are imported by those who need them."""
    program = "import sys; sys.path.insert(0, 'operator'); before = set(sys.modules); import tcf.run;"
    program += "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    heavy = {
        "ssl",
        "http",
        "urllib",
        "json",
        "dataclasses",
        "inspect",
        "asyncio",
        "logging",
        "subprocess",
        "pathlib",
    }
    assert not heavy.intersection(loaded)
