"""What the API server says to whoever watches the Leases of workers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from rig.hub_namespace import HubNamespace
from rig.patience import PATIENCE

from tcf.hub.client import HubClient
from tcf.hub.credentials import Credentials, kubeconfig
from tcf.hub.worker_leases import LeaseEvent, Leases


@asynccontextmanager
async def leases_of(hub: HubNamespace) -> AsyncIterator[Leases]:
    client = HubClient(Credentials(kubeconfig(hub.kubeconfig)), user_agent="test")
    try:
        yield Leases(client)
    finally:
        await client.close()


def apply(hub: HubNamespace, name: str, *, labels: dict[str, str], holder: str = "one") -> None:
    manifest = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "labels": labels},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15},
    }
    hub.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


LABELS = {"tcf.dev/federation": "shop", "tcf.dev/cluster": "c1"}


def nothing() -> None:
    """Nobody wants to know that it is open."""


async def next_change(leases: Leases, namespace: str, version: str) -> LeaseEvent:
    async with (
        asyncio.timeout(PATIENCE),
        aclosing(leases.watch_all(namespace, version, deadline=10, opened=nothing)) as events,
    ):
        async for event in events:
            if event.lease:
                return event
    raise AssertionError("it ended")


async def test_what_has_changed_since_a_list_is_watched(hub: HubNamespace) -> None:
    apply(hub, "mine", labels=LABELS)
    apply(hub, "other", labels={})
    async with leases_of(hub) as leases:
        found, version = await leases.list_all(hub.namespace, deadline=PATIENCE)
        assert [event.lease.name for event in found if event.lease] == ["mine"]

        apply(hub, "mine", labels=LABELS, holder="two")
        changed = await next_change(leases, hub.namespace, version)
        assert changed.lease
        assert (changed.lease.holder, changed.deleted) == ("two", False)

        hub.kubectl("label", "lease", "mine", "tcf.dev/federation-")
        gone = await next_change(leases, hub.namespace, changed.version)
        assert gone.lease
        assert (gone.lease.name, gone.deleted) == ("mine", True), "without the label it is nobody's"


async def test_a_watch_on_which_nothing_happens_ends_with_a_newer_version(hub: HubNamespace) -> None:
    """So that it can go on from there, however much happens elsewhere."""
    apply(hub, "mine", labels=LABELS)
    async with leases_of(hub) as leases:
        _, version = await leases.list_all(hub.namespace, deadline=PATIENCE)
        apply(hub, "other", labels={})
        async with aclosing(leases.watch_all(hub.namespace, version, deadline=10, opened=nothing)) as events:
            seen = [event async for event in events]
        assert seen, "the hub has sent no bookmark"
        assert all(event.lease is None for event in seen)
        assert int(seen[-1].version) > int(version)
