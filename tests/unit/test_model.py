"""The records: what can be parsed, and what small properties say."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from tcf.core.annotations import Acknowledgement, parse_pair
from tcf.core.model import Now, Role
from tcf.core.reasons import Outcome
from unit.build import entry, spec, status


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("uid-1/7", Acknowledgement("uid-1", 7)),
        ("uid-1/0", Acknowledgement("uid-1", 0)),
        ("a/b/7", Acknowledgement("a/b", 7)),
        ("uid-1/007", Acknowledgement("uid-1", 7)),
        ("uid-1/" + "9" * 18, Acknowledgement("uid-1", 10**18 - 1)),
        ("uid-1/" + "9" * 19, None),
        (None, None),
        ("", None),
        ("uid-1", None),
        ("uid-1/", None),
        ("/7", None),
        ("/", None),
        ("uid-1/-7", None),
        ("uid-1/+7", None),
        ("uid-1/7.0", None),
        ("uid-1/ 7", None),
        ("uid-1/7 ", None),
        ("uid-1/7_0", None),
        ("uid-1/0x7", None),
        ("uid-1/\N{SUPERSCRIPT TWO}", None),
        ("uid-1/\N{ARABIC-INDIC DIGIT SEVEN}", None),
        ("uid-1/None", None),
    ],
)
def test_a_damaged_acknowledgement_acknowledges_nothing(
    text: str | None, parsed: Acknowledgement | None
) -> None:
    assert Acknowledgement.parse(text) == parsed
    assert parse_pair(text) == (parsed and (parsed.uid, parsed.term))


def test_an_acknowledgement_is_parsed_from_what_it_prints() -> None:
    word = Acknowledgement("0b0e-44", 1795457003000)
    assert str(word) == "0b0e-44/1795457003000"
    assert Acknowledgement.parse(str(word)) == word


def test_a_stamp_is_utc_in_whole_seconds() -> None:
    wall = datetime(2026, 11, 23, 13, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))
    assert Now(0.0, wall).stamp() == "2026-11-23T12:00:00Z"


def test_every_role_but_passive_is_engaged() -> None:
    assert {role for role in Role if not role.engaged} == {Role.PASSIVE}


def test_members_are_found_by_id() -> None:
    table, rules = status("passive promoting"), spec()
    assert table.member("c2") == table.clusters[1] == table.engaged
    assert rules.member("c2") == rules.clusters[1]
    assert table.member("c9") is None
    assert table.member("") is None
    assert rules.member("c9") is None
    assert status("passive passive").engaged is None


def test_the_end_of_a_request_is_found_by_id() -> None:
    table = status("active passive", history=(entry("b"), entry("a", outcome=Outcome.TIMED_OUT)))
    assert table.ended("a") == table.history[1]
    assert [past.succeeded for past in table.history] == [True, False]
    assert table.ended("c") is None


def test_an_unknown_condition_is_none() -> None:
    assert status("active passive").condition("Ready") is None
