"""Official release binaries: nothing is used unless it is complete and what was published."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from controlplane import downloads
from controlplane.downloads import DownloadError, HostDownError, OfficialBinary
from support.release_server import VERSIONS, ReleaseServer, broken_off, changed

NAMES = ("kube-apiserver", "etcd")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ReleaseServer]:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ReleaseServer() as running:
        monkeypatch.setenv("TCF_RELEASE_HOSTS", str(running.hosts_file(tmp_path)))
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "downloaded"
    made.mkdir()
    return made


def where(server: ReleaseServer, name: str) -> OfficialBinary:
    found = downloads.release(name, VERSIONS, server.bases)
    assert found
    return found


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_good_files_are_downloaded_and_can_be_run(server: ReleaseServer, folder: Path) -> None:
    downloads.download(NAMES, VERSIONS, folder)
    assert listed(folder) == sorted(NAMES)
    assert all(os.access(folder / name, os.X_OK) for name in NAMES)
    assert (folder / "kube-apiserver").read_bytes() == server.files[server.path_of("kube-apiserver")]


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_checksum_is_refused(server: ReleaseServer, folder: Path, name: str) -> None:
    release = where(server, name)
    server.faults[release.url.removeprefix(server.url)] = changed
    with pytest.raises(DownloadError, match=r"the checksum of .* was published"):
        downloads.fetch(release, folder)
    assert listed(folder) == []


def test_a_file_without_a_published_checksum_is_refused(server: ReleaseServer, folder: Path) -> None:
    server.files[server.path_of("SHA256SUMS")] = b"no checksums\n"
    with pytest.raises(DownloadError, match="has no checksum of etcd-"):
        downloads.fetch(where(server, "etcd"), folder)
    assert listed(folder) == []


@pytest.mark.parametrize("suffix", ["kube-apiserver", "kube-apiserver.sha256"])
def test_a_file_that_is_not_there_is_reported(server: ReleaseServer, folder: Path, suffix: str) -> None:
    del server.files[server.path_of(suffix)]
    with pytest.raises(DownloadError, match="answers 404") as caught:
        downloads.fetch(where(server, "kube-apiserver"), folder)
    assert not isinstance(caught.value, HostDownError)
    assert listed(folder) == []


@pytest.mark.parametrize("name", NAMES)
def test_half_a_file_is_not_used(server: ReleaseServer, folder: Path, name: str) -> None:
    release = where(server, name)
    server.faults[release.url.removeprefix(server.url)] = broken_off
    with pytest.raises(DownloadError, match=r"broke off|ended after"):
        downloads.fetch(release, folder)
    assert listed(folder) == []


def test_a_server_that_falls_silent_is_given_up(
    server: ReleaseServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_: BaseHTTPRequestHandler, __: bytes) -> None:
        server.released.wait()

    monkeypatch.setattr(downloads, "SILENCE_SECONDS", 0.2)
    release = where(server, "kube-apiserver")
    server.faults[release.sums.removeprefix(server.url)] = silent
    with pytest.raises(HostDownError, match="timed out"):
        downloads.fetch(release, folder)
    assert listed(folder) == []


def test_a_host_that_does_not_answer_is_asked_once(
    server: ReleaseServer, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody accepts the connection: this is what a firewall that drops packets looks like."""
    monkeypatch.setattr(downloads, "CONNECT_SECONDS", 0.2)
    with socket.socket() as deaf, socket.socket() as first:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        first.connect(deaf.getsockname())  # takes the only place in the queue
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        hosts = Path(os.environ["TCF_RELEASE_HOSTS"])
        hosts.write_text(f'kubernetes = "{url}"\netcd = "{server.bases["etcd"]}"\n')
        downloads.download(("kube-apiserver", "kubectl", "etcd"), VERSIONS, folder)
    assert listed(folder) == ["etcd"]
    said = capsys.readouterr().err
    assert "kube-apiserver cannot be downloaded" in said
    assert "timed out" in said
    assert "downloading kubectl" not in said


def test_a_host_that_refuses_connections_is_reported(server: ReleaseServer, folder: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        bases = {"kubernetes": f"http://127.0.0.1:{unused.getsockname()[1]}"}
        release = downloads.release("kube-apiserver", VERSIONS, bases)
        assert release
        with pytest.raises(HostDownError, match="refused"):
            downloads.fetch(release, folder)


def test_no_hosts_no_downloads(server: ReleaseServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TCF_RELEASE_HOSTS", "")
    downloads.download(NAMES, VERSIONS, folder)
    assert (listed(folder), server.asked) == ([], [])


def test_the_file_of_hosts_has_both() -> None:
    hosts = downloads.hosts()
    assert sorted(hosts) == ["etcd", "kubernetes"]
    assert all(url.startswith("https://") for url in hosts.values())
