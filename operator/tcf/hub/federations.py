"""ClusterFederation objects on the hub."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from tcf.core.model import Federation, Status
from tcf.hub import records
from tcf.hub.answers import Json
from tcf.hub.client import MERGE_PATCH, HubClient, folder
from tcf.hub.errors import MalformedError

GROUP, VERSION, KIND, PLURAL = "tcf.dev", "v1alpha1", "ClusterFederation", "clusterfederations"


class Federations:
    """Reads and writes ClusterFederations. Every method raises `HubError`; deadlines are in seconds."""

    def __init__(self, client: HubClient) -> None:
        self._client = client

    async def get(self, namespace: str, name: str, *, deadline: float) -> Federation:
        """Read the federation, by a quorum read (without a resourceVersion). Raises NotFoundError."""
        return records.federation(
            await self._client.request("GET", f"{_folder(namespace)}/{name}", deadline=deadline)
        )

    async def reach(self, namespace: str | None, *, deadline: float) -> tuple[records.Identity | None, int]:
        """Read as little as possible, to find out whether federations can be read (None: in all namespaces).

        Returns:
            the first federation, if there is one, and the present version of the hub.
        """
        answer = await self._client.request(
            "GET", _folder(namespace), params={"limit": "1"}, deadline=deadline
        )
        return records.first(answer, f"{KIND}List"), records.list_version(answer)

    async def list(
        self, namespace: str | None, *, labels: str = "", deadline: float
    ) -> tuple[tuple[Federation, ...], tuple[str, ...]]:
        """All federations (None: in all namespaces), and what is wrong with those that are malformed.

        `labels`: a selector; only federations with these labels are listed.
        """
        params = {"labelSelector": labels} if labels else None
        answer = await self._client.request("GET", _folder(namespace), params=params, deadline=deadline)
        found, troubles = [], []
        for item in records.items(answer, f"{KIND}List"):
            try:
                found.append(records.federation(item))
            except MalformedError as error:
                troubles.append(str(error))
        return tuple(found), tuple(troubles)

    async def write_status(self, federation: Federation, status: Status, *, deadline: float) -> Federation:
        """Replace the status of the version that was read. Raises ConflictError if it has changed since."""
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "metadata": {
                "namespace": federation.namespace,
                "name": federation.name,
                "uid": federation.uid,
                "resourceVersion": federation.resource_version,
            },
            "status": records.status_json(status),
        }
        path = f"{_folder(federation.namespace)}/{federation.name}/status"
        return _written(await self._client.request("PUT", path, body=body, deadline=deadline))

    async def annotate(
        self, federation: Federation, annotations: Mapping[str, str], *, deadline: float
    ) -> Federation:
        """Set annotations on the version that was read. Raises ConflictError if it has changed since."""
        body = {
            "metadata": {
                "uid": federation.uid,
                "resourceVersion": federation.resource_version,
                "annotations": dict(annotations),
            }
        }
        path = f"{_folder(federation.namespace)}/{federation.name}"
        return _written(
            await self._client.request("PATCH", path, body=body, content_type=MERGE_PATCH, deadline=deadline)
        )

    async def pause(self, namespace: str, name: str, *, paused: bool, deadline: float) -> Federation:
        """Set `spec.paused`, whatever else is in the object."""
        path, body = f"{_folder(namespace)}/{name}", {"spec": {"paused": paused}}
        return _written(
            await self._client.request("PATCH", path, body=body, content_type=MERGE_PATCH, deadline=deadline)
        )

    async def watch_all(
        self, namespace: str | None, *, deadline: float
    ) -> AsyncGenerator[tuple[Federation, bool]]:
        """Yield each federation at once and after each change, and whether it is there (False: deleted). Ends
        every half minute.

        It leaves out those that are malformed: `list` says what is wrong with them.
        """
        async with aclosing(self._client.watch(_folder(namespace), {}, deadline=deadline)) as events:
            async for kind, value in events:
                if kind in {"ADDED", "MODIFIED", "DELETED"}:
                    try:
                        federation = records.federation(value)
                    except MalformedError:
                        continue
                    yield federation, kind != "DELETED"

    async def watch(self, namespace: str, name: str, *, deadline: float) -> AsyncGenerator[Federation | None]:
        """Yield the object at once and after each change, and None when it is deleted. Ends every half
        minute.

        Without a resourceVersion, the server begins with the present state. So this needs no list before it,
        and no version to go on from.
        """
        params = {"fieldSelector": f"metadata.name={name}"}
        events = self._client.watch(_folder(namespace), params, deadline=deadline)
        async with aclosing(events):
            async for kind, value in events:
                if kind in {"ADDED", "MODIFIED"}:
                    yield records.federation(value)
                elif kind == "DELETED":
                    yield None


def _written(answer: Json) -> Federation:
    """The object after a write. If the answer is malformed, the write may have been carried out or not."""
    try:
        return records.federation(answer)
    except MalformedError as error:
        raise MalformedError(str(error), ambiguous=True) from error


def _folder(namespace: str | None) -> str:
    return folder(GROUP, VERSION, PLURAL, namespace)
