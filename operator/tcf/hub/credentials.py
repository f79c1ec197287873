"""Where the hub is, and the credentials for it: from the files in a Pod, or from a kubeconfig.

The `kubernetes` package could read kubeconfigs as well. But it would double the memory of a worker, and
`kubectl tcf` would start half a second later. So it is only used for users with an auth provider.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from yarl import URL

from tcf.hub.errors import NotConfiguredError
from tcf.hub.kubeconfig_files import Kubeconfig, UnusableError, read_kubeconfig
from tcf.hub.proxies import http_url, proxy_for, without_password
from tcf.runtime.clock import CLOCK, Clock
from tcf.runtime.file_versions import Versions, changed, versions
from tcf.runtime.threads import in_thread

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_BEFORE_EXPIRY = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Connection:
    """One way to reach the hub. It is good until the hub answers 401 or the hub's certificate is not trusted.

    Attributes:
        server: base URL, without a trailing slash.
        tls: None for plain HTTP.
        authorization: the value of the header; None if a TLS client certificate is used instead.
        proxy: the URL of an HTTP proxy.
        files: the files from which the connection was made. If one of them changes, the connection is stale.
        good_until: boot seconds after which it is stale in any case; None for never.
    """

    server: str
    tls: ssl.SSLContext | None = field(repr=False)
    authorization: str | None = field(repr=False)
    proxy: str | None = field(default=None, repr=False)
    tls_server_name: str | None = None
    files: Versions = ()
    good_until: float | None = None

    def stale(self, now: float) -> bool:
        """Has it expired, or has one of its files changed (the kubeconfig, a new token or CA)?"""
        ended = self.good_until is not None and now > self.good_until
        return ended or changed(self.files)

    @property
    def where(self) -> str:
        """The server, and the proxy if there is one, for messages: without the proxy's password."""
        via = f" through the proxy {without_password(self.proxy)}" if self.proxy else ""
        return f"{self.server}{via}"


Connect = Callable[[], Coroutine[None, None, Connection]]
"""Makes a new connection from the present content of the files. This may take seconds.

Raises NotConfiguredError if that is impossible now; it may succeed later.
"""


class Credentials:
    """The connection of a process to one API server. It is made on first use, and again after a failure."""

    def __init__(self, connect: Connect, *, clock: Clock = CLOCK) -> None:
        self._connect = connect
        self._clock = clock
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None

    async def current(self) -> Connection:
        """The connection to use now. Requests under way go on with the one with which they began.

        Making a connection may take longer than a request waits. So one task makes it for all requests, and
        goes on when a request gives up.

        Raises:
            NotConfiguredError: there is no connection yet.
        """
        if self._connection and not self._connection.stale(self._clock.boot()):
            return self._connection
        connecting = self._connecting or asyncio.create_task(self._connect(), name="credentials")
        self._connecting = connecting
        try:
            self._connection = await asyncio.shield(connecting)
        finally:
            if connecting.done() and self._connecting is connecting:
                self._connecting = None
        return self._connection

    def refused(self, connection: Connection) -> bool:
        """Drop a connection that the hub does not accept, or whose certificate is not trusted.

        Returns False if that connection has been replaced already.
        """
        if self._connection is not connection:
            return False
        self._connection = None
        return True

    async def close(self) -> None:
        """Cancel a connection that is being made."""
        if self._connecting:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)


def in_cluster(folder: Path = SERVICE_ACCOUNT) -> Connect:
    """Connect with the ServiceAccount that Kubernetes mounts into a pod."""

    async def connect() -> Connection:
        host = os.environ.get("KUBERNETES_SERVICE_HOST")
        port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        token, authorities = folder / "token", folder / "ca.crt"
        if not host or not token.exists():
            raise NotConfiguredError(
                "this is not a Kubernetes pod with a ServiceAccount, and no kubeconfig is given:"
                " use --kubeconfig"
            )
        files = versions(token, authorities)
        try:
            bearer = token.read_text(encoding="utf-8").strip()
            tls = _trust(str(authorities))
        except (OSError, ssl.SSLError) as error:
            raise NotConfiguredError(f"cannot read the ServiceAccount in {folder}: {error}") from error
        server = f"https://{f'[{host}]' if ':' in host else host}:{port}"
        return Connection(server, tls, f"Bearer {bearer}", proxy=proxy_for(URL(server)), files=files)

    return connect


