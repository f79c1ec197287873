"""What a Pod is told, and that nothing which was meant earlier can come after what is meant now."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

import pytest

from tcf.core.model import Refusal, Role
from tcf.core.pod_marks import Marks, mark
from tcf.core.reading import Reading
from tcf.hub import errors
from tcf.hub.pods import Pod, Pods, _leads_to
from tcf.worker.pod_marker import PodMarker
from unit.jumping_loop import CLOCK, jumping
from unit.pod_server import ApiServer

BOTH = Marks(condition=True, label=True)
NOWHERE = Refusal("HubUnreachable", "the hub does not answer")


def reading(role: Role, valid_until: float = 1e12, *, keep: bool = False) -> Reading:
    return Reading("uid", 7, role, (), valid_until, keep)


@pytest.mark.parametrize(
    ("conditions", "leads"),
    [
        ({}, True),
        ({"ready": True, "serving": True}, True),
        ({"ready": False, "serving": False}, False),
        ({"ready": True, "serving": False}, False),  # a Service that publishes what is not ready
    ],
)
def test_which_endpoints_get_requests(conditions: dict[str, bool], leads: bool) -> None:  # noqa: FBT001
    pod = Pod("uid", "1", None, None, None)
    slice_ = {
        "endpoints": [{"targetRef": {"uid": uid}, "conditions": conditions} for uid in ("uid", "other")]
    }
    assert _leads_to(slice_, pod) is leads
    assert not _leads_to({"endpoints": slice_["endpoints"][1:]}, pod)
    assert not _leads_to({"endpoints": None}, pod)


@pytest.mark.parametrize(
    ("answer", "role", "reason"),
    [
        (reading(Role.ACTIVE), "active", "Active"),
        (reading(Role.PASSIVE), "passive", "Passive"),
        (reading(Role.PROMOTING), "promoting", "Promoting"),
        (reading(Role.DEMOTING), "demoting", "Demoting"),
        (NOWHERE, "unknown", "HubUnreachable"),
    ],
)
def test_what_a_pod_says(answer: Reading | Refusal, role: str, reason: str) -> None:
    said = mark(answer)
    assert (said.role, said.active, said.reason) == (role, role == "active", reason)
    assert said.message


class Told:
    """A marking at work, and the answer it follows."""

    def __init__(self, server: ApiServer, marks: Marks) -> None:
        self.answer: Reading | Refusal = reading(Role.PASSIVE)
        self.marking = PodMarker(cast("Pods", server), marks, self._trusted, clock=CLOCK)

    def _trusted(self) -> Reading | Refusal:
        """The answer, until it runs out."""
        if isinstance(self.answer, Refusal) or self.answer.trusted(CLOCK.boot()):
            return self.answer
        return NOWHERE

    def now(self, answer: Reading | Refusal) -> None:
        self.answer = answer
        self.marking.changed()


@contextlib.asynccontextmanager
async def told(server: ApiServer, marks: Marks = BOTH) -> AsyncIterator[Told]:
    async with running(Told(server, marks)) as one:
        assert await one.marking.settle(5)
        yield one


@contextlib.asynccontextmanager
async def running(one: Told) -> AsyncIterator[Told]:
    task = asyncio.create_task(one.marking.run())
    try:
        yield one
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@jumping
async def test_only_what_differs_is_written() -> None:
    server = ApiServer()
    async with told(server) as one:
        for role in (Role.ACTIVE, Role.ACTIVE, Role.DEMOTING, Role.PASSIVE):
            one.now(reading(role))
            assert await one.marking.settle(5)
        one.now(replace(reading(Role.PASSIVE), term=9))
        assert await one.marking.settle(5)
    assert server.writes == ["Passive", "Active", "Demoting", "Passive"]
    assert server.pod.role == "passive"
    assert server.reads == 1


@jumping
async def test_marks_that_nobody_asked_for_are_not_set() -> None:
    server = ApiServer()
    async with told(server, Marks(condition=False, label=True)) as one:
        one.now(reading(Role.ACTIVE))
        assert await one.marking.settle(5)
        assert (server.pod.role, server.pod.active) == ("active", None)
    server = ApiServer()
    async with told(server, Marks(condition=True, label=False)):
        assert (server.pod.role, server.pod.active) == (None, False)


@jumping
async def test_a_yes_under_way_is_broken_off_and_can_never_land_after_the_no() -> None:
    server = ApiServer()
    async with told(server) as one:
        server.held = []
        one.now(reading(Role.ACTIVE))
        await server.until(lambda: bool(server.held))
        one.now(reading(Role.DEMOTING))
        assert await one.marking.settle(5)
        assert (server.pod.active, server.pod.reason) == (False, "Demoting")
        (late,) = server.held
        with pytest.raises(errors.ConflictError):
            server.land(*late)


@jumping
async def test_a_pod_that_others_write_too_is_read_again() -> None:
    server = ApiServer()
    async with told(server) as one:
        server.edited()
        one.now(reading(Role.ACTIVE))
        assert await one.marking.settle(5)
    assert server.pod.active is True


@jumping
async def test_a_gated_pod_says_no_when_the_kubelet_has_made_it_unready() -> None:
    server = ApiServer()
    server.pod = replace(server.pod, active=True, gated=True, ready=True)
    server.kubelet_after = 4
    async with told(server):
        assert server.reads == 4
        assert not server.pod.ready


@jumping
async def test_a_gated_pod_says_no_when_no_requests_are_sent_to_it_any_more() -> None:
    server = ApiServer()
    server.pod = replace(server.pod, active=True, gated=True)
    both, one = frozenset({"a", "b"}), frozenset({"b"})
    server.slices = [both, both, one]
    async with told(server):
        assert server.looked == [None, both, both, one]


@pytest.mark.parametrize("lost", ["answer", "look"])
@jumping
async def test_a_gated_pod_is_waited_for_though_an_answer_was_lost(lost: str) -> None:
    """A read then shows a Pod that says "not active" already."""
    server = ApiServer()
    server.pod = replace(server.pod, active=True, gated=True)
    server.slices = [frozenset({"a"}), frozenset({"a"})]
    if lost == "answer":
        server.unanswered = True
    else:
        server.slices.insert(0, errors.UnreachableError("no answer"))
    async with told(server):
        assert server.slices == []
        assert server.pod.active is False


@jumping
async def test_a_pod_whose_kubelet_is_waited_for_is_labelled_before() -> None:
    server = ApiServer()
    server.pod = replace(server.pod, active=True, role="active", gated=True, ready=True)
    async with running(Told(server, BOTH)):
        await server.until(lambda: server.pod.role == "passive")
        assert server.pod.ready


@jumping
async def test_a_yes_under_way_is_broken_off_when_it_has_run_out() -> None:
    """Nobody calls `changed` then; but a renewal that comes before lets it go on."""
    server = ApiServer()
    server.held = []
    until = CLOCK.boot() + 0.2
    one = Told(server, BOTH)
    one.answer = reading(Role.ACTIVE, until)
    async with running(one):
        await server.until(lambda: bool(server.held))
        until += 0.2
        one.now(reading(Role.ACTIVE, until))
        await server.until(lambda: server.writes == ["HubUnreachable"])
        assert CLOCK.boot() >= until


@jumping
async def test_a_pod_without_a_gate_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    server = ApiServer()
    async with told(server) as one:
        server.edited()
        one.now(reading(Role.ACTIVE))
        assert await one.marking.settle(5)
    assert len([r for r in caplog.records if "no readiness gate" in r.message]) == 1


@jumping
async def test_until_a_pod_is_told_something_there_is_trouble() -> None:
    server = ApiServer()
    server.failing = errors.ForbiddenError("no rights")
    async with running(Told(server, BOTH)) as one:
        assert not await one.marking.settle(0.05)
        assert "no rights" in (one.marking.trouble or "")
        server.failing = None
        assert await one.marking.settle(5)
        assert one.marking.trouble is None
        server.failing = errors.ForbiddenError("no rights any more")
        one.now(reading(Role.ACTIVE))
        assert not await one.marking.settle(0.05)
        assert one.marking.trouble is None


@jumping
async def test_a_kubelet_that_is_away_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tcf.worker.pod_marker._UNREADY_SECONDS", 0.2)
    server = ApiServer()
    server.pod = replace(server.pod, active=True, gated=True, ready=True)
    async with told(server):
        assert server.pod.active is False
        assert server.pod.ready


@jumping
async def test_settling_gives_up_and_the_pod_is_told_later() -> None:
    server = ApiServer()
    async with told(server) as one:
        one.now(reading(Role.ACTIVE))
        assert await one.marking.settle(5)
        server.failing = errors.UnreachableError("nobody there")
        one.now(reading(Role.PASSIVE))
        assert not await one.marking.settle(0.05)
        assert server.pod.active is True
        server.failing = None
        assert await one.marking.settle(5)
        assert server.pod.active is False


@jumping
async def test_an_answer_that_runs_out_is_noticed_without_being_told() -> None:
    server = ApiServer()
    until = CLOCK.boot() + 0.1
    one = Told(server, BOTH)
    one.answer = reading(Role.ACTIVE, until)
    async with running(one):
        await server.until(lambda: server.writes == ["Active", "HubUnreachable"])
    assert server.pod.active is False


@jumping
async def test_a_pod_that_somebody_has_edited_is_put_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tcf.worker.pod_marker._LOOK_SECONDS", 0.01)
    server = ApiServer()
    async with told(server) as one:
        server.pod = replace(server.pod, role=None, resource_version="100")
        await server.until(lambda: server.pod.role == "passive")
        one.now(reading(Role.ACTIVE, keep=True))
        assert await one.marking.settle(5)


@jumping
async def test_a_pod_is_looked_at_however_often_the_answer_is_renewed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tcf.worker.pod_marker._LOOK_SECONDS", 0.1)
    server = ApiServer()
    async with told(server) as one:
        server.pod = replace(server.pod, role=None, resource_version="100")
        for _ in range(20):
            await asyncio.sleep(0.01)
            one.now(reading(Role.PASSIVE))
        assert server.pod.role == "passive"
