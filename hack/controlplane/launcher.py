"""Run etcd and kube-apiserver until somebody stops them. The package's docstring says how to use it."""

import base64
import contextlib
import errno
import fcntl
import http.client
import json
import os
import secrets
import select
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import BinaryIO

from controlplane import locate
from controlplane.children import ControlPlaneError, Stopped, end, spawn
from controlplane.components import COMPONENTS, HOST, commands, private_key, write_secret
from controlplane.locate import KUBECTL, Programs

_READY_TIMEOUT = 120.0  # seconds; about 3 are usual
_TAIL = 15  # lines of a component's log to show when it fails
_PREFIX = "tcf-controlplane-"


def up(
    *,
    data_dir: Path | None,
    port: int,
    authentication: Path | None,
    until_stdin_closes: bool,
    with_kubectl: bool,
) -> None:
    """Run a control plane. Return at a signal, or when stdin closes if that is asked for.

    A `port` of 0 means any free one, no `data_dir` a temporary one. `authentication`: the file of an
    AuthenticationConfiguration. `with_kubectl`: make sure that there is a kubectl.
    """
    programs = locate.everything() if with_kubectl else locate.servers()
    with _home(data_dir) as home, _reserved(port) as reserved:
        plane = _Plane(
            programs, home, reserved, authentication=authentication, until_stdin_closes=until_stdin_closes
        )
        try:
            plane.start("etcd")
            plane.start("kube-apiserver")
            plane.wait_ready()
            plane.write_kubeconfig()
            with contextlib.suppress(Stopped):
                plane.serve()
        finally:
            plane.end()


@contextlib.contextmanager
def _home(data_dir: Path | None) -> Iterator[Path]:
    """Yield a directory that no other launcher uses; a temporary one is removed at the end."""
    if data_dir is not None:
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = _lock(data_dir)
        except OSError as error:
            raise ControlPlaneError(f"cannot use the data directory: {error}") from error
        if lock is None:
            raise ControlPlaneError(f"{data_dir} is in use by another control plane")
        with lock:
            yield data_dir.resolve()
        return
    _sweep()
    home, lock = _temporary_home()
    with lock:
        try:
            yield home
        finally:
            shutil.rmtree(home, ignore_errors=True)


def _temporary_home() -> tuple[Path, BinaryIO]:
    while True:
        home = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with contextlib.suppress(FileNotFoundError):
            if lock := _lock(home):
                return home, lock
        # Another launcher's sweep came between the two calls.


def _lock(home: Path) -> BinaryIO | None:
    """Take a directory for as long as this process lives; None if another process has it."""
    path = home / "lock"
    lock = path.open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists():  # else it was locked after a sweep had removed it
            return lock
    except BlockingIOError:
        pass
    lock.close()
    return None


def _sweep() -> None:
    """Remove what killed launchers left behind."""
    for home in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if home.lstat().st_uid == os.getuid() and (lock := _lock(home)):
                with lock:
                    shutil.rmtree(home)


@contextlib.contextmanager
def _reserved(port: int) -> Iterator[int]:
    """Keep a port of the loopback address for the API server, even while that is down.

    A socket that is bound but does not listen gets no connections, and SO_REUSEPORT lets the API server (with
    --permit-port-sharing) bind the same port. So nobody else can take the port before the API server does, or
    during its restart.
    """
    try:
        if port:
            # SO_REUSEPORT alone would succeed beside another control plane.
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((HOST, port))
        reservation = socket.socket()
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reservation.bind((HOST, port))
    except OSError as error:
        hint = ": choose another --port" if error.errno == errno.EADDRINUSE else ""
        raise ControlPlaneError(f"port {port}: {error.strerror}{hint}") from error
    with reservation:
        yield reservation.getsockname()[1]


