"""Pods without a kubelet, for workers to mark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rig.hub_namespace import HubNamespace
from rig.patience import eventually
from rig.tcf_processes import TcfProcess

Json = dict[str, Any]
MARKED = ("--pod-condition", "--pod-label")
GAVE_UP = "this pod may still be marked as active"
"""What a worker logs if its Pod could not be marked as not active in time."""


class BarePod:
    """A Pod that no kubelet runs: only an object, which a worker process takes for its own Pod."""

    def __init__(self, hub: HubNamespace, name: str) -> None:
        """`hub`: the cluster it is in."""
        self._hub = hub
        self.name = name
        spec = {
            "containers": [{"name": "worker", "image": "none"}],
            "readinessGates": [{"conditionType": "tcf.dev/active"}],
        }
        manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        hub.kubectl("create", "-f", "-", stdin=json.dumps(manifest))

    def options(self, kubeconfig: Path | None = None) -> tuple[str, ...]:
        where = ("--pod-namespace", self._hub.namespace, "--pod-name", self.name)
        return (*MARKED, *where, "--pod-kubeconfig", str(kubeconfig or self._hub.kubeconfig))

    def read(self) -> Json:
        found: Json = json.loads(self._hub.kubectl("get", "pod", self.name, "-o", "json").stdout)
        return found

    @property
    def condition(self) -> Json:
        conditions = self.read().get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == "tcf.dev/active"), {})

    @property
    def label(self) -> str | None:
        label: str | None = self.read()["metadata"].get("labels", {}).get("tcf.dev/role")
        return label

    @property
    def says(self) -> tuple[str | None, str | None, str | None]:
        condition = self.condition
        return (condition.get("status"), condition.get("reason"), self.label)

    def await_says(self, *expected: str) -> None:
        eventually(lambda: self.says == expected, what=f"pod {self.name} says {expected}")

    def assert_lowered(self, worker: TcfProcess) -> None:
        """The Pod says "not active" already, or its worker has logged that it waited for two seconds in vain.

        On a busy machine, an API server can take longer than that for a write.
        """
        assert self.condition.get("status") == "False" or GAVE_UP in worker.log, worker.log
