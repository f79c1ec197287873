"""The admission policies on a control plane that tests share: they apply only where a test asks for them."""

from __future__ import annotations

from typing import Any

import yaml
from rig.files import ROOT
from rig.hub_namespace import HubNamespace
from rig.patience import eventually

from support.hub_caller import MERGE, administrator

Json = dict[str, Any]
POLICIES = ROOT / "policies" / "admission-policies.yaml"
_CONFINED = "confined"


def policies() -> list[Json]:
    """The policies and their bindings, as a person would apply them."""
    return list(yaml.safe_load_all(POLICIES.read_text()))


def install_policies(hub: HubNamespace) -> None:
    """Apply the policies, bound to confined namespaces only. Return when all of them are in effect.

    Every test process does this, and none removes them. `hub`: a namespace to find that out in.
    """
    documents = policies()
    for document in documents:
        if document["kind"] == "ValidatingAdmissionPolicyBinding":
            document["spec"]["matchResources"] = {"namespaceSelector": {"matchLabels": {_CONFINED: "yes"}}}
    hub.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(documents))
    hub.apply()
    confine(hub)
    admin = administrator(hub)
    for part, body in (("shop", {"metadata": {"annotations": {"tcf.dev/a": "b"}}}), ("shop/status", STATUS)):
        eventually(
            lambda: not admin.federation("PATCH", part, body, MERGE, "?dryRun=All").done,  # noqa: B023 - used at once
            what=f"a policy refuses writes to {part}",
        )


def confine(hub: HubNamespace) -> None:
    """Let the policies apply in this namespace. Return when they do (the API server takes a moment)."""
    hub.kubectl("label", "namespace", hub.namespace, f"{_CONFINED}=yes")
    admin = administrator(hub)
    lease = {"metadata": {"name": "anybodys", "labels": {"tcf.dev/federation": "shop"}}}
    eventually(
        lambda: not admin.lease("POST", "", lease, query="?dryRun=All").done,
        what="a policy refuses Leases",
    )


STATUS: Json = {
    "status": {
        "protocol": 1,
        "term": 5,
        "clusters": [{"id": f"cluster_{n}", "name": f"cluster{n}", "status": "passive"} for n in (1, 2)],
    }
}
"""A first status, which only an operator may write."""
