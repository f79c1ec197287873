"""The state machine of tcf-run: what it does, and when. It has no clock, so the tests say what time it is."""

from __future__ import annotations

import itertools
import signal
from typing import Any

import pytest

from tcf.run import (
    INTERNAL,
    Abort,
    Answer,
    Effect,
    Kill,
    Machine,
    Phase,
    Request,
    Say,
    Start,
    Terminate,
    parsed,
)  # fmt: skip

COMMAND, ON_ACTIVE, ON_PASSIVE = "the command", "--on-active", "--on-passive"


class Play:
    """A machine, with a clock that a test sets and a fuse that confirms everything at once."""

    def __init__(self, *arguments: str, fuse: bool = True) -> None:
        self.options = parsed(["--name", "n", *arguments], {})
        ids = itertools.count(1)
        self.machine = Machine(self.options, lambda: f"id{next(ids)}")
        self.now = 100.0
        self.fuse = fuse
        self.said: list[str] = []

    def tick(self) -> list[Effect]:
        """One step, and what is done in it, without the lines for the log."""
        self.machine.tick(self.now)
        effects = self.machine.effects()
        if self.fuse:
            self.machine.confirmed = self.machine.until
        self.said += [effect.text for effect in effects if isinstance(effect, Say)]
        return [effect for effect in effects if not isinstance(effect, Say | Abort)]

    def request(self) -> Request | None:
        return self.machine.request(self.now)

    def parameters(self) -> dict[str, str]:
        request = self.request()
        assert request
        return dict(pair.split("=") for pair in request.target.partition("?")[2].split("&"))

    def hear(
        self, status: int, *, held: float | None = None, sent: float | None = None, **more: Any
    ) -> list[Effect]:
        """The worker has answered. Then two steps: in the first one, the fuse hears of the extension."""
        fields = {
            "term": "7",
            "cluster": "c",
            "federation": "n/f",
            "text": {200: "active", 418: "passive"}.get(status, "?"),
        }
        answer = Answer(status, self.now if sent is None else sent, held, **(fields | more))
        self.machine.heard(answer, self.now)
        return [*self.tick(), *self.tick()]

    def run(self) -> None:
        """Up to the running command."""
        assert self.hear(200, held=9.0) == [Start(COMMAND)]


def active(*arguments: str, **how: bool) -> Play:
    play = Play(*arguments, "--", "true", **how)
    play.run()
    return play


def scripts(*arguments: str) -> Play:
    return Play("--on-active", "up", "--on-passive", "down", *arguments)


# --- waiting --------------------------------------------------------------------------------------------


def test_the_first_question_is_answered_at_once_and_the_next_ones_wait() -> None:
    play = Play("--", "true")
    assert play.parameters() == {"id": "id1", "for": "10s"}
    assert play.hear(418) == []
    play.now += 0.3
    assert play.parameters() == {"id": "id1", "for": "10s", "wait": "2s"}


@pytest.mark.parametrize(
    ("for_", "wait"), [("1s", None), ("2s", "1s"), ("7s", "1s"), ("8s", "2s"), ("300s", "75s")]
)
def test_a_worker_never_waits_longer_than_half_of_a_hold(for_: str, wait: str | None) -> None:
    play = Play("--for", for_, "--", "true")
    play.hear(418)
    play.now += 1
    assert play.parameters().get("wait") == wait


def test_a_worker_that_does_not_wait_is_not_asked_all_the_time() -> None:
    play = Play("--", "true")
    play.hear(418)
    assert play.request() is None
    play.now += 0.21
    assert play.request()


def test_nothing_starts_before_the_fuse_has_confirmed() -> None:
    play = Play("--", "true", fuse=False)
    assert play.hear(200, held=9.0) == []
    play.machine.confirmed = play.machine.until
    assert play.tick() == [Start(COMMAND)]


