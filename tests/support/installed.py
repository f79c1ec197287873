"""The chart's ServiceAccounts and Roles in a test's namespace, and programs that use them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rig.hub_namespace import HubNamespace, ServiceAccount
from rig.tcf_processes import TcfProcess, TcfProcesses

from support.chart import Helm
from support.hub_caller import Caller
from tcf.core.heartbeat import HEARTBEAT

Json = dict[str, Any]
MEMBERS = ("cluster_1", "cluster_2")
Right = tuple[str, str, str]
"""Whose it is (the operator, the workers of a member, or all of them: `reviewer`), a resource and a verb."""


def owner(role: Json) -> str:
    """Whose role it is: `access` is for people."""
    labels: dict[str, str] = role["metadata"]["labels"]
    return labels.get("tcf.dev/cluster") or labels.get("app.kubernetes.io/component", "access")


def resources(rule: Json) -> list[str]:
    """What a rule is about; the heartbeat is the one object that is named."""
    names = rule.get("resourceNames", [])
    return [f"{each} {HEARTBEAT}" if names == [HEARTBEAT] else each for each in rule["resources"]]


def _account(whose: str) -> str:
    return "tcf" if whose == "operator" else f"tcf-shop-{whose.replace('_', '-')}"


class Installed:
    """The accounts of an operator and of the workers of federation `shop`, with the chart's exact rights."""

    def __init__(
        self,
        chart: Helm,
        hub: HubNamespace,
        programs: TcfProcesses | None,
        folder: Path,
        *,
        members: Sequence[str] = MEMBERS,
        may_force: bool = False,
        console: bool = False,
    ) -> None:
        """`programs` is only needed to start some."""
        self.hub = hub
        self._programs = programs
        self._folder = folder
        values = {
            "fullnameOverride": "tcf",
            "operator": {"namespaces": [hub.namespace]},
            "console": {"enabled": console},
            "workers": {
                "members": [{"federation": "shop", "cluster": cluster} for cluster in members],
                "mayForce": may_force,
            },
        }
        kinds = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
        self.documents = [d for d in chart.render(values, namespace=hub.namespace) if d["kind"] in kinds]
        self._apply(self.documents)

    @property
    def roles(self) -> dict[str, Json]:
        roles = (each for each in self.documents if each["kind"] in {"Role", "ClusterRole"})
        return {owner(role): role for role in roles if owner(role) != "access"}

    def person(self, role: str = "switcher") -> str:
        """The token of somebody who has one of the chart's Roles for people and applications."""
        person = self.hub.service_account(role)
        person.bind(role, f"tcf-{role}")
        return self.hub.kubectl("create", "token", person.name, "--audience=tcf.dev").stdout.strip()

    def without(self, right: Right) -> None:
        """Take one right away."""
        whose, resource, verb = right
        changed: Json = json.loads(json.dumps(self.roles[whose]))
        (rule,) = (rule for rule in changed["rules"] if resource in resources(rule))
        rule["verbs"].remove(verb)
        changed["rules"] = [rule for rule in changed["rules"] if rule["verbs"]]
        self._apply([changed])

    def _apply(self, documents: list[Json]) -> None:
        self.hub.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))

    def account(self, whose: str) -> ServiceAccount:
        """The ServiceAccount of the operator or of a member's workers, with a token."""
        name = _account(whose)
        return ServiceAccount(self.hub, name, self.hub.kubectl("create", "token", name).stdout.strip())

    def user(self, whose: str) -> str:
        """The name that the hub knows it by."""
        return f"system:serviceaccount:{self.hub.namespace}:{_account(whose)}"

    def caller(self, whose: str) -> Caller:
        """Somebody who has this account's token."""
        return Caller(self.hub, self.account(whose).token)

    def _kubeconfig(self, whose: str) -> Path:
        return self.account(whose).kubeconfig(self._folder / whose)

    def operator(self, *args: str) -> TcfProcess:
        assert self._programs
        return self._programs.operator(*args, kubeconfig=self._kubeconfig("operator"))

    def worker(self, cluster: str, *args: str) -> TcfProcess:
        assert self._programs
        kubeconfig = self._kubeconfig(cluster)
        options = ("--auth=kubernetes", "--log-level=debug", *args)
        return self._programs.worker(cluster, *options, kubeconfig=kubeconfig)
