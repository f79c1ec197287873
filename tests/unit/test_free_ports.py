"""Ports for tests: what one process has found, no other one finds."""

from __future__ import annotations

import subprocess
import sys

import pytest
from rig import asking
from rig.files import ROOT

FEW = range(31_000, 31_040)
OTHER = f"""
from rig import asking
asking._PORTS = {FEW!r}
print(*(asking.free_port() for _ in range(15)), flush=True)
input()
"""


def test_a_port_that_another_process_has_found_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even while nothing listens there: a program may be about to start again."""
    monkeypatch.setattr(asking, "_PORTS", FEW)
    command = [sys.executable, "-c", OTHER]
    with subprocess.Popen(
        command, cwd=ROOT / "hack", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        theirs = {int(port) for port in other.stdout.readline().split()}
        ours = {asking.free_port() for _ in range(10)}
        other.communicate("\n")
    assert (len(theirs), len(ours)) == (15, 10)
    assert theirs.isdisjoint(ours)


def test_ports_in_a_row_are_free_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_PORTS", range(31_100, 31_140))
    monkeypatch.setattr(asking, "_TAKEN", set())
    first = asking.free_port(3)
    assert {first, first + 1, first + 2}.isdisjoint(asking.free_port() for _ in range(5))
