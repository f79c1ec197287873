"""`make mutate`: which small changes of core, auth, worker and coordinator does no test notice?"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import aiohttp  # noqa: F401 - what every trial needs is imported once
import cattrs  # noqa: F401
import pytest
import yaml  # noqa: F401

from mutation.changes import Change, Key, changes
from mutation.covering import Covering, measure
from mutation.trial import INTEGRATION, ROOT, SIMULATION, UNIT, start

PACKAGES = ("core", "auth", "worker", "coordinator")
KINDS = (UNIT, SIMULATION, INTEGRATION)
EXPLAINED = Path(__file__).with_name("explained.toml")
OUTCOMES = ROOT / ".mutation-outcomes"
"""A line for every trial that has ended, so that an interrupted run goes on. Without it, all begins again."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mutation", description=__doc__)
    parser.add_argument("only", nargs="*", help="modules, such as core/fencing.py (default: all)")
    parser.add_argument("--at-once", type=int, default=os.cpu_count(), help="trials (default: %(default)s)")
    parser.add_argument("--again", action="store_true", help="also try again what nothing noticed before")
    parser.add_argument("--unit", action="store_true", help="only what unit tests notice, in minutes")
    options = parser.parse_args()
    began = time.monotonic()
    _load_pytest()
    known = _known(noticed_only=options.again)
    explained = {_key(entry) for entry in tomllib.loads(EXPLAINED.read_text()).get("survivor", ())}
    left = mutants = list(_all(options.only))
    noticed_by: dict[Key, str] = {}
    for kind in (UNIT,) if options.unit else KINDS:
        untried = [change for change in left if (kind, change.key) not in known]
        if kind != UNIT:  # the others take minutes for each
            untried = [change for change in untried if change.key not in explained]
        noticed = {change.key for change in left if known.get((kind, change.key))}
        if untried:
            limit = _limit(kind, options.at_once)
            covering = measure() if kind == UNIT else None
            noticed |= _noticed(untried, kind, options.at_once, limit, covering)
        left = [change for change in left if change.key not in noticed]
        noticed_by |= dict.fromkeys(noticed, kind)
    unexplained = [change for change in left if change.key not in explained]
    print(_table(mutants, noticed_by))
    print(
        f"\n{len(left)} of {len(mutants)} survived, {len(left) - len(unexplained)} of them explained;"
        f" {time.monotonic() - began:.0f} s"
    )
    for change in unexplained:
        print(f"UNEXPLAINED {change}")
    stale = explained - {change.key for change in left} if not options.only else set()
    for key in sorted(stale):
        print(f"EXPLAINED BUT NOTICED, OR NOT THERE: {key}")
    return bool(unexplained or stale)


def _table(mutants: Iterable[Change], noticed_by: Mapping[Key, str]) -> str:
    """In Markdown: how many mutants each package has, and what noticed them."""
    counts: dict[str, Counter[str]] = {}
    for change in mutants:
        package = change.path.split("/", maxsplit=1)[0]
        counts.setdefault(package, Counter())[noticed_by.get(change.key, "nothing")] += 1
    columns = (*KINDS, "nothing")
    lines = [f"| | mutants | {' | '.join(f'noticed by {each}' for each in columns)} |"]
    lines += ["|---|" + "---:|" * (1 + len(columns))]
    for name, count in [*counts.items(), ("all", sum(counts.values(), Counter[str]()))]:
        row = (count.total(), *(count[each] for each in columns))
        lines.append(f"| {name} | {' | '.join(f'{number:,}' for number in row)} |")
    return "\n".join(lines)


def _load_pytest() -> None:
    """Have pytest import all of itself and of its plugins, which takes as long as many a trial."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        pytest.main(["-q", "--collect-only", "-n0", "-p", "no:cacheprovider", str(Path(__file__).parent)])


def _key(entry: dict[str, str | int]) -> Key:
    return str(entry["function"]), str(entry["was"]), str(entry["becomes"]), int(entry.get("number", 1))


def _all(only: list[str]) -> Iterator[Change]:
    package = ROOT / "operator" / "tcf"
    for name in PACKAGES:
        for path in sorted((package / name).rglob("*.py")):
            called = str(path.relative_to(package))
            if not only or called in only:
                module = "tcf." + called.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
                yield from changes(path.read_text(), module, called)


def _limit(kind: str, at_once: int) -> int:
    """For how many seconds a trial may run: three times as long as the unchanged code needs.

    Raises:
        SystemExit: the unchanged code fails too, so that a failure would say nothing.
    """
    print(f"{kind}: the unchanged code ...", end="", file=sys.stderr, flush=True)
    module = {INTEGRATION: "coordinator/readiness"}.get(kind, "core/fencing")  # one that these tests need
    source = (ROOT / "operator" / "tcf" / f"{module}.py").read_text()
    unchanged = Change(
        f"tcf.{module.replace('/', '.')}", f"{module}.py:(module)", "", "", 1, range(0), source
    )
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tcf-mutation-") as folder:
        outputs = [Path(folder) / str(number) for number in range(at_once)]
        trials = {start(unchanged, kind, 3600, output=each): each for each in outputs}
        ended = {trial: os.wait4(trial, 0) for trial in trials}
        for trial, (_, status, _) in ended.items():
            if status:
                said = trials[trial].read_text().splitlines()[-40:]
                sys.exit("\n".join([f"{kind}: the unchanged code fails:", *said]))
    seconds = time.monotonic() - began
    if kind == SIMULATION:
        seconds = max(usage.ru_utime + usage.ru_stime for _, _, usage in ended.values())
    print(f" passes, in {seconds:.0f} s", file=sys.stderr)
    return 30 + int(3 * seconds)


def _noticed(
    tried: Iterable[Change], kind: str, at_once: int, seconds: int, covering: Covering | None
) -> set[Key]:
    """The keys of those that this kind of test notices."""
    waiting, running, noticed = list(tried), dict[int, Change](), set[Key]()
    total, done = len(waiting), 0
    waiting.reverse()
    while waiting or running:
        while waiting and len(running) < at_once:
            change = waiting.pop()
            tests = covering.tests(change) if covering else None
            running[start(change, kind, seconds, tests)] = change
        child, status = os.wait()
        change = running.pop(child)
        done += 1
        with OUTCOMES.open("a") as file:
            print(json.dumps([status != 0, kind, *change.key]), file=file)
        if status == 0:
            print(f"\r{kind}: not noticed: {change}", file=sys.stderr)
        else:
            noticed.add(change.key)
        if os.WIFSIGNALED(status):
            by = os.WTERMSIG(status)
            how = "ran on" if by in {signal.SIGALRM, signal.SIGPROF} else f"died of signal {by}"
            print(f"\r{kind}: noticed, because it {how}: {change}", file=sys.stderr)
        if done % 10 == 0 or not (waiting or running):
            print(f"\r{kind}: {done} of {total}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return noticed


def _known(*, noticed_only: bool) -> dict[tuple[str, Key], bool]:
    """What earlier runs have found: was it noticed, by kind of test and key?"""
    known: dict[tuple[str, Key], bool] = {}
    if OUTCOMES.exists():
        for line in OUTCOMES.read_text().splitlines():
            noticed, kind, function, was, becomes, number = json.loads(line)
            if noticed or not noticed_only:
                known[kind, (function, was, becomes, number)] = noticed
    return known


if __name__ == "__main__":
    sys.exit(main())
