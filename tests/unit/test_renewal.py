"""A worker at work: what it answers, what its Lease says, and in which order."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from itertools import pairwise

import pytest

from tcf.core.annotations import Acknowledgement
from tcf.core.model import PLAUSIBLE_LEAD, PROTOCOL, Isolation
from tcf.hub import errors
from unit.build import TERM, UID, UNIX, D, federation
from unit.jumping_loop import jumping
from unit.lease_server import CHANGED, DOWN, Trouble
from unit.pod_server import ApiServer
from unit.worker_site import ACTIVE, DEMOTING, PASSIVE, Site, at_work

PERIOD = D / 3
RETIRED = federation("passive active", term=TERM + 3)

# --- cycles -------------------------------------------------------------------------------------------


@jumping
async def test_it_answers_once_its_lease_acknowledges_the_table() -> None:
    site = Site()
    assert site.says == "Starting"
    async with at_work(site):
        assert site.says == "active"
        assert site.lease.acknowledged == Acknowledgement(UID, TERM)
        assert (site.lease.duration, site.lease.holder) == (D, "host-1")
        assert site.worker.knowledge.latest == ACTIVE
        assert site.worker.pod_trouble is None


@jumping
async def test_it_renews_every_third_of_the_duration_or_a_little_sooner() -> None:
    """Workers do not march in step, and a reading outlives a slow hub."""
    async with at_work(Site()) as site:
        await asyncio.sleep(100)
        pauses = [later - sooner for sooner, later in pairwise(site.roles.reads)]
        assert all(0.9 * PERIOD <= pause <= PERIOD + 0.001 for pause in pauses[1:])
        assert len(set(pauses)) > 10
        assert site.says == "active"
        assert site.roles.deadlines <= {5, PERIOD}
        assert site.leases.deadlines <= {5, PERIOD}


@jumping
async def test_without_a_federation_it_keeps_its_lease_and_waits() -> None:
    async with at_work(Site(None)) as site:
        await asyncio.sleep(60)
        assert site.says == "FederationNotFound"
        assert site.lease.acknowledged is None
        assert 12 <= len(site.roles.reads) <= 15
        assert site.worker.knowledge.latest is None
        site.roles.put(ACTIVE)
        await asyncio.sleep(0.01)
        assert site.says == "active", "it has been watched"
        site.roles.put(None)
        await asyncio.sleep(0.01)
        assert site.says == "FederationNotFound"
        assert site.worker.knowledge.latest is None


@jumping
async def test_a_federation_that_is_gone_without_an_event_is_found_gone_by_a_read() -> None:
    async with at_work(Site()) as site:
        site.roles.put(None, watched=False)
        await asyncio.sleep(PERIOD)
        assert site.says == "FederationNotFound"
        assert site.worker.knowledge.latest is None


@jumping
async def test_under_an_unknown_protocol_nothing_is_written() -> None:
    assert ACTIVE.status
    unknown = replace(ACTIVE, status=replace(ACTIVE.status, protocol=PROTOCOL + 1))
    async with at_work(Site(unknown)) as site:
        await asyncio.sleep(30)
        assert site.says == "UnknownProtocol"
        assert site.leases.asked == ["create"]


@jumping
async def test_a_term_that_nobody_can_have_written_is_trouble() -> None:
    """Neither a read nor an event of it counts."""
    forged = federation("active passive", term=UNIX + 3 * PLAUSIBLE_LEAD)
    async with at_work(Site(forged)) as site:
        assert site.says == "ImplausibleTerm"
        assert site.knows(None)
        site.roles.put(PASSIVE)
        await asyncio.sleep(1)
        assert site.says == "passive"
        site.roles.put(forged)
        await asyncio.sleep(0.01)
        assert site.says == "passive"
        assert site.knows(PASSIVE)


# --- when the hub is down -----------------------------------------------------------------------------


@jumping
async def test_a_reading_outlives_an_outage_of_half_its_duration(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with at_work(Site()) as site:
        await asyncio.sleep(20)
        site.fail(DOWN)
        await asyncio.sleep(D / 2)
        assert site.says == "active"
        site.fail(None)
        await asyncio.sleep(PERIOD / 4)
        before = len(site.roles.reads)
        assert "active, and cannot renew: it is down" in caplog.text
        await asyncio.sleep(D / 2)
        assert site.says == "active"
        assert len(site.roles.reads) - before <= 2
        assert caplog.records[-1].getMessage() == "active", "it has renewed"


@jumping
async def test_a_worker_that_is_cut_off_stops_answering_and_says_why() -> None:
    async with at_work(Site()) as site:
        site.fail(DOWN)
        await asyncio.sleep(D - 0.1)
        assert site.says == "active"
        await asyncio.sleep(0.1)
        assert site.says == "HubUnreachable"


@pytest.mark.parametrize(("duration", "longest"), [(D, PERIOD / 4), (60, 2)])
@jumping
async def test_it_tries_again_soon_and_never_waits_long(duration: int, longest: float) -> None:
    """At least four times in a period, and every two seconds."""
    site = Site(federation("active passive", lease_duration=duration))
    async with at_work(site):
        site.fail(DOWN)
        site.roles.reads.clear()
        await asyncio.sleep(10 * duration)
        pauses = [later - sooner for sooner, later in pairwise(site.roles.reads)]
        assert 0.81 * longest < max(pauses) <= longest + 0.001
        assert pauses[1] <= 0.2, "the first ones come fast"
        site.fail(None)
        await asyncio.sleep(longest)
        assert site.says == "active"
        site.fail(DOWN)
        site.roles.reads.clear()
        await asyncio.sleep(duration)
        first, second, *_ = site.roles.reads
        assert second - first <= 0.05, "they are fast again"


@jumping
async def test_a_lease_that_cannot_be_created_is_tried_again() -> None:
    site = Site()
    site.leases.troubles["create"] = [Trouble(DOWN), Trouble(DOWN, done=True)]
    async with at_work(site):
        assert site.says == "HubUnreachable"
        assert site.roles.reads == [], "without a Lease, nothing may be answered"
        await asyncio.sleep(1)
        assert site.says == "active"
        assert len(site.leases.leases) == 1


# --- when the Lease is not as it was -------------------------------------------------------------------


@jumping
async def test_a_lease_that_somebody_has_edited_makes_the_cycle_begin_again_at_once() -> None:
    async with at_work(Site()) as site:
        site.leases.edit(site.lease.name)
        reads = len(site.roles.reads)
        await asyncio.sleep(PERIOD)
        assert site.says == "active"
        assert len(site.roles.reads) == reads + 2
        assert site.leases.asked[-3:] == ["renew", "get", "renew"]


@jumping
async def test_a_lost_lease_ends_every_answer_until_there_is_another_one() -> None:
    async with at_work(Site()) as site:
        name = site.lease.name
        site.leases.leases.clear()
        said: list[str] = []
        site.leases.troubles["create"] = [Trouble(DOWN, between=lambda: said.append(site.says))]
        await asyncio.sleep(PERIOD + 0.01)
        assert said == ["LeaseLost"], "before anything else is done"
        await asyncio.sleep(0.1)
        assert site.says == "active"
        assert site.lease.name != name


@jumping
async def test_a_hub_that_does_not_take_renewals_is_not_flooded() -> None:
    async with at_work(Site()) as site:
        site.leases.troubles["renew"] = [Trouble(CHANGED) for _ in range(1000)]
        await asyncio.sleep(10)
        assert site.leases.asked.count("renew") <= 40


# --- the watch ----------------------------------------------------------------------------------------


@jumping
async def test_a_watched_loss_lowers_the_answer_and_is_acknowledged_at_once() -> None:
    """Nothing is read for it, and nothing extended."""
    async with at_work(Site()) as site:
        await asyncio.sleep(1)
        reads = len(site.roles.reads)
        site.roles.put(DEMOTING)
        await asyncio.sleep(0.001)
        assert (site.says, site.acknowledged) == ("demoting", TERM + 1)
        assert len(site.roles.reads) == reads
        site.roles.put(RETIRED)
        await asyncio.sleep(0.001)
        assert (site.says, site.acknowledged) == ("passive", TERM + 3)
        renewals = site.leases.asked.count("renew")
        await asyncio.sleep(30)
        assert site.leases.asked.count("renew") - renewals == len(site.roles.reads) - reads, "it is said once"


@jumping
async def test_what_is_watched_counts_while_a_renewal_is_on_its_way() -> None:
    """Writes are slow. Nothing that acts on the answer waits for them."""
    pod = ApiServer()
    async with at_work(Site(ACTIVE, pod)) as site:
        site.leases.slow = 2
        await asyncio.sleep(PERIOD)
        woken = asyncio.create_task(site.worker.knowledge.changed())
        await asyncio.sleep(0)
        site.roles.put(DEMOTING)
        await asyncio.sleep(0.001)
        assert site.says == "demoting"
        assert site.knows(DEMOTING)
        assert woken.done()
        assert pod.pod.active is False
        site.roles.put(None)
        await asyncio.sleep(0.001)
        assert site.says == "FederationNotFound"
        assert site.knows(None)


@jumping
async def test_an_answer_that_is_lowered_is_renewed_when_its_cycle_is_due() -> None:
    async with at_work(Site()) as site:
        site.roles.put(DEMOTING)
        await asyncio.sleep(2 * D)
        assert site.says == "demoting"


@jumping
async def test_a_watched_promotion_begins_a_cycle_at_once() -> None:
    async with at_work(Site(PASSIVE)) as site:
        await asyncio.sleep(1)
        site.roles.put(federation("active passive", term=TERM + 3))
        await asyncio.sleep(0.001)
        assert (site.says, site.acknowledged) == ("active", TERM + 3)


@jumping
async def test_a_loss_that_leaves_no_answer_begins_a_cycle_at_once() -> None:
    """Another object has replaced the federation, so no old answer can go on."""
    async with at_work(Site()) as site:
        await asyncio.sleep(1)
        reads = len(site.roles.reads)
        site.roles.put(federation("passive", members=1, term=TERM + 1))
        site.roles.put(federation(None, uid="uid-2"))
        await asyncio.sleep(0.001)
        assert len(site.roles.reads) > reads
        assert site.says == "NotBootstrapped"


@jumping
async def test_old_news_are_no_reason_for_a_cycle() -> None:
    async with at_work(Site()) as site:
        await asyncio.sleep(1)
        reads = len(site.roles.reads)
        site.roles.deliver(ACTIVE)
        await asyncio.sleep(0.001)
        assert len(site.roles.reads) == reads


@jumping
async def test_a_watch_that_lasted_begins_again_at_once_and_costs_no_cycle() -> None:
    """The server ends watches now and then. What a watch has missed, the next cycle finds out."""
    async with at_work(Site()) as site:
        await asyncio.sleep(10.1)
        reads = len(site.roles.reads)
        site.roles.put(None, watched=False)
        site.roles.deliver("end")
        await asyncio.sleep(0.001)
        assert (len(site.roles.watches), len(site.roles.reads)) == (2, reads)
        await asyncio.sleep(site.worker.knowledge.state.period)
        assert site.says == "FederationNotFound"


@jumping
async def test_watches_that_fail_at_once_begin_again_ever_less_often() -> None:
    site = Site()
    site.roles.troubles["watch"] = [DOWN] * 1000
    async with at_work(site):
        await asyncio.sleep(60)
        assert site.says == "active", "watches only make things fast"
        assert site.worker.knowledge.latest == ACTIVE
        assert 10 <= len(site.roles.watches) <= 40
        site.roles.troubles.clear()
        await asyncio.sleep(20)
        site.roles.watches.clear()
        site.roles.troubles["watch"] = [DOWN]
        site.roles.deliver("end")
        await asyncio.sleep(0.06)
        assert len(site.roles.watches) == 2, "after one that lasted, at once"


# --- stopping -----------------------------------------------------------------------------------------


@jumping
async def test_a_worker_that_is_stopped_answers_nothing_more_and_takes_its_lease_along() -> None:
    async with at_work(Site()) as site:
        woken = asyncio.create_task(site.worker.knowledge.changed())
        await asyncio.sleep(0.001)
        asked = site.leases.asked
    assert (site.says, site.worker.knowledge.stopped) == ("Stopping", True)
    assert site.leases.leases == {}
    assert asked[-1] == "delete"
    await woken


@jumping
async def test_before_its_lease_is_gone_a_stopped_worker_answers_nothing() -> None:
    async with at_work(Site()) as site:
        said: list[str] = []
        site.leases.troubles["delete"] = [Trouble(DOWN, between=lambda: said.append(site.says))]
    assert said == ["Stopping"]


# --- with a Pod that is marked ------------------------------------------------------------------------


def held_pod(*, active: bool = True) -> ApiServer:
    """A Pod with a readiness gate. The kubelet takes a while to act on what the Pod says."""
    pod = ApiServer()
    pod.pod = replace(pod.pod, active=active, role="active" if active else "passive", gated=True, ready=True)
    return pod


@jumping
async def test_what_an_earlier_process_has_left_is_taken_back_before_anything_is_acknowledged() -> None:
    pod = held_pod()
    pod.kubelet_after = 20
    async with at_work(Site(PASSIVE, pod)) as site:
        assert site.says == "passive", "it may answer; it only permits nothing to others"
        assert not site.acknowledged
        assert "not marked" in (site.worker.pod_trouble or "")
        await asyncio.sleep(1.5)
        assert pod.pod.active is False
        assert site.worker.pod_trouble is None
        assert site.lease.acknowledged == Acknowledgement(UID, TERM)


@jumping
async def test_a_loss_is_acknowledged_when_the_pod_is_lowered_and_renewals_go_on_meanwhile() -> None:
    pod = held_pod(active=False)
    async with at_work(Site(federation("active passive", lease_duration=3), pod)) as site:
        assert (site.says, pod.pod.active, site.acknowledged) == ("active", True, TERM)
        await asyncio.sleep(0.5)
        pod.kubelet_after = pod.reads + 16  # looks, one every twentieth of a second
        version = int(site.lease.resource_version)
        site.roles.put(federation("demoting passive", term=TERM + 1, lease_duration=3))
        await asyncio.sleep(0.6)
        assert (site.says, site.acknowledged) == ("demoting", TERM)
        assert int(site.lease.resource_version) > version, "it does not go silent"
        await asyncio.sleep(0.3)
        assert site.acknowledged == TERM + 1, "at once, when the Pod is lowered"
        assert pod.pod.active is False


@pytest.mark.parametrize(("duration", "patience"), [(3, 1), (60, 2)])
@jumping
async def test_a_pod_that_cannot_be_marked_holds_a_loss_up_for_a_moment_only(
    duration: int, patience: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Two seconds, or a period: a cluster whose API is down must not keep others from taking over."""
    pod = ApiServer()
    about = federation("active passive", lease_duration=duration)
    async with at_work(Site(about, pod)) as site:
        await asyncio.sleep(1)
        pod.failing = errors.UnreachableError("no API")
        site.roles.put(federation("demoting passive", term=TERM + 1, lease_duration=duration))
        await asyncio.sleep(patience - 0.05)
        assert (site.says, site.acknowledged) == ("demoting", TERM)
        await asyncio.sleep(0.1)
        assert site.acknowledged == TERM + 1
        assert "gives up the role anyway" in caplog.text


