"""A namespace with the admission policies, and everybody who may write to it, each with a token."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import yaml
from rig.hub_namespace import HubNamespace

from support.hub_caller import Caller, Reply, administrator

Json = dict[str, Any]
DRY = "?dryRun=All"

RULES: dict[str, list[Json]] = {
    "person": [{"resources": ["clusterfederations/switchover"], "verbs": ["create"]}],
    "forcer": [
        {"resources": ["clusterfederations/switchover", "clusterfederations/force"], "verbs": ["create"]}
    ],
    "visitor": [],
    "both members": [
        {"resources": ["clusterfederations/worker"], "verbs": ["represent"]},
        {
            "resources": ["clusterfederations/member"],
            "resourceNames": ["shop:cluster_1", "shop:cluster_2"],
            "verbs": ["represent"],
        },
        {"resources": ["clusterfederations/switchover"], "verbs": ["create"]},
    ],
    "wildcard of tcf.dev": [{"resources": ["*"], "verbs": ["*"]}],
    "wildcard of resources": [{"resources": ["*"], "verbs": ["update", "represent", "create"]}],
}
"""Rights in the group tcf.dev. Everybody here may also write federations, their status, and Leases."""
YESTERDAY = [
    {"apiGroups": ["tcf.dev"], "resources": ["clusterfederations"], "verbs": ["get", "watch"]},
    {"apiGroups": ["tcf.dev"], "resources": ["clusterfederations/status"], "verbs": ["update"]},
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "verbs": ["create", "get", "patch", "delete"],
    },
]
"""The rights of a worker before there were policies."""
WRITER = [
    {
        "apiGroups": ["tcf.dev"],
        "resources": ["clusterfederations", "clusterfederations/status"],
        "verbs": ["get", "create", "update", "patch"],
    },
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]},
]


@dataclass(frozen=True)
class Place:
    """A confined namespace with a federation `shop`, and the people and programs that write to it."""

    hub: HubNamespace
    callers: dict[str, Caller]

    def stands(self, status: Json) -> None:
        """Let the operator write this status."""
        written = self.callers["operator"].federation("PUT", "shop/status", self.with_status(status))
        assert written.done, written.told

    def with_status(self, status: Json | None) -> Json:
        """The federation as it is, with another status."""
        found = self.hub.get()
        found.pop("status", None)
        return {**found, "status": status} if status is not None else found

    def writes(self, who: str, status: Json | None) -> Reply:
        """Somebody replaces the status, as a dry run."""
        return self.callers[who].federation("PUT", "shop/status", self.with_status(status), query=DRY)

    def named(self, value: Json) -> Json:
        """The value with the user names of the callers in the place of PERSON, FORCER, VISITOR and ONE."""
        text = json.dumps(value)
        for who in ("person", "forcer", "visitor"):
            text = text.replace(f'"{who.upper()}"', json.dumps(self.name(who)))
        text = text.replace('"ONE"', json.dumps(self.name("tcf-shop-cluster-1")))
        found: Json = json.loads(text)
        return found

    def name(self, who: str) -> str:
        """The name that the hub knows somebody by."""
        return f"system:serviceaccount:{self.hub.namespace}:{who.replace(' ', '-')}"


def account(name: str, rules: list[Json]) -> list[Json]:
    """A ServiceAccount with these rights."""
    group = "rbac.authorization.k8s.io"
    metadata = {"name": name}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name}],
        },
    ]


def people(hub: HubNamespace) -> dict[str, Caller]:
    """Everybody but the chart's accounts."""
    documents = account("yesterday", YESTERDAY)
    for who, rules in RULES.items():
        documents += account(
            who.replace(" ", "-"), WRITER + [{"apiGroups": ["tcf.dev"], **rule} for rule in rules]
        )
    hub.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))
    names = {who: who.replace(" ", "-") for who in [*RULES, "yesterday"]}
    tokens = {who: hub.kubectl("create", "token", name).stdout.strip() for who, name in names.items()}
    return {who: Caller(hub, token) for who, token in tokens.items()} | {"administrator": administrator(hub)}
