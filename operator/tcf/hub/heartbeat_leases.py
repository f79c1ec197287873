"""The heartbeat: a Lease in each namespace by which operators show that they look after it."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from tcf.core.annotations import ANNOTATIONS_OF_OPERATORS, LABEL_OPERATOR
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

    async def beat(
        self, namespace: str, holder: str, forgotten: Iterable[str], *, deadline: float
    ) -> dict[str, str]:
        """Renew the heartbeat, no matter which operator has renewed it before, or create it.

        `forgotten`: the operators whose marks to remove. Returns the marks that are there now, by operator.
        """
        now = micro_time()
        labels, mark = {LABEL_OPERATOR: "heartbeat"}, {_mark(holder): f"{holder}/{now}"}
        gone = {_mark(name): None for name in forgotten}
        spec = {"holderIdentity": holder, "leaseDurationSeconds": HEARTBEAT_DURATION, "renewTime": now}
        body: Json = {"metadata": {"labels": labels, "annotations": {**gone, **mark}}, "spec": spec}
        try:
            found = await self._client.request(
                "PATCH", _path(namespace), body=body, content_type=MERGE_PATCH, deadline=deadline
            )
        except errors.NotFoundError:
            body = {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": "Lease",
                "metadata": {
                    "namespace": namespace,
                    "name": HEARTBEAT,
                    "labels": labels,
                    "annotations": mark,
                },
                "spec": spec,
            }
            found = await self._client.request("POST", lease_folder(namespace), body=body, deadline=deadline)
        return _marks(found)


def _mark(operator: str) -> str:
    """The annotation of this operator. Its name may be too long for one, or have other characters."""
    return ANNOTATIONS_OF_OPERATORS + blake2b(operator.encode(), digest_size=6).hexdigest()


def _marks(heartbeat: Json) -> dict[str, str]:
    with records.reading("the heartbeat"):
        annotations = heartbeat["metadata"].get("annotations") or {}
        marks = [mark for name, mark in annotations.items() if name.startswith(ANNOTATIONS_OF_OPERATORS)]
        return {name: mark for mark in marks if (name := mark.rpartition("/")[0])}


def _path(namespace: str) -> str:
    return f"{lease_folder(namespace)}/{HEARTBEAT}"
