"""`hack/controlplane up`: it starts a real API and leaves nothing behind."""

import contextlib
import json
import os
import select
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from controlplane.children import ControlPlaneError
from controlplane.plane import ControlPlane
from support.controlplane_command import COMMAND, WAIT, Spawn, script, spawning


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    with spawning() as run:
        yield run


def _fake_assets(directory: Path, *names: str) -> Path:
    directory.mkdir()
    for name in names:
        script(directory / name, f"#!/bin/sh\necho {name} has no wish to run\nexit 3\n")
    return directory


def _first_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout
    line = process.stdout.readline()
    assert line, process.communicate(timeout=WAIT)
    answer: dict[str, Any] = json.loads(line)
    return answer


def _kubectl(plane: dict[str, Any], *arguments: str) -> str:
    cache = Path(plane["kubeconfig"]).with_name("kubectl-cache")
    options = [f"--kubeconfig={plane['kubeconfig']}", f"--cache-dir={cache}"]
    return subprocess.check_output([plane["kubectl"], *options, *arguments], text=True)


@contextlib.contextmanager
def _ending(pids: dict[str, int]) -> Iterator[None]:
    """Check that these processes live now and have ended when the block has."""
    with contextlib.ExitStack() as stack:
        watches = {}
        for name, pid in pids.items():
            watches[os.pidfd_open(pid)] = name
        for watch in watches:
            stack.callback(os.close, watch)
        assert select.select(watches, [], [], 0)[0] == []
        yield
        for watch, name in watches.items():
            assert select.select([watch], [], [], WAIT)[0], f"{name} still runs"


def test_a_working_api_until_stdin_closes() -> None:
    with ControlPlane.start() as plane:
        seen = {"kubeconfig": plane.kubeconfig, "kubectl": plane.kubectl}
        assert "default" in _kubectl(seen, "get", "namespaces", "--output=name")
        assert stat.S_IMODE(plane.kubeconfig.stat().st_mode) == 0o600
        assert stat.S_IMODE(plane.kubeconfig.parent.stat().st_mode) == 0o700
        server = plane.server
        assert server.startswith("https://127.0.0.1:")

        # Its components are stopped and started by command.
        _kubectl(seen, "create", "configmap", "kept")
        with _ending(plane.pids):
            plane.kill_component("kube-apiserver")
            plane.stop_component("etcd")
        assert plane.pids == {}
        # The port is kept for it: nobody listens there, and nobody else can.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(server.rpartition(":")[2])))
        with pytest.raises(ControlPlaneError, match="etcd is not running"):
            plane.kill_component("etcd")
        plane.start_component("etcd")
        plane.start_component("kube-apiserver")
        assert plane.server == server
        assert plane.pids.keys() == {"etcd", "kube-apiserver"}
        assert "kept" in _kubectl(seen, "get", "configmaps", "--output=name")
        with pytest.raises(ControlPlaneError, match="write stop, kill or start"):
            plane.stop_component("kubelet")

        with _ending(plane.pids):
            plane.stop()
    assert not plane.kubeconfig.parent.exists()


def test_sigterm_ends_all_and_a_data_directory_keeps_the_state(spawn: Spawn, tmp_path: Path) -> None:
    # Longer than the path of a Unix socket may be.
    state = tmp_path / ("long" * 30)
    process = spawn("up", "--data-dir", state)
    plane = _first_line(process)
    _kubectl(plane, "create", "configmap", "kept")

    rival = spawn("up", "--data-dir", state)
    assert "in use by another control plane" in rival.communicate(timeout=WAIT)[1]
    port = plane["server"].rpartition(":")[2]
    rival = spawn("up", "--port", port)
    assert f"port {port}: Address already in use" in rival.communicate(timeout=WAIT)[1]

    with _ending(plane["pids"]):
        process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=WAIT) == ("", "")
    assert process.returncode == 0

    process = spawn("up", "--data-dir", state, "--port", port)
    plane = _first_line(process)
    assert plane["server"] == f"https://127.0.0.1:{port}"
    assert "kept" in _kubectl(plane, "get", "configmaps", "--output=name")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=WAIT)
    assert process.returncode == 0


def test_sigkill_ends_all_and_the_next_start_cleans_up(spawn: Spawn, tmp_path: Path) -> None:
    process = spawn("up", TMPDIR=tmp_path)
    plane = _first_line(process)
    with _ending(plane["pids"]):
        process.kill()
    home = Path(plane["kubeconfig"]).parent
    assert list(tmp_path.iterdir()) == [home]

    assets = _fake_assets(tmp_path / "assets", "etcd", "kube-apiserver", "kubectl")
    spawn("up", TMPDIR=tmp_path, KUBEBUILDER_ASSETS=assets).communicate(timeout=WAIT)
    assert list(tmp_path.iterdir()) == [assets]


def test_a_component_that_fails_is_shown_with_its_log(spawn: Spawn, tmp_path: Path) -> None:
    assets = _fake_assets(tmp_path / "assets", "etcd", "kube-apiserver", "kubectl")
    process = spawn("up", KUBEBUILDER_ASSETS=assets)
    out, err = process.communicate(timeout=WAIT)
    assert (process.returncode, out) == (1, "")
    assert "ended with status 3" in err
    assert "has no wish to run" in err
    assert "Traceback" not in err


def test_a_component_that_dies_ends_all(spawn: Spawn) -> None:
    process = spawn("up")
    plane = _first_line(process)
    with _ending(plane["pids"]):
        os.kill(plane["pids"]["etcd"], signal.SIGKILL)
    _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 1
    assert "etcd ended with status -9" in err


def test_incomplete_assets_are_refused_in_one_line(spawn: Spawn, tmp_path: Path) -> None:
    assets = _fake_assets(tmp_path / "assets", "kube-apiserver")
    for command in ("build", "up"):
        process = spawn(command, KUBEBUILDER_ASSETS=assets)
        out, err = process.communicate(timeout=WAIT)
        assert (process.returncode, out) == (1, "")
        assert err == (
            f"controlplane: KUBEBUILDER_ASSETS={assets} lacks etcd, kubectl: "
            "add what is missing, or unset the variable to have everything found, downloaded or built\n"
        )


def test_complete_assets_are_used(spawn: Spawn, tmp_path: Path) -> None:
    assets = _fake_assets(tmp_path / "assets", "etcd", "kube-apiserver", "kubectl")
    process = spawn("build", KUBEBUILDER_ASSETS=assets, XDG_CACHE_HOME=tmp_path / "cache")
    assert process.communicate(timeout=WAIT) == (f"{assets}\n", "")
    assert not (tmp_path / "cache").exists()


def test_without_kubectl_none_is_built(spawn: Spawn, tmp_path: Path) -> None:
    real = subprocess.check_output([*COMMAND, "build"], text=True).strip()
    assets = tmp_path / "assets"
    assets.mkdir()
    for name in ("etcd", "kube-apiserver"):
        (assets / name).symlink_to(Path(real) / name)
    process = spawn(
        "up",
        "--without-kubectl",
        KUBEBUILDER_ASSETS=assets,
        XDG_CACHE_HOME=tmp_path / "cache",
        PATH=tmp_path,
    )
    assert _first_line(process)["kubectl"] is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=WAIT)
