"""HTTP proxies: which one leads to a server, as other Kubernetes clients choose it."""

from __future__ import annotations

import ipaddress
import urllib.request

from yarl import URL

from tcf.runtime.text import printable


def http_url(text: str) -> URL:
    """Raises ValueError if it is not an http or https URL."""
    url = URL(text)
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"{without_password(text)} is not an http or https URL")
    return url


def proxy_for(server: URL, configured: str | None = None) -> str | None:
    """The proxy to use: the configured one, otherwise that of the environment, as kubectl does it.

    Raises:
        ValueError: it is not a usable proxy.
    """
    if configured:
        return str(http_url(configured))
    environment = urllib.request.getproxies_environment()
    proxy = environment.get(server.scheme)
    if not proxy or _bypasses(server.host or "", environment):
        return None
    return str(http_url(proxy if "://" in proxy else f"http://{proxy}"))


def _bypasses(host: str, environment: dict[str, str]) -> bool:
    """Is the host reached without a proxy? (NO_PROXY has it, or its network, or it is this machine.)"""
    if host == "localhost" or urllib.request.proxy_bypass(host, environment):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    networks = (part.strip() for part in environment.get("no", "").split(","))
    return address.is_loopback or any(_contains(network, address) for network in networks if "/" in network)


def _contains(network: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def without_password(url: str | None) -> str:
    text = printable(url or "", 200)
    try:
        parsed = URL(text)
        return str(parsed.with_user(None)) if parsed.absolute else text
    except ValueError:
        return "this value"
