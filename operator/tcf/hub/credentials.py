"""Where the hub is and how to prove who we are: in-cluster files, or a kubeconfig.

A kubeconfig may hold anything (exec plugins, client certificates, proxies), so it is read by the
`kubernetes` package, which is imported only then: it would triple the memory of a worker.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path

from yarl import URL

from tcf.hub.errors import NotConfiguredError
from tcf.runtime.threads import in_thread

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
            tls = _trust(str(folder / "ca.crt"))
        except (OSError, ssl.SSLError) as error:
            raise NotConfiguredError(f"cannot read the ServiceAccount in {folder}: {error}") from error
        name = f"[{host}]" if ":" in host else host
        return Connection(f"https://{name}:{port}", tls, f"Bearer {bearer}", files=((token, version),))

    return connect


def kubeconfig(path: Path, context: str | None = None) -> Connect:
    """Connect as a kubeconfig file says. It is loaded in a thread: exec plugins may take seconds, or hang."""

    async def connect() -> Connection:
        return await in_thread(lambda: _load_kubeconfig(path, context), name="kubeconfig")

    return connect


def _load_kubeconfig(path: Path, context: str | None) -> Connection:
    from kubernetes import client, config  # noqa: PLC0415 - 20 MiB that most workers never need

    version = _version(path)
    loaded = client.Configuration()
    try:
        config.load_kube_config(str(path), context=context, client_configuration=loaded, persist_config=False)
        authorization = loaded.auth_settings().get("BearerToken", {}).get("value")
        if not authorization and loaded.username:
            authorization = loaded.get_basic_auth_token()
        if not authorization and not loaded.cert_file:
            _check_plugin(path, context)
        server = _url(loaded.host)
        if loaded.proxy:
            _url(loaded.proxy)
        tls = _tls(loaded) if server.scheme == "https" else None
    except Exception as error:
        told = " ".join(str(error).split()) or repr(error)
        raise NotConfiguredError(f"cannot use the kubeconfig {path}: {told}") from error
    return Connection(
        server=str(server).rstrip("/"),
        tls=tls,
        authorization=authorization,
        proxy=loaded.proxy,
        tls_server_name=loaded.tls_server_name,
        files=((path, version),),
    )


def _check_plugin(path: Path, context: str | None) -> None:
    """Raise ValueError if there should have been an exec plugin: its failure is only logged by the loader."""
    import yaml  # noqa: PLC0415 - where kubernetes is loaded, so is this
    from kubernetes import config  # noqa: PLC0415

    contexts, current = config.list_kube_config_contexts(str(path))
    chosen = next((c for c in contexts if c["name"] == context), current)
    users = yaml.safe_load(path.read_text(encoding="utf-8")).get("users") or ()
    user = next((u.get("user") or {} for u in users if u["name"] == chosen["context"].get("user")), {})
    if "exec" in user:
        command = user["exec"].get("command")
        raise ValueError(f"the plugin {command} has given no credentials; its own words are in the log above")


def _url(text: str) -> URL:
    url = URL(text)
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"{text} is not an http or https URL")
    return url


def _tls(loaded: object) -> ssl.SSLContext:
    context = _trust(getattr(loaded, "ssl_ca_cert", None))
    if not getattr(loaded, "verify_ssl", True):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate := getattr(loaded, "cert_file", None):
        context.load_cert_chain(certificate, getattr(loaded, "key_file", None))
    return context


def _trust(authorities: str | None) -> ssl.SSLContext:
    """A context that trusts the certificates signed by these, as every other Kubernetes client would.

    Since Python 3.13 the default context refuses certificates that lack extensions which RFC 5280 demands.
    The authorities of many clusters do, and Go, in which the other clients are written, does not mind.
    """
    context = ssl.create_default_context(cafile=authorities)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _version(path: Path) -> int:
    """Changes whenever the file does; -1 while there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1
