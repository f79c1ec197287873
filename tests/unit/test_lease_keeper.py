"""A worker's own Lease: whose it is, and that it is never taken for another one."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from tcf.core.annotations import Acknowledgement
from tcf.core.lease_content import Renewal
from tcf.core.model import Isolation, MemberRef
from tcf.hub import errors
from tcf.runtime.logs import Fields
from tcf.worker.lease_keeper import LeaseChangedError, LeaseKeeper, LeaseLostError, counts
from unit.build import TERM, UID, D, lease
from unit.lease_server import CHANGED, DOWN, LeaseServer, Trouble

MEMBER = MemberRef("ns", "shop", "c1")
RENEWAL = Renewal(Acknowledgement(UID, TERM), Isolation.KEEP_ROLE, D)


def keeper_of(server: LeaseServer, member: MemberRef = MEMBER) -> LeaseKeeper:
    log = Fields(logging.getLogger("tcf.test"), {})
    return LeaseKeeper(server.as_leases, member, holder="host-1", log=log)


async def registered(server: LeaseServer) -> LeaseKeeper:
    keeper = keeper_of(server)
    await keeper.register(1, deadline=4)
    return keeper


def only_other(server: LeaseServer, name: str) -> bool:
    """Is there a Lease of another name?"""
    return bool(server.leases.keys() - {name})


def only(server: LeaseServer) -> str:
    """The name of the only Lease there is."""
    (name,) = server.leases
    return name


# --- registering --------------------------------------------------------------------------------------


async def test_a_lease_says_whose_it_is() -> None:
    server = LeaseServer()
    keeper = await registered(server)
    written = server.leases[only(server)]
    assert keeper.lease == written
    assert (written.federation, written.cluster) == ("shop", "c1")
    assert (written.holder, written.acknowledged) == ("host-1", None)
    assert server.deadlines == {4}


@pytest.mark.parametrize(
    ("federation", "cluster", "begins"),
    [("shop", "c1", "shop-c1"), ("Shop", "C.1", "shop-c-1"), ("shop", "-c_1-", "shop-c-1")],
)
async def test_a_name_is_readable_and_allowed(federation: str, cluster: str, begins: str) -> None:
    server = LeaseServer()
    await keeper_of(server, MemberRef("ns", federation, cluster)).register(1, deadline=1)
    assert re.fullmatch(rf"{begins}-[0-9a-f]{{10}}", only(server))


async def test_two_workers_of_a_member_have_leases_of_their_own() -> None:
    server = LeaseServer()
    for _ in range(2):
        await registered(server)
    assert len(server.leases) == 2


async def test_a_registration_whose_answer_was_lost_is_found_again() -> None:
    server = LeaseServer()
    server.troubles["create"] = [Trouble(DOWN, done=True)]
    keeper = keeper_of(server)
    with pytest.raises(errors.UnreachableError):
        await keeper.register(1, deadline=1)
    assert keeper.lease is None
    await keeper.register(1, deadline=1)
    assert keeper.lease == server.leases[only(server)]


async def test_a_registration_that_somebody_has_relabelled_meanwhile_is_lost() -> None:
    server = LeaseServer()
    server.troubles["create"] = [Trouble(CHANGED, done=True, between=lambda: relabel(server))]
    keeper = keeper_of(server)
    with pytest.raises(LeaseLostError, match="somebody has changed it"):
        await keeper.register(1, deadline=1)
    assert keeper.lease is None
    await keeper.register(1, deadline=1)
    assert len(server.leases) == 2, "the next one has another name"


def relabel(server: LeaseServer) -> None:
    server.edit(only(server), cluster="c2")


# --- renewing -----------------------------------------------------------------------------------------


async def test_a_renewal_is_written_under_the_version_that_was_written_last() -> None:
    server = LeaseServer()
    keeper = await registered(server)
    for _ in range(2):
        await keeper.renew(RENEWAL, deadline=4)
        assert keeper.lease == server.leases[only(server)]
    assert keeper.lease
    assert keeper.lease.acknowledged == RENEWAL.acknowledged
    assert server.deadlines == {4}


async def test_a_renewal_whose_answer_was_lost_makes_the_cycle_begin_again() -> None:
    """It is this worker's Lease all the same; only what was read before it counts no more."""
    server = LeaseServer()
    keeper = await registered(server)
    server.troubles["renew"] = [Trouble(DOWN, done=True)]
    with pytest.raises(errors.UnreachableError):
        await keeper.renew(RENEWAL, deadline=1)
    with pytest.raises(LeaseChangedError):
        await keeper.renew(RENEWAL, deadline=1)
    assert keeper.lease == server.leases[only(server)]
    await keeper.renew(RENEWAL, deadline=1)


Meddling = Callable[[LeaseServer, str], object]


