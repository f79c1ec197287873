"""wrk, and what it says."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass

from bench.servers import PATH

_MICROSECONDS = {"us": 1.0, "ms": 1e3, "s": 1e6}


@dataclass(frozen=True)
class Load:
    """Requests per second, latencies in microseconds, and how many answers were not as they should be."""

    rate: float
    p50: float
    p99: float
    errors: int


def wrk(port: int, connections: int, seconds: float, *, close: bool = False, timeout: float = 10) -> Load:
    """Ask as fast as so many connections can; with `close` on a new one each time.

    Raises:
        FileNotFoundError: there is no wrk.
    """
    program = shutil.which("wrk")
    if program is None:
        raise FileNotFoundError("wrk is not on PATH: install the package wrk")
    command = [
        program,
        "--threads=1",
        f"--connections={connections}",
        f"--duration={seconds:g}s",
        "--latency",
    ]
    command += [f"--timeout={timeout:g}s", *(["--header=Connection: close"] if close else [])]
    command.append(f"http://127.0.0.1:{port}{PATH}")
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Load(
        rate=float(_found(r"Requests/sec: +([\d.]+)", told)[0]),
        p50=_duration(told, "50%"),
        p99=_duration(told, "99%"),
        errors=sum(
            int(number) for number in re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", told)
        ),
    )


def _duration(told: str, percentile: str) -> float:
    number, unit = _found(rf"{percentile} +([\d.]+)(us|ms|s)", told)
    return float(number) * _MICROSECONDS[unit]


def _found(pattern: str, told: str) -> tuple[str, ...]:
    match = re.search(pattern, told)
    if match is None:
        raise ValueError(f"wrk has not said what was expected: {told}")
    return match.groups()
