"""Refuses requests that a web page makes a browser send, without its user's knowledge.

A page may send a form to any address that the browser can reach, and the browser adds no mark of its own but
the headers that are checked here. Programs such as curl send none of them.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from multidict import CIMultiDictProxy

from tcf.core.model import Refusal
from tcf.core.reasons import Reason

Headers = CIMultiDictProxy[str]
_OWN = {"same-origin", "none"}
"""The values of Sec-Fetch-Site for a request of a page of this server, or of the user."""


def from_elsewhere(headers: Headers, *, loopback: bool) -> tuple[int, Refusal] | None:
    """The status and the refusal of a request that no page of this server has sent; None for any other.

    `loopback`: this server listens on loopback addresses only.
    """
    if refusal := cross_site(headers):
        return 403, refusal
    refusal = foreign_host(headers) if loopback else None
    return (421, refusal) if refusal else None


def cross_site(headers: Headers) -> Refusal | None:
    """Why this request comes from a page of another site; None if it does not.

    Browsers send Sec-Fetch-Site to HTTPS and to loopback addresses only, but Origin with every POST, PUT and
    DELETE.
    """
    sites = [site for site in headers.getall("Sec-Fetch-Site", []) if site]
    origins = headers.getall("Origin", [])
    host = headers.get("Host", "")
    if sites:
        foreign = not _OWN.issuperset(sites)
    else:
        foreign = not all(_authority(origin) == host.lower() for origin in origins)
    if not foreign:
        return None
    return Refusal(
        Reason.CROSS_SITE,
        "a web page of another site has sent this request, so it is refused. If it is your own page, have it"
        " send the request to its own server; a proxy in between must leave the header Host as it is",
    )


def _authority(origin: str) -> str | None:
    """Host and port of an origin, as the header Host has them; None for an origin such as `null`."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def foreign_host(headers: Headers) -> Refusal | None:
    """Why a request to a loopback address was not meant for it; None if it was.

    A page can give its own name the address 127.0.0.1 ("DNS rebinding"). Then the request is one to the same
    site for the browser, but the header Host still has the page's name. No browser leaves that header out.
    """
    if all(_is_loopback(host) for host in headers.getall("Host", [])):
        return None
    return Refusal(
        Reason.FOREIGN_HOST,
        "this program listens on a loopback address, so a request that may change something needs a loopback"
        " name such as localhost in the header Host: use such a URL, have the proxy set that header, or"
        " listen on another address",
    )


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.removeprefix("[").removesuffix("]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
