"""The client of the hub: whom it is to the API server, and what a change of that interrupts."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from rig.files import place
from rig.hub_namespace import HubNamespace
from rig.patience import PATIENCE
from unit.build import lease

from tcf.ctl.patient_client import PatientClient
from tcf.hub import credentials, errors
from tcf.hub.client import HubClient
from tcf.hub.federations import Federations
from tcf.hub.worker_leases import Leases


@pytest.fixture
def pod(hub: HubNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In-cluster credentials as Kubernetes mounts them, but for the token."""
    cluster = yaml.safe_load(hub.kubeconfig.read_text())["clusters"][0]["cluster"]
    host, port = cluster["server"].removeprefix("https://").split(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    return tmp_path


@pytest.fixture
async def client(pod: Path) -> AsyncIterator[HubClient]:
    client = HubClient(credentials.Credentials(credentials.in_cluster(pod)), user_agent="test")
    yield client
    await client.close()


async def read(client: HubClient, hub: HubNamespace, *, deadline: float = PATIENCE) -> str:
    return (await Federations(client).get(hub.namespace, "shop", deadline=deadline)).name


async def test_a_pod_follows_the_rotation_of_its_token(
    hub: HubNamespace, pod: Path, client: HubClient
) -> None:
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
    hub: HubNamespace, pod: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    hub: HubNamespace, pod: Path, client: HubClient
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


async def test_credentials_that_take_longer_than_a_request_may_are_had_once(
    hub: HubNamespace, pod: Path
) -> None:
    """An exec plugin that takes its time must not be started again and again, and never waited for."""
    hub.apply()
    place(pod / "token", hub.token)
    begun, go_on = 0, asyncio.Event()

    async def connect() -> credentials.Connection:
        nonlocal begun
        begun += 1
        await go_on.wait()
        return await credentials.in_cluster(pod)()

    client = HubClient(credentials.Credentials(connect), user_agent="test")
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

    client = HubClient(credentials.Credentials(connect), user_agent="test")
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

    client = HubClient(credentials.Credentials(connect), user_agent="test")
    await client.request("GET", "/", deadline=PATIENCE)
    with pytest.raises(errors.UnreachableError) as caught:
        await client.request(method, "/", deadline=PATIENCE)
    assert caught.value.ambiguous
    assert committed == [method]
    with pytest.raises(errors.UnreachableError) as caught:
        await client.request(method, "/", deadline=PATIENCE)
    assert not caught.value.ambiguous  # nobody took it
    await client.close()


def status_of(code: int) -> bytes:
    """What the API server says when it refuses something."""
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "no"}
    return json.dumps(said).encode()


@contextlib.asynccontextmanager
async def answering(
    *answers: tuple[int, bytes], client_of: type[HubClient] = HubClient, retry_after: str | None = None
) -> AsyncIterator[tuple[HubClient, list[str]]]:
    """A client of a server that gives these answers, one after the other, and what it was asked.

    `retry_after`: the header of that name, of every answer.
    """
    asked: list[str] = []
    left = iter(answers)

    async def serve(request: web.BaseRequest) -> web.Response:
        asked.append(request.method)
        status, body = next(left)
        headers = {"Retry-After": retry_after} if retry_after else {}
        return web.Response(status=status, body=body, content_type="application/json", headers=headers)

    runner = web.ServerRunner(web.Server(serve))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    async def connect() -> credentials.Connection:
        return credentials.Connection(f"http://127.0.0.1:{runner.addresses[0][1]}", None, None)

    client = client_of(credentials.Credentials(connect), user_agent="test")
    try:
        yield client, asked
    finally:
        await client.close()
        await runner.cleanup()


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_a_401_of_the_api_server_is_met_with_fresh_credentials(method: str) -> None:
    async with answering((401, status_of(401)), (200, b"{}")) as (client, asked):
        assert await client.request(method, "/", deadline=PATIENCE) == {}
        assert asked == [method, method]


