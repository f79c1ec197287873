"""The heartbeat: a Lease in each namespace by which operators show that they look after it."""

from __future__ import annotations

from tcf.core.annotations import LABEL_OPERATOR
from tcf.core.heartbeat import HEARTBEAT, HEARTBEAT_DURATION
from tcf.hub import errors, records
from tcf.hub.answers import Json
from tcf.hub.client import MERGE_PATCH, HubClient
from tcf.hub.worker_leases import GROUP, VERSION, lease_folder, micro_time


class Heartbeats:
    """Reads and renews heartbeats. Every method raises `HubError`; deadlines are in seconds."""

    def __init__(self, client: HubClient) -> None:
        self._client = client

    async def look(self, namespace: str, *, deadline: float) -> tuple[str, int]:
        """The version of the heartbeat and its duration in seconds; ("", 0) if there is none."""
        try:
            found = await self._client.request("GET", _path(namespace), deadline=deadline)
        except errors.NotFoundError:
            return "", 0
        lease = records.lease(found)
        return lease.resource_version, lease.duration

    async def beat(self, namespace: str, holder: str, *, deadline: float) -> None:
        """Renew the heartbeat, no matter which operator has renewed it before, or create it."""
        body: Json = {
            "metadata": {"labels": {LABEL_OPERATOR: "heartbeat"}},
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": HEARTBEAT_DURATION,
                "renewTime": micro_time(),
            },
        }
        try:
            await self._client.request(
                "PATCH", _path(namespace), body=body, content_type=MERGE_PATCH, deadline=deadline
            )
        except errors.NotFoundError:
            body |= {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Lease"}
            body["metadata"] |= {"namespace": namespace, "name": HEARTBEAT}
            await self._client.request("POST", lease_folder(namespace), body=body, deadline=deadline)


def _path(namespace: str) -> str:
    return f"{lease_folder(namespace)}/{HEARTBEAT}"
