"""Users on the hub and their rights, created all at once: kubectl takes its time for each call."""

from __future__ import annotations

import json
from typing import Any

from rig.hub_namespace import HubNamespace

Json = dict[str, Any]
API_GROUP = "rbac.authorization.k8s.io"
_RULES = {
    "get": {"verbs": ["get"], "resources": ["clusterfederations"]},
    "switch": {"verbs": ["create"], "resources": ["clusterfederations/switchover"]},
    "force": {"verbs": ["create"], "resources": ["clusterfederations/force"]},
    "hold": {"verbs": ["update"], "resources": ["clusterfederations/holds"]},
}
"""The rule of a Role for each right."""
EVERYTHING = tuple(_RULES)
PEOPLE: dict[str, tuple[str, ...]] = {
    "stranger": (),
    "viewer": ("get",),
    "switcher": ("get", "switch"),
    "holder": ("get", "hold"),
    "admin": EVERYTHING,
    "switcher who may not look": ("switch",),
    "forcer who may not switch": ("get", "force"),
    "holder who may not look": ("hold",),
}
"""Kinds of people, and the rights that they have on a federation."""


def create(hub: HubNamespace, *objects: Json) -> None:
    """Create these objects in the namespace."""
    hub.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def grant(subject: Json, *rights: str, federation: str = "shop") -> list[Json]:
    """A Role with these rights on the federation, and the RoleBinding that gives it to the subject."""
    metadata = {"name": subject["name"]}
    rules = [{"apiGroups": ["tcf.dev"], "resourceNames": [federation], **_RULES[right]} for right in rights]
    role = {"apiVersion": f"{API_GROUP}/v1", "kind": "Role", "metadata": metadata, "rules": rules}
    reference = {"apiGroup": API_GROUP, "kind": "Role", **metadata}
    bound = {"subjects": [subject], "roleRef": reference}
    return [role, {"apiVersion": f"{API_GROUP}/v1", "kind": "RoleBinding", "metadata": metadata, **bound}]


def user(name: str) -> Json:
    """A user as the subject of a RoleBinding."""
    return {"apiGroup": API_GROUP, "kind": "User", "name": name}


def group(name: str) -> Json:
    """A group as the subject of a RoleBinding."""
    return {"apiGroup": API_GROUP, "kind": "Group", "name": name}


def account(hub: HubNamespace, name: str) -> Json:
    """A ServiceAccount as the subject of a RoleBinding."""
    return {"kind": "ServiceAccount", "name": dashed(name), "namespace": hub.namespace}


def new_account(name: str) -> Json:
    """A ServiceAccount to be created."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": dashed(name)}}


def token(hub: HubNamespace, name: str, audience: str = "tcf.dev") -> str:
    """A new token of the ServiceAccount."""
    return hub.kubectl("create", "token", dashed(name), f"--audience={audience}").stdout.strip()


def dashed(name: str) -> str:
    """A name in words as the name of an object."""
    return name.replace(" ", "-")
