"""Find kube-apiserver, etcd and kubectl, or have them made. `found` has the order of the places."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from controlplane import downloads, gotools
from controlplane.children import ControlPlaneError
from controlplane.gotools import missing, numbers

SERVERS = ("etcd", "kube-apiserver")
KUBECTL = "kubectl"
_OLDEST = {"kube-apiserver": "1.30", "etcd": "3.5"}
"""Older ones are not used. The chart asks for the same Kubernetes."""

Programs = Mapping[str, Path]


def servers() -> Programs:
    """kube-apiserver and etcd, and kubectl if it is there already."""
    programs = found()
    if KUBECTL in programs:
        return programs
    built = gotools.control_plane().directory
    kubectl = str(built / KUBECTL) if not missing(built, [KUBECTL]) else shutil.which(KUBECTL)
    return {**programs, KUBECTL: Path(kubectl)} if kubectl else programs


def everything() -> Programs:
    """kube-apiserver, etcd and kubectl."""
    return found(KUBECTL)


def found(*more: str) -> Programs:
    """kube-apiserver, etcd and `more`, from the first of these places that has the first two:

    1. the directory that KUBEBUILDER_ASSETS names, which must have all of them;
    2. the store of setup-envtest, the newest version that is new enough;
    3. PATH, if they are new enough;
    4. our own cache, where what is missing is downloaded, or else built.

    What of `more` is not in that place comes from our own cache. With TCF_KUBERNETES, everything does,
    because the other places may have any version.
    """
    programs: dict[str, Path] = {}
    if not os.environ.get("TCF_KUBERNETES"):
        programs = _assets(*SERVERS, *more) or _envtest() or _on_path()
    if absent := [name for name in (*SERVERS, *more) if name not in programs]:
        directory = _own(absent)
        programs |= {name: directory / name for name in absent}
    return programs


def directory_of(programs: Programs) -> Path:
    """A directory that has all these programs: the one in which they are, or else one with links to them."""
    folders = {path.parent for path in programs.values()}
    if len(folders) == 1:
        return folders.pop()
    named = repr(sorted((name, str(path)) for name, path in programs.items()))
    digest = hashlib.sha256(named.encode()).hexdigest()[:12]
    links = gotools.control_plane().cache / f"links-{digest}"
    links.mkdir(parents=True, exist_ok=True)
    for name, path in programs.items():
        beside = links / f".{name}-{os.getpid()}"
        beside.unlink(missing_ok=True)
        beside.symlink_to(path)
        beside.replace(links / name)
    return links


def _in(directory: Path) -> dict[str, Path]:
    """The programs that a directory has; none if it lacks one of the servers."""
    if missing(directory, SERVERS):
        return {}
    return {name: directory / name for name in (*SERVERS, KUBECTL) if not missing(directory, [name])}


def _assets(*names: str) -> dict[str, Path]:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets:
        return {}
    directory = Path(assets).resolve()
    if absent := missing(directory, names):
        raise ControlPlaneError(
            f"KUBEBUILDER_ASSETS={assets} lacks {', '.join(absent)}: "
            "add what is missing, or unset the variable to have everything found, downloaded or built"
        )
    return _in(directory)


def envtest_store() -> Path:
    """Where setup-envtest keeps its downloads by default."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "io.kubebuilder.envtest" / "k8s"
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "kubebuilder-envtest" / "k8s"


def _envtest() -> dict[str, Path]:
    """The newest version in setup-envtest's store: its folders are named like 1.34.1-linux-amd64."""
    machine = downloads.ARCHITECTURES.get(platform.machine(), platform.machine())
    named = re.compile(rf"(\d+\.\d+\.\d+)-{sys.platform}-{re.escape(machine)}")
    versions = {
        numbers(match[1]): path for path in envtest_store().glob("*") if (match := named.fullmatch(path.name))
    }
    for version in sorted(versions, reverse=True):
        if version >= numbers(_OLDEST["kube-apiserver"]) and (programs := _in(versions[version])):
            return programs
    return {}


def _on_path() -> dict[str, Path]:
    """kube-apiserver and etcd on PATH, if both are new enough."""
    programs = {name: Path(path).absolute() for name in SERVERS if (path := shutil.which(name))}
    if len(programs) < len(SERVERS):
        return {}
    new_enough = all(_version(path) >= numbers(_OLDEST[name]) for name, path in programs.items())
    return programs if new_enough else {}


def _version(program: Path) -> tuple[int, ...]:
    """What a program says of its version; () if it does not say it."""
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=False, timeout=30, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"\bv?(\d+\.\d+\.\d+)", done.stdout)
    return numbers(match[1]) if match else ()


def _own(names: list[str]) -> Path:
    """Our own cache, which has these programs afterwards."""
    tools = gotools.control_plane()
    versions = {
        "kubernetes": tools.version,
        "etcd": gotools.required(tools.module, "go.etcd.io/etcd/server/v3"),
    }
    return gotools.provide(
        tools,
        names,
        fetch=lambda left, folder: downloads.download(left, versions, folder),
        otherwise="or set KUBEBUILDER_ASSETS to a directory that has etcd, kube-apiserver and kubectl",
    )
