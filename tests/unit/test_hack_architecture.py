"""Rules for the code around the product (hack/, bench/, and what tests share) that linters do not check."""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from rig.files import ROOT

FOLDERS = ("hack", "bench", "tests/support", "tests/chaos", "tests/system", "tests/e2e")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
LONGEST_FUNCTION, LONGEST_FILE = 45, 400


def imported(path: Path) -> set[str]:
    """The packages that a file imports from."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize(
    "path", sorted((ROOT / "hack/controlplane").glob("*.py")), ids=lambda path: path.name
)
def test_the_control_plane_needs_nothing_but_the_standard_library(path: Path) -> None:
    """It has to work before anything is installed."""
    assert imported(path) - sys.stdlib_module_names <= {"controlplane"}


def test_no_two_files_share_a_name() -> None:
    product = {path.name for path in (ROOT / "operator").rglob("*.py")}
    names = [path.name for path in FILES if not path.name.startswith(("__", "conftest"))]
    assert sorted(set(names)) == sorted(names)
    assert not product & set(names)


def test_functions_and_files_stay_short() -> None:
    long = []
    for path in FILES:
        text = path.read_text()
        if (lines := text.count("\n")) > LONGEST_FILE:
            long.append(f"{path}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    long.append(f"{path}:{node.lineno} {node.name}: {lines} lines")
    assert not long


def test_one_file_alone_names_the_hosts_of_official_binaries() -> None:
    own = ROOT / "hack/controlplane/release-hosts.toml"
    hosts = {urlsplit(url).netloc for url in tomllib.loads(own.read_text()).values()} - {"github.com"}
    folders = ("hack", "bench", "tests", "operator", "charts", "examples", "docs", ".github", ".ci")
    files = [*ROOT.glob("*"), *(path for folder in folders for path in (ROOT / folder).rglob("*"))]
    naming = [
        path
        for path in files
        if path.is_file() and path != own and any(host.encode() in path.read_bytes() for host in hosts)
    ]
    assert hosts
    assert not naming
