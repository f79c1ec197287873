"""The rules of the house that linters do not check."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tcf

PACKAGE = Path(tcf.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FUNCTION, LONGEST_FILE = 45, 400
IN_ONE_FILE = PACKAGE / "run.py"
"""tcf-run has to run as a copy of one file, so that file is as long as it is."""


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of everything that a file imports; the name is "" where a module itself is."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            yield from ((node.module or "", alias.name) for alias in node.names)


@pytest.mark.parametrize("path", [path for path in FILES if path.parent.name == "core"], ids=lambda p: p.name)
def test_the_core_needs_nothing_but_the_standard_library(path: Path) -> None:
    foreign = {
        module
        for module, _ in imports(path)
        if module.split(".")[0] not in sys.stdlib_module_names and not module.startswith("tcf.core")
    }
    assert not foreign


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_module_uses_another_ones_private_names(path: Path) -> None:
    private = {f"{module}.{name}" for module, name in imports(path) if name.startswith("_")}
    private.discard(
        "aiohttp.web_protocol._ErrInfo"
    )  # aiohttp has no public name for a request that it can't parse
    assert not private


def test_tcf_run_needs_nothing_but_the_standard_library() -> None:
    assert not {module.split(".")[0] for module, _ in imports(IN_ONE_FILE)} - sys.stdlib_module_names


def test_a_worker_does_not_load_what_only_coordinators_need() -> None:
    """It runs beside every application, so its memory counts."""
    program = "import sys, tcf.cli, tcf.wiring; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    rules = ("decide", "steps", "bootstrap", "failover", "liveness", "sightings", "transitions", "conditions")
    foreign = {"kopf", "kubernetes", "tcf.coordinator", *(f"tcf.core.{name}" for name in rules)}
    assert not foreign.intersection(loaded.split())


def test_no_two_files_share_a_name() -> None:
    names = [path.name for path in FILES if not path.name.startswith("__")]
    assert sorted(set(names)) == sorted(names)


def test_functions_and_files_stay_short() -> None:
    long = [
        f"{path}: {lines} lines"
        for path in FILES
        if (lines := path.read_text().count("\n")) > LONGEST_FILE and path != IN_ONE_FILE
    ]
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                long += [f"{path}:{node.lineno} {node.name}: {lines} lines"] * (lines > LONGEST_FUNCTION)
    assert not long


def test_every_file_says_what_it_is_for() -> None:
    assert not [path for path in FILES if path.name != "__main__.py" and not ast.get_docstring(parsed(path))]
