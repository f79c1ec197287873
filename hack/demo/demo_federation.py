"""The operator and the workers of the demo, and questions to them."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

from controlplane.children import end, spawn
from rig.asking import Answer, ask
from rig.tcf_processes import command, environment

from demo.demo_accounts import OPERATOR_RULES, REVIEWER_RULES, with_token, worker_rules
from demo.demo_home import CLUSTERS, FEDERATION, NAMESPACE, PATIENCE, DemoError, DemoHome, say
from demo.demo_hub import DemoHub


class DemoFederation:
    """The operator and the workers. None of them outlives the demo."""

    def __init__(self, home: DemoHome, hub: DemoHub, *, auth: bool) -> None:
        """`auth`: the workers take POSTs only of those who may."""
        self.home = home
        self._auth = auth
        self._hub = hub
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def create_accounts(self) -> None:
        """Of the operator and of the workers, with a kubeconfig for each."""
        rules = {"operator": OPERATOR_RULES} | {
            _worker(cluster): worker_rules(cluster) for cluster in CLUSTERS
        }
        for name, rights in rules.items():
            config = with_token(self._hub.kubeconfig, name, self._hub.new_account(name, *rights))
            path = self._kubeconfig(name)
            path.touch(mode=0o600)
            path.write_text(json.dumps(config))  # JSON is YAML
        if self._auth:
            self._hub.grant_everywhere(map(_worker, CLUSTERS), f"{NAMESPACE}-reviewer", *REVIEWER_RULES)

    def start_operator(self) -> None:
        listen = f"127.0.0.1:{self.home.operator_port}"
        console = f"127.0.0.1:{self.home.console_port}"
        options = ("--namespace", NAMESPACE, "--listen", listen, "--console", console)
        self._start("operator", "operator", *options)

    def start_worker(self, cluster: str) -> None:
        where = ("--namespace", NAMESPACE, "--federation", FEDERATION, "--cluster", cluster)
        listen = f"127.0.0.1:{self.home.port_of(cluster)}"
        audit = self._audit_log(cluster)
        audit.unlink(missing_ok=True)
        guarded = ("--auth", "kubernetes", "--audit-log", str(audit)) if self._auth else ()
        self._start(_worker(cluster), "worker", *where, "--listen", listen, *guarded)

    def audit(self, cluster: str) -> str:
        """What the worker of a member has recorded."""
        return self._audit_log(cluster).read_text()

    def _audit_log(self, cluster: str) -> Path:
        return self.home.folder / f"audit-{cluster}.log"

    def kill_worker(self, cluster: str) -> None:
        """SIGKILL, as in a crash."""
        end(self._running.pop(_worker(cluster)), grace=0)

    def ask(self, method: str, cluster: str, path: str, *, token: str = "") -> Answer | str:
        """Ask the worker of a member. Returns why, if there is no answer."""
        headers = {"Authorization": f"Bearer {token}"} if token else None
        try:
            return ask(self.home.port_of(cluster), method, path, headers=headers)
        except (OSError, http.client.HTTPException) as error:
            return f"no answer ({getattr(error, 'strerror', None) or error})"

    def check(self) -> None:
        """Raise DemoError if a program has ended by itself."""
        for name, process in self._running.items():
            if process.poll() is not None:
                tail = "\n".join(self._log(name).read_text().splitlines()[-10:])
                raise DemoError(f"{name} ended with status {process.returncode}; its log ends:\n{tail}")

    def until(self, reached: Callable[[], bool], what: str) -> None:
        """Wait for something. Raises DemoError if a program ends, or if it takes too long."""
        deadline = time.monotonic() + PATIENCE
        while not reached():
            self.check()
            if time.monotonic() > deadline:
                raise DemoError(f"not within {PATIENCE:.0f} s: {what}; the logs are in {self.home.folder}")
            time.sleep(0.05)

    def await_answer(self, cluster: str, status: int) -> None:
        """Wait until a member's worker gives this answer when it is asked whether it is active."""

        def answered() -> bool:
            answer = self.ask("GET", cluster, "/tcf/is_active")
            return isinstance(answer, Answer) and answer.status == status

        self.until(answered, f"{cluster} answers {status}")

    def end(self) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            end(process, grace=10)

    def _start(self, name: str, program: str, *options: str) -> None:
        with self._log(name).open("wb") as log:
            self._running[name] = spawn(
                command(program, self._kubeconfig(name), *options),
                cwd=self.home.folder,
                output=log,
                env=environment(),
            )

    def _log(self, name: str) -> Path:
        return self.home.folder / f"{name}.log"

    def _kubeconfig(self, name: str) -> Path:
        return self.home.folder / f"{name}.kubeconfig"


def _worker(cluster: str) -> str:
    """The name of a member's worker: of its account, and of its files."""
    return f"worker-{cluster.replace('_', '-')}"


@contextlib.contextmanager
def running(home: DemoHome, hub: DemoHub, *, own_cluster: bool, auth: bool) -> Iterator[DemoFederation]:
    """Apply and start everything; in the end, stop it and remove it again."""
    federation = DemoFederation(home, hub, auth=auth)
    try:
        say("Applying the CRD and examples/shop.yaml ...")
        hub.bring_crd()
        hub.bring_namespace()
        hub.apply_federation()
        federation.create_accounts()
        say("Starting an operator and a worker for each of the two clusters ...")
        federation.start_operator()
        for cluster in CLUSTERS:
            federation.start_worker(cluster)
        for cluster, status in zip(CLUSTERS, (HTTPStatus.OK, HTTPStatus.IM_A_TEAPOT), strict=True):
            federation.await_answer(cluster, status)
        yield federation
    finally:
        say("Stopping ...")
        federation.end()
        if not own_cluster:
            hub.clean_up()
