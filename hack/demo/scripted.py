"""The demo for machines: the same session, played and checked."""

from __future__ import annotations

import subprocess
import sys

from rig.asking import Answer

from demo.demo_federation import DemoFederation
from demo.demo_home import FEDERATION, NAMESPACE, PATIENCE, DemoError, say
from demo.demo_hub import DemoHub

_ROLES_1 = (
    '[{"status":"active","name":"cluster1","id":"cluster_1"},'
    '{"status":"passive","name":"cluster2","id":"cluster_2"}]'
)
_ROLES_2 = (
    '[{"status":"passive","name":"cluster1","id":"cluster_1"},'
    '{"status":"active","name":"cluster2","id":"cluster_2"}]'
)
_ROLES_NONE = _ROLES_1.replace('"active"', '"passive"')


def script(hub: DemoHub, federation: DemoFederation) -> None:
    """Play the session; raise DemoError at the first answer that is not as expected."""
    session = Session(hub, federation)
    session.ask_everything()
    session.change_roles()
    session.use_kubectl_tcf()
    session.change_the_spec()
    session.kill_the_active_worker()
    say("Every answer was as expected.")


class Session:
    def __init__(self, hub: DemoHub, federation: DemoFederation) -> None:
        self._hub = hub
        self._federation = federation

    def ask_everything(self) -> None:
        say("Every endpoint:")
        self._expect("GET", "cluster_1", "/tcf/status", 200, "active")
        self._expect("GET", "cluster_1", "/tcf/is_active", 200, "active")
        self._expect("GET", "cluster_2", "/tcf/is_active", 418, "passive")
        self._expect("GET", "cluster_2", "/tcf/clusters", 200, _ROLES_1)

    def change_roles(self) -> None:
        say("A toggle, a demote and a promote:")
        self._expect("POST", "cluster_2", "/tcf/toggle", 200, _ROLES_2)
        self._expect("GET", "cluster_1", "/tcf/is_active", 418, "passive")
        self._expect("GET", "cluster_2", "/tcf/is_active", 200, "active")
        self._expect("POST", "cluster_2", "/tcf/demote", 200, _ROLES_NONE)
        self._expect("GET", "cluster_2", "/tcf/is_active", 418, "passive")
        self._expect("POST", "cluster_1", "/tcf/promote", 200, _ROLES_1)

    def use_kubectl_tcf(self) -> None:
        say("The same with kubectl tcf, which asks no worker:")
        self._tcf("check", FEDERATION)
        for active, passive in (("cluster_2", "cluster_1"), ("cluster_1", "cluster_2")):
            self._tcf("toggle", FEDERATION, "--yes", "--reason", "demo")
            self._federation.await_answer(active, 200)
            self._federation.await_answer(passive, 418)

    def change_the_spec(self) -> None:
        say("A change of spec.activeCluster (and a lease of 3 s, for what comes next):")
        self._hub.change_federation({"activeCluster": "cluster_2", "leaseDuration": "3s"})
        federation, hub = self._federation, self._hub
        federation.await_answer("cluster_2", 200)
        self._expect("GET", "cluster_1", "/tcf/is_active", 418, "passive")
        federation.until(lambda: hub.active_cluster() == "cluster_2", "the status says so")
        # A worker writes the 3 s into its Lease when it renews it. A crash before that would be fenced later.
        federation.until(lambda: hub.lease_durations() == {3}, "the workers know of the new lease")

    def kill_the_active_worker(self) -> None:
        say("kill -9 of the active cluster's worker:")
        self._federation.kill_worker("cluster_2")
        gone = self._federation.ask("GET", "cluster_2", "/tcf/is_active")
        if isinstance(gone, Answer):
            raise DemoError("a killed worker must not answer")
        say(f"  GET  cluster_2 /tcf/is_active  -> {gone}")
        self._expect("GET", "cluster_1", "/tcf/is_active", 418, "passive")
        say("cluster_1 takes over as soon as the dead worker's last answer has expired for certain:")
        self._expect("POST", "cluster_1", "/tcf/promote", 200, _ROLES_1)
        self._expect("GET", "cluster_1", "/tcf/is_active", 200, "active")
        self._federation.start_worker("cluster_2")
        self._federation.await_answer("cluster_2", 418)

    def _tcf(self, *words: str) -> None:
        """Run kubectl tcf; raise DemoError unless it succeeds."""
        say(f"  kubectl tcf {' '.join(words)}")
        where = ("--kubeconfig", str(self._hub.kubeconfig), "-n", NAMESPACE)
        done = subprocess.run(
            [sys.executable, "-m", "tcf.ctl.kubectl_tcf", *where, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        for line in (done.stderr + done.stdout).splitlines():
            say(f"    {line}")
        if done.returncode:
            raise DemoError(f"it ended with status {done.returncode}")

    def _expect(self, method: str, cluster: str, path: str, status: int, body: str) -> None:
        answer = self._federation.ask(method, cluster, path)
        found = answer if isinstance(answer, str) else f"{answer.status} {answer.body.decode()}"
        say(f"  {method:4} {cluster} {path:15} -> {found}")
        if found != f"{status} {body}":
            raise DemoError(f"expected {status} {body}")
