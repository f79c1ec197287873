"""Official release binaries of Kubernetes and etcd, checked against their published checksums."""

import contextlib
import hashlib
import http.client
import os
import platform
import shutil
import ssl
import sys
import tarfile
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from controlplane.children import ControlPlaneError
from controlplane.progress import Progress, say

CONNECT_SECONDS = 3.0
SILENCE_SECONDS = 10.0
"""How long a server that is connected may send nothing."""
_CHUNK = 1 << 16
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class DownloadError(Exception):
    """Why something cannot be downloaded, in words for a person."""


class HostDownError(DownloadError):
    """The host does not answer. There is no point in asking it for anything else."""


@dataclass(frozen=True)
class OfficialBinary:
    """Where one program of a release is, and its published checksum.

    Attributes:
        host: which of the hosts has it: kubernetes or etcd.
        url: of the file. Its last part is the file's name in `sums`.
        sums: URL of the checksums.
        member: path of the program in the archive; None if the file is the program.
    """

    name: str
    host: str
    url: str
    sums: str
    member: str | None = None


def hosts() -> Mapping[str, str]:
    """The base URL of each project's releases; empty if nothing may be downloaded."""
    override = os.environ.get("TCF_RELEASE_HOSTS")
    if override == "":
        return {}
    path = Path(override) if override else Path(__file__).with_name("release-hosts.toml")
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ControlPlaneError(f"cannot read the hosts of releases from {path}: {error}") from error


def release(name: str, versions: Mapping[str, str], bases: Mapping[str, str]) -> OfficialBinary | None:
    """Where a program is for this machine; None if there is no official binary, or no host for it.

    Args:
        versions: of kubernetes and of etcd, such as v1.37.2.
        bases: the base URL of each, see `hosts`.
    """
    architecture = ARCHITECTURES.get(platform.machine())
    host = "etcd" if name == "etcd" else "kubernetes"
    if sys.platform != "linux" or not architecture or host not in bases:
        return None
    base, version = bases[host].rstrip("/"), versions[host]
    if host == "kubernetes":
        url = f"{base}/release/{version}/bin/linux/{architecture}/{name}"
        return OfficialBinary(name, host, url, f"{url}.sha256")
    archive = f"etcd-{version}-linux-{architecture}"
    folder = f"{base}/{version}"
    return OfficialBinary(name, host, f"{folder}/{archive}.tar.gz", f"{folder}/SHA256SUMS", f"{archive}/etcd")


def download(names: Sequence[str], versions: Mapping[str, str], folder: Path) -> None:
    """Put those programs into the folder that can be downloaded. Say why others cannot."""
    bases = dict(hosts())
    for name in names:
        if not (where := release(name, versions, bases)):
            continue
        say(f"downloading {name} {versions[where.host]}")
        try:
            fetch(where, folder)
        except DownloadError as error:
            say(f"{name} cannot be downloaded: {error}")
            if isinstance(error, HostDownError):
                del bases[where.host]


def fetch(where: OfficialBinary, folder: Path) -> Path:
    """Download a program into the folder. It gets its name only when its checksum is right.

    Raises:
        DownloadError: it is not there, or not what it should be.
    """
    expected = _published(where)
    file = folder / f"{where.name}.download"
    try:
        digest = _save(where, file)
        if digest != expected:
            raise DownloadError(f"the checksum of {where.url} is {digest}, but {expected} was published")
        if where.member:
            file = _unpacked(file, where.member)
        file.chmod(0o755)
        return file.rename(folder / where.name)
    finally:
        file.unlink(missing_ok=True)


def _published(where: OfficialBinary) -> str:
    """The checksum that the project published for the file."""
    with _opened(where.sums) as answer, _explained(where.sums):
        text = answer.read(1 << 20).decode(errors="replace")
    name = where.url.rpartition("/")[2]
    for line in text.splitlines():
        digest, *names = line.split() or [""]
        if names in ([], [name], [f"*{name}"]) and len(digest) == 64:  # noqa: PLR2004 - hexadecimal digits
            return digest.lower()
    raise DownloadError(f"{where.sums} has no checksum of {name}")


def _save(where: OfficialBinary, file: Path) -> str:
    """Write the file; return its checksum."""
    digest = hashlib.sha256()
    step = Progress(f"downloading {where.name}")
    with _opened(where.url) as answer, file.open("wb") as output, step as progress:
        length = int(answer.headers.get("Content-Length") or 0)
        done = 0
        with _explained(where.url):
            while chunk := answer.read(_CHUNK):
                output.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                progress.show(f"{done / 1e6:.0f} of {length / 1e6:.0f} MB")
    if length and done != length:
        raise DownloadError(f"{where.url} ended after {done} of {length} bytes")
    return digest.hexdigest()


def _unpacked(archive: Path, member: str) -> Path:
    """The program from an archive, which is removed."""
    program = archive.with_suffix(".unpacked")
    try:
        with tarfile.open(archive) as tar, program.open("wb") as output:
            source = tar.extractfile(member)
            if source is None:
                raise DownloadError(f"{member} is no file in the archive")
            shutil.copyfileobj(source, output)
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise DownloadError(f"the archive has no {member}: {error}") from error
    finally:
        archive.unlink()
    return program


def _opened(url: str) -> http.client.HTTPResponse:
    opener = urllib.request.build_opener(_Http, _Https, _Redirects)
    try:
        answer: http.client.HTTPResponse = opener.open(url, timeout=CONNECT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        raise DownloadError(f"{url} answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise HostDownError(f"{url}: {str(reason) or type(reason).__name__}") from error
    return answer


@contextlib.contextmanager
def _explained(url: str) -> Iterator[None]:
    """Make a DownloadError of whatever can go wrong while an answer is read."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(f"{url} broke off: {error!r}") from error


class _PlainConnection(http.client.HTTPConnection):
    """The timeout it is given is for connecting; then the other one holds."""

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(SILENCE_SECONDS)


class _TlsConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(SILENCE_SECONDS)


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_PlainConnection, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_TlsConnection, request, context=ssl.create_default_context())


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to anything less: checksums come the same way."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.type == "https" and not newurl.startswith("https:"):
            raise DownloadError(f"{req.full_url} leads to {newurl}, which is not encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
