"""Requests to the hub with somebody's token, as a thief would send them: no client of ours in between."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import ssl
from dataclasses import dataclass, field
from typing import Any

import yaml
from rig.hub_namespace import HubNamespace
from rig.patience import PATIENCE

Json = dict[str, Any]
MERGE, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Reply:
    """What the hub answers; `value` is its JSON."""

    code: int
    value: Json

    @property
    def done(self) -> bool:
        return self.code < http.HTTPStatus.MULTIPLE_CHOICES

    @property
    def told(self) -> str:
        """The message of a refusal; "" for anything else."""
        return "" if self.done else str(self.value.get("message"))


@dataclass(frozen=True)
class Caller:
    """Somebody who has a token of the hub. `headers`: sent with each request, for example to impersonate."""

    hub: HubNamespace
    token: str
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, method: str, path: str, body: Json | None = None, kind: str = "application/json") -> Reply:
        """Send one request. `kind`: the body's content type."""
        cluster = yaml.safe_load(self.hub.kubeconfig.read_text())["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        host = self.hub.server.removeprefix("https://")
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind, **self.headers}
        connection = http.client.HTTPSConnection(host, timeout=PATIENCE, context=context)
        with contextlib.closing(connection):
            connection.request(
                method, path, body=json.dumps(body) if body is not None else None, headers=headers
            )
            answer = connection.getresponse()
            return Reply(answer.status, json.loads(answer.read()))

    # --- the paths of this project

    def lease(
        self,
        method: str,
        name: str = "",
        body: Json | None = None,
        kind: str = "application/json",
        query: str = "",
    ) -> Reply:
        """A request about Leases of the namespace. `query`: for example "?dryRun=All"."""
        folder = f"/apis/coordination.k8s.io/v1/namespaces/{self.hub.namespace}/leases"
        return self.send(method, f"{folder}{'/' if name else ''}{name}{query}", body, kind)

    def federation(
        self,
        method: str,
        name: str = "",
        body: Json | None = None,
        kind: str = "application/json",
        query: str = "",
    ) -> Reply:
        """A request about federations of the namespace; `name` may end in "/status"."""
        folder = f"/apis/tcf.dev/v1alpha1/namespaces/{self.hub.namespace}/clusterfederations"
        return self.send(method, f"{folder}{'/' if name else ''}{name}{query}", body, kind)


def administrator(hub: HubNamespace, acting_as: str = "") -> Caller:
    """The user who may do everything. `acting_as`: the user that it impersonates."""
    return Caller(hub, hub.token, {"Impersonate-User": acting_as} if acting_as else {})
