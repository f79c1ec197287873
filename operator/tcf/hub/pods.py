"""The Pod in which a worker runs, on the Pod's own cluster, which need not be the hub.

Each write names the uid and the resourceVersion from which it was made. So if the answer to a write was lost,
that write cannot take effect after a later one and undo it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from tcf.core.annotations import LABEL_ROLE
from tcf.core.pod_marks import CONDITION_ACTIVE, Mark
from tcf.hub import records
from tcf.hub.answers import Json
from tcf.hub.client import MERGE_PATCH, STRATEGIC_MERGE_PATCH, HubClient, folder
from tcf.hub.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Pod:
    """A Pod as read: its marks and its version.

    `gated`: the condition is a readiness gate of the Pod. `ready`: the Pod is ready.
    """

    uid: str
    resource_version: str
    role: str | None
    active: bool | None
    reason: str | None
    gated: bool = False
    ready: bool = False


class Pods:
    """Reads and marks one Pod. Every method raises `HubError`; deadlines are in seconds.

    `uid`: that of the Pod. Without it, the first Pod of this name that is read is taken for the worker's own.
    A later Pod with the same name is never touched. (A StatefulSet may create one while this process is cut
    off.)
    """

    def __init__(self, client: HubClient, namespace: str, name: str, uid: str | None = None) -> None:
        self._client = client
        self._name = name
        self._uid = uid
        self._path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        self._slices = folder("discovery.k8s.io", "v1", "endpointslices", namespace)

    async def get(self, *, deadline: float) -> Pod:
        """Read the Pod. Raises NotFoundError also if there is another Pod with this name."""
        pod = _pod(await self._client.request("GET", self._path, deadline=deadline))
        if self._uid not in {None, pod.uid}:
            raise NotFoundError(f"pod {self._name} is not this pod: it has another uid, {pod.uid}")
        self._uid = pod.uid
        return pod

    async def reached_by(
        self, pod: Pod, *, among: Collection[str] | None = None, deadline: float
    ) -> frozenset[str]:
        """The names of the EndpointSlices (`among` these, or all) that still send requests to the Pod."""
        if among is None:
            answer = await self._client.request("GET", self._slices, deadline=deadline)
            found = records.items(answer, "EndpointSliceList")
        else:
            found = []
            for name in among:
                with contextlib.suppress(NotFoundError):
                    found.append(
                        await self._client.request("GET", f"{self._slices}/{name}", deadline=deadline)
                    )
        with records.reading("an EndpointSlice"):
            return frozenset(each["metadata"]["name"] for each in found if _leads_to(each, pod))

    async def label(self, pod: Pod, mark: Mark, *, deadline: float) -> Pod:
        """Set the label. Raises ConflictError if the Pod has changed since, or was replaced."""
        body = {"metadata": {**_version(pod), "labels": {LABEL_ROLE: mark.role}}}
        return _pod(
            await self._client.request(
                "PATCH", self._path, body=body, content_type=MERGE_PATCH, deadline=deadline
            )
        )

    async def set_condition(self, pod: Pod, mark: Mark, *, deadline: float) -> Pod:
        """Set the condition. Raises ConflictError if the Pod has changed since, or was replaced."""
        condition: Json = {
            "type": CONDITION_ACTIVE,
            "status": "True" if mark.active else "False",
            "reason": mark.reason,
            "message": mark.message,
        }
        if pod.active is not mark.active:
            condition["lastTransitionTime"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {"metadata": _version(pod), "status": {"conditions": [condition]}}
        return _pod(
            await self._client.request(
                "PATCH",
                f"{self._path}/status",
                body=body,
                content_type=STRATEGIC_MERGE_PATCH,  # it merges by type, so other conditions stay
                deadline=deadline,
            )
        )


def _leads_to(slice_: Json, pod: Pod) -> bool:
    return any(
        (endpoint.get("targetRef") or {}).get("uid") == pod.uid and _ready(endpoint.get("conditions") or {})
        for endpoint in slice_.get("endpoints") or ()
    )


def _ready(conditions: Json) -> bool:
    """Both fields count: if a Service publishes addresses that are not ready, all are called `ready`."""
    return all(conditions.get(name) is not False for name in ("ready", "serving"))


def _version(pod: Pod) -> Json:
    return {"uid": pod.uid, "resourceVersion": pod.resource_version}


def _pod(value: Json) -> Pod:
    which = records.identity(value)
    with records.reading(f"the Pod {which.namespace}/{which.name}"):
        metadata = value["metadata"]
        conditions = {c["type"]: c for c in (value.get("status") or {}).get("conditions") or ()}
        gates = (value.get("spec") or {}).get("readinessGates") or ()
        own = conditions.get(CONDITION_ACTIVE)
        return Pod(
            uid=which.uid,
            resource_version=which.resource_version,
            role=records.text((metadata.get("labels") or {}).get(LABEL_ROLE)),
            active=own["status"] == "True" if own else None,
            reason=records.text(own.get("reason")) if own else None,
            gated=any(gate["conditionType"] == CONDITION_ACTIVE for gate in gates),
            ready=conditions.get("Ready", {}).get("status") == "True",
        )
