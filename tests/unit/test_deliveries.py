"""What the watches have delivered: the newest version of each kind, and of each object that is there."""

from __future__ import annotations

from tcf.coordinator.deliveries import Deliveries

FEDERATIONS, LEASES = "clusterfederations", "leases"


def test_before_anything_is_delivered_nothing_is_known() -> None:
    watched = Deliveries()
    assert (watched.begun, watched.unreadable, watched.trouble) == (False, {}, "")
    assert (watched.newest(FEDERATIONS), watched.version("uid-1")) == (0, 0)


def test_the_newest_version_of_a_kind_counts_in_whatever_order_they_come() -> None:
    watched = Deliveries()
    for version in ("9", "10", "8"):
        watched.note(LEASES, version)
    assert (watched.newest(LEASES), watched.newest(FEDERATIONS)) == (10, 0)


def test_an_object_has_the_version_that_was_delivered_last() -> None:
    """After a restore that is an older one."""
    watched = Deliveries()
    for version in ("9", "10", "8"):
        watched.note_object(FEDERATIONS, "uid-1", version, deleted=False)
    assert (watched.version("uid-1"), watched.newest(FEDERATIONS)) == (8, 10)


def test_an_object_that_was_deleted_is_forgotten_and_its_version_is_not() -> None:
    watched = Deliveries()
    watched.note_object(FEDERATIONS, "uid-1", "9", deleted=False, unreadable="no spec")
    watched.note_object(FEDERATIONS, "uid-1", "10", deleted=True)
    assert (watched.version("uid-1"), watched.newest(FEDERATIONS)) == (0, 10)
    assert watched.unreadable == {}
    watched.note_object(FEDERATIONS, "uid-2", "11", deleted=True, unreadable="no spec")
    assert watched.unreadable == {}, "nobody can mend what is gone"


def test_an_object_is_unreadable_until_it_has_been_mended() -> None:
    watched = Deliveries()
    watched.note_object(FEDERATIONS, "uid-1", "9", deleted=False, unreadable="no spec")
    watched.note_object(FEDERATIONS, "uid-2", "10", deleted=False)
    assert watched.unreadable == {"uid-1": "no spec"}
    assert watched.version("uid-1") == 9
    watched.note_object(FEDERATIONS, "uid-1", "11", deleted=False)
    assert watched.unreadable == {}


def test_trouble_lasts_until_something_is_delivered() -> None:
    watched = Deliveries()
    watched.fail("no rights")
    assert watched.trouble == "no rights"
    watched.note(LEASES, "9")
    assert watched.trouble == ""


def test_watches_that_begin_again_have_delivered_nothing() -> None:
    watched = Deliveries()
    for plural in (FEDERATIONS, LEASES):
        assert not watched.begun
        watched.begin(plural)
    watched.note(LEASES, "7")
    watched.note_object(FEDERATIONS, "uid-1", "9", deleted=False, unreadable="no spec")
    watched.fail("no rights")
    assert watched.begun
    watched.forget(FEDERATIONS)
    assert (watched.begun, watched.unreadable, watched.trouble) == (False, {}, "")
    assert (watched.newest(FEDERATIONS), watched.version("uid-1")) == (0, 0)
    assert watched.newest(LEASES) == 7, "those of another kind go on"


def test_watches_of_one_kind_that_begin_again_say_nothing_about_the_other() -> None:
    deliveries = Deliveries()
    for plural, uid in (("clusterfederations", "a"), ("leases", "b")):
        deliveries.begin(plural)
        deliveries.note_object(plural, uid, "5", deleted=False, unreadable="it is odd")
    deliveries.forget("leases")
    assert (deliveries.version("a"), deliveries.version("b")) == (5, 0)
    assert deliveries.unreadable == {"a": "it is odd"}
    assert (deliveries.newest("clusterfederations"), deliveries.newest("leases")) == (5, 0)
    assert not deliveries.begun
