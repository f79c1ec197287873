"""`GET /tcf/events`: what a client hears, and when. No operator is needed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from rig.asking import ask
from rig.patience import eventually
from support.event_reader import EventReader, ServerSentEvent
from support.lone_worker import LoneWorker, lone_worker

from tcf.web.event_stream import MOST_STREAMS


@pytest.fixture
def shop(
    control_plane: dict[str, str], crd: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LoneWorker]:
    with lone_worker(control_plane, tmp_path_factory.mktemp("event-stream"), leaseDuration="3s") as shop:
        yield shop


def table(shop: LoneWorker, *roles: str) -> ServerSentEvent:
    rows = [{"status": role, "name": f"cluster{n}", "id": f"cluster_{n}"} for n, role in enumerate(roles, 1)]
    data = {"term": shop.term, "cluster": "cluster_1", "status": roles[0], "clusters": rows}
    return ServerSentEvent("message", str(shop.term), data)


def test_a_snapshot_and_then_each_change(shop: LoneWorker) -> None:
    shop.put("passive", "active")
    with EventReader(shop.worker.port) as stream:
        assert stream.status == 200
        assert stream.response.headers["Content-Type"] == "text/event-stream"
        assert stream.response.headers["Cache-Control"] == "no-store"
        assert stream.response.headers["X-TCF-Cluster"] == "cluster_1"
        assert stream.next() == table(shop, "passive", "active")
        for roles in (("passive", "demoting"), ("promoting", "passive"), ("active", "passive")):
            shop.put(*roles)
            assert stream.next() == table(shop, *roles)


def test_a_renewal_is_no_change(shop: LoneWorker) -> None:
    """The Lease lasts for 3 s, so the worker renews every second."""
    shop.put("active", "passive")
    with EventReader(shop.worker.port) as stream:
        stream.next()
        seen: set[str] = set()

        def renewed_twice() -> bool:
            (lease,) = shop.hub.leases()
            seen.add(lease["metadata"]["resourceVersion"])
            return len(seen) > 2

        eventually(renewed_twice, what="two renewals")
        shop.put("demoting", "passive")
        assert stream.next() == table(shop, "demoting", "passive")


def test_who_comes_back_with_the_present_term_gets_no_snapshot(shop: LoneWorker) -> None:
    shop.put("active", "passive")
    with EventReader(shop.worker.port, last_id=str(shop.term)) as stream:
        shop.put("demoting", "passive")
        assert stream.next() == table(shop, "demoting", "passive")
    with EventReader(shop.worker.port, last_id=str(shop.term - 1)) as stream:
        assert stream.next() == table(shop, "demoting", "passive")


def test_nobody_takes_an_old_role_for_the_present_one(shop: LoneWorker) -> None:
    shop.await_refusal("NotBootstrapped")
    with EventReader(shop.worker.port) as stream:
        first = stream.next()
        assert first
        assert (first.kind, first.id) == ("unknown", "")
        assert first.data["reason"] == "NotBootstrapped"
        assert first.data["cluster"] == "cluster_1"
        shop.put("active", "passive")
        assert stream.next() == table(shop, "active", "passive")
        shop.hub.kubectl("delete", "clusterfederation", "shop")
        gone = stream.next()
        assert gone
        assert (gone.kind, gone.id, gone.data["reason"]) == ("unknown", "", "FederationNotFound")


def test_a_stop_ends_the_streams(shop: LoneWorker) -> None:
    shop.put("active", "passive")
    with EventReader(shop.worker.port) as stream:
        stream.next()
        assert shop.worker.stop() == 0
        last = stream.next()
        assert last
        assert (last.kind, last.data["reason"]) == ("unknown", "Stopping")
        assert stream.next() is None


def test_there_are_limits(shop: LoneWorker) -> None:
    shop.put("active", "passive")
    port = shop.worker.port
    with ExitStack() as stack:
        streams = [stack.enter_context(EventReader(port)) for _ in range(MOST_STREAMS)]
        for stream in streams:
            assert stream.next() == table(shop, "active", "passive")
        with EventReader(port) as refused:
            assert refused.status == 503
            assert refused.response.headers["X-TCF-Reason"] == "TooManyStreams"
            assert refused.response.headers["Retry-After"] == "10"
        assert shop.worker.is_active().status == 200, "probes do not count"
        streams[0].sock.shutdown(socket.SHUT_RDWR)
        streams[0].close()

        def another() -> EventReader | None:
            stream = stack.enter_context(EventReader(port))
            return stream if stream.status == 200 else None

        assert eventually(another, what="a stream that is closed makes room").next()


def test_other_methods(shop: LoneWorker) -> None:
    shop.put("active", "passive")
    head = ask(shop.worker.port, "HEAD", "/tcf/events")
    assert (head.status, head.headers["Content-Type"], head.body) == (200, "text/event-stream", b"")
    options = ask(shop.worker.port, "OPTIONS", "/tcf/events")
    assert (options.status, options.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")
    post = ask(shop.worker.port, "POST", "/tcf/events")
    assert (post.status, post.reason) == (405, "MethodNotAllowed")
