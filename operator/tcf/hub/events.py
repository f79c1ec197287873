"""Kubernetes Events on a federation: `kubectl describe` shows its role changes by them."""

from __future__ import annotations

from datetime import UTC, datetime

from tcf.core.model import Event, Federation
from tcf.hub.client import HubClient
from tcf.hub.errors import ConflictError
from tcf.hub.federations import GROUP, KIND, VERSION

_LONGEST_MESSAGE = 1024


class Events:
    """Writes Events. Each has a name that comes from its content, so several operators write it only once."""

    def __init__(self, client: HubClient, *, component: str, instance: str) -> None:
        self._client = client
        self._component = component
        self._instance = instance

    async def write(self, federation: Federation, event: Event, *, deadline: float) -> None:
        """Create the Event unless it exists already. Raises HubError for any other failure."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "namespace": federation.namespace,
                "name": f"{federation.name}.{event.term}.{event.request.lower()}"[:253],
            },
            "involvedObject": {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": KIND,
                "namespace": federation.namespace,
                "name": federation.name,
                "uid": federation.uid,
                "resourceVersion": federation.resource_version,
            },
            "type": "Warning" if event.warning else "Normal",
            "reason": event.reason,
            "message": event.message[:_LONGEST_MESSAGE],
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        path = f"/api/v1/namespaces/{federation.namespace}/events"
        try:
            await self._client.request("POST", path, body=body, deadline=deadline)
        except ConflictError:
            return
