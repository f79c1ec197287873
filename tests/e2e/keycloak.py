"""A real Keycloak: its distribution, fetched once for each user, and a server that runs from a folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import urllib.request
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self
from urllib.parse import urlencode

import pytest
from controlplane.children import end, spawn
from controlplane.progress import Progress, locked, run
from rig.asking import free_port
from rig.patience import eventually
from support.certificate_authority import CertificateAuthority

_VERSION = "26.7.3"
_SHA256 = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f"
_ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{_VERSION}:zip"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.9.0:copy"
_REALM = Path(__file__).with_name("tcf-realm.json")
_START_SECONDS = 600.0
"""It takes 20 s on a machine that does nothing else, twice as long for the first time."""

CLIENT_ID = "tcf-worker"
CLIENT_SECRET = "s3cret:/+%&="  # noqa: S105 - it opens nothing
"""Of the client of workers, as in the realm. HTTP Basic needs each of these characters encoded."""


def distribution() -> Path:
    """Keycloak's archive in the user's cache. Maven fetches it, from where it fetches everything."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tcf" / "keycloak"
    archive = cache / f"keycloak-quarkus-dist-{_VERSION}.zip"
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / "lock"):
        if not archive.exists():
            with TemporaryDirectory(dir=cache) as fetched:
                command = ["mvn", "--batch-mode", "--no-transfer-progress", _COPY, f"-Dartifact={_ARTIFACT}"]
                command += [f"-DoutputDirectory={fetched}"]
                run("fetching Keycloak", command, remedy="check Maven's settings and the network", cwd=cache)
                copy = Path(fetched) / archive.name
                digest = hashlib.sha256(copy.read_bytes()).hexdigest()
                if digest != _SHA256:
                    pytest.fail(
                        f"Maven's {_ARTIFACT} has the checksum {digest}, not {_SHA256}: do not use it"
                    )
                copy.rename(archive)
    return archive


class Keycloak:
    """A server with the realm `tcf`, over HTTPS; in its realm, the password of each user is the user's name.

    Attributes:
        realm: the URL of its realm, which is also the issuer.
        introspection: the URL of the endpoint that workers ask.
    """

    def __init__(self, folder: Path, authority: CertificateAuthority) -> None:
        """`authority`: signs its certificate."""
        for program in ("java", "mvn"):
            if not shutil.which(program):
                pytest.fail(f"{program} is needed for this test: install Java 17 or newer, and Maven")
        with zipfile.ZipFile(distribution()) as archive:
            archive.extractall(folder)
        self._home = folder / f"keycloak-{_VERSION}"
        realms = self._home / "data" / "import"
        realms.mkdir(parents=True)
        shutil.copy(_REALM, realms)
        self._tls = authority.trusting()
        self._server = authority.server("keycloak")
        self._port = free_port()
        self.realm = f"https://127.0.0.1:{self._port}/realms/tcf"
        self.introspection = f"{self.realm}/protocol/openid-connect/token/introspect"

    def __enter__(self) -> Self:
        options = {
            "http-enabled": "false",
            "http-host": "127.0.0.1",
            "https-port": self._port,
            "https-certificate-file": self._server.certificate,
            "https-certificate-key-file": self._server.key,
        }
        # Less work for the compiler: this server does not live long.
        env = {**os.environ, "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1 -Xmx512m"}
        log = self._home / "log"
        given = [f"--{name}={value}" for name, value in options.items()]
        command = ["sh", str(self._home / "bin" / "kc.sh"), "start-dev", "--import-realm", *given]
        with log.open("wb") as output:
            self._process = spawn(command, cwd=self._home, output=output, env=env)
        try:
            with Progress("starting Keycloak") as progress:

                def serves() -> bool:
                    progress.show()
                    assert self._process.poll() is None, log.read_text()
                    return self._serves()

                eventually(serves, what="Keycloak serves its realm", patience=_START_SECONDS)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process, grace=10.0)

    def tokens(self, user: str, *, client: str = "console") -> dict[str, str]:
        """The access token and the others that the user gets by this client."""
        form = {"grant_type": "password", "client_id": client, "username": user, "password": user}
        given: dict[str, str] = self._ask("token", {**form, "scope": "openid"})
        return given

    def token(self, user: str, *, client: str = "console") -> str:
        return self.tokens(user, client=client)["access_token"]

    def log_out(self, tokens: dict[str, str], *, client: str = "console") -> None:
        """End the session that the tokens are of."""
        self._ask("logout", {"client_id": client, "refresh_token": tokens["refresh_token"]})

    def _ask(self, endpoint: str, form: dict[str, str]) -> Any:
        url = f"{self.realm}/protocol/openid-connect/{endpoint}"
        request = urllib.request.Request(url, urlencode(form).encode())  # noqa: S310 - it is https
        with urllib.request.urlopen(request, context=self._tls, timeout=60) as answer:  # noqa: S310 - as above
            return json.loads(answer.read() or "null")

    def _serves(self) -> bool:
        try:
            with urllib.request.urlopen(self.realm, context=self._tls, timeout=60) as answer:  # noqa: S310 - https
                return bool(answer.status == 200)
        except OSError:
            return False
