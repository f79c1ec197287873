"""The certificate of a server: which files are good, and when they are read again."""

from __future__ import annotations

import logging
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.tls_files import MountedSecret, ServerFiles, pem

from tcf.core.model import Now
from tcf.runtime.clock import Clock
from tcf.settings import TlsSettings
from tcf.web.server_certificate import ServerCertificate, TlsFilesError

GOOD = {"tls.crt": pem("renewed-cert"), "tls.key": pem("renewed-key"), "ca.crt": pem("second-cert")}
BAD = {
    "another_key": ({"tls.key": pem("first-key")}, "does not belong to the certificate"),
    "no_certificate": ({"tls.crt": b"hello"}, "not a certificate and its key as PEM"),
    "empty": ({"tls.crt": b""}, "not a certificate and its key as PEM"),
    "no_key": ({"tls.key": b""}, "not a certificate and its key as PEM"),
    "binary": ({"tls.crt": bytes(range(256))}, "not a certificate and its key as PEM"),
    "locked": ({"tls.crt": pem("gate-cert"), "tls.key": pem("locked-key")}, "give one without a password"),
    "no_authority": ({"ca.crt": b"hello"}, "there is no certificate as PEM in"),
    "expired": (
        {"tls.crt": pem("expired-cert"), "tls.key": pem("expired-key")},
        "tls.crt has expired at 2026-",
    ),
}


class Later(Clock):
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> Now:
        return Now(self.boot(), datetime.now(UTC) + self.ahead)


@pytest.fixture
def files(tmp_path: Path) -> ServerFiles:
    return ServerFiles(tmp_path, client_ca="first")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


def test_what_is_in_use_is_told(files: ServerFiles, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    certificate = ServerCertificate(files.settings)
    (record,) = caplog.records
    assert record.message == f"using the certificate in {files.settings.cert}"
    told = (getattr(record, "names", None), getattr(record, "expires", None))
    assert told == ("127.0.0.1", "2126-11-02T23:05:32Z")
    assert certificate.remarks() == ()


def test_old_versions_and_renegotiation_are_refused(files: ServerFiles) -> None:
    context = ServerCertificate(files.settings).context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize("kind", [ServerFiles, MountedSecret])
def test_new_files_are_used_and_old_ones_are_not_read_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: type[ServerFiles]
) -> None:
    caplog.set_level(logging.INFO)
    files = kind(tmp_path / "tls", client_ca="first")
    certificate = ServerCertificate(files.settings)
    before = certificate.context
    certificate.look()
    assert certificate.context is before
    files.replace("renewed", "first")
    caplog.clear()
    certificate.look()
    assert certificate.context is not before
    assert [record.message for record in caplog.records] == [
        f"using the certificate in {files.settings.cert}"
    ]


@pytest.mark.parametrize(("content", "told"), BAD.values(), ids=BAD)
def test_a_bad_new_file_changes_nothing_and_is_told_once(
    files: ServerFiles, caplog: pytest.LogCaptureFixture, content: dict[str, bytes], told: str
) -> None:
    certificate = ServerCertificate(files.settings)
    before = certificate.context
    files.write(content)
    for _ in range(3):
        certificate.look()
    assert certificate.context is before
    (message,) = warnings(caplog)
    assert message.startswith("the former certificate stays in use: ")
    assert told in message
    assert certificate.remarks() == (message,)
    files.write(GOOD)
    certificate.look()
    assert certificate.context is not before
    assert certificate.remarks() == ()


def test_a_missing_file_is_told(files: ServerFiles, caplog: pytest.LogCaptureFixture) -> None:
    certificate = ServerCertificate(files.settings)
    files.settings.key.unlink()
    certificate.look()
    assert warnings(caplog) == [
        f"the former certificate stays in use: cannot read {files.settings.key}: No such file or directory"
    ]


@pytest.mark.parametrize("bad", [name for name in BAD if name != "expired"])
def test_nothing_begins_with_bad_files(files: ServerFiles, bad: str) -> None:
    content, told = BAD[bad]
    files.write(content)
    with pytest.raises(TlsFilesError, match=told):
        ServerCertificate(files.settings)


def test_nothing_begins_without_files(tmp_path: Path) -> None:
    with pytest.raises(TlsFilesError, match=r"cannot read .*/tls\.crt: No such file or directory"):
        ServerCertificate(TlsSettings(tmp_path / "tls.crt", tmp_path / "tls.key", None))


def test_an_expired_certificate_is_better_than_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Many load balancers do not check certificates."""
    files = ServerFiles(tmp_path, "expired")
    certificate = ServerCertificate(files.settings)
    certificate.look()
    (message,) = warnings(caplog)
    assert message.endswith("; most clients refuse it, so replace it")
    assert certificate.remarks() == (message,)
    before = certificate.context
    files.replace("expired")
    certificate.look()
    assert certificate.context is not before
    files.replace("renewed")
    certificate.look()
    assert certificate.remarks() == ()


def test_a_certificate_that_nobody_has_renewed_is_told_once(
    files: ServerFiles, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Later()
    certificate = ServerCertificate(files.settings, clock=clock)
    certificate.look()
    assert not warnings(caplog)
    clock.ahead = timedelta(days=365 * 101)
    for _ in range(3):
        certificate.look()
    (message,) = warnings(caplog)
    assert "tls.crt has expired at 2126-11-02T23:05:32Z; most clients refuse it" in message


def test_a_certificate_for_other_purposes_can_be_used(tmp_path: Path) -> None:
    """Nobody who checks certificates takes it. When it expires is then not told."""
    files = ServerFiles(tmp_path, "alice")
    certificate = ServerCertificate(files.settings)
    certificate.look()
    assert certificate.remarks() == ()


def test_only_another_client_ca_ends_the_trust_in_certificates(files: ServerFiles) -> None:
    changes: list[None] = []
    certificate = ServerCertificate(files.settings)
    certificate.when_client_ca_changes(lambda: changes.append(None))
    files.replace("renewed", "first")
    certificate.look()
    assert not changes
    files.replace("renewed", "second")
    certificate.look()
    assert len(changes) == 1
