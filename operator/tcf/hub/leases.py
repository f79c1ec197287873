"""The workers' Leases on the hub.

What makes them a fence is how they are written. A worker renews by a merge-PATCH that names the uid
and resourceVersion it knows: of a deleted Lease that is 404, of a changed one 409, of a re-created one
409 or 422. A PUT would not do: the API server *creates* a Lease that is put without a uid, and a worker
whose Lease had been deleted to fence it would come back to life. The same goes for server-side apply.
"""

from __future__ import annotations

from datetime import UTC, datetime

from tcf.core.annotations import (
    ANNOTATION_ACKNOWLEDGED,
    ANNOTATION_ISOLATION,
    ANNOTATION_LAST_ACTIVE,
    LABEL_CLUSTER,
    LABEL_FEDERATION,
)
from tcf.core.model import Isolation, WorkerLease
from tcf.core.reading import REGISTRATION_DURATION, Renewal
from tcf.hub import records
from tcf.hub.answers import Json
from tcf.hub.client import MERGE_PATCH, HubClient, folder

GROUP, VERSION, PLURAL = "coordination.k8s.io", "v1", "leases"


class Leases:
    """Reads and writes workers' Leases. Every method raises `HubError`; deadlines are in seconds."""

    def __init__(self, client: HubClient) -> None:
        self._client = client

    async def list(self, namespace: str, federation: str, *, deadline: float) -> tuple[WorkerLease, ...]:
        """All Leases of a federation, whatever member they name, as of now (a consistent list)."""
        params = {"labelSelector": f"{LABEL_FEDERATION}={federation}"}
        answer = await self._client.request("GET", lease_folder(namespace), params=params, deadline=deadline)
        return records.leases(answer)

    async def reach(self, namespace: str | None, *, deadline: float) -> int:
        """Read next to nothing, to know whether they can be read (None: in all namespaces).

        Returns:
            the version of the hub.
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
        deadline: float,
    ) -> WorkerLease:
        """Register a worker: a Lease under which nothing has been granted. ConflictError if it exists."""
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
                "leaseDurationSeconds": REGISTRATION_DURATION,
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

        Raises:
            NotFoundError: it has been deleted.
            ConflictError, InvalidError: it has changed, or is another one by now.
        """
        acknowledged = str(renewal.acknowledged) if renewal.acknowledged else None
        last_active = str(renewal.last_active) if renewal.last_active else None
        body: Json = {
            "metadata": {
                "uid": lease.uid,
                "resourceVersion": lease.resource_version,
                "annotations": {
                    ANNOTATION_ACKNOWLEDGED: acknowledged,
                    ANNOTATION_ISOLATION: renewal.isolation.value,
                    ANNOTATION_LAST_ACTIVE: last_active,
                },
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
        """Delete this Lease if it is still this version (or with `any_version` still this object).

        Raises:
            ConflictError: it is not. NotFoundError: it is gone.
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
    """For people only: no decision rests on a renewTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
