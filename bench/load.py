"""wrk and its output."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from bench.servers import PATH

_PATIENCE = 60.0
_MICROSECONDS = {"us": 1.0, "ms": 1e3, "s": 1e6}


@dataclass(frozen=True)
class Load:
    """Requests per second, and latencies in microseconds."""

    rate: float
    p50: float
    p99: float


_COUNT_STATUSES = """
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() counts = "" end
local seen = {}
function response(status)
  seen[status] = (seen[status] or 0) + 1
  if status ~= last or seen[status] % 1000 == 1 then
    last, counts = status, ""
    for name, count in pairs(seen) do counts = counts .. name .. "=" .. count .. " " end
  end
end
function done()
  for _, thread in ipairs(threads) do print("statuses: " .. thread:get("counts")) end
end
"""


@contextlib.contextmanager
def counting(port: int, connections: int, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Run wrk beside the block, and count statuses. It ends with the block at the latest."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_COUNT_STATUSES)
        script.flush()
        command = _command(port, connections, seconds, f"--script={script.name}")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()


def counted(process: subprocess.Popen[str]) -> tuple[dict[int, int], int]:
    """What a finished wrk counted: about how many answers of each status, and of requests without one."""
    told, _ = process.communicate(timeout=_PATIENCE)
    found = re.findall(r"(\d+)=(\d+)", _found(r"statuses: (.*)", told)[0])
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", told)
    return {int(status): int(count) for status, count in found}, sum(
        map(int, errors.groups() if errors else ())
    )


def wrk(port: int, connections: int, seconds: float, *, close: bool = False, tls: bool = False) -> Load:
    """Ask as fast as so many connections can; with `close`, on a new connection each time.

    Raises:
        FileNotFoundError: there is no wrk.
        TimeoutExpired: it does not end.
        RuntimeError: not every request got an answer of status 2xx or 3xx.
    """
    header = ["--header=Connection: close"] if close else []
    command = _command(port, connections, seconds, *header, scheme="https" if tls else "http")
    told = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=seconds + _PATIENCE
    ).stdout
    rate = float(_found(r"Requests/sec: +([\d.]+)", told)[0])
    wrong = sum(map(int, re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", told)))
    if wrong or not rate:
        raise RuntimeError(f"{wrong} answers were wrong, at {rate} per second")
    return Load(rate, _duration(told, "50%"), _duration(told, "99%"))


def wrk_version() -> str:
    program = shutil.which("wrk")
    if program is None:
        return "no wrk"
    told = subprocess.run([program, "-v"], check=False, capture_output=True, text=True).stdout
    return " ".join(told.split()[:2])


def _command(port: int, connections: int, seconds: float, *options: str, scheme: str = "http") -> list[str]:
    program = shutil.which("wrk")
    if program is None:
        raise FileNotFoundError("wrk is not on PATH: install the package wrk")
    command = [program, "--threads=1", f"--connections={connections}", f"--duration={seconds:g}s"]
    return [*command, "--latency", "--timeout=10s", *options, f"{scheme}://127.0.0.1:{port}{PATH}"]


def _duration(told: str, percentile: str) -> float:
    number, unit = _found(rf"{percentile} +([\d.]+)(us|ms|s)", told)
    return float(number) * _MICROSECONDS[unit]


def _found(pattern: str, told: str) -> tuple[str, ...]:
    match = re.search(pattern, told)
    if match is None:
        raise ValueError(f"wrk printed something else than expected: {told}")
    return match.groups()