@jumping
async def test_whoever_becomes_active_has_no_loss_to_conclude() -> None:
    """Nobody else may act on the acknowledgement of a table that makes this worker active."""
    pod = held_pod()
    pod.failing = errors.UnreachableError("no API")
    async with at_work(Site(ACTIVE, pod)) as site:
        assert (site.says, site.acknowledged) == ("active", TERM)
        await asyncio.sleep(D)
        assert (site.says, site.acknowledged) == ("active", TERM)
        assert "no API" in (site.worker.pod_trouble or "")


@jumping
async def test_a_role_that_comes_back_while_its_loss_is_concluded_is_answered_for_at_once() -> None:
    pod = ApiServer()
    async with at_work(Site(ACTIVE, pod)) as site:
        pod.failing = errors.UnreachableError("no API")
        site.roles.put(DEMOTING)
        await asyncio.sleep(0.01)
        assert site.acknowledged == TERM
        site.roles.put(federation("active passive", term=TERM + 2))
        await asyncio.sleep(0.01)
        assert site.says == "active"
        assert site.lease.acknowledged == Acknowledgement(UID, TERM + 2)


@jumping
async def test_an_active_worker_withholds_nothing() -> None:
    """The watch has overtaken the read. In the newer table, it is active as well."""
    async with at_work(Site(ACTIVE, ApiServer())) as site:
        more = federation("active passive passive", term=TERM + 1)
        site.roles.during_read = lambda: site.roles.put(more)
        site.leases.renewals.clear()
        await asyncio.sleep(PERIOD)
        assert site.leases.renewals[0].acknowledged == Acknowledgement(UID, TERM + 1)
        assert site.says == "active"