class _Plane:
    """The two components, run in `home`."""

    def __init__(
        self,
        programs: Programs,
        home: Path,
        port: int,
        *,
        authentication: Path | None,
        until_stdin_closes: bool,
    ) -> None:
        self._home = home
        self._port = port
        self._server = f"https://{HOST}:{port}"
        self._kubeconfig = home / "kubeconfig"
        self._kubectl = programs.get(KUBECTL)
        self._until_stdin_closes = until_stdin_closes
        self._stdin_hangup = select.poll()
        if until_stdin_closes:
            self._stdin_hangup.register(sys.stdin, 0)  # reports POLLHUP alone
        self._running: dict[str, Popen[bytes]] = {}
        # Credentials are new each time, so that none expires in a data directory that is kept.
        self._token = secrets.token_urlsafe(32)
        for suffix in (".crt", ".key"):
            self._certificates().with_suffix(suffix).unlink(missing_ok=True)
        write_secret(home / "tokens.csv", f'{self._token},admin,admin,"system:masters"\n')
        write_secret(home / "service-account.key", private_key())
        for name in COMPONENTS:
            self._log(name).unlink(missing_ok=True)
        self._commands = commands(programs, port, authentication=authentication)

    def start(self, name: str) -> None:
        """Start a component, without waiting for it to be ready."""
        if name in self._running:
            raise ControlPlaneError(f"{name} is running already")
        with self._log(name).open("ab") as log:
            # Without an environment: etcd takes options from there, both take proxies.
            self._running[name] = spawn(self._commands[name], cwd=self._home, output=log, env={})

    def end(self) -> None:
        """End all that runs."""
        # The API server has no state of its own, and with watches open it would take its time.
        for name, grace in (("kube-apiserver", 0.0), ("etcd", 5.0)):
            if process := self._running.pop(name, None):
                end(process, grace=grace)

    def wait_ready(self) -> None:
        """Wait until the API serves, or one of the components is down."""
        deadline = time.monotonic() + _READY_TIMEOUT
        while len(self._running) == len(COMPONENTS):
            self._check()
            if (trouble := self._trouble()) is None:
                return
            if time.monotonic() > deadline:
                raise ControlPlaneError(
                    f"the API is not ready after {_READY_TIMEOUT:.0f} s: {trouble}; "
                    f"the last lines of {self._tail('kube-apiserver')}"
                )
            if self._stdin_hangup.poll(50):  # milliseconds
                raise Stopped(signal.SIGHUP)

    def write_kubeconfig(self) -> None:
        """Write the administrator's kubeconfig; JSON is YAML."""
        certificates = self._certificates().read_bytes()
        name = "controlplane"
        cluster = {
            "server": self._server,
            "certificate-authority-data": base64.b64encode(certificates).decode(),
        }
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": "admin"}}],
            "current-context": name,
        }
        write_secret(self._kubeconfig, json.dumps(config, indent=2) + "\n")

    def serve(self) -> None:
        """Announce the API, then obey stdin, if asked to, until it ends."""
        self._announce()
        pending = b""
        while True:
            self._check()
            # The end of a component is noticed after half a second at most.
            if not select.select([sys.stdin] if self._until_stdin_closes else [], [], [], 0.5)[0]:
                continue
            if not (chunk := os.read(sys.stdin.fileno(), 4096)):
                return
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                self._obey(line.decode(errors="replace"))

    def _obey(self, line: str) -> None:
        try:
            self._execute(line)
        except ControlPlaneError as error:
            _answer({"error": str(error)})
        else:
            self._announce()

    def _execute(self, line: str) -> None:
        verb, _, name = line.strip().partition(" ")
        if verb not in ("stop", "kill", "start") or name not in COMPONENTS:
            raise ControlPlaneError(f"write stop, kill or start, and {' or '.join(COMPONENTS)}, not: {line}")
        if verb == "start":
            self.start(name)
            self.wait_ready()
        elif process := self._running.pop(name, None):
            end(process, grace=0.0 if verb == "kill" else 10.0)
        else:
            raise ControlPlaneError(f"{name} is not running")

    def _announce(self) -> None:
        _answer(
            {
                "kubeconfig": str(self._kubeconfig),
                "server": self._server,
                "kubectl": str(self._kubectl) if self._kubectl else None,
                "pids": {name: process.pid for name, process in self._running.items()},
            }
        )

    def _check(self) -> None:
        for name, process in list(self._running.items()):
            if (status := process.poll()) is not None:
                end(self._running.pop(name), grace=0.0)
                raise ControlPlaneError(
                    f"{name} ended with status {status}; the last lines of {self._tail(name)}"
                )

    def _trouble(self) -> str | None:
        """Ask the API over verified TLS; return what keeps it from being ready."""
        try:
            context = ssl.create_default_context(cafile=self._certificates())
            connection = http.client.HTTPSConnection(HOST, self._port, timeout=5, context=context)
            with contextlib.closing(connection):
                # The namespace is made shortly after the server calls itself ready.
                for path in ("/readyz", "/api/v1/namespaces/default"):
                    connection.request("GET", path, headers={"Authorization": f"Bearer {self._token}"})
                    response = connection.getresponse()
                    body = response.read()
                    if response.status != http.HTTPStatus.OK:
                        return f"GET {path} answers {response.status} {body.decode()}"
        except (OSError, http.client.HTTPException) as error:
            return str(error)
        return None

    def _certificates(self) -> Path:
        """Return the file with the server's certificate and the authority that signed it."""
        return self._home / "certificates" / "apiserver.crt"

    def _log(self, name: str) -> Path:
        return self._home / f"{name}.log"

    def _tail(self, name: str) -> str:
        log = self._log(name)
        return "\n".join([f"{log}:", *log.read_text(errors="replace").splitlines()[-_TAIL:]])


def _answer(line: dict[str, object]) -> None:
    try:
        os.write(sys.stdout.fileno(), json.dumps(line).encode() + b"\n")
    except BrokenPipeError:
        raise Stopped(signal.SIGPIPE) from None
