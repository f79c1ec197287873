"""hack/controlplane: it downloads or builds once, starts a real API, and leaves nothing behind."""

import contextlib
import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from controlplane.children import ControlPlaneError
from controlplane.plane import ControlPlane
from support.release_server import ReleaseServer, changed

COMMAND = (sys.executable, str(Path(__file__).parents[2] / "hack" / "controlplane"))
WAIT = 30  # seconds until a test gives up; nothing here takes a tenth of it

# Stands for go: says that it is new enough, and builds when the test lets it.
STUB_GO = """#!/bin/sh
if [ "$1" = env ]; then echo go1.99.0; exit; fi
exec 3> "$STUB/alive"  # open as long as this or a child of it lives
head -c 1 "$STUB/go-on" > "$STUB/ignored"  # a child that waits
while [ "$1" != -o ]; do shift; done
folder=$2
shift 2
for package; do
  name=${package##*/}
  if [ "$name" = v3 ]; then name=server; fi
  echo "#!/bin/sh" > "$folder$name"
  chmod +x "$folder$name"
done
echo "built: $*" >> "$STUB/builds"
"""

Spawn = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Run the command with arguments and changes of the environment (None removes a variable)."""
    with contextlib.ExitStack() as stack:

        def run(*arguments: str | Path, **changes: str | Path | None) -> subprocess.Popen[str]:
            env = {k: v for k, v in os.environ.items() if k not in changes}
            env |= {name: str(value) for name, value in changes.items() if value is not None}
            process = subprocess.Popen(
                [*COMMAND, *arguments],
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield run


class Stub:
    """A go that builds on command, and a cache that nobody else uses."""

    def __init__(self, tmp_path: Path, spawn: Spawn) -> None:
        self._spawn = spawn
        self._directory = tmp_path / "stub"
        self._directory.mkdir()
        self._cache_home = tmp_path / "cache"
        self.cache = self._cache_home / "tcf" / "controlplane"
        _script(self._directory / "go", STUB_GO)
        for name in ("alive", "go-on"):
            os.mkfifo(self._directory / name)

    def build(self, *, hosts: str | Path = "") -> subprocess.Popen[str]:
        """Start it. `hosts`: a file that says where releases are; without one, nothing is downloaded."""
        return self._spawn(
            "build",
            KUBEBUILDER_ASSETS=None,
            XDG_CACHE_HOME=self._cache_home,
            XDG_DATA_HOME=self._cache_home,
            TCF_RELEASE_HOSTS=hosts,
            NO_PROXY="127.0.0.1",
            STUB=self._directory,
            PATH=f"{self._directory}:{os.environ['PATH']}",
        )

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """Enter when go runs; leave when it and its children are gone."""
        with (
            # Open at both ends: what is written is there for whoever reads, now or later.
            (self._directory / "go-on").open("r+b", buffering=0) as self._go_on,
            (self._directory / "alive").open() as alive,  # blocks until go opens it
        ):
            yield
            alive.read()

    def go_on(self) -> None:
        self._go_on.write(b".")

    def builds(self) -> int:
        return len(self._built())

    def built(self) -> list[str]:
        """The packages of the only build."""
        [line] = self._built()
        return line.split()[1:]

    def _built(self) -> list[str]:
        path = self._directory / "builds"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def stub(tmp_path: Path, spawn: Spawn) -> Stub:
    return Stub(tmp_path, spawn)


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _fake_assets(directory: Path, *names: str) -> Path:
    directory.mkdir()
    for name in names:
        _script(directory / name, f"#!/bin/sh\necho {name} has no wish to run\nexit 3\n")
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


def test_of_two_builds_at_once_the_second_waits_for_the_first(stub: Stub) -> None:
    first = stub.build()
    with stub.building():
        second = stub.build()
        assert second.stderr
        assert any("another build is running" in line for line in second.stderr)
        stub.go_on()
    out, _ = first.communicate(timeout=WAIT)
    assert first.returncode == 0
    programs = Path(out.strip())
    assert sorted(path.name for path in programs.iterdir()) == ["etcd", "kube-apiserver", "kubectl"]
    assert second.communicate(timeout=WAIT)[0] == out
    assert second.returncode == 0
    assert stub.builds() == 1


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_build_leaves_nothing_half_made(stub: Stub, signum: signal.Signals) -> None:
    interrupted = stub.build()
    with stub.building():
        interrupted.send_signal(signum)
        _, err = interrupted.communicate(timeout=WAIT)
        if signum == signal.SIGKILL:
            stub.go_on()  # only go itself is sure to die with the builder, not its children
        else:
            assert interrupted.returncode == 128 + signum
            assert err.endswith("controlplane: stopped\n")
            assert "Traceback" not in err
            assert [path.name for path in stub.cache.iterdir()] == ["lock"]
    assert not list(stub.cache.glob("v*"))

    again = stub.build()
    with stub.building():
        stub.go_on()
    programs = Path(again.communicate(timeout=WAIT)[0].strip())
    assert again.returncode == 0
    assert (programs / "etcd").exists()
    assert sorted(stub.cache.iterdir()) == sorted([stub.cache / "lock", programs.parent])
    assert stub.builds() == 1


def test_a_failed_build_shows_why_and_what_to_do(spawn: Spawn, tmp_path: Path) -> None:
    _script(
        tmp_path / "go",
        '#!/bin/sh\nif [ "$1" = env ]; then echo go1.99.0; exit; fi\necho no such host >&2\nexit 1\n',
    )
    process = spawn(
        "build",
        KUBEBUILDER_ASSETS=None,
        XDG_CACHE_HOME=tmp_path / "cache",
        XDG_DATA_HOME=tmp_path / "cache",
        TCF_RELEASE_HOSTS="",
        PATH=f"{tmp_path}:{os.environ['PATH']}",
    )
    out, err = process.communicate(timeout=WAIT)
    assert (process.returncode, out) == (1, "")
    assert "building failed:\nno such host\nWhat to do: " in err
    assert "KUBEBUILDER_ASSETS" in err
    assert [path.name for path in (tmp_path / "cache/tcf/controlplane").iterdir()] == ["lock"]


@pytest.fixture
def releases() -> Iterator[ReleaseServer]:
    with ReleaseServer() as server:
        yield server


def test_official_binaries_are_downloaded_and_nothing_is_built(
    stub: Stub, releases: ReleaseServer, tmp_path: Path
) -> None:
    hosts = releases.hosts_file(tmp_path)
    out, _ = stub.build(hosts=hosts).communicate(timeout=WAIT)
    programs = Path(out.strip())
    assert sorted(path.name for path in programs.iterdir()) == ["etcd", "kube-apiserver", "kubectl"]
    assert sorted(stub.cache.iterdir()) == sorted([stub.cache / "lock", programs.parent])
    asked = len(releases.asked)
    assert stub.build(hosts=hosts).communicate(timeout=WAIT) == (out, "")
    assert (len(releases.asked), stub.builds()) == (asked, 0)


def test_only_what_cannot_be_downloaded_is_built(stub: Stub, releases: ReleaseServer, tmp_path: Path) -> None:
    releases.faults[releases.path_of("/kubectl")] = changed
    del releases.files[releases.path_of("SHA256SUMS")]
    process = stub.build(hosts=releases.hosts_file(tmp_path))
    with stub.building():
        stub.go_on()
    out, err = process.communicate(timeout=WAIT)
    assert process.returncode == 0
    assert (Path(out.strip()) / "etcd").read_text() == "#!/bin/sh\n"
    assert stub.built() == ["go.etcd.io/etcd/server/v3", "k8s.io/kubernetes/cmd/kubectl"]
    assert "etcd cannot be downloaded: " in err
    assert "kubectl cannot be downloaded: the checksum of " in err


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_download_is_not_used_and_can_be_repeated(
    stub: Stub, releases: ReleaseServer, tmp_path: Path, signum: signal.Signals
) -> None:
    half_way = threading.Event()

    def slow(request: BaseHTTPRequestHandler, content: bytes) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[: len(content) // 2])
        half_way.set()
        releases.released.wait()

    path = releases.path_of("/kube-apiserver")
    releases.faults[path] = slow
    hosts = releases.hosts_file(tmp_path)
    interrupted = stub.build(hosts=hosts)
    assert half_way.wait(WAIT)
    interrupted.send_signal(signum)
    _, err = interrupted.communicate(timeout=WAIT)
    if signum != signal.SIGKILL:
        assert interrupted.returncode == 128 + signum
        assert err.endswith("controlplane: stopped\n")
        assert [path.name for path in stub.cache.iterdir()] == ["lock"]
    assert not list(stub.cache.glob("v*"))

    del releases.faults[path]
    out, _ = stub.build(hosts=hosts).communicate(timeout=WAIT)
    programs = Path(out.strip())
    assert (programs / "kube-apiserver").read_bytes() == releases.files[path]
    assert sorted(stub.cache.iterdir()) == sorted([stub.cache / "lock", programs.parent])
    assert stub.builds() == 0


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