@jumping
async def test_a_loss_that_was_read_is_acknowledged_without_another_read() -> None:
    pod = held_pod(active=False)
    async with at_work(Site(federation("active passive", lease_duration=6), pod)) as site:
        await asyncio.sleep(0.5)
        pod.kubelet_after = pod.reads + 10
        site.roles.put(federation("demoting passive", term=TERM + 1, lease_duration=6), watched=False)
        while site.says == "active":
            await site.worker.knowledge.changed()
        reads = len(site.roles.reads)
        assert site.acknowledged == TERM
        await asyncio.sleep(0.7)
        assert (site.acknowledged, len(site.roles.reads)) == (TERM + 1, reads)


@jumping
async def test_each_loss_is_concluded_for_itself() -> None:
    pod = ApiServer()
    async with at_work(Site(ACTIVE, pod)) as site:
        for term in (TERM + 1, TERM + 7):
            pod.failing = errors.UnreachableError("no API")
            site.roles.put(federation("demoting passive", term=term))
            await asyncio.sleep(0.5)
            assert site.acknowledged == term - 1
            await asyncio.sleep(2)
            assert site.acknowledged == term
            pod.failing = None
            site.roles.put(federation("active passive", term=term + 5))
            await asyncio.sleep(3)
            assert (site.says, pod.pod.active) == ("active", True)


@jumping
async def test_a_worker_that_stops_lowers_its_pod_before_its_lease_is_gone() -> None:
    pod = ApiServer()
    async with at_work(Site(ACTIVE, pod)) as site:
        await asyncio.sleep(1)
        assert pod.pod.active is True
        seen: list[bool | None] = []
        site.leases.troubles["delete"] = [Trouble(DOWN, between=lambda: seen.append(pod.pod.active))]
    assert seen == [False]
    assert pod.writes[-1] == "Stopping"


@jumping
async def test_under_keep_role_the_lease_says_so_only_while_this_member_is_active() -> None:
    keeping = federation("active passive", isolation=Isolation.KEEP_ROLE)
    async with at_work(Site(keeping)) as site:
        before = site.lease
        site.roles.put(federation("demoting passive", term=TERM + 1, isolation=Isolation.KEEP_ROLE))
        await asyncio.sleep(0.01)
        after = site.lease
    assert [lease.isolation for lease in (before, after)] == [Isolation.KEEP_ROLE, Isolation.FENCE]
