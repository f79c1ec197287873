"""Certificates of servers and clients for tests, and the files of a server that replaces its certificate."""

from __future__ import annotations

import itertools
import ssl
from pathlib import Path

from support.tls_gate import CERTIFICATES
from tcf.settings import TlsSettings

_NUMBERS = itertools.count(1)


def pem(name: str) -> bytes:
    """The content of a file in support/certificates, such as `gate-cert`."""
    return (CERTIFICATES / f"{name}.pem").read_bytes()


def as_client(server: str = "gate", *, shows: str | None = None) -> ssl.SSLContext:
    """For a client that trusts this server's certificate only, and may show a certificate of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(CERTIFICATES / f"{server}-cert.pem")
    if shows:
        context.load_cert_chain(CERTIFICATES / f"{shows}-cert.pem", CERTIFICATES / f"{shows}-key.pem")
    return context


class ServerFiles:
    """The files of a server in a folder, where a test can replace them."""

    def __init__(self, folder: Path, server: str = "gate", client_ca: str | None = None) -> None:
        self.settings = TlsSettings(
            folder / "tls.crt", folder / "tls.key", folder / "ca.crt" if client_ca else None
        )
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self.write(_content(server, client_ca))

    @property
    def options(self) -> list[str]:
        """For the command line."""
        ca = ["--client-ca-file", str(self.settings.client_ca)] if self.settings.client_ca else []
        return ["--tls-cert-file", str(self.settings.cert), "--tls-key-file", str(self.settings.key), *ca]

    def replace(self, server: str = "gate", client_ca: str | None = None) -> None:
        self.write(_content(server, client_ca))

    def write(self, content: dict[str, bytes]) -> None:
        """Replace these files, each by a rename."""
        for name, data in content.items():
            new = self._folder / f"{name}.new"
            new.write_bytes(data)
            new.rename(self._folder / name)


class MountedSecret(ServerFiles):
    """The same as the kubelet does it: all files change at once, when one symbolic link is renamed."""

    def write(self, content: dict[str, bytes]) -> None:
        version = self._folder / f"..version-{next(_NUMBERS)}"
        version.mkdir()
        for name, data in content.items():
            (version / name).write_bytes(data)
            if not (self._folder / name).is_symlink():
                (self._folder / name).symlink_to(f"..data/{name}")
        link = self._folder / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self._folder / "..data")


def _content(server: str, client_ca: str | None) -> dict[str, bytes]:
    content = {"tls.crt": pem(f"{server}-cert"), "tls.key": pem(f"{server}-key")}
    return content | ({"ca.crt": pem(f"{client_ca}-cert")} if client_ca else {})
