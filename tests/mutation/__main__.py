"""`make mutate`: which small changes of core, worker and coordinator does no test notice?"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import aiohttp  # noqa: F401 - what every trial needs is imported once
import cattrs  # noqa: F401
import pytest
import yaml  # noqa: F401

from mutation.changes import Change, Key, changes
from mutation.trial import INTEGRATION, ROOT, SIMULATION, UNIT, start

PACKAGES = ("core", "auth", "worker", "coordinator")
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
    left = list(_all(options.only))
    found, outcome = len(left), Counter[str]()
    for kind in (UNIT,) if options.unit else (UNIT, SIMULATION, INTEGRATION):
        before = len(left)
        untried = [change for change in left if (kind, change.key) not in known]
        limit = _limit(kind, options.at_once) if untried else 0
        noticed = {change.key for change in left if known.get((kind, change.key))}
        noticed |= _noticed(untried, kind, options.at_once, limit)
        left = [change for change in left if change.key not in noticed]
        outcome[kind] = before - len(left)
    explained = {_key(entry) for entry in tomllib.loads(EXPLAINED.read_text()).get("survivor", ())}
    unexplained = [change for change in left if change.key not in explained]
    print(
        f"{found} mutants: "
        + ", ".join(f"{count} noticed by {kind}" for kind, count in outcome.items())
        + f"; {len(left)} survived, {len(left) - len(unexplained)} of them explained;"
        f" {time.monotonic() - began:.0f} s"
    )
    for change in unexplained:
        print(f"UNEXPLAINED {change}")
    stale = explained - {change.key for change in left} if not options.only else set()
    for key in sorted(stale):
        print(f"EXPLAINED BUT NOTICED, OR NOT THERE: {key}")
    return bool(unexplained or stale)


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
    unchanged = Change(f"tcf.{module.replace('/', '.')}", f"{module}.py:(module)", "", "", 1, source)
    began = time.monotonic()
    trials = [start(unchanged, kind, 3600) for _ in range(at_once)]
    ended = [os.wait4(trial, 0) for trial in trials]
    if any(status for _, status, _ in ended):
        sys.exit(f"{kind}: the unchanged code fails; run these tests to see why")
    seconds = time.monotonic() - began
    if kind == SIMULATION:
        seconds = max(usage.ru_utime + usage.ru_stime for _, _, usage in ended)
    print(f" passes, in {seconds:.0f} s", file=sys.stderr)
    return 30 + int(3 * seconds)


def _noticed(tried: Iterable[Change], kind: str, at_once: int, seconds: int) -> set[Key]:
    """The keys of those that this kind of test notices."""
    waiting, running, noticed = list(tried), dict[int, Change](), set[Key]()
    total, done = len(waiting), 0
    waiting.reverse()
    while waiting or running:
        while waiting and len(running) < at_once:
            change = waiting.pop()
            running[start(change, kind, seconds)] = change
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