def test_nothing_starts_when_the_hold_is_nearly_over() -> None:
    play = Play("--", "true")
    play.now += 8.7
    assert play.hear(200, held=9.0, sent=100.0) == []
    play.now += 1
    play.tick()
    assert play.machine.phase is Phase.RELEASING


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 200, "held": None},
        {"status": 200, "held": 9.0, "term": ""},
        {"status": 200, "held": 0.0},
        {"status": 201, "held": 9.0},
        {"status": 418, "held": 9.0},
        {"status": 500, "held": 9.0},
        {"status": 302, "held": 9.0},
    ],
)
def test_what_is_no_grant(answer: dict[str, Any]) -> None:
    assert Play("--", "true").hear(**answer) == []


# --- how long a hold lasts ------------------------------------------------------------------------------


def test_a_hold_counts_from_the_question() -> None:
    play = active()
    play.now = 102.0
    play.hear(200, held=9.0, sent=100.5)
    assert play.machine.until == 109.5


def test_a_worker_that_promises_too_much_is_not_believed() -> None:
    play = active()
    play.now = 101.0
    play.hear(200, held=1e9, sent=100.5)
    assert play.machine.until == 110.5


def test_only_time_shortens_a_hold() -> None:
    play = active()
    for status, held in ((200, 1.0), (500, 1.0), (418, None), (418, 0.5)):
        play.hear(status, held=held)
        assert play.machine.until == 109.0


def test_a_late_answer_revives_nothing() -> None:
    play = active()
    play.now = 109.5
    play.hear(200, held=9.0, sent=100.4)
    assert play.machine.until == 109.0


# --- the end of the command -----------------------------------------------------------------------------


def test_a_worker_that_is_away_ends_the_command_in_time() -> None:
    play = active()
    play.machine.unheard("nobody answers", play.now)
    told = []
    for tenth in range(1000, 1100):
        play.now = tenth / 10
        told += [(play.now, effect) for effect in play.tick()]
    first, *rest = told
    assert first == (105.2, Terminate())
    assert rest[0] == (108.5, Kill()), "a grace of 3.3 s, half a second before the end"
    assert all(effect == Kill() for _, effect in rest)
    assert "nobody answers, and the hold ends in 3.8 s" in play.said


def test_a_fuse_that_confirms_nothing_ends_the_command_in_time() -> None:
    play = active()
    play.fuse = False
    play.now = 104.0
    play.hear(200, held=9.0)
    assert play.machine.until == 113.0
    play.now = 105.2
    assert play.tick() == [Terminate()]
    assert "the fuse of tcf-run does not answer, and the hold ends in 3.8 s" in play.said


def test_told_to_stop() -> None:
    play = active()
    play.now = 102.0
    assert play.hear(418, text="demoting") == [Terminate()]
    assert play.parameters() == {"id": "id1", "for": "10s", "draining": "true"}
    play.hear(418, held=9.0)
    assert play.machine.until == 111.0, "draining extends it"
    play.now = 110.5
    assert play.tick() == [Kill()]
    play.machine.ended(0, play.now)
    play.machine.gone(play.now)
    play.tick()
    request = play.request()
    assert request
    assert (request.method, request.target) == ("DELETE", "/tcf/holds/n?id=id1")
    play.machine.released(play.now)
    assert play.parameters() == {"id": "id2", "for": "10s", "wait": "2s"}


def test_a_role_that_comes_back_does_not_stop_the_end() -> None:
    play = active()
    play.hear(418)
    assert play.hear(200, held=9.0) == []
    assert play.machine.phase is Phase.STOPPING


def test_errors_do_not_end_the_command() -> None:
    play = active()
    for _ in range(20):
        assert play.hear(500) == []
        play.now += 0.1
    assert play.said.count("the worker answers 500: ?; the hold lasts for 9.0 s more; asking again") == 1
    play.hear(200, held=9.0)
    assert play.said[-1] == "the worker answers again"


def test_after_trouble_the_worker_is_asked_to_answer_at_once() -> None:
    play = active()
    play.machine.unheard("x", play.now)
    assert play.request() is None, "not at once, with jitter"
    play.now += 0.1
    request = play.request()
    assert request
    assert "wait" not in request.target
    assert request.timeout == pytest.approx((play.machine.term_at - play.now) / 2)