async def test_a_write_is_not_sent_again_after_a_401_that_proves_nothing() -> None:
    """A proxy may have passed it on. The second attempt's answer would hide that."""
    async with answering((401, b"Unauthorized"), (403, status_of(403))) as (client, asked):
        with pytest.raises(errors.UnauthorizedError) as caught:
            await client.request("PUT", "/", deadline=PATIENCE)
        assert caught.value.ambiguous
        assert asked == ["PUT"]
        with pytest.raises(errors.ForbiddenError) as forbidden:
            await client.request("PUT", "/", deadline=PATIENCE)
        assert not forbidden.value.ambiguous


@pytest.mark.parametrize("code", [400, 401, 403, 404, 405, 408, 409, 410, 422, 429])
async def test_only_a_status_proves_that_a_write_was_refused(code: int) -> None:
    honest = [(code, status_of(code))] * (2 if code == 401 else 1)
    async with answering(*honest, (code, b"<html>"), (code, status_of(500))) as (client, _):
        with pytest.raises(errors.HubError) as caught:
            await client.request("PUT", "/", deadline=PATIENCE)
        assert not caught.value.ambiguous
        for _ in range(2):
            with pytest.raises(errors.HubError) as caught:
                await client.request("PUT", "/", deadline=PATIENCE)
            assert caught.value.ambiguous


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"kind": "Maintenance"}', b'{"kind": "LeaseList"}', b'{"kind": "LeaseList", "items": {}}'],
)
async def test_what_is_no_list_of_leases_does_not_say_that_there_are_none(body: bytes) -> None:
    """A fence closes on a list that lacks somebody."""
    async with answering((200, body), (200, b'{"kind": "LeaseList", "items": []}')) as (client, _):
        with pytest.raises(errors.MalformedError):
            await Leases(client).list("ns", "shop", deadline=PATIENCE)
        assert await Leases(client).list("ns", "shop", deadline=PATIENCE) == ()


async def test_what_does_not_say_that_a_lease_is_deleted_does_not_count() -> None:
    gone = b'{"kind": "Status", "status": "Success"}'
    marked = b'{"kind": "Lease", "metadata": {"deletionTimestamp": "2026-11-26T14:16:20Z"}}'
    there = b'{"kind": "Lease", "metadata": {"name": "mine"}}'
    async with answering((200, gone), (200, marked), (200, there), (200, b"{}")) as (client, _):
        for _ in range(2):
            await Leases(client).delete("ns", lease(), deadline=PATIENCE)
        for _ in range(2):
            with pytest.raises(errors.MalformedError):
                await Leases(client).delete("ns", lease(), deadline=PATIENCE)


BUSY, TROUBLE = (429, status_of(429)), (503, status_of(503))


@pytest.mark.parametrize(("method", "answer"), [("GET", BUSY), ("PUT", BUSY), ("GET", TROUBLE)])
async def test_a_command_asks_a_busy_hub_again(method: str, answer: tuple[int, bytes]) -> None:
    answers = (answer, answer, (200, b"{}"))
    async with answering(*answers, client_of=PatientClient, retry_after="1") as (client, asked):
        assert await client.request(method, "/", deadline=PATIENCE) == {}
        assert asked == [method] * 3


@pytest.mark.parametrize(
    ("method", "answer", "retry_after"),
    [("GET", BUSY, None), ("GET", BUSY, "1000"), ("PUT", TROUBLE, "1")],
    ids=["it does not ask for time", "it asks for too much", "the write may have been carried out"],
)
async def test_when_a_command_does_not_ask_again(
    method: str, answer: tuple[int, bytes], retry_after: str | None
) -> None:
    async with answering(answer, client_of=PatientClient, retry_after=retry_after) as (client, asked):
        with pytest.raises(errors.UnreachableError):
            await client.request(method, "/", deadline=4)
        assert asked == [method]
