"""What a worker logs of its answer: every change once, and no more."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from tcf.core.model import Refusal, Role
from tcf.core.reading import STARTING, STOPPING, Reading
from tcf.hub import errors
from tcf.runtime.logs import Fields
from tcf.worker.answer_log import AnswerLog
from unit.build import BOOT, TERM, UID

ACTIVE = Reading(UID, TERM, Role.ACTIVE, (), BOOT + 10, keep=False)
PASSIVE = replace(ACTIVE, role=Role.PASSIVE)
DOWN = Refusal("HubUnreachable", "the roles known here expired")
LOST = Refusal("LeaseLost", "the Lease is lost")


class Log:
    """The log of one worker, and what was logged by each report."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        self._caplog = caplog
        self.answer_log = AnswerLog(Fields(logging.getLogger("tcf.test"), {}))

    def report(self, answer: Reading | Refusal, after: float = 0.0) -> str:
        """What is logged `after` seconds, with its level; "" for nothing."""
        self._caplog.clear()
        self.answer_log.report(answer, BOOT + after)
        return "\n".join(f"{one.levelname}: {one.getMessage()}" for one in self._caplog.records)

    @property
    def term(self) -> object:
        return getattr(self._caplog.records[0], "term", None)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    return Log(caplog)


def unreachable(message: str) -> errors.HubError:
    return errors.UnreachableError(message)


def test_a_change_of_the_answer_is_logged_once(log: Log) -> None:
    assert log.report(ACTIVE) == "INFO: active"
    assert log.term == TERM
    assert log.report(ACTIVE, after=1) == ""
    assert log.report(replace(ACTIVE, term=TERM + 1), after=100) == ""
    assert log.report(PASSIVE) == "INFO: passive"
    assert log.report(LOST) == "WARNING: no answer: the Lease is lost"
    assert log.term is None
    assert log.report(LOST, after=100) == ""
    assert log.report(ACTIVE) == "INFO: active"


@pytest.mark.parametrize("answer", [STARTING, STOPPING], ids=["start", "stop"])
def test_what_happens_at_every_start_and_stop_is_no_warning(log: Log, answer: Refusal) -> None:
    assert log.report(answer) == f"INFO: no answer: {answer.message}"


def test_a_worker_that_cannot_renew_says_so_while_it_still_answers(log: Log) -> None:
    log.report(ACTIVE)
    log.answer_log.fail(unreachable("no route"))
    assert log.report(ACTIVE) == "WARNING: active, and cannot renew: no route"
    assert log.report(ACTIVE, after=100) == ""
    log.answer_log.succeed()
    assert log.report(ACTIVE, after=100) == "INFO: active"


def test_a_refusal_names_the_trouble_that_is_its_cause(log: Log) -> None:
    log.answer_log.fail(unreachable("no route"))
    assert log.report(DOWN) == "WARNING: no answer: the roles known here expired: no route"
    assert log.report(LOST) == "WARNING: no answer: the Lease is lost"


def test_the_same_trouble_in_other_words_is_logged_again_but_not_at_once(log: Log) -> None:
    log.answer_log.fail(unreachable("no route"))
    log.report(DOWN)
    log.answer_log.fail(unreachable("refused"))
    assert log.report(DOWN, after=10) == ""
    assert log.report(DOWN, after=10.1).endswith(": refused")
    assert log.report(DOWN, after=100) == ""
    log.answer_log.fail(unreachable("no route"))
    assert log.report(DOWN, after=105).endswith(": no route")
    log.answer_log.fail(unreachable("refused"))
    assert log.report(DOWN, after=114) == "", "the last ten seconds count"


def test_other_trouble_is_logged_at_once(log: Log) -> None:
    log.report(ACTIVE)
    log.answer_log.fail(unreachable("no route"))
    log.report(ACTIVE)
    log.answer_log.fail(errors.ForbiddenError("no rights"))
    assert log.report(ACTIVE, after=1) == "WARNING: active, and cannot renew: no rights"


def test_trouble_that_is_over_is_not_logged_again(log: Log) -> None:
    log.answer_log.fail(unreachable("no route"))
    log.report(LOST)
    log.answer_log.succeed()
    assert log.report(LOST, after=100) == ""
