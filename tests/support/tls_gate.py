"""A TLS server before the hub that takes only those who show a certain client certificate."""

from __future__ import annotations

import ssl
from pathlib import Path

from rig.hub_namespace import HubNamespace

from support.relay import Relay

CERTIFICATES = Path(__file__).parent / "certificates"
"""Made for these tests, valid for a hundred years: the gate's own, and two for clients. Each signs itself."""


class TlsGate(Relay):
    """Takes clients that show the certificate of this name ("first" or "second"); `server` is its URL."""

    def __init__(self, hub: HubNamespace, takes: str) -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(CERTIFICATES / "gate-cert.pem", CERTIFICATES / "gate-key.pem")
        tls.load_verify_locations(CERTIFICATES / f"{takes}-cert.pem")
        tls.verify_mode = ssl.CERT_REQUIRED
        super().__init__(hub, tls=tls)
        self.server = f"https://127.0.0.1:{self.port}"
