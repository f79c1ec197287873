"""What the real API server does with the writes that the protocol rests on: none of it may change."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from rig.hub_namespace import HubNamespace
from rig.patience import PATIENCE

from tcf.core.annotations import Acknowledgement, LastActive
from tcf.core.lease_content import Renewal
from tcf.core.model import Application, Federation, Isolation, Role, WorkerLease
from tcf.hub import errors
from tcf.hub.client import HubClient
from tcf.hub.credentials import Credentials, kubeconfig
from tcf.hub.federations import Federations
from tcf.hub.worker_leases import Leases

ACKNOWLEDGED = Acknowledgement("11111111-2222-3333-4444-555555555555", 7)
RENEWAL = Renewal(ACKNOWLEDGED, Isolation.FENCE, 5)


@dataclass
class Registry:
    """The Leases and federations of the test's namespace, through the code under test and past it."""

    client: HubClient
    namespace: str

    def __post_init__(self) -> None:
        self._leases = Leases(self.client)
        self._federations = Federations(self.client)

    # --- Leases

    async def register(self, name: str = "worker", federation: str = "shop") -> WorkerLease:
        return await self._leases.create(
            self.namespace,
            name,
            federation=federation,
            cluster="cluster_1",
            holder="me",
            duration=1,
            deadline=PATIENCE,
        )

    async def renew(self, lease: WorkerLease, renewal: Renewal = RENEWAL) -> WorkerLease:
        return await self._leases.renew(self.namespace, lease, renewal, deadline=PATIENCE)

    async def lease(self, name: str = "worker") -> WorkerLease:
        return await self._leases.get(self.namespace, name, deadline=PATIENCE)

    async def delete(self, lease: WorkerLease, *, any_version: bool = False) -> None:
        await self._leases.delete(self.namespace, lease, any_version=any_version, deadline=PATIENCE)

    async def listed(self, federation: str = "shop") -> set[str]:
        found = await self._leases.list(self.namespace, federation, deadline=PATIENCE)
        return {lease.name for lease in found}

    async def raw_lease(
        self, method: str, name: str = "worker", body: dict[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/{name}"
        return await self.client.request(method, path, body=body, deadline=PATIENCE, **options)

    # --- federations

    async def create(self, name: str = "shop") -> Federation:
        clusters = [{"id": id_, "name": id_} for id_ in ("cluster_1", "cluster_2")]
        body = {
            "apiVersion": "tcf.dev/v1alpha1",
            "kind": "ClusterFederation",
            "metadata": {"name": name},
            "spec": {"clusters": clusters},
        }
        await self.client.request("POST", self._folder, body=body, deadline=PATIENCE)
        return await self.federation(name)

    async def federation(self, name: str = "shop") -> Federation:
        return await self._federations.get(self.namespace, name, deadline=PATIENCE)

    async def give_roles(self, to: Federation, term: int) -> Federation:
        """Write a status at this term to the version given."""
        rows = [
            {"id": m.id, "name": m.name, "status": role.value}
            for m, role in zip(to.spec.clusters, (Role.ACTIVE, Role.PASSIVE), strict=True)
        ]
        body = {
            "apiVersion": "tcf.dev/v1alpha1",
            "kind": "ClusterFederation",
            "metadata": {"name": to.name, "resourceVersion": to.resource_version},
            "status": {"protocol": 1, "term": term, "activeCluster": "cluster_1", "clusters": rows},
        }
        await self.client.request("PUT", f"{self._folder}/{to.name}/status", body=body, deadline=PATIENCE)
        return await self.federation(to.name)

    async def write_term(self, to: Federation, term: int) -> Federation:
        """Write the status of `to` at another term, as the coordinator does."""
        assert to.status
        changed = replace(to.status, term=term)
        return await self._federations.write_status(to, changed, deadline=PATIENCE)

    async def annotate(self, to: Federation, value: str) -> Federation:
        return await self._federations.annotate(to, {"tcf.dev/last-active": value}, deadline=PATIENCE)

    async def remove(self, name: str = "shop") -> None:
        await self.client.request("DELETE", f"{self._folder}/{name}", deadline=PATIENCE)

    def watch(self, name: str = "shop") -> AsyncGenerator[Federation | None]:
        """A generator, so that the test can close it."""
        return self._federations.watch(self.namespace, name, deadline=PATIENCE)

    @property
    def _folder(self) -> str:
        return f"/apis/tcf.dev/v1alpha1/namespaces/{self.namespace}/clusterfederations"


@pytest_asyncio.fixture
async def registry(control_plane: dict[str, str], namespace: str) -> AsyncIterator[Registry]:
    client = HubClient(Credentials(kubeconfig(Path(control_plane["kubeconfig"]))), user_agent="test")
    try:
        yield Registry(client, namespace)
    finally:
        await client.close()


# --- renewals ---------------------------------------------------------------------------------------


async def test_a_renewal_says_all_that_fencing_goes_by(registry: Registry) -> None:
    lease = await registry.register()
    assert (lease.acknowledged, lease.isolation, lease.duration) == (None, Isolation.FENCE, 1)

    renewed = await registry.renew(lease)

    assert renewed == await registry.lease()
    assert renewed == replace(
        lease,
        resource_version=renewed.resource_version,
        acknowledged=ACKNOWLEDGED,
        duration=5,
        renewed_at=renewed.renewed_at,
    )
    assert renewed.resource_version != lease.resource_version
    last = LastActive("cluster_1", 7)
    keeping = await registry.renew(renewed, Renewal(None, Isolation.KEEP_ROLE, 300, last))
    assert (keeping.acknowledged, keeping.isolation, keeping.duration) == (None, Isolation.KEEP_ROLE, 300)
    assert keeping.last_active == last


async def test_a_lease_says_how_the_application_is_as_long_as_a_holder_reports(registry: Registry) -> None:
    lease = await registry.renew(await registry.register())
    assert lease.application is None
    for report in (Application.HEALTHY, Application.HEALTHY, Application.UNHEALTHY, None, None):
        lease = await registry.renew(lease, replace(RENEWAL, application=report))
        assert lease.application is report
        assert lease == await registry.lease()


async def test_a_renewal_that_only_moves_the_time_is_a_new_version(registry: Registry) -> None:
    """Silence is counted from the last version: a renewal that the server drops would look like death."""
    lease = await registry.renew(await registry.register())
    assert (await registry.renew(lease)).resource_version != lease.resource_version


async def test_a_deleted_lease_cannot_be_renewed(registry: Registry) -> None:
    lease = await registry.register()
    await registry.delete(lease)

    with pytest.raises(errors.NotFoundError):
        await registry.renew(lease)

    with pytest.raises(errors.NotFoundError):
        await registry.lease()
    assert await registry.listed() == set()


async def test_a_lease_that_somebody_changed_cannot_be_renewed(registry: Registry) -> None:
    lease = await registry.register()
    changed = await registry.renew(lease)

    with pytest.raises(errors.ConflictError):
        await registry.renew(lease, Renewal(None, Isolation.KEEP_ROLE, 300))

    assert await registry.lease() == changed


async def test_the_same_renewal_twice_is_written_once(registry: Registry) -> None:
    """So an ambiguous one may be repeated: what it was about is gone."""
    lease = await registry.register()
    renewed = await registry.renew(lease)
    with pytest.raises(errors.ConflictError):
        await registry.renew(lease)
    assert await registry.lease() == renewed


async def test_a_recreated_lease_cannot_be_renewed_by_its_former_owner(registry: Registry) -> None:
    former = await registry.register()
    await registry.delete(former)
    present = await registry.register()
    assert present.uid != former.uid

    with pytest.raises(errors.ConflictError):
        await registry.renew(former)
    with pytest.raises(errors.InvalidError):
        await registry.renew(replace(former, resource_version=present.resource_version))

    assert await registry.lease() == present


async def test_a_name_is_taken_once(registry: Registry) -> None:
    lease = await registry.register()
    with pytest.raises(errors.ConflictError):
        await registry.register()
    assert await registry.lease() == lease


# --- the traps: writes that would bring a fenced worker back to life ---------------------------------


def _as_put(lease: dict[str, Any], *leave_out: str) -> dict[str, Any]:
    return {**lease, "metadata": {k: v for k, v in lease["metadata"].items() if k not in leave_out}}


async def test_a_put_without_uid_creates_a_deleted_lease_anew(registry: Registry) -> None:
    """The trap for whom renewals are PATCHes. Should this ever fail, a PUT has become safe as well."""
    lease = await registry.register()
    body = await registry.raw_lease("GET")
    await registry.delete(lease)

    await registry.raw_lease("PUT", body=_as_put(body, "uid", "resourceVersion"))

    risen = await registry.lease()
    assert (risen.name, risen.cluster) == (lease.name, lease.cluster)
    assert risen.uid != lease.uid


async def test_a_put_with_uid_does_not(registry: Registry) -> None:
    lease = await registry.register()
    body = await registry.raw_lease("GET")
    await registry.delete(lease)
    with pytest.raises(errors.ConflictError):
        await registry.raw_lease("PUT", body=_as_put(body, "resourceVersion"))
    assert await registry.listed() == set()


async def test_server_side_apply_creates_a_deleted_lease_anew(registry: Registry) -> None:
    lease = await registry.register()
    await registry.delete(lease)

    await registry.raw_lease(
        "PATCH",
        body={
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": lease.name},
            "spec": {"holderIdentity": "me"},
        },
        content_type="application/apply-patch+yaml",
        params={"fieldManager": "test", "force": "true"},
    )

    assert (await registry.lease()).uid != lease.uid


# --- deletions --------------------------------------------------------------------------------------


async def test_a_deletion_fences_only_the_version_that_was_judged(registry: Registry) -> None:
    judged = await registry.register()
    renewed = await registry.renew(judged)

    with pytest.raises(errors.ConflictError):
        await registry.delete(judged)

    assert await registry.lease() == renewed
    await registry.delete(await registry.renew(renewed))
    assert await registry.listed() == set()


async def test_a_deletion_of_any_version_is_still_of_that_object_only(registry: Registry) -> None:
    former = await registry.register()
    await registry.renew(former)
    await registry.delete(former, any_version=True)
    assert await registry.listed() == set()
    with pytest.raises(errors.NotFoundError):
        await registry.delete(former, any_version=True)
    with pytest.raises(errors.NotFoundError):
        await registry.delete(former)

    present = await registry.register()
    with pytest.raises(errors.ConflictError):
        await registry.delete(former, any_version=True)
    with pytest.raises(errors.ConflictError):
        await registry.delete(replace(former, resource_version=present.resource_version))

    assert await registry.lease() == present


async def test_of_a_renewal_and_a_deletion_of_one_version_exactly_one_wins(registry: Registry) -> None:
    """The fence itself: whoever comes second fails, in whichever order the server takes them."""
    for number in range(20):
        lease = await registry.register(f"worker-{number}")
        attempts = [registry.renew(lease), registry.delete(lease)]
        if number % 2:
            attempts.reverse()
        results = await asyncio.gather(*attempts, return_exceptions=True)
        renewed, deleted = reversed(results) if number % 2 else results
        left = await registry.listed()
        if isinstance(renewed, WorkerLease):
            assert isinstance(deleted, errors.ConflictError)
            assert left == {lease.name}
            await registry.delete(renewed)
        else:
            assert isinstance(renewed, errors.NotFoundError | errors.ConflictError)
            assert deleted is None
            assert left == set()


async def test_a_list_is_of_now(registry: Registry) -> None:
    """Served from a cache that lags, it would hide a worker from the fence, or show one that is gone."""
    await registry.register("elsewhere", federation="warehouse")
    for number in range(10):
        lease = await registry.register(f"worker-{number}")
        assert await registry.listed() == {lease.name}
        renewed = await registry.renew(lease)
        assert (await Leases(registry.client).list(registry.namespace, "shop", deadline=PATIENCE)) == (
            renewed,
        )
        await registry.delete(renewed)
        assert await registry.listed() == set()
    assert await registry.listed("warehouse") == {"elsewhere"}
    assert await registry.listed("sho") == set()


# --- the federation ---------------------------------------------------------------------------------


async def test_a_status_is_written_to_the_version_that_was_read(
    registry: Registry, hub: HubNamespace
) -> None:
    read = await registry.give_roles(await registry.create(), 5)
    theirs = await registry.write_term(read, 6)

    with pytest.raises(errors.ConflictError):
        await registry.write_term(read, 7)

    assert await registry.federation() == theirs
    # A change of the spec alone is somebody's change as well.
    hub.kubectl("patch", "cfed", "shop", "--type=merge", "-p", json.dumps({"spec": {"paused": True}}))
    with pytest.raises(errors.ConflictError):
        await registry.write_term(theirs, 8)
    found = await registry.federation()
    assert found.status == theirs.status
    assert found.spec.paused


async def test_a_status_is_written_to_the_object_that_was_read(registry: Registry) -> None:
    read = await registry.give_roles(await registry.create(), 5)
    await registry.remove()
    with pytest.raises(errors.NotFoundError):
        await registry.write_term(read, 6)
    present = await registry.create()

    with pytest.raises(errors.ConflictError):
        await registry.write_term(read, 6)
    with pytest.raises(errors.ConflictError):
        await registry.write_term(replace(read, resource_version=present.resource_version), 6)

    assert await registry.federation() == present


async def test_a_status_write_leaves_the_spec_alone(registry: Registry) -> None:
    read = await registry.give_roles(await registry.create(), 5)
    assert read.status
    written = await registry.write_term(replace(read, spec=replace(read.spec, paused=True), generation=17), 6)
    assert (written.spec, written.generation) == (read.spec, read.generation)
    assert written.status == replace(read.status, term=6)


async def test_an_annotation_is_written_to_the_version_that_was_read(registry: Registry) -> None:
    read = await registry.give_roles(await registry.create(), 5)
    theirs = await registry.write_term(read, 6)

    with pytest.raises(errors.ConflictError):
        await registry.annotate(read, "cluster_1/5")
    assert await registry.federation() == theirs

    noted = await registry.annotate(theirs, "cluster_1/6")
    assert noted.annotations == {"tcf.dev/last-active": "cluster_1/6"}
    assert (noted.status, noted.generation) == (theirs.status, theirs.generation)
    await registry.remove()
    with pytest.raises(errors.NotFoundError):
        await registry.annotate(noted, "cluster_1/7")
    present = await registry.create()
    with pytest.raises(errors.InvalidError):
        await registry.annotate(replace(noted, resource_version=present.resource_version), "cluster_1/7")
    assert await registry.federation() == present


async def test_a_watch_shows_creation_change_and_deletion(registry: Registry) -> None:
    async with asyncio.timeout(PATIENCE), aclosing(registry.watch()) as seen:
        first = asyncio.ensure_future(anext(seen))
        await registry.create("other")  # another object of the folder: nothing of it may be seen
        created = await registry.create()
        assert await first == created

        ruled = await registry.give_roles(created, 5)
        assert await anext(seen) == ruled
        raised = await registry.write_term(ruled, 6)
        assert await anext(seen) == raised

        await registry.remove("other")
        await registry.remove()
        assert await anext(seen) is None

        again = await registry.create()
        assert await anext(seen) == again
        assert again.uid != created.uid


async def test_a_watch_begins_with_what_is_there(registry: Registry) -> None:
    present = await registry.give_roles(await registry.create(), 5)
    async with asyncio.timeout(PATIENCE), aclosing(registry.watch()) as seen:
        assert await anext(seen) == present
