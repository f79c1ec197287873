"""How a Pod is marked, and that an earlier mark can never replace a later one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
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
from unit.jumping_loop import CLOCK, jumping, passed
from unit.pod_server import LONGEST_ANSWER, ApiServer

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


class MarkedPod:
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
async def marked_pod(server: ApiServer, marks: Marks = BOTH) -> AsyncIterator[MarkedPod]:
    async with running(MarkedPod(server, marks)) as one:
        assert await one.marking.settle(5)
        yield one


@contextlib.asynccontextmanager
async def running(one: MarkedPod) -> AsyncIterator[MarkedPod]:
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
    async with marked_pod(server) as one:
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
    async with marked_pod(server, Marks(condition=False, label=True)) as one:
        one.now(reading(Role.ACTIVE))
        assert await one.marking.settle(5)
        assert (server.pod.role, server.pod.active) == ("active", None)
    server = ApiServer()
    async with marked_pod(server, Marks(condition=True, label=False)):
        assert (server.pod.role, server.pod.active) == (None, False)


@jumping
async def test_a_yes_under_way_is_broken_off_and_can_never_land_after_the_no() -> None:
    server = ApiServer()
    async with marked_pod(server) as one:
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
    async with marked_pod(server) as one:
        server.edited()
        one.now(reading(Role.ACTIVE))
        assert await one.marking.settle(5)
    assert server.pod.active is True


@jumping
async def test_a_gated_pod_says_no_when_the_kubelet_has_made_it_unready() -> None:
    server = ApiServer()
    server.pod = replace(server.pod, active=True, gated=True, ready=True)
    server.kubelet_after = 4
    async with marked_pod(server):
        assert server.reads == 4
        assert not server.pod.ready


@jumping
async def test_a_gated_pod_says_no_when_no_requests_are_sent_to_it_any_more() -> None:
    server = ApiServer()
    server.pod = replace(server.pod, active=True, gated=True)
    both, one = frozenset({"a", "b"}), frozenset({"b"})
    server.slices = [both, both, one]
    async with marked_pod(server):
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
    async with marked_pod(server):
        assert server.slices == []
        assert server.pod.active is False


@jumping
async def test_a_pod_whose_kubelet_is_waited_for_is_labelled_before() -> None:
    server = ApiServer()
    server.pod = replace(server.pod, active=True, role="active", gated=True, ready=True)
    async with running(MarkedPod(server, BOTH)):
        await server.until(lambda: server.pod.role == "passive")
        assert server.pod.ready


@jumping
async def test_a_yes_under_way_is_broken_off_when_it_has_run_out() -> None:
    """Nobody calls `changed` then; but a renewal that comes before lets it go on."""
    server = ApiServer()
    server.held = []
    until = CLOCK.boot() + 0.2
    one = MarkedPod(server, BOTH)
    one.answer = reading(Role.ACTIVE, until)
    async with running(one):
        await server.until(lambda: bool(server.held))
        until += 0.2
        one.now(reading(Role.ACTIVE, until))
        await server.until(lambda: server.writes == ["HubUnreachable"])
        assert CLOCK.boot() >= until
    assert len(server.held) == 1, "it went on, and was not begun again"


@jumping
async def test_a_pod_without_a_gate_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    server = ApiServer()
    async with marked_pod(server) as one:
        server.edited()
        one.now(reading(Role.ACTIVE))
        assert await one.marking.settle(5)
    assert len([r for r in caplog.records if "no readiness gate" in r.message]) == 1


@jumping
async def test_until_a_pod_is_marked_there_is_trouble() -> None:
    server = ApiServer()
    server.failing = errors.ForbiddenError("no rights")
    async with running(MarkedPod(server, BOTH)) as one:
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
    monkeypatch.setattr("tcf.worker.pod_marker._LOWERING_SECONDS", 0.2)
    server = ApiServer()
    server.pod = replace(server.pod, active=True, gated=True, ready=True)
    async with marked_pod(server):
        assert server.pod.active is False
        assert server.pod.ready


@jumping
async def test_settling_gives_up_and_the_pod_is_marked_later() -> None:
    server = ApiServer()
    async with marked_pod(server) as one:
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
    one = MarkedPod(server, BOTH)
    one.answer = reading(Role.ACTIVE, until)
    async with running(one):
        await server.until(lambda: server.writes == ["Active", "HubUnreachable"])
    assert server.pod.active is False


@jumping
async def test_a_pod_that_somebody_has_edited_is_put_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tcf.worker.pod_marker._LOOK_SECONDS", 0.01)
    server = ApiServer()
    async with marked_pod(server) as one:
        server.pod = replace(server.pod, role=None, resource_version="100")
        await server.until(lambda: server.pod.role == "passive")
        assert server.writes == ["Passive"], "the condition was right"
        server.pod = replace(server.pod, active=None, resource_version="200")
        await server.until(lambda: server.pod.active is False)
        assert server.labels == ["passive", "passive"], "the label was right"
        one.now(reading(Role.ACTIVE, keep=True))
        assert await one.marking.settle(5)


@jumping
async def test_a_pod_is_looked_at_however_often_the_answer_is_renewed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tcf.worker.pod_marker._LOOK_SECONDS", 0.1)
    server = ApiServer()
    async with marked_pod(server) as one:
        server.pod = replace(server.pod, role=None, resource_version="100")
        for _ in range(20):
            await asyncio.sleep(0.01)
            one.now(reading(Role.PASSIVE))
        assert server.pod.role == "passive"


@jumping
async def test_settling_goes_by_the_answer_of_the_moment() -> None:
    """Whether somebody has called `changed` or not."""
    server = ApiServer()
    async with marked_pod(server) as one:
        one.answer = reading(Role.ACTIVE)
        assert await one.marking.settle(5)
        assert server.pod.active is True


@jumping
async def test_a_role_that_is_kept_for_ever_is_shown_for_ever() -> None:
    server = ApiServer()
    async with marked_pod(server) as one:
        one.now(reading(Role.ACTIVE, valid_until=CLOCK.boot() + 1, keep=True))
        await asyncio.sleep(25)
    assert server.writes == ["Passive", "Active"]
    assert server.reads == 1


@pytest.mark.parametrize("since", [Role.DEMOTING, Role.PASSIVE], ids=["another role", "the role before"])
@jumping
async def test_a_yes_that_has_landed_without_an_answer_is_taken_back_at_once(since: Role) -> None:
    server = ApiServer()
    async with marked_pod(server) as one:
        server.held = []
        one.now(reading(Role.ACTIVE))
        await server.until(lambda: bool(server.held))
        server.land(*server.held[0])
        began = passed()
        one.now(reading(since))
        assert await one.marking.settle(5)
        assert (server.pod.active, passed()) == (False, began)


@pytest.mark.parametrize("fate", ["broken off", "unanswered", "broken off, and the no has failed"])
@jumping
async def test_a_yes_of_unknown_fate_can_never_land_after_the_same_no_as_before(fate: str) -> None:
    """The Pod still says that "no", but the "yes" may be on its way under the version that says so."""
    server = ApiServer()
    one = MarkedPod(server, BOTH)
    one.answer = NOWHERE
    async with running(one):
        assert await one.marking.settle(5)
        server.held = []
        one.now(reading(Role.ACTIVE))
        await server.until(lambda: bool(server.held))
        await asyncio.sleep(LONGEST_ANSWER + 0.01 if fate == "unanswered" else 1)
        server.refusing = errors.UnreachableError("no API") if "failed" in fate else None
        one.now(NOWHERE)
        await asyncio.sleep(1)
        server.refusing = None
        assert await one.marking.settle(5)
        (late,) = server.held
        with pytest.raises(errors.ConflictError):
            server.land(*late)
        written = len(server.writes)
        await asyncio.sleep(100)
        assert len(server.writes) == written, "once is enough"


@jumping
async def test_what_the_pod_says_already_is_not_written() -> None:
    server = ApiServer()
    server.pod = Pod("uid", "1", role="passive", active=False, reason="Passive")
    async with marked_pod(server):
        assert (server.writes, server.labels) == ([], [])


@jumping
async def test_a_change_is_taken_in_at_the_very_moment_at_which_a_yes_runs_out() -> None:
    server = ApiServer()
    async with marked_pod(server) as one:
        server.held = []
        until = CLOCK.boot() + 0.2
        taken_in: list[bool] = []

        def change() -> None:
            one.now(NOWHERE)
            taken_in.append(True)

        one.now(reading(Role.ACTIVE, until))
        asyncio.get_running_loop().call_at(until + 5e-10, change)
        await server.until(lambda: server.pod.reason == "HubUnreachable")
        assert taken_in


@jumping
async def test_the_very_first_yes_is_broken_off_when_it_has_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then the Pod is not marked, and the worker says so."""
    server, troubles = ApiServer(), []
    server.held = []
    one = MarkedPod(server, BOTH)
    one.answer = reading(Role.ACTIVE, CLOCK.boot() + 0.2)
    original = server.get

    async def get(**more: object) -> Pod:
        troubles.append(one.marking.trouble)
        return await original(**more)

    monkeypatch.setattr(server, "get", get)
    async with running(one):
        await server.until(lambda: server.writes == ["HubUnreachable"])
        assert passed() == pytest.approx(0.2)
    assert troubles == ["this pod is not marked with its role yet"] * 2


