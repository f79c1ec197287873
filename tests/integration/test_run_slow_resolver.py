"""tcf-run drains also where looking up the worker's name takes a while."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from rig.patience import eventually
from support.holds_server import HoldsServer
from support.run_process import RunProcess

_SLOW = """
import socket, time
real = socket.getaddrinfo

def slow(host, port, *more, flags=0, **named):
    if flags & socket.AI_NUMERICHOST:
        return real(host, port, *more, flags=flags, **named)
    time.sleep(0.6)
    return real("127.0.0.1", port, *more, flags=flags, **named)

socket.getaddrinfo = slow
"""


def test_a_command_drains_although_the_name_is_looked_up_slowly(
    worker: HoldsServer, runs: Callable[..., RunProcess], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(_SLOW)
    worker.become("active")
    port = worker.url.rpartition(":")[2]
    run = runs(
        "--worker", f"http://worker.example:{port}", "--for", "6s", shape="stubborn", PYTHONPATH=str(tmp_path)
    )
    run.await_act()
    eventually(lambda: worker.last.asked > 2, what="it asks again and again")
    run.process.send_signal(signal.SIGTERM)
    eventually(lambda: worker.last.draining, what="it drains", patience=6)
    assert "SIGKILL" not in run.log
