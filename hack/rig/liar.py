"""An HTTP proxy before the hub that carries out writes and then answers that it did not, or makes no sense.

Proxies, load balancers and overloaded servers do such things: a timeout after they passed the request on, an
HTML page, half an answer. This one also distorts watches: events get lost, come late, or come twice.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Self

import aiohttp
import yaml
from aiohttp import web

from rig.files import place
from rig.hub_namespace import HubNamespace
from rig.loop_thread import LoopThread
from tcf.runtime.connector import Connector
from tcf.runtime.listening import stop_listening

Lie = tuple[int, str, bytes]
"""Status, content type and body."""

HTML, PLAIN, JSON = "text/html", "text/plain", "application/json"
LIES: dict[str, Lie] = {
    "junk": (200, JSON, b"%&!"),
    "nothing": (200, JSON, b""),
    "cut short": (200, JSON, b'{"kind": "ClusterFederation", "metadata": {'),
    "a page": (200, HTML, b"<html>Please wait</html>"),
    "another object": (200, JSON, b'{"kind": "Status", "apiVersion": "v1", "status": "Success"}'),
    "a list": (200, JSON, b"[]"),
    "moved": (302, HTML, b""),
    "bad request": (400, HTML, b"<html>400</html>"),
    "unauthorized": (401, PLAIN, b"Unauthorized"),
    "forbidden": (403, HTML, b"<html>Forbidden</html>"),
    "no such kind": (404, PLAIN, b"404 page not found\n"),
    "not allowed": (405, PLAIN, b""),
    "timeout": (408, HTML, b"<html>Request Timeout</html>"),
    "conflict": (409, PLAIN, b"conflict"),
    "invalid": (422, JSON, b'{"error": "unprocessable"}'),
    "too many": (429, HTML, b"<html>slow down</html>"),
    "bad gateway": (502, HTML, b"<html>Bad Gateway</html>"),
    "gateway timeout": (504, HTML, b""),
}

_NOT_PASSED_ON = {"host", "content-length", "transfer-encoding", "connection"}


class Liar:
    """Honest until one of these is set. Each may be changed at any time and from any thread.

    Attributes:
        lie: what to answer to a write (method and path) that the hub carried out; None for the truth.
        misread: what to answer to a read of this path; None for the truth.
        distort: for each copy of a line of a watch, by how many seconds it is late: `()` loses the line.
        garble: what to send instead of a line of a watch; None ends the watch there.
        asked: how many requests came.
    """

    def __init__(self, hub: HubNamespace) -> None:
        cluster = yaml.safe_load(hub.kubeconfig.read_text())["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._target: str = cluster["server"]
        self._tls = ssl.create_default_context(cadata=authority)
        self.lie: Callable[[str, str], Lie | None] = lambda _, __: None
        self.distort: Callable[[], tuple[float, ...]] = lambda: (0.0,)
        self.misread: Callable[[str], Lie | None] = lambda _: None
        self.garble: Callable[[bytes], bytes | None] = lambda line: line
        self.lies = self.asked = 0
        self._watches: set[asyncio.Task[object]] = set()
        self._loop = LoopThread("liar")
        self.server = self._loop.run(self._start())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._stop())
        self._loop.end()

    def kubeconfig(self, hub: HubNamespace, path: Path) -> Path:
        """Write a kubeconfig that leads through this proxy."""
        config = yaml.safe_load(hub.kubeconfig.read_text())
        config["clusters"][0]["cluster"] = {"server": self.server}
        return place(path, yaml.safe_dump(config))

    async def _start(self) -> str:
        self._session = aiohttp.ClientSession(
            connector=Connector(ssl=self._tls, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=2**22,
            auto_decompress=False,
        )
        self._server = web.Server(self._serve, access_log=None)
        self._listening = await asyncio.get_running_loop().create_server(self._server, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._listening.sockets[0].getsockname()[1]}"

    async def _stop(self) -> None:
        await stop_listening(self._listening)
        for task in self._watches:
            task.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        await self._server.shutdown(0.1)  # with 0, it would wait for ever
        await self._session.close()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked += 1
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _NOT_PASSED_ON}
        data = await request.read()
        try:
            passed_on = self._session.request(
                request.method, self._target + request.raw_path, headers=headers, data=data or None
            )
            async with passed_on as answer:
                if "watch=true" in request.query_string and answer.status == 200:
                    return await self._watch(request, answer)
                status, kind, body = answer.status, answer.content_type, await answer.read()
        except aiohttp.ClientError:
            return web.Response(status=503, text="the hub is down")
        if request.method != "GET" and status < 300 and (lie := self.lie(request.method, request.path)):
            self.lies += 1
            status, kind, body = lie
        if request.method == "GET" and (misread := self.misread(request.path)):
            status, kind, body = misread
        return web.Response(status=status, content_type=kind, body=body)

    async def _watch(self, request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        task = asyncio.current_task()
        assert task
        self._watches.add(task)
        try:
            with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                async for line in answer.content:
                    garbled = self.garble(line)
                    if garbled is None:
                        break
                    for late in self.distort():
                        await asyncio.sleep(late)
                        await response.write(garbled)
        finally:
            self._watches.discard(task)
        return response