# --- whose conclusion is waited for -------------------------------------------------------------------

GATED = Pod("uid", "1", None, active=True, reason="Active", gated=True, ready=True)
SLICES = frozenset({"a"})


async def seconds_to_tell(server: ApiServer, marks: Marks = BOTH) -> float:
    """Until it is settled that the Pod says "passive"."""
    began = passed()
    async with marked_pod(server, marks):
        return passed() - began


@pytest.mark.parametrize(
    ("pod", "marks"),
    [
        (replace(GATED, active=False), BOTH),
        (replace(GATED, active=None), BOTH),
        (replace(GATED, gated=False), BOTH),
        (GATED, Marks(condition=False, label=True)),
    ],
    ids=["was not active", "was never marked", "no gate", "no condition"],
)
@jumping
async def test_nobody_is_waited_for_who_has_no_conclusion_to_draw(pod: Pod, marks: Marks) -> None:
    server = ApiServer()
    server.pod, server.slices = pod, [SLICES] * 1000
    assert await seconds_to_tell(server, marks) == 0
    assert server.looked == []


@pytest.mark.parametrize("held_by", ["kubelet", "slices"])
@jumping
async def test_a_conclusion_that_nobody_draws_is_waited_for_two_seconds(held_by: str) -> None:
    server = ApiServer()
    server.pod = GATED if held_by == "kubelet" else replace(GATED, ready=False)
    server.slices = [SLICES] * 1000
    assert await seconds_to_tell(server) == pytest.approx(2, abs=0.06)
    assert server.reads + len(server.looked) <= 45, "it looks now and then, not all the time"


