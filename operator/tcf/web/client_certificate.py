"""Who has shown a certificate of the client CA on the connection of a request."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from tcf.core.authorization import User
from tcf.runtime.clock import CLOCK


@dataclass(frozen=True, slots=True)
class CertificateSubject:
    """The subject of a certificate: its CN, and each of its O in their order."""

    common_name: str
    organizations: tuple[str, ...]


def certificate_user(request: web.BaseRequest, *, prefix: str) -> User | None:
    """The same as a user, whose groups are the organizations. All names begin with `prefix`."""
    shown = client_certificate(request)
    return User(prefix + shown.common_name, tuple(prefix + o for o in shown.organizations)) if shown else None


def client_certificate(request: web.BaseRequest) -> CertificateSubject | None:
    """The subject of the certificate that this client has shown; None if it has shown none that counts.

    One of another authority than the client CA never gets as far as a request. When the client CA is
    replaced, all connections end on which the former one was in use.
    """
    certificate = request.get_extra_info("peercert")
    return subject(certificate, CLOCK.now().wall) if certificate else None


def subject(certificate: Mapping[str, Any], now: datetime) -> CertificateSubject | None:
    """The subject of a certificate in the form of `ssl.SSLSocket.getpeercert`, unless it does not count.

    It does not count after its `notAfter`, because a connection may live longer than that. It does not count
    either without exactly one CN, because nobody could say which one is the name.
    """
    if ssl.cert_time_to_seconds(certificate["notAfter"]) <= now.timestamp():
        return None
    fields = [field for relative_name in certificate["subject"] for field in relative_name]
    names = [value for name, value in fields if name == "commonName"]
    if len(names) != 1 or not names[0]:
        return None
    return CertificateSubject(names[0], tuple(value for name, value in fields if name == "organizationName"))
