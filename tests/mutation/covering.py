"""Which unit tests execute a function: no other one can notice that it was changed.

Not which lines: Python 3.11 does not report those that a coroutine executes after an exception was thrown
into it, as at the end of a timeout.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import coverage
import pytest

from mutation.changes import Change
from mutation.trial import ROOT, UNIT_TESTS, run_pytest

_AT_IMPORT = ""
"""The context of what runs while no test does."""


class Covering:
    """By file of the product and line, the tests that execute it. Some lines are missing: see above."""

    def __init__(self, data: coverage.CoverageData) -> None:
        package = ROOT / "operator" / "tcf"
        self._contexts = {
            str(Path(file).relative_to(package)): data.contexts_by_lineno(file)
            for file in data.measured_files()
        }

    def tests(self, change: Change) -> frozenset[str] | None:
        """Their ids; None if any test could notice, because an import executes the line."""
        lines = self._contexts.get(change.path, {})
        found = frozenset(context for line in change.lines for context in lines.get(line, ()))
        return None if _AT_IMPORT in found else found


def measure() -> Covering:
    """Run all unit tests once, in a process of its own.

    Raises:
        SystemExit: a unit test fails on the unchanged code.
    """
    with tempfile.TemporaryDirectory(prefix="tcf-mutation-") as folder:
        file = str(Path(folder) / "coverage")
        sys.stdout.flush()
        child = os.fork()
        if not child:
            status = 1
            try:
                status = int(_run_all(file))
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        if status:
            sys.exit("a unit test fails on the unchanged code; run `make test` to see which")
        data = coverage.CoverageData(file)
        data.read()
        return Covering(data)


def _run_all(file: str) -> bool:
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    measured = coverage.Coverage(
        data_file=file, include=[str(ROOT / "operator" / "tcf" / "*")], config_file=False
    )
    measured.start()
    try:
        return run_pytest([str(UNIT_TESTS)], plugins=[_Contexts(measured)])
    finally:
        measured.stop()
        measured.save()


class _Contexts:
    def __init__(self, measured: coverage.Coverage) -> None:
        self._measured = measured

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._measured.switch_context(item.nodeid)
        return (yield)
