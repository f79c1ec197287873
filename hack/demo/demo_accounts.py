"""The accounts of the demo's programs on the hub, each with exactly the rights that it needs.

An administrator's kubeconfig would not do: where admission policies are installed, nobody is an operator or a
worker by wildcards (docs/security.md).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from demo.demo_home import FEDERATION, NAMESPACE
from tcf.core.heartbeat import HEARTBEAT
from tcf.ctl.kubeconfig import kubeconfig

Json = dict[str, Any]


def _rule(group: str, resource: str, *verbs: str, names: tuple[str, ...] = ()) -> Json:
    rule: Json = {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
    return rule | ({"resourceNames": list(names)} if names else {})


OPERATOR_RULES = [
    _rule("tcf.dev", "clusterfederations", "get", "list", "watch", "patch"),
    _rule("tcf.dev", "clusterfederations/status", "update"),
    _rule("tcf.dev", "clusterfederations/roles", "update"),
    _rule("coordination.k8s.io", "leases", "list", "watch", "delete", "create"),
    _rule("coordination.k8s.io", "leases", "patch", names=(HEARTBEAT,)),
    _rule("", "events", "create"),
]


def worker_rules(cluster: str) -> list[Json]:
    own = (FEDERATION,)
    return [
        _rule("tcf.dev", "clusterfederations", "get", "watch", names=own),
        _rule("tcf.dev", "clusterfederations/status", "update", names=own),
        _rule("tcf.dev", "clusterfederations/switchover", "create", names=own),
        _rule("tcf.dev", "clusterfederations/worker", "represent"),
        _rule("tcf.dev", "clusterfederations/member", "represent", names=(f"{FEDERATION}:{cluster}",)),
        _rule("coordination.k8s.io", "leases", "create", "get", "patch", "delete"),
        _rule("authorization.k8s.io", "localsubjectaccessreviews", "create"),
    ]


REVIEWER_RULES = [_rule("authentication.k8s.io", "tokenreviews", "create")]
"""Of the whole cluster, for the workers of the demo of authentication."""


def with_token(administrators: Path, account: str, token: str) -> Json:
    """The kubeconfig of an account on the cluster of an administrator's kubeconfig."""
    config = yaml.safe_load(administrators.read_text())
    contexts = {each["name"]: each["context"] for each in config["contexts"]}
    clusters = {each["name"]: each["cluster"] for each in config["clusters"]}
    cluster = dict(clusters[contexts[config["current-context"]]["cluster"]])
    if authority := cluster.get("certificate-authority"):
        cluster["certificate-authority"] = str(administrators.parent / authority)
    return kubeconfig(cluster, account=account, namespace=NAMESPACE, token=token)
