"""`make chaos`: fault schedules against real processes, on one or more control planes at once."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from chaos.series import Tally, play

_LANE_SEEDS = 1_000_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--schedules", type=int, default=200, help="how many (default: %(default)s)")
    parser.add_argument(
        "--lanes", type=int, default=1, help="how many play at the same time (default: %(default)s)"
    )
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument("--table", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    began = time.monotonic()
    total = Tally()
    each = -(-options.schedules // options.lanes)
    firsts = [options.first + lane * _LANE_SEEDS for lane in range(options.lanes)]
    with ProcessPoolExecutor(options.lanes) as pool:
        for tally in pool.map(partial(_lane, schedules=each), firsts):
            total.add(tally)
    table = total.table()
    print(table)
    print(f"{time.monotonic() - began:.0f} s")
    for violation in total.violations:
        print(violation)
    if options.table:
        options.table.write_text(table + "\n")
    return bool(total.violations)


def _lane(first: int, *, schedules: int) -> Tally:
    done = Tally()

    def progress(one: Tally) -> None:
        done.add(one)
        print(
            f"lane {first // _LANE_SEEDS}: {done.schedules} of {schedules} schedules,"
            f" {done.probes} probes, {done.failovers} failovers, {len(done.violations)} violations",
            flush=True,
        )

    return play(first, schedules, progress=progress)


if __name__ == "__main__":
    sys.exit(main())
