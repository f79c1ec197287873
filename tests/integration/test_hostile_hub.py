"""A hub, or something before it, that answers nonsense: nobody ends, floods it, or stays confused."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from rig.hub_namespace import HubNamespace
from rig.liar import HTML, JSON, LIES, Liar, Lie
from rig.patience import eventually
from rig.tcf_processes import TcfProcess, TcfProcesses

_OFTEN_ENOUGH = 8
"""Requests during each kind of nonsense."""
_MOST_PER_SECOND = 60
"""Requests by one operator and one worker. A loop without a pause makes thousands."""


@pytest.fixture
def liar(hub: HubNamespace) -> Iterator[Liar]:
    with Liar(hub) as started:
        yield started


def nonsense(value: object) -> bytes:
    return json.dumps(value).encode()


READS: dict[str, Lie] = {
    **LIES,
    "deep": (200, JSON, b"[" * 50_000),
    "deep objects": (200, JSON, b'{"metadata":' * 20_000),
    "not UTF-8": (200, JSON, b"\xff\xfe{}"),
    "large": (200, HTML, b"<p>\x1b[31m\xe2\x80\xae" * 20_000),
    "huge number": (200, JSON, b'{"metadata": {"resourceVersion": "%s"}}' % (b"9" * 5000)),
    "null": (200, JSON, nonsense({"metadata": None, "items": None, "status": None})),
    "lists": (200, JSON, nonsense({"metadata": [], "items": {}, "status": []})),
    "texts": (200, JSON, nonsense({"metadata": "x", "items": "x", "status": "x", "spec": "x"})),
    "a word for a version": (
        200,
        JSON,
        nonsense({"metadata": {"namespace": "n", "name": "n", "uid": "u", "resourceVersion": "abc"}}),
    ),
    "details as text": (
        403,
        JSON,
        nonsense({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "details": "x"}),
    ),
    "causes as numbers": (
        404,
        JSON,
        nonsense(
            {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "code": 404,
                "details": {"name": 1, "kind": [], "causes": [1]},
            }
        ),
    ),
}
LINES: dict[str, bytes] = {
    "junk": b"%&!\n",
    "empty": b"\n",
    "deep": b"[" * 50_000 + b"\n",
    "no type": nonsense({"object": {}}) + b"\n",
    "null": nonsense({"type": "MODIFIED", "object": None}) + b"\n",
    "metadata null": nonsense({"type": "MODIFIED", "object": {"metadata": None}}) + b"\n",
    "metadata list": nonsense({"type": "ADDED", "object": {"metadata": []}}) + b"\n",
    "a word for a version": nonsense(
        {
            "type": "MODIFIED",
            "object": {"metadata": {"namespace": "n", "name": "n", "uid": "u", "resourceVersion": "abc"}},
        }
    )
    + b"\n",
    "an error": nonsense({"type": "ERROR", "object": {"kind": "Status", "code": 500}}) + b"\n",
    "gone": nonsense({"type": "ERROR", "object": {"kind": "Status", "code": 410}}) + b"\n",
    "endless": b"x" * 5_000_000,
}


@pytest.fixture
def both(
    hub: HubNamespace, programs: TcfProcesses, liar: Liar, tmp_path: Path
) -> tuple[TcfProcess, TcfProcess]:
    """An operator and a worker behind the liar; the other worker and another operator are not."""
    hub.apply(leaseDuration="3s", switchoverTimeout="10s")
    path = liar.kubeconfig(hub, tmp_path / "kubeconfig")
    operator, worker = programs.operator(kubeconfig=path), programs.worker("cluster_1", kubeconfig=path)
    worker.await_active()
    operator.await_ready()
    return operator, worker


def check_recovery(both: tuple[TcfProcess, TcfProcess]) -> None:
    operator, worker = both
    worker.await_active()
    operator.await_ready()
    assert operator.process.poll() is None
    assert worker.process.poll() is None


def await_requests(liar: Liar, count: int) -> None:
    before = liar.asked
    eventually(lambda: liar.asked - before >= count, what=f"{count} requests")


@contextmanager
def not_too_many_requests(liar: Liar) -> Iterator[None]:
    """For the time that it takes."""
    before, began = liar.asked, time.monotonic()
    yield
    assert (liar.asked - before) / (time.monotonic() - began) < _MOST_PER_SECOND


def test_reads_that_are_answered_by_nonsense(both: tuple[TcfProcess, TcfProcess], liar: Liar) -> None:
    with not_too_many_requests(liar):
        for nonsense_ in READS.values():
            liar.misread = partial(_always, nonsense_)
            liar.lie = partial(_to_posts, nonsense_)
            await_requests(liar, _OFTEN_ENOUGH)
    liar.misread, liar.lie = lambda _: None, lambda _, __: None
    check_recovery(both)


def _always(lie: Lie, _path: str) -> Lie:
    return lie


def _to_posts(lie: Lie, method: str, _path: str) -> Lie | None:
    return lie if method == "POST" else None


def test_watches_in_which_nonsense_comes(both: tuple[TcfProcess, TcfProcess], liar: Liar) -> None:
    with not_too_many_requests(liar):
        for line in LINES.values():
            liar.garble = partial(_instead, line)
            await_requests(liar, _OFTEN_ENOUGH)
    liar.garble = lambda line: line
    check_recovery(both)


def _instead(line: bytes, _: bytes) -> bytes:
    return line


def test_watches_that_end_at_once_are_not_begun_again_and_again(
    both: tuple[TcfProcess, TcfProcess], liar: Liar
) -> None:
    """Nor does each of them wake a renewal."""
    liar.garble = lambda _: None
    with not_too_many_requests(liar):
        await_requests(liar, 100)
    liar.garble = lambda line: line
    check_recovery(both)