@pytest.mark.parametrize("held", [1.0, 2.0, 3.0, 6.0, 9.0])
def test_short_grants_leave_time_for_two_questions(held: float) -> None:
    """A worker whose reading is short grants little. It is asked more often then, and nothing is ended."""
    play = Play("--", "true")
    assert play.hear(200, held=held) == [Start(COMMAND)]
    for _ in range(50):
        sent = play.now = max(play.now, play.machine._ask_at)
        request = play.request()
        assert request
        wait = float(play.parameters().get("wait", "0s").removesuffix("s"))
        assert play.now + wait + request.timeout / 2 < play.machine.kill_at
        play.now += wait + 0.05
        assert play.hear(200, held=held + wait, sent=sent) == []


# --- a command that ends by itself ----------------------------------------------------------------------


def test_a_command_is_started_again() -> None:
    play = active()
    play.now += 1
    play.machine.ended(3, play.now)
    assert play.tick() == [Terminate()], "what it left behind"
    play.machine.gone(play.now)
    assert play.tick() == []
    assert play.parameters()["healthy"] == "false"
    assert play.parameters()["message"] == "the%20command%20has%20ended%20by%20itself%20with%20status%203"
    play.now += 0.5
    assert play.tick() == [Start(COMMAND)]
    for _ in range(20):
        play.now += 0.5
        play.hear(200, held=9.0)
    play.now += 0.5
    assert "healthy" not in play.parameters()


def test_it_is_started_more_and_more_rarely() -> None:
    play = active()
    waits = []
    for _ in range(12):
        play.machine.ended(1, play.now)
        play.tick()
        play.machine.gone(play.now)
        ended = play.now
        while Start(COMMAND) not in play.tick():
            play.now += 0.25
            play.machine.heard(Answer(200, play.now, 9.0, "7"), play.now)
        waits.append(play.now - ended)
    assert waits[0] <= 0.5
    assert 14 <= waits[-1] <= 31


def test_what_is_left_behind_has_the_grace_and_no_more() -> None:
    play = active()
    play.machine.ended(0, play.now)
    play.tick()
    play.now += 3.2
    assert play.tick() == []
    play.now += 0.2
    assert play.tick() == [Kill()]


def test_once() -> None:
    play = active("--once")
    play.machine.ended(5, play.now)
    assert play.tick() == [Terminate()]
    play.machine.gone(play.now)
    play.tick()
    assert play.request()
    play.machine.released(play.now)
    assert (play.machine.phase, play.machine.status) == (Phase.OVER, 5)


def test_once_does_not_end_with_the_role() -> None:
    play = active("--once")
    play.hear(418)
    play.machine.ended(0, play.now)
    play.machine.gone(play.now)
    play.machine.released(play.now)
    assert play.machine.phase is Phase.WAITING
    assert play.hear(200, held=9.0) == [Start(COMMAND)]


# --- the release ----------------------------------------------------------------------------------------


def test_a_release_is_tried_until_the_hold_has_run_out() -> None:
    play = active()
    play.hear(418)
    play.machine.gone(play.now)
    tries = 0
    while play.machine.phase is Phase.RELEASING:
        if play.request():
            tries += 1
            play.machine.unreleased("nobody answers", play.now)
        play.now += 0.05
        play.tick()
    assert play.machine.until == -1.0
    assert 109.0 <= play.now <= 109.2
    assert tries > 5
    assert play.parameters()["id"] == "id2"


def test_whoever_ends_does_not_wait_for_a_dead_worker() -> None:
    play = active()
    play.machine.stop(signal.SIGTERM, play.now)
    play.machine.gone(play.now)
    while play.machine.phase is Phase.RELEASING:
        play.machine.unreleased("nobody answers", play.now)
        play.now += 0.1
        play.tick()
    assert play.now < 104
    assert (play.machine.phase, play.machine.status) == (Phase.OVER, 143)