def kubeconfig(path: Path | Sequence[Path], context: str | None = None, *, clock: Clock = CLOCK) -> Connect:
    """Connect as a kubeconfig describes. It may consist of several files."""
    from tcf.hub.exec_plugin import Plugin, PluginError  # noqa: PLC0415 - for kubeconfigs only

    plugin = Plugin(clock)
    paths = (path,) if isinstance(path, Path) else tuple(path)

    async def connect() -> Connection:
        try:
            config = await in_thread(lambda: read_kubeconfig(paths, context), name="kubeconfig")
            good_until = None
            if "exec" in config.user:
                credential = await plugin.run(config.user["exec"], config.cluster, config.folder)
                config = replace(config, user=credential.as_user())
                if credential.expires:
                    left = credential.expires - _BEFORE_EXPIRY - clock.now().wall
                    good_until = clock.boot() + left.total_seconds()
            return await in_thread(lambda: _connection(config, good_until), name="kubeconfig")
        except (UnusableError, PluginError) as error:
            where = ":".join(map(str, paths))
            raise NotConfiguredError(f"cannot use the kubeconfig {where}: {error}") from error

    return connect


def _connection(config: Kubeconfig, good_until: float | None) -> Connection:
    try:
        server = http_url(str(config.cluster.get("server")))
        return Connection(
            server=str(server).rstrip("/"),
            tls=_tls(config) if server.scheme == "https" else None,
            authorization=_authorization(config),
            proxy=proxy_for(server, config.cluster.get("proxy-url")),
            tls_server_name=config.cluster.get("tls-server-name"),
            files=config.files,
            good_until=good_until,
        )
    except Exception as error:
        raise UnusableError(" ".join(str(error).split()) or type(error).__name__) from error


def _authorization(config: Kubeconfig) -> str | None:
    """The value of the header; None for a user without a token or a password."""
    user = config.user
    if "auth-provider" in user:
        return _of_provider(config)
    if token := user.get("token"):
        return f"Bearer {token}"
    if file := user.get("tokenFile"):
        return f"Bearer {Path(file).read_text(encoding='utf-8').strip()}"
    if "username" in user and "password" in user:
        return "Basic " + base64.b64encode(f"{user['username']}:{user['password']}".encode()).decode()
    return None


def _of_provider(config: Kubeconfig) -> str | None:
    """Have the `kubernetes` package log in by an auth provider, which Kubernetes itself has given up."""
    from kubernetes import client  # noqa: PLC0415 - takes 20 MiB and 0.3 s that hardly anybody needs
    from kubernetes.config import load_kube_config_from_dict  # noqa: PLC0415

    loaded = client.Configuration()
    document = {
        "current-context": "this",
        "contexts": [{"name": "this", "context": {"cluster": "this", "user": "this"}}],
        "clusters": [{"name": "this", "cluster": dict(config.cluster)}],
        "users": [{"name": "this", "user": dict(config.user)}],
    }
    load_kube_config_from_dict(document, client_configuration=loaded, persist_config=False)
    value: str | None = loaded.auth_settings().get("BearerToken", {}).get("value")
    return value


def _tls(config: Kubeconfig) -> ssl.SSLContext:
    cluster, user = config.cluster, config.user
    authorities = cluster.get("certificate-authority-data")
    context = _trust(
        None if authorities else cluster.get("certificate-authority"),
        base64.b64decode(authorities).decode() if authorities else None,
    )
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    with _as_file(user, "client-certificate") as certificate, _as_file(user, "client-key") as key:
        if certificate:
            context.load_cert_chain(certificate, key)
    return context


@contextmanager
def _as_file(user: Mapping[str, Any], key: str) -> Iterator[str | None]:
    """The path of this part of a user. What is in the kubeconfig itself is in a file for a moment, because
    Python reads certificates of clients only from files."""
    data = user.get(f"{key}-data")
    if not data:
        yield user.get(key)
        return
    with NamedTemporaryFile() as file:  # only its owner can read it
        file.write(base64.b64decode(data))
        file.flush()
        yield file.name


def _trust(file: str | None, data: str | None = None) -> ssl.SSLContext:
    """A context that trusts certificates which these authorities have signed, as other Kubernetes clients do.

    Since Python 3.13, the default context refuses certificates without some extensions that RFC 5280 demands.
    The authorities of many clusters do not have them. Go, in which other clients are written, accepts that.
    """
    context = ssl.create_default_context(cafile=file, cadata=data)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
