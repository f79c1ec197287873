"""What a worker knows: the newest version that it has seen, unless the hub has lost that."""

from __future__ import annotations

import asyncio

import pytest

from tcf.core.model import Federation, MemberRef, Refusal
from tcf.core.reading import Reading
from tcf.worker.knowledge import Knowledge
from unit.build import BOOT, TERM, UID, ClockAt, D, at, federation
from unit.turns import turns


def version(number: int, uid: str = UID) -> Federation:
    return federation("active passive", resource_version=str(number), uid=uid)


def knowledge(latest: Federation | None = None) -> Knowledge:
    known = Knowledge(MemberRef("ns", "shop", "c1"), clock=ClockAt(lambda: BOOT))
    known.latest = latest
    return known


def test_at_its_start_it_knows_nothing() -> None:
    known = knowledge()
    assert str(known.member) == "ns/shop/c1"
    assert (known.latest, known.stopped, known.known_term(UID)) == (None, False, 0)
    answer = known.answer()
    assert isinstance(answer, Refusal)
    assert answer.reason == "Starting"


def test_it_answers_for_the_moment_at_which_it_is_asked() -> None:
    known = knowledge()
    cycle = known.state.begin(at(BOOT - 1))
    renewal = known.state.observe(cycle, federation("active passive"))
    assert renewal
    known.state.renewed(cycle, renewal)
    assert known.known_term(UID) == TERM
    assert isinstance(known.answer(), Reading)
    assert isinstance(known.answer(BOOT + D - 1.1), Reading)
    assert isinstance(known.answer(BOOT + D), Refusal)


@pytest.mark.parametrize(
    ("known", "watched", "latest"),
    [
        (None, version(5), version(5)),
        (version(5), version(6), version(6)),
        (version(5), version(4), version(5)),
        (version(9), version(10), version(10)),
        (version(5), version(4, uid="uid-2"), version(4, uid="uid-2")),
    ],
    ids=["the first", "a newer one", "an older one", "by number, not by text", "of another object"],
)
def test_the_newest_version_that_was_watched_counts(
    known: Federation | None, watched: Federation, latest: Federation
) -> None:
    about = knowledge(known)
    about.watched(watched)
    assert about.latest == latest


@pytest.mark.parametrize(
    ("before", "meanwhile", "read", "latest"),
    [
        (version(5), None, version(6), version(6)),
        (version(5), None, version(4), version(4)),
        (None, None, version(4), version(4)),
        (version(5), version(7), version(6), version(7)),
        (version(5), version(6), version(7), version(7)),
        (None, version(7), version(6), version(7)),
    ],
    ids=[
        "newer",
        "older: the hub has lost what was known",
        "the first",
        "overtaken by the watch",
        "newer than what was watched meanwhile",
        "the first one, overtaken",
    ],
)
def test_a_read_counts_unless_the_watch_has_overtaken_it(
    before: Federation | None, meanwhile: Federation | None, read: Federation, latest: Federation
) -> None:
    known = knowledge(before)
    if meanwhile:
        known.watched(meanwhile)
    known.read(read, before)
    assert known.latest == latest


async def test_everybody_who_waits_is_woken_by_each_change() -> None:
    known, woken = knowledge(), []

    async def wait(who: str) -> None:
        await known.changed()
        woken.append(who)

    first = [asyncio.create_task(wait(who)) for who in ("a", "b")]
    await turns()
    assert woken == []
    known.announce()
    await asyncio.gather(*first)
    assert woken == ["a", "b"]
    late = asyncio.create_task(wait("c"))
    await turns()
    assert woken == ["a", "b"], "that was an earlier change"
    known.announce()
    await late
