"""What a request to the Kubernetes API is called in audit logs and metrics: a verb and a resource."""

from __future__ import annotations

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def verb_and_resource(method: str, path: str, *, watches: bool = False) -> tuple[str, str]:
    """For example ("update", "clusterfederations/status"). The resource is "" if the path names no kind."""
    _, root, *parts = path.split("/")
    parts = parts[2 if root == "apis" else 1 :]
    if parts[:1] == ["namespaces"] and len(parts) > 2:  # noqa: PLR2004 - a namespace, and something in it
        parts = parts[2:]
    resource, name, subresource = (*parts, "", "", "")[:3]
    verb = "watch" if watches else _VERBS.get(method) or ("get" if name else "list")
    return verb, f"{resource}/{subresource}" if subresource else resource
