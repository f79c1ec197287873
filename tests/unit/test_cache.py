"""What a coordinator has seen of a federation: newer versions count, older ones do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tcf.coordinator.cache import FederationCache
from tcf.core.annotations import Acknowledgement
from tcf.core.model import Application, Federation, Isolation, WorkerLease
from unit.build import BOOT, DOUBT, ONE, TERM, TWO, UID, D, federation, later


def version(number: int, uid: str = UID) -> Federation:
    return federation("active passive", resource_version=str(number), uid=uid)


def cache(*leases: WorkerLease, of: Federation | None = None) -> FederationCache:
    """With Leases that have been watched at BOOT."""
    view = FederationCache()
    view.read_federation(of, BOOT)
    for each in leases:
        view.watched_lease(each, BOOT, deleted=False)
    return view


# --- the federation -----------------------------------------------------------------------------------


def test_at_its_start_it_has_seen_nothing() -> None:
    view = FederationCache()
    assert (view.federation, view.table, view.over(BOOT)) == (None, None, True)
    observation = view.observation()
    assert (observation.federation, observation.leases) == (None, ())
    assert (observation.listed, observation.reread) == (None, False)


def test_an_observation_says_what_it_rests_on() -> None:
    view = cache(ONE, TWO, of=version(5))
    observation = view.observation(listed=BOOT, reread=True)
    assert (observation.federation, observation.leases) == (version(5), (ONE, TWO))
    assert (observation.listed, observation.reread) == (BOOT, True)
    assert observation.sightings.age(ONE, BOOT + 3) == 3
    assert observation.sightings.known_term(UID) == TERM


@pytest.mark.parametrize(
    ("about", "table"),
    [(None, None), (federation(None), (UID, None)), (federation("active passive"), (UID, TERM))],
    ids=["no federation", "no status", "a table"],
)
def test_a_table_is_named_by_object_and_term(
    about: Federation | None, table: tuple[str, int | None] | None
) -> None:
    assert cache(of=about).table == table


def test_it_is_over_when_nothing_has_to_be_remembered() -> None:
    assert cache().over(BOOT)
    assert not cache(of=version(5)).over(BOOT)
    assert not cache(ONE).over(BOOT)
    doubtful = cache(of=federation("passive passive", in_doubt=DOUBT))
    doubtful.read_federation(None, BOOT + 1)
    assert not doubtful.over(BOOT + DOUBT.seconds - 1), "a doubt outlives the object"
    assert doubtful.over(BOOT + DOUBT.seconds + 1)


@pytest.mark.parametrize(
    ("known", "event", "deleted", "news", "then"),
    [
        (None, version(5), False, True, version(5)),
        (version(5), version(6), False, True, version(6)),
        (version(5), version(5), False, False, version(5)),
        (version(5), version(4), False, False, version(5)),
        (version(5), version(4, "uid-2"), False, True, version(4, "uid-2")),
        (version(5), version(6), True, True, None),
        (version(5), version(4), True, True, None),
        (version(5), version(6, "uid-2"), True, False, version(5)),
        (None, version(5), True, True, None),
    ],
    ids=[
        "the first",
        "newer",
        "the same",
        "older",
        "another object",
        "deleted",
        "deleted, by an older version",
        "another one was deleted",
        "deleted before it was seen",
    ],
)
def test_a_watch_event_counts_unless_something_newer_is_known(
    known: Federation | None, event: Federation, *, deleted: bool, news: bool, then: Federation | None
) -> None:
    view = cache(of=known)
    assert view.watched_federation(event, BOOT, deleted=deleted) is news
    assert view.federation == then


@pytest.mark.parametrize(
    ("known", "written", "then"),
    [
        (version(5), version(6), version(6)),
        (version(7), version(6), version(7)),
        (version(6), version(6), version(6)),
        (version(5, "uid-2"), version(6), version(5, "uid-2")),
        (None, version(6), None),
    ],
    ids=["the next version", "overtaken", "watched already", "created again meanwhile", "deleted meanwhile"],
)
def test_an_own_write_is_known_at_once_unless_it_is_old_news(
    known: Federation | None, written: Federation, then: Federation | None
) -> None:
    view = cache(of=known)
    view.wrote_federation(written, BOOT)
    assert view.federation == then


@pytest.mark.parametrize(
    ("known", "ahead"),
    [
        (version(6), True),
        (version(5), False),
        (version(4), False),
        (version(6, "uid-2"), False),
        (None, False),
    ],
    ids=["a later version", "the same", "an earlier one", "another object", "none"],
)
def test_it_knows_whether_it_is_ahead(known: Federation | None, *, ahead: bool) -> None:
    assert cache(of=known).is_ahead_of(version(5)) is ahead


# --- Leases -------------------------------------------------------------------------------------------


def test_a_first_lease_and_a_deleted_one_are_news() -> None:
    view = cache()
    assert view.watched_lease(ONE, BOOT, deleted=False)
    assert view.observation().leases == (ONE,)
    assert view.watched_lease(later(ONE), BOOT, deleted=True)
    assert view.observation().leases == ()
    assert view.observation().sightings.leases == {}
    assert not view.watched_lease(ONE, BOOT, deleted=True), "it was gone already"


@pytest.mark.parametrize("number", ["5", "4"])
def test_an_older_version_of_a_lease_is_no_news(number: str) -> None:
    known = replace(ONE, resource_version="5")
    view = cache(known)
    assert not view.watched_lease(replace(ONE, resource_version=number, duration=99), BOOT, deleted=False)
    assert view.observation().leases == (known,)


def renewing() -> tuple[FederationCache, WorkerLease]:
    """A view of a Lease that is known to be renewed: its second version was seen."""
    view, second = cache(ONE), later(ONE)
    assert view.watched_lease(second, BOOT + 3, deleted=False), "that it is renewed at all is news"
    return view, second


def test_a_mere_renewal_is_no_news() -> None:
    """With a thousand federations, these are nearly all events there are."""
    view, second = renewing()
    third = later(second)
    assert not view.watched_lease(third, BOOT + 6, deleted=False)
    assert view.observation().leases == (third,)
    assert view.observation().sightings.age(third, BOOT + 7) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"acknowledged": Acknowledgement(UID, TERM + 1)},
        {"isolation": Isolation.KEEP_ROLE},
        {"duration": 2 * D},
        {"cluster": "c2"},
        {"holder": "another"},
        {"application": Application.UNHEALTHY},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_renewal_that_says_something_else_is_news(change: dict[str, Any]) -> None:
    view, second = renewing()
    assert view.watched_lease(later(second, **change), BOOT + 6, deleted=False)


def test_a_renewal_after_a_silence_is_news() -> None:
    view, second = renewing()
    assert view.watched_lease(later(second), BOOT + 30, deleted=False)


def test_what_a_list_lacks_is_gone() -> None:
    view = cache(ONE, TWO)
    view.read_leases((TWO,), asked=BOOT + 1, now=BOOT + 2)
    assert view.observation().leases == (TWO,)
    assert set(view.observation().sightings.leases) == {TWO.uid}


def test_a_lease_that_is_forgotten_is_gone() -> None:
    view = cache(ONE, TWO)
    view.forget_lease(ONE, BOOT)
    view.forget_lease(ONE, BOOT)
    assert view.observation().leases == (TWO,)
    assert set(view.observation().sightings.leases) == {TWO.uid}


@pytest.mark.parametrize(
    ("watched_after", "listed", "kept"),
    [(-1, "9", "9"), (0, "9", "12"), (1, "9", "12"), (1, "13", "13"), (-1, "13", "13")],
    ids=["lost by the hub", "at the moment of asking", "since then", "older news", "old news"],
)
def test_a_list_knows_better_than_what_was_seen_before_it_was_asked_for(
    watched_after: float, listed: str, kept: str
) -> None:
    """A hub that has lost its last writes lists an older version. The Lease can be deleted only as that."""
    asked, watched = BOOT, replace(ONE, resource_version="12")
    view = FederationCache()
    view.watched_lease(watched, asked + watched_after, deleted=False)
    view.read_leases((replace(ONE, resource_version=listed), TWO), asked=asked, now=asked + 2)
    assert view.observation().leases == (replace(ONE, resource_version=kept), TWO)


def test_each_change_of_the_federation_is_announced_and_counted() -> None:
    announced: list[Federation | None] = []
    view = FederationCache(lambda: announced.append(view.federation))
    nobody = federation("passive passive", resource_version="6")
    for about in (version(5), version(5), nobody, None):
        view.read_federation(about, BOOT)
    assert announced == [version(5), nobody, None]
    view.read_federation(nobody, BOOT)
    assert view.tally.without_active(BOOT + 3) == 3
