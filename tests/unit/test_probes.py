"""What a client sees of the promise, and how it looks."""

from __future__ import annotations

import socket

from rig.prober import Prober
from rig.promise import Probe, broken_promises

ANSWER = b"HTTP/1.1 200 OK\r\nX-TCF-Term: 7\r\nContent-Length: 0\r\n\r\n"


def test_a_probe_that_is_not_answered_soon_waits_on_while_others_are_sent() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    with Prober({server.getsockname()[1]: "c1"}, per_second=100) as prober, server:
        waiting = [server.accept()[0] for _ in range(2)]
        for connection in waiting:
            with connection:
                connection.recv(1000)
                connection.sendall(ANSWER)
    answered = [(probe.member, probe.status, probe.term) for probe in prober.probes]
    assert answered == 2 * [("c1", 200, 7)]


def test_a_promise_is_broken_by_a_later_probe_only() -> None:
    one, other = Probe(1.0, 2.0, "c1", 200, term=8), Probe(3.0, 4.0, "c2", 200, term=5)
    assert broken_promises([one, other]) == [(one, other)]
    overlapping = Probe(1.5, 4.0, "c2", 200, term=5)
    assert broken_promises([one, overlapping]) == []
