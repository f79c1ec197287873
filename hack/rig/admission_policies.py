"""The admission policies on a control plane that many use: they apply only where somebody asks for them."""

from __future__ import annotations

import json
from typing import Any

import yaml

from rig.files import ROOT
from rig.hub_namespace import HubNamespace
from rig.patience import eventually

Json = dict[str, Any]
POLICIES = ROOT / "policies" / "admission-policies.yaml"
_CONFINED = "confined"
STRICT, AS_SHIPPED = "strict", "as-shipped"
"""Values of that label: with the policy for unknown workers refusing, or only warning as it is shipped."""
_UNKNOWN = "unknown-workers.tcf.dev"
_LEASE = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "anybodys", "labels": {"tcf.dev/federation": "shop"}},
}
_REFUSED: dict[str, Json] = {
    "status": {
        "status": {
            "protocol": 1,
            "term": 5,
            "clusters": [{"id": f"cluster_{n}", "name": "", "status": "passive"} for n in (1, 2)],
        }
    },
    "": {"metadata": {"annotations": {"tcf.dev/last-active": "cluster_1/5"}}},
}
"""A change of each part of a federation that nobody but an operator may make."""


def policies() -> list[Json]:
    """The policies and their bindings, as a person would apply them."""
    return list(yaml.safe_load_all(POLICIES.read_text()))


def install_policies(hub: HubNamespace) -> None:
    """Apply the policies, bound to confined namespaces only. Return when all of them are in effect.

    `hub`: a namespace in which to find that out. It is confined.
    """
    documents = policies()
    for document in list(documents):
        if document["kind"] == "ValidatingAdmissionPolicyBinding":
            if document["metadata"]["name"] == _UNKNOWN:
                _bind(document, AS_SHIPPED)
                strict = json.loads(json.dumps(document))
                strict["metadata"]["name"] += ".strict"
                strict["spec"]["validationActions"] = ["Deny"]
                _bind(strict, STRICT)
                documents.append(strict)
            else:
                _bind(document, STRICT, AS_SHIPPED)
    hub.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(documents))
    hub.apply()
    confine(hub)
    unknown = hub.service_account("unknown")
    unknown.grant("leases", "create", "leases")
    lease = json.dumps(_LEASE)
    eventually(
        lambda: _refused(hub, "create", "-f", "-", f"--as={unknown.user}", stdin=lease),
        what="the last policy",
    )
    for part, change in _REFUSED.items():
        patch = ("patch", "cfed", "shop", "--type=merge", f"--subresource={part}", "-p", json.dumps(change))
        eventually(lambda: _refused(hub, *patch), what=f"a policy for {part or 'federations'}")  # noqa: B023 - used at once


def _bind(binding: Json, *values: str) -> None:
    selector = {"key": _CONFINED, "operator": "In", "values": list(values)}
    binding["spec"]["matchResources"] = {"namespaceSelector": {"matchExpressions": [selector]}}


def confine(hub: HubNamespace, how: str = STRICT) -> None:
    """Let the policies apply in this namespace. Return when they do (the API server takes a moment)."""
    hub.kubectl("label", "namespace", hub.namespace, f"{_CONFINED}={how}")
    lease = json.dumps(_LEASE)
    eventually(lambda: _refused(hub, "create", "-f", "-", stdin=lease), what="a policy for Leases")


def _refused(hub: HubNamespace, *args: str, stdin: str | None = None) -> bool:
    done = hub.kubectl(*args, "--dry-run=server", stdin=stdin, check=False)
    return "denied request" in done.stderr
