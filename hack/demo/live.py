"""The demo for people: it says what to try, and shows every role change."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from rig.asking import Answer

from demo.demo_federation import DemoFederation
from demo.demo_home import CLUSTERS, FEDERATION, NAMESPACE, DemoHome, say
from demo.demo_hub import DemoHub

_ROLES = {200, 418}


def live(hub: DemoHub, federation: DemoFederation) -> None:
    """Say what to try. Then show every change of what the workers answer, until a signal."""
    home = federation.home
    one, two = (f"localhost:{home.port_of(cluster)}" for cluster in CLUSTERS)
    say(f"""
cluster_1 is active. The console shows it, and can move the role: http://localhost:{home.console_port}/

In another terminal, try:

  curl {one}/tcf/status                     # the role of cluster_1
  curl -i {two}/tcf/is_active               # 200 or 418: what a load balancer asks
  curl {one}/tcf/clusters
  curl -X POST {two}/tcf/toggle             # swap the roles
  curl -X POST {two}/tcf/demote             # nobody is active
  curl -X POST {one}/tcf/promote            # cluster_1 is active again

  {_tcf(hub)} status {FEDERATION}
  {_tcf(hub)} toggle {FEDERATION}        # asks, and shows every step
  {_tcf(hub)} status {FEDERATION} -w     # live

{_with_kubectl(hub, home)}
Logs are in {os.path.relpath(home.folder)}/. Role changes are shown below. Ctrl-C stops everything.
""")
    before = ""
    while True:
        federation.check()
        answers = {cluster: federation.ask("GET", cluster, "/tcf/is_active") for cluster in CLUSTERS}
        line = "   ".join(f"{cluster}: {_shown(answer)}" for cluster, answer in answers.items())
        if line != before:
            term = max(_term(answer) for answer in answers.values())
            say(f"  {time.strftime('%H:%M:%S')}  {line}   term {term or '-'}")
            before = line
        time.sleep(0.1)


def _tcf(hub: DemoHub) -> str:
    """kubectl tcf for the demo's federation. It is installed beside the Python that runs the demo."""
    program = os.path.relpath(Path(sys.executable).parent / "kubectl-tcf")
    return f"{program} --kubeconfig {os.path.relpath(hub.kubeconfig)} -n {NAMESPACE}"


def _with_kubectl(hub: DemoHub, home: DemoHome) -> str:
    """What to try with kubectl, by a script that calls it with the right kubeconfig and namespace."""
    if hub.kubectl is None:
        options = f"--kubeconfig {os.path.relpath(hub.kubeconfig)} --namespace {NAMESPACE}"
        return f"kubectl is not installed here. To use it with this cluster: kubectl {options}\n"
    script = home.folder / "kubectl"
    script.write_text(
        f'#!/bin/sh\nexec "{hub.kubectl}" --kubeconfig "{hub.kubeconfig}" -n {NAMESPACE} "$@"\n'
    )
    script.chmod(0o755)
    shown = os.path.relpath(script)
    change = '{"spec":{"activeCluster":"cluster_2"}}'
    return f"""\
  {shown} get cfed -w
  {shown} describe cfed {FEDERATION}
  {shown} patch cfed {FEDERATION} --type=merge -p '{change}'
"""


def _shown(answer: Answer | str) -> str:
    if isinstance(answer, str):
        return "--- unknown  "
    return f"{answer.status} {answer.body.decode() if answer.status in _ROLES else 'unknown':9}"


def _term(answer: Answer | str) -> int:
    return 0 if isinstance(answer, str) else int(answer.headers.get("X-TCF-Term", "0"))
