"""Many federations of two members, with a worker each. The workers share processes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from controlplane.plane import ControlPlane
from rig.hub_namespace import HubNamespace
from rig.kubectl import kubectl_of
from rig.patience import eventually

from bench.farm import MEMBERS
from bench.hub_tools import PATIENCE, Json, a_few_at_a_time, bench_client, federations_in
from tcf.hub.client import MERGE_PATCH
from tcf.hub.sessions import JSON


class Farm:
    """The workers of some members, in a process of their own."""

    def __init__(self, hub: HubNamespace, count: int, members: Sequence[str] = MEMBERS) -> None:
        program = str(Path(__file__).with_name("farm.py"))
        command = [sys.executable, program, str(hub.kubeconfig), hub.namespace, str(count), *members]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin
        assert self.process.stdout
        self._asked, self._answered = self.process.stdin, self.process.stdout

    def await_ready(self) -> None:
        if (answer := self._answer()) != ["ready"]:
            raise RuntimeError(f"the workers are not ready, but say {answer}")

    def promote(self, wanted: dict[int, str]) -> list[float]:
        """Ask for all of these at once; return the seconds that each took."""
        for number, member in wanted.items():
            self._asked.write(f"promote {number} {member}\n")
        self._asked.flush()
        answers = [self._answer() for _ in wanted]
        if refused := [answer for answer in answers if answer[2] != "-"]:
            raise RuntimeError(f"refused: {refused}")
        return [float(seconds) for _, seconds, _ in answers]

    def _answer(self) -> list[str]:
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        try:
            line = self._answered.readline()
        finally:
            watchdog.cancel()
        if not line:
            raise RuntimeError(f"the workers have ended, or said nothing for {PATIENCE:.0f} s")
        return line.split()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._asked.close()
        self._answered.close()


def create_federations(plane: ControlPlane, name: str, count: int, spec: Json) -> HubNamespace:
    """Create a namespace `name` with the federations `f0`, `f1`, ..., with MEMBERS[0] to become active first.

    `spec`: what else to set in each spec.
    """
    hub = HubNamespace(kubectl_of(plane, name), name, plane.kubeconfig)
    hub.kubectl("create", "namespace", name)
    clusters = [{"id": member, "name": member} for member in MEMBERS]
    manifests = [
        {
            "apiVersion": "tcf.dev/v1alpha1",
            "kind": "ClusterFederation",
            "metadata": {"name": f"f{n}"},
            "spec": {"clusters": clusters, "activeCluster": MEMBERS[0], **spec},
        }
        for n in range(count)
    ]
    asyncio.run(send(hub, "POST", [("", manifest) for manifest in manifests]))
    return hub


async def send(hub: HubNamespace, method: str, requests: list[tuple[str, Json]]) -> None:
    """Send many requests at once. kubectl would send one by one, and slowly."""
    path = federations_in(hub.namespace)
    kind = MERGE_PATCH if method == "PATCH" else JSON
    async with bench_client(hub.kubeconfig) as client:
        await a_few_at_a_time(
            client.request(method, path + name, body=body, content_type=kind, deadline=PATIENCE)
            for name, body in requests
        )


def await_all(hub: HubNamespace, count: int, fits: Callable[[Json], bool], what: str) -> None:
    def all_of_them() -> bool:
        got = hub.kubectl("get", "cfed", "-o", "json", check=False)
        items = json.loads(got.stdout)["items"] if got.returncode == 0 else []  # the hub may be overloaded
        return sum(fits(item.get("status", {})) for item in items) == count

    eventually(all_of_them, what=what, patience=PATIENCE)
