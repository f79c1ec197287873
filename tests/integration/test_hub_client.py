"""The client of the hub: whom it is to the API server, and what a change of that interrupts."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.api import PATIENCE, Hub, place

from tcf.hub import credentials, errors
from tcf.hub.client import HubClient
from tcf.hub.federations import Federations


@pytest.fixture
def pod(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In-cluster credentials as Kubernetes mounts them, but for the token."""
    cluster = yaml.safe_load(hub.kubeconfig.read_text())["clusters"][0]["cluster"]
    host, port = cluster["server"].removeprefix("https://").split(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    return tmp_path


@pytest.fixture
async def client(pod: Path) -> AsyncIterator[HubClient]:
    client = HubClient(credentials.in_cluster(pod), user_agent="test")
    yield client
    await client.close()


async def read(client: HubClient, hub: Hub, *, deadline: float = PATIENCE) -> str:
    return (await Federations(client).get(hub.namespace, "shop", deadline=deadline)).name


async def test_a_pod_follows_the_rotation_of_its_token(hub: Hub, pod: Path, client: HubClient) -> None:
    hub.apply()
    with pytest.raises(errors.NotConfiguredError, match="--kubeconfig"):
        await read(client, hub)
    authority = pod / "ca.crt"
    authority.rename(pod / "aside")
    place(pod / "token", hub.token + "\n")
    with pytest.raises(errors.NotConfiguredError, match=str(pod)):
        await read(client, hub)
    (pod / "aside").rename(authority)
    assert await read(client, hub) == "shop"
    place(pod / "token", "outdated")
    with pytest.raises(errors.UnauthorizedError):
        await read(client, hub)
    place(pod / "token", hub.token)
    assert await read(client, hub) == "shop"


async def test_an_authority_without_extensions_is_trusted(
    hub: Hub, pod: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python refuses it by default since 3.13, kubectl does not, and there are many."""
    default = ssl.create_default_context

    def strict(**options: Any) -> ssl.SSLContext:
        context = default(**options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    place(pod / "token", hub.token)
    for connect in (credentials.in_cluster(pod), credentials.kubeconfig(hub.kubeconfig)):
        tls = (await connect()).tls
        assert tls
        assert not tls.verify_flags & ssl.VERIFY_X509_STRICT
        assert tls.verify_mode is ssl.CERT_REQUIRED


async def test_a_rotation_does_not_interrupt_what_is_under_way(
    hub: Hub, pod: Path, client: HubClient
) -> None:
    hub.apply()
    token = place(pod / "token", hub.token)
    async with aclosing(Federations(client).watch(hub.namespace, "shop", deadline=PATIENCE)) as watch:
        first = await anext(watch)
        assert first
        os.utime(token, (1, 1))
        assert await read(client, hub) == "shop"
        hub.kubectl("label", "cfed", "shop", "a=b")
        async with asyncio.timeout(PATIENCE):
            second = await anext(watch)
        assert second
        assert second.resource_version != first.resource_version


async def test_credentials_that_take_longer_than_a_request_may_are_had_once(hub: Hub, pod: Path) -> None:
    """An exec plugin that takes its time must not be started again and again, and never waited for."""
    hub.apply()
    place(pod / "token", hub.token)
    begun, go_on = 0, asyncio.Event()

    async def connect() -> credentials.Connection:
        nonlocal begun
        begun += 1
        await go_on.wait()
        return await credentials.in_cluster(pod)()

    client = HubClient(connect, user_agent="test")
    for _ in range(2):
        with pytest.raises(errors.UnreachableError, match="credentials"):
            await read(client, hub, deadline=0.01)
    go_on.set()
    assert await read(client, hub) == "shop"
    assert begun == 1
    await client.close()


async def test_credentials_that_come_too_late_for_anybody_are_no_trouble() -> None:
    begun = asyncio.Event()

    async def connect() -> credentials.Connection:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    client = HubClient(connect, user_agent="test")
    with pytest.raises(errors.UnreachableError):
        await client.request("GET", "/version", deadline=0.01)
    assert begun.is_set()
    await client.close()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST"])
async def test_a_write_whose_connection_breaks_is_sent_once_and_of_unknown_fate(method: str) -> None:
    """The hub commits a write and dies before it answers: nobody may be told that nothing was changed."""
    committed = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                if not head.startswith("GET"):
                    committed.append(head.split()[0])
                    server.close()
                    writer.transport.abort()
                    return
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()

    async def connect() -> credentials.Connection:
        return credentials.Connection(f"http://{host}:{port}", None, None)

    client = HubClient(connect, user_agent="test")
    await client.request("GET", "/", deadline=PATIENCE)
    with pytest.raises(errors.UnreachableError) as caught:
        await client.request(method, "/", deadline=PATIENCE)
    assert caught.value.ambiguous
    assert committed == [method]
    with pytest.raises(errors.UnreachableError) as caught:
        await client.request(method, "/", deadline=PATIENCE)
    assert not caught.value.ambiguous  # nobody took it
    await client.close()
