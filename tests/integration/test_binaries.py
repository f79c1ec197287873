"""`hack/controlplane build`: it downloads or builds once, and what was interrupted can be repeated."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from support.controlplane_command import WAIT, Spawn, script, spawning
from support.release_server import ReleaseServer, changed

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


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    with spawning() as run:
        yield run


class Stub:
    """A go that builds on command, and a cache that nobody else uses."""

    def __init__(self, tmp_path: Path, spawn: Spawn) -> None:
        self._spawn = spawn
        self._directory = tmp_path / "stub"
        self._directory.mkdir()
        self._cache_home = tmp_path / "cache"
        self.cache = self._cache_home / "tcf" / "controlplane"
        script(self._directory / "go", STUB_GO)
        for name in ("alive", "go-on"):
            os.mkfifo(self._directory / name)

    def build(self, minor: str | None = None, *, hosts: str | Path = "") -> subprocess.Popen[str]:
        """Start it.

        `minor`: another version of Kubernetes. `hosts`: a file that says where releases are; without one,
        nothing is downloaded.
        """
        return self._spawn(
            "build",
            KUBEBUILDER_ASSETS=None,
            TCF_KUBERNETES=minor,
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
            # Open at both ends: what is written can be read, now or later.
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


def test_another_minor_version_is_built_apart(stub: Stub) -> None:
    process = stub.build("1.36")
    with stub.building():
        stub.go_on()
    programs = Path(process.communicate(timeout=WAIT)[0].strip())
    assert process.returncode == 0
    assert programs.parent.name.startswith("v1.36.")
    assert sorted(path.name for path in programs.iterdir()) == ["etcd", "kube-apiserver", "kubectl"]
    assert not stub.cache.exists()


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
    script(
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
