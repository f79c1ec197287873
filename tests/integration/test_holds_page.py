"""docs/holds.md: its commands, and its example beside two workers."""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from rig.files import ROOT
from rig.hub_namespace import HubNamespace
from rig.patience import PATIENCE, eventually
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.application import holders

PAGE = (ROOT / "docs/holds.md").read_text()
ON_THE_PAGE = "http://127.0.0.1:8079"
DRIVER = """
import json, sys, time
import example

def work(term):
    began = example.now()
    time.sleep(0.3)
    print(json.dumps([term, began, example.now()]), flush=True)

example.work = work
example.main(int(sys.argv[1]))
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Piece:
    """One piece of work: by whom, at which term, and when (CLOCK_BOOTTIME)."""

    began: float
    ended: float
    term: int
    port: int


class Example:
    """The page's program, as a process beside a worker. It notes each piece of work."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._notes = folder / f"pieces-{port}"
        (program,) = blocks("python")
        (folder / "example.py").write_text(program)
        with self._notes.open("w") as notes:
            self.process = subprocess.Popen(
                [sys.executable, "-c", DRIVER, str(port)], cwd=folder, stdout=notes
            )

    def pieces(self) -> list[Piece]:
        lines = self._notes.read_text().splitlines(keepends=True)
        notes = (json.loads(line) for line in lines if line.endswith("\n"))
        return [Piece(began, ended, term, self.port) for term, began, ended in notes]

    def works_after(self, term: int) -> bool:
        return any(piece.term > term for piece in self.pieces())


@pytest.fixture
def pair(programs: TcfProcesses) -> tuple[TcfProcess, TcfProcess]:
    return programs.switchable_pair(leaseDuration="5s", switchoverTimeout="30s")


@pytest.fixture
def examples(pair: tuple[TcfProcess, TcfProcess], tmp_path: Path) -> Iterator[list[Example]]:
    """One beside each worker."""
    running: list[Example] = []
    try:
        running.extend(Example(tmp_path, worker.port) for worker in pair)
        yield running
    finally:
        for each in running:
            each.process.kill()
            each.process.wait()


def test_its_commands_ask_look_and_release(pair: tuple[TcfProcess, TcfProcess]) -> None:
    one, _ = pair
    (script,) = (block for block in blocks("sh") if ON_THE_PAGE in block)
    script = script.replace(ON_THE_PAGE, f"http://127.0.0.1:{one.port}")
    done = subprocess.run(["bash", "-eu", "-c", script], capture_output=True, text=True, check=True)
    granted, listed, released = re.split(r'(\[\{"name":"app".*\])', done.stdout)
    assert "200 OK" in granted
    assert re.search(r"^X-TCF-Held-For: [0-9.]+\r?$", granted, re.MULTILINE)
    assert granted.endswith("active")
    assert json.loads(listed)[0]["state"] == "holding"
    assert "204 No Content" in released
    assert holders(one.port) == []


@pytest.mark.timeout(300)
def test_its_example_works_at_one_site_at_a_time(
    hub: HubNamespace, pair: tuple[TcfProcess, TcfProcess], examples: list[Example]
) -> None:
    one, two = examples
    eventually(one.pieces, what="the active one works")
    for active in (two, one, two):
        term = hub.status()["term"]
        assert pair[0].post("/tcf/toggle").status == 200
        eventually(partial(active.works_after, term), what="the other one works")
    for each in examples:
        each.process.send_signal(signal.SIGTERM)
    assert [each.process.wait(PATIENCE) for each in examples] == [0, 0]
    assert [holders(worker.port) for worker in pair] == [[], []], "they have let go"

    pieces = sorted((piece for each in examples for piece in each.pieces()), key=lambda piece: piece.began)
    for before, after in itertools.pairwise(pieces):
        assert before.ended <= after.began
        assert before.term <= after.term
    turns = [port for port, _ in itertools.groupby(piece.port for piece in pieces)]
    assert turns == [one.port, two.port, one.port, two.port]
