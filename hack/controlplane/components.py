"""How etcd and kube-apiserver are run: their command lines and their secrets."""

import base64
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

HOST = "127.0.0.1"
COMPONENTS = ("etcd", "kube-apiserver")


def commands(
    programs: Mapping[str, Path], port: int, *, authentication: Path | None
) -> dict[str, list[str | Path]]:
    """The command line of each component. Relative paths are those of the folder in which they run.

    `authentication`: an AuthenticationConfiguration of the API server, if it is to have one.
    """
    api_server = _api_server(programs["kube-apiserver"], port)
    if authentication:
        api_server.append(f"--authentication-config={authentication}")
    return {"etcd": _etcd(programs["etcd"]), "kube-apiserver": api_server}


def _etcd(program: Path) -> list[str | Path]:
    return [
        program,
        "--name=etcd",
        "--data-dir=etcd",
        # Unix sockets are closed to other users, and nobody can take their port. Their paths are relative,
        # because an absolute path could be too long for a socket.
        "--listen-client-urls=unix://etcd.sock",
        "--listen-peer-urls=unix://etcd-peer.sock",
        # Nobody uses these URLs, but etcd wants them, and wants them to agree.
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=etcd=http://127.0.0.1:2380",
        "--log-level=warn",
        "--unsafe-no-fsync",
    ]


def _api_server(program: Path, port: int) -> list[str | Path]:
    return [
        program,
        "--etcd-servers=unix://etcd.sock",
        f"--bind-address={HOST}",
        f"--advertise-address={HOST}",  # otherwise it needs a network interface
        f"--secure-port={port}",
        "--permit-port-sharing",
        "--cert-dir=certificates",  # it signs its own
        "--token-auth-file=tokens.csv",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file=service-account.key",
        "--service-account-signing-key-file=service-account.key",
        "--service-cluster-ip-range=10.0.0.0/24",
        # Endpoints must not be loopback addresses.
        "--endpoint-reconciler-type=none",
        # It waits for what the controller manager makes.
        "--disable-admission-plugins=ServiceAccount",
    ]


def write_secret(path: Path, text: str) -> None:
    """Write a file that nobody else can read."""
    path.unlink(missing_ok=True)  # its mode might be another
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def private_key() -> str:
    """Return a new private key for the curve P-256, in PEM.

    It is any number below the curve's order, in the frame of RFC 5915; readers compute the public
    key, which is optional there. So this needs neither openssl nor a library.
    """
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    number = (1 + secrets.randbelow(order - 1)).to_bytes(32, "big")
    version = bytes.fromhex("020101")
    curve = bytes.fromhex("a00a06082a8648ce3d030107")  # [0] 1.2.840.10045.3.1.7
    body = version + b"\x04\x20" + number + curve
    encoded = base64.b64encode(b"\x30" + bytes([len(body)]) + body).decode()
    return f"-----BEGIN EC PRIVATE KEY-----\n{encoded}\n-----END EC PRIVATE KEY-----\n"