@pytest.mark.parametrize(
    ("meddle", "why"),
    [
        (lambda server, name: server.leases.pop(name), "deleted"),
        (lambda server, name: server.recreate(name), "replaced"),
        (lambda server, name: server.edit(name, cluster="c2"), "changed"),
        (lambda server, name: server.edit(name, federation="another"), "changed"),
    ],
    ids=["deleted", "replaced", "given to another member", "given to another federation"],
)
async def test_a_lease_that_is_not_this_workers_any_more_is_lost(meddle: Meddling, why: str) -> None:
    """Somebody else may be promoted then. It registers again, under another name."""
    server = LeaseServer()
    keeper = await registered(server)
    name = only(server)
    meddle(server, name)
    with pytest.raises(LeaseLostError, match=why):
        await keeper.renew(RENEWAL, deadline=1)
    assert keeper.lease is None
    await keeper.register(1, deadline=1)
    assert only_other(server, name)


async def test_a_lease_that_is_deleted_between_two_requests_is_lost() -> None:
    """Fenced, after the hub has found another version than this worker knows."""
    server = LeaseServer()
    keeper = await registered(server)
    server.troubles["renew"] = [Trouble(CHANGED, between=server.leases.clear)]
    with pytest.raises(LeaseLostError, match="deleted"):
        await keeper.renew(RENEWAL, deadline=1)
    assert keeper.lease is None


@pytest.mark.parametrize("refusal", [CHANGED, errors.InvalidError("a webhook does not like it")], ids=repr)
async def test_a_write_that_the_hub_does_not_take_is_trouble_and_no_loss(refusal: errors.HubError) -> None:
    """The Lease is as this worker knows it. To begin the cycle again would be to ask for ever."""
    server = LeaseServer()
    keeper = await registered(server)
    known = keeper.lease
    server.troubles["renew"] = [Trouble(refusal)]
    with pytest.raises(type(refusal)):
        await keeper.renew(RENEWAL, deadline=1)
    assert keeper.lease == known


@pytest.mark.parametrize("method", ["renew", "get"])
async def test_a_hub_that_is_down_takes_no_lease_away(method: str) -> None:
    server = LeaseServer()
    keeper = await registered(server)
    known = keeper.lease
    server.edit(only(server))
    server.troubles[method] = [Trouble(DOWN)]
    with pytest.raises(errors.UnreachableError):
        await keeper.renew(RENEWAL, deadline=1)
    assert keeper.lease == known


# --- stopping -----------------------------------------------------------------------------------------


async def test_a_clean_stop_deletes_the_lease_whatever_its_version() -> None:
    server = LeaseServer()
    keeper = await registered(server)
    server.edit(only(server))
    await keeper.deregister()
    assert (server.leases, keeper.lease) == ({}, None)


async def test_a_worker_that_is_not_registered_has_nothing_to_delete() -> None:
    server = LeaseServer()
    await keeper_of(server).deregister()
    assert server.asked == []


async def test_another_lease_of_that_name_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    server = LeaseServer()
    keeper = await registered(server)
    server.recreate(only(server))
    await keeper.deregister()
    assert server.leases
    assert "a switchover may have to wait for it" in caplog.text


async def test_a_lease_that_is_gone_already_worries_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    server = LeaseServer()
    keeper = await registered(server)
    server.leases.clear()
    await keeper.deregister()
    assert keeper.lease is None
    assert not caplog.records


async def test_a_lease_that_cannot_be_deleted_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """Others have to wait until it has run out."""
    caplog.set_level(logging.WARNING)
    server = LeaseServer()
    keeper = await registered(server)
    server.troubles["delete"] = [Trouble(DOWN)]
    await keeper.deregister()
    assert keeper.lease is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "it is down" in caplog.text


@pytest.mark.parametrize(
    ("labels", "found"),
    [({}, True), ({"cluster": "c2"}, False), ({"federation": "another"}, False), ({"holder": "me"}, True)],
    ids=str,
)
def test_a_coordinator_finds_a_lease_by_its_labels(labels: dict[str, str], *, found: bool) -> None:
    assert counts(replace(lease("c1"), **labels), MEMBER) is found  # type: ignore[arg-type]


async def test_the_last_write_of_a_lease_is_tried_again_once_if_the_version_is_another_one() -> None:
    """A write that the stop has interrupted may have been carried out. More than that is somebody else's."""
    server = LeaseServer()
    keeper = await registered(server)
    server.edit(only(server))
    await keeper.leave(RENEWAL)
    assert server.asked.count("renew") == 2
    assert server.leases[only(server)].acknowledged == RENEWAL.acknowledged

    def edit() -> None:
        server.edit(only(server))

    edit()
    server.troubles["renew"] = [Trouble(CHANGED, between=edit) for _ in range(5)]
    await keeper.leave(RENEWAL)
    assert server.asked.count("renew") == 4
