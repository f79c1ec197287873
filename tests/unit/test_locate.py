"""Where kube-apiserver, etcd and kubectl come from."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from controlplane import downloads, gotools, locate
from controlplane.children import ControlPlaneError
from support.release_server import MACHINE, program

SERVERS = locate.SERVERS
ALL = (*SERVERS, "kubectl")
Fill = Callable[..., Path]


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fill:
    """Puts programs of a version into a folder. Nothing but what a test puts somewhere can be found."""
    for name in ("KUBEBUILDER_ASSETS", "TCF_KUBERNETES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("TCF_RELEASE_HOSTS", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    (tmp_path / "path").mkdir()

    def put(folder: Path, *names: str, kubernetes: str = "1.37.2", etcd: str = "3.7.0") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            said = f"etcd Version: {etcd}" if name == "etcd" else f"Kubernetes v{kubernetes}"
            (folder / name).write_bytes(program(name, said))
            (folder / name).chmod(0o755)
        return folder

    return put


def store(tmp_path: Path, version: str, machine: str = f"linux-{MACHINE}") -> Path:
    return tmp_path / "home/.local/share/kubebuilder-envtest/k8s" / f"{version}-{machine}"


def cached() -> Path:
    return gotools.control_plane().directory


def parents(programs: locate.Programs) -> set[Path]:
    return {path.parent for path in programs.values()}


def test_places_in_their_order(fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(cached(), *ALL)
    assert parents(locate.everything()) == {cached()}
    on_path = fill(tmp_path / "path", *SERVERS)
    assert parents(locate.found()) == {on_path}
    envtest = fill(store(tmp_path, "1.34.1"), *ALL)
    assert parents(locate.everything()) == {envtest}
    assets = fill(tmp_path / "assets", *ALL)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    assert parents(locate.everything()) == {assets}
    assert locate.directory_of(locate.everything()) == assets


def test_assets_must_have_only_what_is_asked_for(
    fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(fill(tmp_path / "assets", *SERVERS)))
    assert set(locate.servers()) == set(SERVERS)
    with pytest.raises(ControlPlaneError, match="lacks kubectl"):
        locate.everything()


def test_the_newest_of_the_store_for_this_machine(fill: Fill, tmp_path: Path) -> None:
    fill(cached(), *ALL)
    fill(store(tmp_path, "1.29.9"), *ALL)
    assert parents(locate.found()) == {cached()}, "1.29 is too old"
    fill(store(tmp_path, "1.9.9"), *ALL)
    fill(store(tmp_path, "1.99.0", "darwin-arm64"), *ALL)
    fill(store(tmp_path, "1.35.0"), "kube-apiserver")  # an interrupted setup-envtest
    newest = fill(store(tmp_path, "1.34.10"), *ALL)
    fill(store(tmp_path, "1.34.9"), *ALL)
    assert parents(locate.found()) == {newest}


def test_the_store_on_a_mac(monkeypatch: pytest.MonkeyPatch, fill: Fill, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    expected = tmp_path / "home/Library/Application Support/io.kubebuilder.envtest/k8s"
    assert locate.envtest_store() == expected


@pytest.mark.parametrize("versions", [{"kubernetes": "1.29.0"}, {"etcd": "3.4.9"}, {"etcd": "unknown"}])
def test_programs_on_path_that_are_too_old(fill: Fill, tmp_path: Path, versions: dict[str, str]) -> None:
    fill(cached(), *ALL)
    fill(tmp_path / "path", *SERVERS, **versions)
    assert parents(locate.found()) == {cached()}


def test_one_program_on_path_is_not_enough(fill: Fill, tmp_path: Path) -> None:
    fill(cached(), *ALL)
    fill(tmp_path / "path", "etcd")
    assert parents(locate.found()) == {cached()}


def test_programs_from_two_places_are_linked_in_one(fill: Fill, tmp_path: Path) -> None:
    fill(cached(), "kubectl")
    fill(tmp_path / "path", *SERVERS)
    for _ in range(2):
        directory = locate.directory_of(locate.everything())
        assert sorted(path.name for path in directory.iterdir()) == sorted(ALL)
        assert (directory / "kubectl").resolve() == cached() / "kubectl"


def test_kubectl_is_named_if_it_is_there(fill: Fill, tmp_path: Path) -> None:
    fill(cached(), *SERVERS)
    assert set(locate.servers()) == set(SERVERS)
    on_path = fill(tmp_path / "path", "kubectl")
    assert locate.servers()["kubectl"] == on_path / "kubectl"
    fill(cached(), "kubectl")
    assert locate.servers()["kubectl"] == cached() / "kubectl"


def test_another_kubernetes_must_be_known(fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TCF_KUBERNETES", "1.2")
    with pytest.raises(ControlPlaneError, match=r"is unknown: set it to 1\.36, or unset it"):
        locate.found()


def test_only_linux_has_official_binaries(monkeypatch: pytest.MonkeyPatch) -> None:
    bases = {"kubernetes": "https://one", "etcd": "https://other"}
    versions = {"kubernetes": "v1.37.2", "etcd": "v3.7.0"}
    monkeypatch.setattr(sys, "platform", "darwin")
    assert downloads.release("kube-apiserver", versions, bases) is None
    monkeypatch.setattr(sys, "platform", "linux")
    assert downloads.release("kube-apiserver", versions, bases)
