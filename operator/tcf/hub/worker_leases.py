"""The workers' Leases on the hub.

The fence depends on how they are written. A worker renews by a merge PATCH that names the uid and the
resourceVersion that it knows. If the Lease was deleted, the answer is 404; if it was changed, 409; if it was
deleted and created again, 409 or 422. A PUT would not do: the API server *creates* a Lease that is PUT
without a uid. So a worker whose Lease was deleted to fence it would be back. The same is true for server-side
apply.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

from tcf.core.annotations import (
    ANNOTATION_ACKNOWLEDGED,
    ANNOTATION_APPLICATION,
    ANNOTATION_HELD_BY,
    ANNOTATION_ISOLATION,
    ANNOTATION_LAST_ACTIVE,
    LABEL_CLUSTER,
    LABEL_FEDERATION,
)
from tcf.core.lease_content import Renewal
from tcf.core.model import Isolation, WorkerLease
from tcf.hub import errors, records
from tcf.hub.answers import Json
from tcf.hub.client import MERGE_PATCH, HubClient, folder

GROUP, VERSION, PLURAL = "coordination.k8s.io", "v1", "leases"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseEvent:
    """A worker's Lease has changed or was `deleted`. Without a `lease`, only the hub's `version` is newer."""

    version: str
    namespace: str = ""
    lease: WorkerLease | None = None
    deleted: bool = False


class Leases:
    """Reads and writes workers' Leases. Every method raises `HubError`; deadlines are in seconds."""

    def __init__(self, client: HubClient) -> None:
        self._client = client

    async def list(self, namespace: str, federation: str, *, deadline: float) -> tuple[WorkerLease, ...]:
        """All Leases of a federation as of now (a consistent list), whichever member they name."""
        params = {"labelSelector": f"{LABEL_FEDERATION}={federation}"}
        answer = await self._client.request("GET", lease_folder(namespace), params=params, deadline=deadline)
        return records.leases(answer)

    async def list_all(self, namespace: str | None, *, deadline: float) -> tuple[tuple[LeaseEvent, ...], str]:
        """All workers' Leases (None: in all namespaces), and the version of the hub that the list is of."""
        params = {"labelSelector": LABEL_FEDERATION}
        answer = await self._client.request("GET", lease_folder(namespace), params=params, deadline=deadline)
        found = [_event(each, deleted=False) for each in records.items(answer, "LeaseList")]
        return tuple(event for event in found if event), str(records.list_version(answer))

    async def watch_all(
        self, namespace: str | None, version: str, *, deadline: float, opened: Callable[[], None]
    ) -> AsyncGenerator[LeaseEvent]:
        """Yield what has changed since `version`. It ends every half minute. `opened`: see `HubClient.watch`.

        Raises:
            VersionGoneError: the hub no longer has that version.
        """
        params = {
            "labelSelector": LABEL_FEDERATION,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
        }
        events = self._client.watch(lease_folder(namespace), params, deadline=deadline, opened=opened)
        async with aclosing(events):
            async for kind, value in events:
                if kind == "BOOKMARK":
                    yield LeaseEvent(_bookmark(value))
                elif event := _event(value, deleted=kind == "DELETED"):
                    yield event

    async def reach(self, namespace: str | None, *, deadline: float) -> int:
        """Read as little as possible, to find out whether Leases can be read (None: in all namespaces).

        Returns:
            the present version of the hub.
        """
        params = {"labelSelector": LABEL_FEDERATION, "limit": "1"}
        answer = await self._client.request("GET", lease_folder(namespace), params=params, deadline=deadline)
        return records.list_version(answer)

    async def get(self, namespace: str, name: str, *, deadline: float) -> WorkerLease:
        return records.lease(
            await self._client.request("GET", f"{lease_folder(namespace)}/{name}", deadline=deadline)
        )

    async def create(
        self,
        namespace: str,
        name: str,
        *,
        federation: str,
        cluster: str,
        holder: str,
        duration: int,
        deadline: float,
    ) -> WorkerLease:
        """Register a worker: create its Lease. Raises ConflictError if the Lease exists already."""
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "Lease",
            "metadata": {
                "namespace": namespace,
                "name": name,
                "labels": {LABEL_FEDERATION: federation, LABEL_CLUSTER: cluster},
                "annotations": {ANNOTATION_ISOLATION: Isolation.FENCE.value},
            },
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": duration,
                "acquireTime": micro_time(),
                "renewTime": micro_time(),
            },
        }
        return records.lease(
            await self._client.request("POST", lease_folder(namespace), body=body, deadline=deadline)
        )

    async def renew(
        self, namespace: str, lease: WorkerLease, renewal: Renewal, *, deadline: float
    ) -> WorkerLease:
        """Write a renewal to exactly this version of the Lease.

        What the holders report is part of the write only if the Lease says something else.

        Raises:
            NotFoundError: the Lease was deleted.
            ConflictError, InvalidError: the Lease has changed, or was replaced by another.
        """
        acknowledged = str(renewal.acknowledged) if renewal.acknowledged else None
        last_active = str(renewal.last_active) if renewal.last_active else None
        annotations: Json = {
            ANNOTATION_ACKNOWLEDGED: acknowledged,
            ANNOTATION_ISOLATION: renewal.isolation.value,
            ANNOTATION_LAST_ACTIVE: last_active,
        }
        if renewal.application is not lease.application:
            annotations[ANNOTATION_APPLICATION] = renewal.application.value if renewal.application else None
        if renewal.held_by != lease.held_by:
            annotations[ANNOTATION_HELD_BY] = renewal.held_by or None
        body: Json = {
            "metadata": {
                "uid": lease.uid,
                "resourceVersion": lease.resource_version,
                "annotations": annotations,
            },
            "spec": {"leaseDurationSeconds": renewal.duration, "renewTime": micro_time()},
        }
        path = f"{lease_folder(namespace)}/{lease.name}"
        return records.lease(
            await self._client.request("PATCH", path, body=body, content_type=MERGE_PATCH, deadline=deadline)
        )

    async def delete(
        self, namespace: str, lease: WorkerLease, *, any_version: bool = False, deadline: float
    ) -> None:
        """Delete this Lease if it still has this version (with `any_version`: if it is still this object).

        Raises:
            ConflictError: it has another version, or is another object.
            NotFoundError: it is gone already.
            MalformedError: the answer does not say that it is gone now.
        """
        preconditions = {"uid": lease.uid}
        if not any_version:
            preconditions["resourceVersion"] = lease.resource_version
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions}
        path = f"{lease_folder(namespace)}/{lease.name}"
        answer = await self._client.request("DELETE", path, body=body, deadline=deadline)
        records.check_deleted(answer, lease.name)


def lease_folder(namespace: str | None) -> str:
    return folder(GROUP, VERSION, PLURAL, namespace)


def micro_time() -> str:
    """The time for a Lease. It is for people only; no decision depends on a renewTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _bookmark(value: Json) -> str:
    with records.reading("a bookmark"):
        return str(records.version(value["metadata"]["resourceVersion"]))


def _event(value: Json, *, deleted: bool) -> LeaseEvent | None:
    """None for what is no Lease of a worker: somebody has put the label on something else."""
    try:
        which, lease = records.identity(value), records.lease(value)
    except errors.MalformedError as error:
        log.warning("%s; it is ignored", error)
        return None
    return LeaseEvent(which.resource_version, which.namespace, lease, deleted)
