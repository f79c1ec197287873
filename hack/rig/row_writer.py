"""Inserts numbered rows into PostgreSQL, and records which were committed, when and where.

    python row_writer.py PSQL CONNINFO FILE FIRST STEP PAUSE

It inserts the numbers FIRST, FIRST + STEP and so on, each once, with PAUSE seconds in between. A line of FILE
is "number sent answered site timeline" for a row whose commit was confirmed; the times are seconds of
CLOCK_BOOTTIME. If the outcome of a number is unknown, there is no line. It ends with SIGTERM.
"""

import contextlib
import select
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 3.0
"""Seconds that an answer may take before the connection is given up."""
PAUSE = 0.05
"""Seconds at least before a new connection is tried. Each takes a process."""
INSERT = (
    "INSERT INTO rows VALUES ({}, current_setting('cluster_name')) RETURNING n, site,"
    " ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int;\n"
)


def now() -> float:
    """Seconds of CLOCK_BOOTTIME."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Session:
    """One connection, by psql."""

    def __init__(self, psql: str, conninfo: str) -> None:
        self._psql = subprocess.Popen(
            [psql, "-qAtX", "-F", " ", conninfo],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def insert(self, number: int) -> str:
        """Insert a row; return its site and timeline, or "" if it is not known to be committed."""
        assert self._psql.stdin
        assert self._psql.stdout
        try:
            self._psql.stdin.write(INSERT.format(number))
            self._psql.stdin.flush()
        except BrokenPipeError:
            return ""
        if not select.select([self._psql.stdout], [], [], PATIENCE)[0]:
            return ""
        first, _, rest = self._psql.stdout.readline().strip().partition(" ")
        return rest if first == str(number) else ""

    def close(self) -> None:
        self._psql.kill()
        with contextlib.suppress(BrokenPipeError):
            self._psql.communicate()


def main() -> None:
    psql, conninfo, file, first, step, pause = sys.argv[1:]
    number, session = int(first), None
    with Path(file).open("a", buffering=1, encoding="ascii") as log:
        while True:
            session = session or Session(psql, conninfo)
            sent = now()
            if where := session.insert(number):
                log.write(f"{number} {sent:.6f} {now():.6f} {where}\n")
                time.sleep(float(pause))
            else:
                session.close()
                session = None
                time.sleep(max(PAUSE, float(pause)))
            number += int(step)


if __name__ == "__main__":
    main()