def test_signals() -> None:
    play = active()
    play.machine.stop(signal.SIGINT, play.now)
    assert play.tick() == [Terminate()]
    assert play.tick() == []
    play.machine.stop(signal.SIGTERM, play.now)
    assert play.tick() == [Kill()]
    play.machine.gone(play.now)
    play.machine.released(play.now)
    assert (play.machine.phase, play.machine.status) == (Phase.OVER, 130), "the first one counts"


def test_a_fuse_that_is_gone_ends_everything_at_once() -> None:
    play = active()
    play.machine.fuse_lost(play.now)
    assert play.tick() == [Terminate(), Kill()]
    play.machine.gone(play.now)
    play.machine.released(play.now)
    assert (play.machine.phase, play.machine.status) == (Phase.OVER, INTERNAL)


# --- scripts --------------------------------------------------------------------------------------------


def test_scripts_follow_the_role() -> None:
    play = scripts()
    assert play.hear(418) == [Start(ON_PASSIVE)], "it may be active from an earlier run"
    play.machine.ended(0, play.now)
    play.machine.released(play.now)
    assert play.hear(200, held=9.0) == [Start(ON_ACTIVE)]
    play.machine.ended(0, play.now)
    assert play.hear(418) == [Start(ON_PASSIVE)]
    assert play.parameters()["draining"] == "true"
    play.machine.ended(0, play.now)
    play.tick()
    request = play.request()
    assert request
    assert request.method == "DELETE"


def test_on_passive_has_to_succeed() -> None:
    play = scripts()
    play.hear(200, held=9.0)
    play.machine.ended(0, play.now)
    assert play.hear(418) == [Start(ON_PASSIVE)]
    for _ in range(8):  # the pauses are random, but so many take longer than the hold
        play.machine.ended(1, play.now)
        play.tick()
        assert play.parameters()["message"] == "--on-passive%20has%20failed%20with%20status%201"
        while Start(ON_PASSIVE) not in play.tick():
            play.now += 0.5
    assert play.now > 109
    assert [line for line in play.said if line.startswith("DANGER")]
    play.machine.ended(0, play.now)
    assert play.machine.phase is Phase.RELEASING


def test_a_role_that_comes_back_ends_the_attempts_to_become_passive() -> None:
    """After a rollback, for example. Otherwise nobody would ever act."""
    play = scripts()
    play.hear(200, held=9.0)
    play.machine.ended(0, play.now)
    assert play.hear(418) == [Start(ON_PASSIVE)]
    assert play.hear(200, held=9.0) == [], "a script that runs is not interrupted"
    assert play.machine.phase is Phase.MAKING_PASSIVE
    play.machine.ended(1, play.now)
    assert play.hear(200, held=9.0) == [Start(ON_ACTIVE)]
    assert play.parameters()["healthy"] == "false", "until that has succeeded"
    play.machine.ended(0, play.now)
    play.tick()
    assert "healthy" not in play.parameters()
    assert play.hear(418) == [Start(ON_PASSIVE)]


def test_a_role_that_comes_back_does_not_keep_it_from_ending() -> None:
    play = scripts()
    play.hear(200, held=9.0)
    play.machine.ended(0, play.now)
    play.machine.stop(signal.SIGTERM, play.now)
    assert play.tick() == [Start(ON_PASSIVE)]
    play.machine.ended(1, play.now)
    assert play.hear(200, held=9.0) == []
    assert play.machine.phase is Phase.MAKING_PASSIVE


def test_who_ends_without_a_release_is_warned_of_what_may_be_active() -> None:
    play = scripts()
    play.hear(200, held=9.0)
    play.machine.ended(0, play.now)
    play.machine.stop(signal.SIGTERM, play.now)
    assert play.tick() == [Start(ON_PASSIVE)]
    play.machine.stop(signal.SIGTERM, play.now)
    play.tick()
    assert play.machine.phase is Phase.OVER
    assert play.said[-1].startswith("DANGER: --on-passive has not succeeded")


