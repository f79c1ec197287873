"""Where the hub is, and the credentials for it: from the files in a Pod, or from a kubeconfig.

A kubeconfig may have many forms (client certificates, proxies and more), so the `kubernetes` package reads
it. That package is imported only when it is needed, because it would double the memory of a worker.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from yarl import URL

from tcf.hub.errors import NotConfiguredError
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


def kubeconfig(path: Path, context: str | None = None, *, clock: Clock = CLOCK) -> Connect:
    """Connect as a kubeconfig file describes."""
    from tcf.hub.exec_plugin import Plugin, PluginError  # noqa: PLC0415 - for kubeconfigs only

    plugin = Plugin(clock)

    async def connect() -> Connection:
        try:
            config = await in_thread(lambda: _read(path, context), name="kubeconfig")
            good_until = None
            if "exec" in config.user:
                credential = await plugin.run(config.user["exec"], config.cluster, path.parent)
                config = replace(config, user=credential.as_user())
                if credential.expires:
                    left = credential.expires - _BEFORE_EXPIRY - clock.now().wall
                    good_until = clock.boot() + left.total_seconds()
            return await in_thread(lambda: _load(config, good_until), name="kubeconfig")
        except (_UnusableError, PluginError) as error:
            raise NotConfiguredError(f"cannot use the kubeconfig {path}: {error}") from error

    return connect


class _UnusableError(Exception):
    """The kubeconfig cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class _Kubeconfig:
    """One context of a kubeconfig: its sections, with absolute paths, and the files that belong to it."""

    cluster: Mapping[str, Any]
    user: Mapping[str, Any]
    files: Versions


_REFERENCES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


def _read(path: Path, context: str | None) -> _Kubeconfig:
    import yaml  # noqa: PLC0415 - like kubernetes, for kubeconfigs only

    files = list(versions(path))
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _UnusableError("there is no such file") from error
    except OSError as error:
        raise _UnusableError(f"it cannot be read: {error.strerror}") from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise _UnusableError("it is not YAML") from error
    if not isinstance(value, dict):
        raise _UnusableError("it is empty, or not a kubeconfig")
    name = context or value.get("current-context")
    if not name:
        raise _UnusableError("it has no current-context: use --context")
    chosen = _named(value, "context", name)
    cluster = _named(value, "cluster", chosen.get("cluster"))
    user = _named(value, "user", chosen["user"]) if chosen.get("user") else {}
    for section in (cluster, user):
        for key in _REFERENCES:
            if isinstance(section.get(key), str) and section[key] and not section.get(f"{key}-data"):
                section[key] = str(path.parent / section[key])
                files += versions(Path(section[key]))
    return _Kubeconfig(cluster, user, tuple(files))


def _named(value: Mapping[str, Any], kind: str, name: object) -> dict[str, Any]:
    """The section with that name in the list of that kind."""
    entries = [each for each in value.get(f"{kind}s") or () if isinstance(each, dict)]
    for each in entries:
        if each.get("name") == name and isinstance(each.get(kind), dict):
            return dict(each[kind])
    known = ", ".join(str(each.get("name")) for each in entries) or "none"
    raise _UnusableError(f"it has no {kind} named {name} (it has: {known})")


def _load(config: _Kubeconfig, good_until: float | None) -> Connection:
    from kubernetes import client  # noqa: PLC0415 - takes 20 MiB that most workers do not need
    from kubernetes.config import load_kube_config_from_dict  # noqa: PLC0415

    loaded = client.Configuration()
    document = {
        "current-context": "this",
        "contexts": [{"name": "this", "context": {"cluster": "this", "user": "this"}}],
        "clusters": [{"name": "this", "cluster": dict(config.cluster)}],
        "users": [{"name": "this", "user": dict(config.user)}],
    }
    try:
        server = http_url(str(config.cluster.get("server")))
        proxy = proxy_for(server, config.cluster.get("proxy-url"))
        load_kube_config_from_dict(document, client_configuration=loaded, persist_config=False)
        authorization = loaded.auth_settings().get("BearerToken", {}).get("value")
        if not authorization and loaded.username:
            authorization = loaded.get_basic_auth_token()
        tls = _tls(loaded) if server.scheme == "https" else None
    except Exception as error:
        raise _UnusableError(" ".join(str(error).split()) or type(error).__name__) from error
    return Connection(
        server=str(server).rstrip("/"),
        tls=tls,
        authorization=authorization,
        proxy=proxy,
        tls_server_name=loaded.tls_server_name,
        files=config.files,
        good_until=good_until,
    )


def _tls(loaded: object) -> ssl.SSLContext:
    context = _trust(getattr(loaded, "ssl_ca_cert", None))
    if not getattr(loaded, "verify_ssl", True):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate := getattr(loaded, "cert_file", None):
        context.load_cert_chain(certificate, getattr(loaded, "key_file", None))
    return context


def _trust(authorities: str | None) -> ssl.SSLContext:
    """A context that trusts certificates which these authorities have signed, as other Kubernetes clients do.

    Since Python 3.13, the default context refuses certificates without some extensions that RFC 5280 demands.
    The authorities of many clusters do not have them. Go, in which other clients are written, accepts that.
    """
    context = ssl.create_default_context(cafile=authorities)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
