"""What a worker may claim to a client: that it is done, that it is not, or that nobody here can know."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tcf.core.claims import (
    RECREATED,
    WAITING,
    WRITING,
    Claim,
    Patience,
    end_of,
    hub_lost,
    knows,
    restored_since,
    uncertain,
)
from tcf.core.model import HISTORY_LENGTH, Federation, MemberStatus, Refusal, Role, Status
from tcf.core.reading import Reading
from tcf.core.reasons import Outcome
from unit.build import BOOT, DOUBT, LOST, TERM, UID, entry, federation, request, rows, status

ASKED = federation("active passive", switchover=request())
"""The request of these tests is r1, from c1 to c2."""
SO_MANY = tuple(entry(f"other-{n}") for n in range(HISTORY_LENGTH))
ALL_BUT_ONE = SO_MANY[1:]


# --- how long a worker waits --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("about", "withdraws_after", "gives_up_after"),
    [
        (federation(switchover_timeout=30), 34.0, 100.0),
        (federation(switchover_timeout=10), 12.0, 40.0),
        (
            federation("passive passive", switchover_timeout=30, in_doubt=replace(DOUBT, seconds=20)),
            56.0,
            122,
        ),
    ],
    ids=["the default", "a short timeout", "a table in doubt, which makes operators wait before"],
)
def test_a_worker_waits_longer_than_an_operator_may_take(
    about: Federation, withdraws_after: float, gives_up_after: float
) -> None:
    patience = Patience.with_request_in(about, BOOT)
    assert patience.withdraw_at - BOOT == pytest.approx(withdraws_after)
    assert patience.give_up_at - BOOT == pytest.approx(gives_up_after)


# --- before a request is made -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("about", "known", "refused"),
    [
        (federation(term=TERM), TERM - 1, False),
        (federation(term=TERM), TERM, False),
        (federation(term=TERM), TERM + 1, True),
        (federation(None), TERM, False),
    ],
    ids=["a higher term", "the same term", "a lower term", "no status, which is refused elsewhere"],
)
def test_nothing_is_asked_of_a_hub_that_was_set_back(about: Federation, known: int, *, refused: bool) -> None:
    refusal = restored_since(about, known)
    assert (refusal is not None) is refused
    if refusal:
        assert refusal.reason == "HubRestored"
        for words in ("nothing was changed", str(TERM), str(known)):
            assert words in refusal.message


# --- what a later read shows --------------------------------------------------------------------------

SHOWS_IT, ANOTHER, LOSS, SET_BACK = "", "created again", "lost the request", "restored meanwhile"


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        pytest.param(ASKED, ASKED, SHOWS_IT, id="under way"),
        pytest.param(ASKED, federation(term=TERM + 3, history=(entry("r1"),)), SHOWS_IT, id="has ended"),
        pytest.param(ASKED, federation(), SHOWS_IT, id="somebody has removed it"),
        pytest.param(ASKED, federation(history=ALL_BUT_ONE), SHOWS_IT, id="others have ended since"),
        pytest.param(ASKED, replace(ASKED, uid="uid-2"), ANOTHER, id="another object"),
        pytest.param(ASKED, federation(None), ANOTHER, id="without a status"),
        pytest.param(ASKED, federation(history=SO_MANY), LOSS, id="so many others that it may be forgotten"),
        pytest.param(ASKED, federation(history=(entry(), LOST)), LOSS, id="a loss since then"),
        pytest.param(
            federation(history=(LOST,)), federation(history=(entry(), LOST)), SHOWS_IT, id="a loss before it"
        ),
        pytest.param(
            federation(history=SO_MANY[:2]),
            federation(history=SO_MANY),
            SHOWS_IT,
            id="some are from before it",
        ),
        pytest.param(federation(None), federation(history=(LOST,)), LOSS, id="made before the first status"),
        pytest.param(
            ASKED, federation(history=(entry("r1"), *ALL_BUT_ONE)), SHOWS_IT, id="has ended, as many others"
        ),
        pytest.param(
            ASKED, federation(switchover=request(), history=(LOST,)), SHOWS_IT, id="survived a loss"
        ),
        pytest.param(ASKED, federation(term=TERM - 1), SET_BACK, id="a lower term than is known"),
        pytest.param(
            ASKED,
            federation(term=TERM - 1, switchover=request()),
            SET_BACK,
            id="under way in a lower term: it may have been carried out above",
        ),
        pytest.param(
            ASKED,
            federation(term=TERM - 1, history=(entry("r1", outcome=Outcome.TIMED_OUT),)),
            SET_BACK,
            id="has ended in a lower term",
        ),
    ],
)
def test_whether_a_read_shows_what_became_of_a_request(
    before: Federation, after: Federation, verdict: str
) -> None:
    why = uncertain(before, after, "r1", TERM)
    assert (why is not None) is bool(verdict)
    assert verdict in (why or "")


def test_an_object_that_was_created_again_is_called_so() -> None:
    assert uncertain(ASKED, replace(ASKED, uid="uid-2"), "r1", TERM) == RECREATED


@pytest.mark.parametrize(
    ("about", "known"),
    [
        (status("active passive", switchover=request()), True),
        (status("active passive", switchover=request(id="r2")), False),
        (status("active passive", history=(entry("r2"), entry("r1"))), True),
        (status("active passive", switchover=request(id="r2"), history=(entry("r1"),)), True),
        (status("active passive", history=(entry("r2"),)), False),
    ],
    ids=["under way", "another", "has ended", "has ended beside another", "another has ended"],
)
def test_a_status_knows_a_request_that_is_under_way_or_has_ended(about: Status, *, known: bool) -> None:
    assert knows(about, "r1") is known


@pytest.mark.parametrize(
    ("latest", "known"),
    [
        pytest.param(None, False, id="nothing is known"),
        pytest.param(federation(None), False, id="no status"),
        pytest.param(ASKED, False, id="it is under way"),
        pytest.param(federation("passive active", term=TERM, history=(entry("r1"),)), True, id="same term"),
        pytest.param(federation("passive active", term=TERM + 2, history=(entry("r1"),)), True, id="ended"),
        pytest.param(
            federation("passive active", term=TERM - 1, history=(entry("r1"),)), False, id="another's"
        ),
    ],
)
def test_how_a_request_has_ended(latest: Federation | None, *, known: bool) -> None:
    """An entry from before the hub was restored may have the same id."""
    assert (end_of("r1", ASKED, latest) is not None) == known


def test_nothing_was_known_where_there_was_no_status() -> None:
    assert end_of("r1", federation(None), federation(history=(entry("r1"),)))


def test_a_hub_that_stopped_answering_leaves_both_possible() -> None:
    for message in (hub_lost(WRITING, "it is down"), hub_lost(WAITING, "it is down")):
        assert "(it is down)" in message
        assert "may or may not be carried out" in message


# --- "done" -------------------------------------------------------------------------------------------

DONE = Claim(UID, TERM, rows("passive active"), "c2")
ANSWER = Reading(UID, TERM, Role.ACTIVE, rows("passive active"), BOOT + 5, keep=False)


def over(role: Role, clusters: tuple[MemberStatus, ...]) -> Reading:
    """What is said of a table that is over by now."""
    return Reading(UID, TERM, role, clusters, -math.inf, keep=False)


@pytest.mark.parametrize(
    ("claim", "answer", "met"),
    [
        pytest.param(DONE, ANSWER, ANSWER, id="the very table"),
        pytest.param(DONE, replace(ANSWER, term=TERM - 1), None, id="an older one"),
        pytest.param(DONE, replace(ANSWER, uid="uid-2"), None, id="another object"),
        pytest.param(DONE, replace(ANSWER, uid="uid-2", term=TERM + 1), None, id="another object, later"),
        pytest.param(DONE, Refusal("ReadingExpired", "slow"), None, id="no answer"),
        pytest.param(
            DONE, replace(ANSWER, clusters=rows("active passive")), None, id="other roles at the same term"
        ),
        pytest.param(
            DONE,
            replace(ANSWER, clusters=rows("passive passive")),
            None,
            id="one other role at the same term",
        ),
        pytest.param(
            replace(DONE, clusters=()), ANSWER, ANSWER, id="the claim is about the term, not about roles"
        ),
        pytest.param(
            DONE,
            replace(ANSWER, term=TERM + 1, role=Role.PASSIVE, clusters=rows("active passive")),
            over(Role.ACTIVE, rows("passive active")),
            id="a later one: the client sees the table that it asked for, as one that is over",
        ),
        pytest.param(
            replace(DONE, own="c1"),
            replace(ANSWER, term=TERM + 1),
            over(Role.PASSIVE, rows("passive active")),
            id="of the other member",
        ),
        pytest.param(
            replace(DONE, own="c9"),
            replace(ANSWER, term=TERM + 1),
            over(Role.PASSIVE, rows("passive active")),
            id="of a member that the table lacks",
        ),
    ],
)
def test_done_is_said_once_this_worker_answers_by_the_table(
    claim: Claim, answer: Reading | Refusal, met: Reading | None
) -> None:
    assert claim.met_by(answer) == met


def test_what_is_said_if_it_does_not_come_to_answer_by_the_table() -> None:
    behind = DONE.missed_by(replace(ANSWER, term=TERM - 1))
    assert behind.reason == "ReadingBehind"
    silent = DONE.missed_by(Refusal("HubUnreachable", "the hub is down"))
    assert silent.reason == "HubUnreachable"
    assert "the hub is down" in silent.message
    for refusal in (behind, silent):
        assert f"the roles are as asked (term {TERM})" in refusal.message


def test_a_claim_of_what_is_so_already_is_the_present_table() -> None:
    about = federation("passive active")
    assert Claim.of_present(about, "c2") == DONE
    assert Claim.of_present(federation(None), "c2") == Claim(UID, 0, (), "c2")


@pytest.mark.parametrize("known", ["active passive", "demoting passive", "passive active"])
def test_a_claim_of_an_outcome_is_the_table_at_which_it_succeeded(known: str) -> None:
    """Whatever the roles have become since."""
    about = federation(known, term=TERM + 9)
    assert Claim.of_outcome(entry("r1", term=TERM), about, "c2") == DONE
    assert Claim.of_outcome(entry("r1", term=TERM), federation(None), "c2") == replace(DONE, clusters=())


def test_the_outcome_of_a_demotion_is_that_nobody_is_active() -> None:
    claim = Claim.of_outcome(entry("r1", term=TERM, to=""), federation("active passive"), "c1")
    assert claim.clusters == rows("passive passive")