def test_on_active_is_tried_again() -> None:
    play = scripts()
    play.hear(200, held=9.0)
    play.machine.ended(1, play.now)
    assert play.tick() == []
    assert play.parameters()["healthy"] == "false"
    play.now += 0.6
    assert play.tick() == [Start(ON_ACTIVE)]
    assert play.hear(418) == [Terminate()], "it has to end before --on-passive begins"
    play.machine.ended(143, play.now)
    assert play.tick() == []
    play.machine.gone(play.now)
    assert play.tick() == [Start(ON_PASSIVE)]


def test_scripts_of_a_worker_that_never_answers() -> None:
    play = scripts()
    for _ in range(10):
        play.machine.unheard("x", play.now)
        assert play.tick() == []
        play.now += 0.4
    play.now += 2
    assert play.tick() == [Start(ON_PASSIVE)]


def test_scripts_are_unhealthy_until_it_is_known_what_is_active_here() -> None:
    """Nobody may become active because of a report that rests on nothing."""
    play = scripts()
    assert play.parameters()["healthy"] == "false"
    assert play.hear(418) == [Start(ON_PASSIVE)]
    assert play.parameters()["message"].startswith("neither%20--on-active%20nor%20--on-passive")
    play.machine.ended(0, play.now)
    play.machine.released(play.now)
    assert "healthy" not in play.parameters()


def test_an_active_member_is_unhealthy_until_on_active_has_succeeded() -> None:
    play = scripts()
    assert play.hear(200, held=9.0) == [Start(ON_ACTIVE)]
    assert play.parameters()["healthy"] == "false"
    play.machine.ended(0, play.now)
    play.now += 3
    play.tick()
    assert "healthy" not in play.parameters()


def test_an_application_is_unhealthy_until_its_check_has_ended() -> None:
    play = scripts("--check", "ok")
    play.hear(200, held=9.0)
    play.machine.ended(0, play.now)
    play.now += 3
    play.tick()
    assert play.parameters()["message"] == "--check%20has%20not%20ended%20since%20tcf-run%20started"
    play.machine.checked("")
    assert "healthy" not in play.parameters()
    play.tick()
    assert play.said[-1] == "--check succeeds"


def test_health_of_scripts() -> None:
    play = scripts("--check", "ok")
    play.hear(200, held=9.0)
    play.machine.ended(0, play.now)
    play.now += 3
    play.machine.checked("--check has failed with status 1")
    assert play.parameters()["message"] == "--check%20has%20failed%20with%20status%201"
    play.machine.checked("")
    assert "healthy" not in play.parameters()


def test_the_fuse_runs_scripts_early() -> None:
    """Its command is killed at the end of the hold, but --on-passive needs time."""
    play = active()
    assert play.machine.fuse_at(play.now) == pytest.approx(108.75)
    play = scripts()
    play.hear(200, held=9.0)
    assert play.machine.fuse_at(play.now) == pytest.approx(109 - 10 / 3 - 0.25)
    play.machine.ended(0, play.now)
    play.hear(418)
    assert (play.machine.fuse_at(play.now) or 0.0) > play.now
    play.machine.ended(0, play.now)
    assert play.machine.fuse_at(play.now) is None


# --- answers that come too late -------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 418, 500])
def test_an_answer_that_comes_with_the_end_of_the_command_does_not_delay_the_release(status: int) -> None:
    """The supervisor notices both in the same step, and the end of the command first."""
    play = active("--for", "60s")
    play.hear(418, held=50.0)
    play.machine.ended(143, play.now)
    play.machine.gone(play.now)
    assert play.machine.phase is Phase.RELEASING
    play.hear(status, held=50.0)
    request = play.request()
    assert request
    assert request.method == "DELETE"


def test_an_answer_that_comes_with_a_signal_does_not_delay_the_release() -> None:
    play = Play("--for", "60s", "--", "true")
    play.hear(418)
    play.machine.stop(signal.SIGTERM, play.now)
    play.hear(200, held=50.0)
    request = play.request()
    assert request
    assert request.method == "DELETE"
