"""Where the hub is and how to prove who we are: in-cluster files, or a kubeconfig.

A kubeconfig may hold anything (exec plugins, client certificates, proxies), so it is read by the
`kubernetes` package, which is imported only then: it would triple the memory of a worker.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path

from yarl import URL

from tcf.hub.errors import NotConfiguredError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Connection:
    """One way to reach the hub, good until the hub answers 401.

    Attributes:
        server: base URL, without a trailing slash.
        tls: None for plain HTTP.
        authorization: the header's value, None when TLS client certificates say it all.
        files: what was read to make it; a change of their modification time makes it stale.
    """

    server: str
    tls: ssl.SSLContext | None
    authorization: str | None = field(repr=False)
    proxy: str | None = None
    tls_server_name: str | None = None
    files: tuple[tuple[Path, int], ...] = ()

    @property
    def stale(self) -> bool:
        """Has one of its files been replaced (a rotated token, an edited kubeconfig)?"""
        return any(_version(path) != version for path, version in self.files)


Connect = Callable[[], Coroutine[None, None, Connection]]
"""Makes a connection anew from what the files say now; may take seconds.

Raises NotConfiguredError when that can't be done; it may succeed later.
"""


def in_cluster(folder: Path = SERVICE_ACCOUNT) -> Connect:
    """Connect with the ServiceAccount that Kubernetes mounts into a pod."""

    async def connect() -> Connection:
        host = os.environ.get("KUBERNETES_SERVICE_HOST")
        port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        token = folder / "token"
        if not host or not token.exists():
            raise NotConfiguredError(
                "not running in a Kubernetes pod with a ServiceAccount, and no kubeconfig is given:"
                " use --kubeconfig"
            )
        version = _version(token)
        try:
            bearer = token.read_text(encoding="utf-8").strip()
            tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        except (OSError, ssl.SSLError) as error:
            raise NotConfiguredError(f"cannot read the ServiceAccount in {folder}: {error}") from error
        name = f"[{host}]" if ":" in host else host
        return Connection(f"https://{name}:{port}", tls, f"Bearer {bearer}", files=((token, version),))

    return connect


def kubeconfig(path: Path, context: str | None = None) -> Connect:
    """Connect as a kubeconfig file says. It is loaded in a thread: exec plugins may take seconds."""

    async def connect() -> Connection:
        return await asyncio.to_thread(_load_kubeconfig, path, context)

    return connect


def _load_kubeconfig(path: Path, context: str | None) -> Connection:
    from kubernetes import client, config  # noqa: PLC0415 - 20 MiB that most workers never need

    version = _version(path)
    loaded = client.Configuration()
    try:
        config.load_kube_config(str(path), context=context, client_configuration=loaded)
        authorization = loaded.auth_settings().get("BearerToken", {}).get("value")
        server = URL(loaded.host)  # ValueError where it is none
        tls = _tls(loaded) if server.scheme == "https" else None
    except (config.ConfigException, OSError, ssl.SSLError, ValueError, TypeError, KeyError) as error:
        raise NotConfiguredError(f"cannot use the kubeconfig {path}: {error}") from error
    if not authorization and loaded.username:
        authorization = loaded.get_basic_auth_token()
    return Connection(
        server=str(server).rstrip("/"),
        tls=tls,
        authorization=authorization,
        proxy=loaded.proxy,
        tls_server_name=loaded.tls_server_name,
        files=((path, version),),
    )


def _tls(loaded: object) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=getattr(loaded, "ssl_ca_cert", None))
    if not getattr(loaded, "verify_ssl", True):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate := getattr(loaded, "cert_file", None):
        context.load_cert_chain(certificate, getattr(loaded, "key_file", None))
    return context


def _version(path: Path) -> int:
    """Changes whenever the file does; -1 while there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1
