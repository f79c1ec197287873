"""Exec plugins of a kubeconfig: somebody else's programs, which may fail, hang, or print without end."""

from __future__ import annotations

import json
from pathlib import Path

from rig.files import place
from rig.hub_namespace import HubNamespace
from rig.patience import eventually
from rig.tcf_processes import TcfProcesses
from support.trouble import Json, attempts, check_no_answer, complaints, table, variant, with_plugin


def running(pid: int) -> bool:
    """Also a zombie, whose parent has gone, counts as ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def plugin(folder: Path, text: str) -> str:
    """A shell script that is a plugin: its path."""
    script = folder / "plugin"
    script.write_text(f"#!/bin/sh\n{text}")
    script.chmod(0o755)
    return str(script)


def test_a_plugin_that_hangs_is_started_once_and_does_not_hold_up_the_end(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    script = plugin(tmp_path, f"echo $$ >> {started}\nexec sleep 300\n")
    path = variant(hub, tmp_path / "kubeconfig", with_plugin(script))
    worker = programs.worker("cluster_1", kubeconfig=path)
    worker.await_reason("HubUnreachable")
    assert "s: no credentials" in worker.log
    check_no_answer(worker.post("/tcf/toggle"), "HubUnreachable")
    assert worker.stop() == 0
    (pid,) = started.read_text().split()
    eventually(lambda: not running(int(pid)), what="the plugin ends with the worker")


def test_a_plugin_ends_with_a_worker_that_is_killed(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    script = plugin(tmp_path, f"echo $$ >> {started}\nexec sleep 300\n")
    path = variant(hub, tmp_path / "kubeconfig", with_plugin(script))
    worker = programs.worker("cluster_1", kubeconfig=path)
    pid = int(
        eventually(lambda: started.read_text() if started.exists() else "", what="the plugin is started")
    )
    worker.kill()
    eventually(lambda: not running(pid), what="the plugin ends with the worker")


def test_a_plugin_that_fails_is_not_run_again_and_again(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    """Behind it is an identity provider, which may have its own trouble."""
    started = tmp_path / "started"
    script = plugin(tmp_path, f"echo $$ >> {started}\necho 'who are you?' >&2\nexit 7\n")
    path = variant(hub, tmp_path / "kubeconfig", with_plugin(script))
    worker = programs.worker("cluster_1", "--log-level", "debug", kubeconfig=path)
    worker.await_reason("HubNotConfigured")
    eventually(lambda: attempts(worker) >= 6, what="attempts to reach the hub")
    assert len(started.read_text().split()) < attempts(worker)
    (line,) = complaints(worker)
    assert "failed with status 7: who are you?" in line


def test_a_plugin_that_prints_without_end_is_ended(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    hub.apply()
    hub.set_status(table(1, "active", "passive"))
    path = variant(hub, tmp_path / "kubeconfig", with_plugin(plugin(tmp_path, "exec yes\n")))
    worker = programs.worker("cluster_1", kubeconfig=path)
    worker.await_reason("HubNotConfigured")
    eventually(lambda: "prints more than 1048576 bytes" in worker.log, what="a line about it")
    assert worker.resident < 200 * 2**20
    place(path, hub.kubeconfig.read_text())
    worker.await_active()


def test_a_plugin_gives_a_token_that_is_had_again_before_it_expires(
    hub: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    hub.apply()
    hub.set_status(table(1, "active", "passive"))
    started = tmp_path / "started"
    script = plugin(
        tmp_path,
        f"""
echo "$GIVEN $KUBERNETES_EXEC_INFO" >> {started}
soon=$(date -u -d "+31 seconds" +%Y-%m-%dT%H:%M:%SZ)
echo '{{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
  "status": {{"token": "{hub.token}", "expirationTimestamp": "'$soon'"}}}}'
""",
    )

    def change(cluster: Json, user: Json) -> None:
        with_plugin(f"./{Path(script).name}")(cluster, user)
        user["exec"] |= {"env": [{"name": "GIVEN", "value": "by-kubeconfig"}], "provideClusterInfo": True}

    worker = programs.worker("cluster_1", kubeconfig=variant(hub, tmp_path / "kubeconfig", change))
    worker.await_active()
    eventually(lambda: len(started.read_text().splitlines()) >= 2, what="the next token")
    given, _, info = started.read_text().splitlines()[0].partition(" ")
    assert given == "by-kubeconfig"
    assert json.loads(info)["spec"]["cluster"]["server"].startswith("https://")
    assert hub.token not in worker.log
