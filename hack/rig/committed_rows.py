"""Rows that were committed, and whether two sites wrote in overlapping time."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from rig import row_writer
from rig.kept_process import KeptProcess
from rig.promise import Probe, broken_promises, longest_gap

Commits = dict[int, Probe]
"""By the number of the row: when the insert was sent and answered, the site, and the timeline as the term."""


class RowWriter:
    """A client that inserts rows until the block ends."""

    def __init__(
        self, psql: Path, conninfo: str, folder: Path, *, env: Mapping[str, str], numbers: range, pause: float
    ) -> None:
        """`numbers`: the first number and the step. `pause`: seconds between two rows."""
        self._file = folder / f"rows-{numbers.start}"
        self._file.touch()
        arguments = (psql, conninfo, self._file, numbers.start, numbers.step, pause)
        command = [sys.executable, "-S", row_writer.__file__, *map(str, arguments)]
        self._process = KeptProcess(command, log=folder / f"writer-{numbers.start}.log", env=env)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self._process.kill()

    def commits(self) -> Commits:
        """What was committed so far."""
        return parsed(self._file.read_text())


def parsed(text: str) -> Commits:
    """What a writer has recorded; row_writer.py says how. The last line may be incomplete."""
    found = {}
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            number, sent, answered, site, timeline = line.split()
            found[int(number)] = Probe(float(sent), float(answered), site, 200, int(timeline))
    return found


def written_by_two(commits: Iterable[Probe]) -> list[str]:
    """What shows that two sites wrote in overlapping time.

    A promotion begins a timeline with a higher number. So a timeline belongs to one site, and when a row has
    been committed on one, no row that is sent later may be committed by another site on an older one.
    """
    commits = list(commits)
    sites: dict[int, set[str]] = defaultdict(set)
    for commit in commits:
        sites[commit.term].add(commit.member)
    shared = [f"timeline {number}: {sorted(of)}" for number, of in sites.items() if len(of) > 1]
    return shared + [f"{early} and then {late}" for early, late in broken_promises(commits)]


def downtime(commits: Mapping[int, Probe], since: float, until: float) -> float:
    """The longest time in seconds in this period in which nothing was committed."""
    return longest_gap([commit for commit in commits.values() if since <= commit.answered <= until])
