"""The certificate of this process: read from files, and replaced while clients are connected."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tcf.runtime.clock import CLOCK, Clock
from tcf.runtime.file_versions import Versions, changed, versions
from tcf.settings import TlsSettings

_LOOK_SECONDS = 5.0
"""How often to look whether the files have changed."""
_GROUP = "prime256v1"
"""The group of the key exchange. A client could choose any group that is allowed, and one handshake with
ffdhe8192 takes a hundred times as much processor time as one with this group, which every client knows."""
_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which Python does not name."""

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
"""A certificate in a file, which may also have comments in any encoding."""

log = logging.getLogger(__name__)


class TlsFilesError(Exception):
    """The files cannot be used; the message says which one, and why."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What was read from the files.

    Attributes:
        authorities: the content of the client CA's file; empty without one.
        names: for whom the certificate is.
        expires: when it expires; None if a client that checks certificates would not take it in any case.
    """

    files: Versions
    context: ssl.SSLContext
    authorities: bytes
    names: str
    expires: datetime | None

    def expired(self, now: datetime) -> str:
        """What is wrong if the certificate has expired; otherwise an empty string."""
        path, _ = self.files[0]
        over = self.expires is not None and self.expires <= now
        return f"the certificate in {path} has expired at {_shown(self.expires)}" if over else ""


class ServerCertificate:
    """The certificate of a process. Call `look` now and then, or use `run` in a task of its own."""

    def __init__(self, settings: TlsSettings, *, clock: Clock = CLOCK) -> None:
        """Read the files.

        Raises:
            TlsFilesError: they cannot be used.
        """
        self._settings = settings
        self._clock = clock
        self._trouble = ""
        self._distrust: list[Callable[[], None]] = []
        self._used = _load(settings)
        self._tell()

    @property
    def context(self) -> ssl.SSLContext:
        """For the next connection. Those that are open keep the one with which they began."""
        return self._used.context

    @property
    def expires(self) -> datetime | None:
        """When it expires; None if a client that checks certificates would not take it in any case."""
        return self._used.expires

    def remarks(self) -> tuple[str, ...]:
        """What a person should know: one line, or none."""
        return (self._trouble,) if self._trouble else ()

    def when_client_ca_changes(self, act: Callable[[], None]) -> None:
        """Call `act` as soon as certificates of clients have to be signed by others than before."""
        self._distrust.append(act)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    def look(self) -> None:
        """Use the files if they have changed. If they are bad, keep what is in use, and say so once."""
        trouble = ""
        now = self._clock.now().wall
        if changed(self._used.files):
            try:
                self._use(self._better(_load(self._settings), now))
            except TlsFilesError as error:
                trouble = f"the former certificate stays in use: {error}"
        if not trouble and (expired := self._used.expired(now)):
            trouble = f"{expired}; most clients refuse it, so replace it"
        if trouble and trouble != self._trouble:
            log.warning("%s", trouble)
        self._trouble = trouble

    def _better(self, new: _Loaded, now: datetime) -> _Loaded:
        """What is new, unless it has expired and what is in use has not."""
        if new.expired(now) and not self._used.expired(now):
            raise TlsFilesError(new.expired(now))
        return new

    def _use(self, new: _Loaded) -> None:
        before, self._used = self._used, new
        self._tell()
        if new.authorities != before.authorities:
            log.info("client certificates are checked against the new client CA from now on")
            for act in self._distrust:
                act()

    def _tell(self) -> None:
        used = self._used
        log.info(
            "using the certificate in %s",
            self._settings.cert,
            extra={"names": used.names, "expires": _shown(used.expires)},
        )


def _load(settings: TlsSettings) -> _Loaded:
    paths = [settings.cert, settings.key, *([settings.client_ca] if settings.client_ca else [])]
    files = versions(*paths)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_ecdh_curve(_GROUP)
    try:
        first, _, *more = [path.read_bytes() for path in paths]  # for errors with the path in them
    except OSError as error:
        raise TlsFilesError(f"cannot read {error.filename}: {error.strerror}") from error
    _load_pair(context, settings.cert, settings.key)
    if settings.client_ca:
        _load_client_ca(context, settings.client_ca)
    seen = _seen_by_a_client(context, b"\n".join(_PEM.findall(first)).decode("ascii"))
    names = [name for _, name in seen.get("subjectAltName", ()) if isinstance(name, str)]
    expires = seen.get("notAfter")
    return _Loaded(
        files,
        context,
        b"".join(more),
        ",".join(names),
        datetime.fromtimestamp(ssl.cert_time_to_seconds(expires), UTC) if expires else None,
    )


def _load_pair(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    def ask_for_password() -> str:
        raise TlsFilesError(f"the key in {key} is encrypted; give one without a password")

    try:
        context.load_cert_chain(cert, key, ask_for_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsFilesError(
                f"the key in {key} does not belong to the certificate in {cert}; give the key of that one"
            ) from error
        why = f" ({error.reason.replace('_', ' ').lower()})" if error.reason else ""
        raise TlsFilesError(
            f"{cert} and {key} are not a certificate and its key as PEM files{why}"
        ) from error
    except OSError as error:
        raise TlsFilesError(f"cannot read {cert} and {key}: {error.strerror}") from error


def _load_client_ca(context: ssl.SSLContext, path: Path) -> None:
    context.verify_mode = ssl.CERT_OPTIONAL
    try:
        context.load_verify_locations(path)
    except OSError as error:  # among them ssl.SSLError
        raise TlsFilesError(f"there is no certificate as PEM in {path}; give one of a client CA") from error


def _seen_by_a_client(server: ssl.SSLContext, trusted: str) -> dict[str, Any]:
    """The certificate as a client sees it that trusts it, in the form of `getpeercert`. Empty if none would.

    Python decodes only certificates that a peer has shown. So a client and a server shake hands in memory.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(_NO_CHECK_TIME)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        client.load_verify_locations(cadata=trusted)
        asking = client.wrap_bio(to_client, to_server)
        answering = server.wrap_bio(to_server, to_client, server_side=True)
        for each in itertools.cycle((asking, answering)):
            with contextlib.suppress(ssl.SSLWantReadError):
                each.do_handshake()
                break
        return dict(asking.getpeercert() or {})
    except ssl.SSLError as error:
        log.debug("clients would not take the certificate: %s", error)
        return {}


def _shown(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else ""