@jumping
async def test_the_conclusion_is_noticed_soon() -> None:
    server = ApiServer()
    server.pod, server.kubelet_after, server.slices = GATED, 4, [SLICES] * 4
    assert await seconds_to_tell(server) == pytest.approx(7 * 0.05, abs=0.01)


@pytest.mark.parametrize(
    "error", [errors.ForbiddenError("no rights"), errors.KindNotFoundError("old")], ids=repr
)
@jumping
async def test_slices_that_cannot_be_seen_are_not_waited_for(error: errors.HubError) -> None:
    server = ApiServer()
    server.pod, server.slices = replace(GATED, ready=False), [error] * 1000
    assert await seconds_to_tell(server) == 0
    assert len(server.looked) == 1


@jumping
async def test_what_is_concluded_is_not_waited_for_again() -> None:
    server = ApiServer()
    server.pod = replace(GATED, ready=False)
    async with marked_pod(server) as one:
        looked = len(server.looked)
        one.now(NOWHERE)
        assert await one.marking.settle(5)
        assert len(server.looked) == looked


@jumping
async def test_whoever_is_active_again_waits_for_no_conclusion() -> None:
    """The loss before has been noted, and was not written."""
    server = ApiServer()
    server.pod = GATED
    one = MarkedPod(server, BOTH)
    one.answer = reading(Role.ACTIVE)
    async with running(one):
        assert await one.marking.settle(5)
        server.failing = errors.UnreachableError("nobody there")
        one.now(reading(Role.DEMOTING))
        await asyncio.sleep(0.01)
        server.failing = None
        one.now(reading(Role.ACTIVE))
        began = passed()
        assert await one.marking.settle(5)
        assert passed() - began < 0.2


# --- trouble ------------------------------------------------------------------------------------------


@jumping
async def test_trouble_is_logged_when_it_begins_changes_or_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = ApiServer()
    server.pod = replace(server.pod, gated=True)
    async with marked_pod(server) as one:
        for error in (errors.ForbiddenError("no rights"), errors.UnreachableError("nobody there"), None):
            server.failing = error
            one.now(reading(Role.ACTIVE))
            await asyncio.sleep(10)
        server.edited()
        one.now(reading(Role.PASSIVE))
        assert await one.marking.settle(5)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "this pod cannot be marked with its role: no rights"),
        ("WARNING", "this pod cannot be marked with its role: nobody there"),
        ("INFO", "this pod is marked with its role again"),
    ]


@pytest.mark.parametrize(
    ("gated", "marks", "warned"),
    [(False, BOTH, True), (True, BOTH, False), (False, Marks(condition=False, label=True), False)],
    ids=["no gate", "a gate", "no condition"],
)
@jumping
async def test_a_condition_that_no_gate_is_for_is_warned_of(
    gated: bool,  # noqa: FBT001 - a column of the table
    marks: Marks,
    *,
    warned: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = ApiServer()
    server.pod = replace(server.pod, gated=gated)
    async with marked_pod(server, marks):
        assert ("no readiness gate" in caplog.text) is warned


@jumping
async def test_it_is_tried_again_soon_and_ever_less_often() -> None:
    server = ApiServer()
    async with marked_pod(server) as one:
        for role in (Role.ACTIVE, Role.PASSIVE):
            server.failing = errors.UnreachableError("nobody there")
            one.now(reading(role))
            await asyncio.sleep(30)
            server.failing = None
            assert await one.marking.settle(2.1)
            server.edited()
            began = passed()
            one.now(reading(Role.DEMOTING))
            assert await one.marking.settle(5)
            assert passed() - began <= 0.1
