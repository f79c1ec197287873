"""A stand-in for the API server as kopf sees it: what kinds there are, and ClusterFederations to watch."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable

from aiohttp import web

from support.loopback_server import LoopbackServer
from tcf.hub.answers import Json
from tcf.hub.federations import GROUP, KIND, PLURAL, VERSION

_CORE = (("namespaces", "Namespace", False), ("events", "Event", True))
_KINDS = {
    "/api/v1": _CORE,
    "/apis/apiextensions.k8s.io/v1": (("customresourcedefinitions", "CustomResourceDefinition", False),),
    f"/apis/{GROUP}/{VERSION}": ((PLURAL, KIND, True),),
}
_GROUPS = [
    {"name": name, "versions": [{"version": version}], "preferredVersion": {"version": version}}
    for name, version in (("apiextensions.k8s.io", "v1"), (GROUP, VERSION))
]


def federation_object(name: str = "shop", *, version: int = 11) -> Json:
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {
            "namespace": "ns",
            "name": name,
            "uid": f"uid-of-{name}",
            "resourceVersion": str(version),
            "generation": 1,
        },
        "spec": {"clusters": [{"id": "c1", "name": "one"}, {"id": "c2", "name": "two"}]},
    }


class FederationServer(LoopbackServer):
    """What a test sets may change at any time, and from any thread.

    Attributes:
        there: the objects that are listed.
        trouble: answers a request with this status, if it is not 0.
        asked: every request, such as "GET /apis".
        users: the headers User-Agent and Authorization of all requests.
        watching: how many watches are open, by path.
    """

    def __init__(self) -> None:
        self.there = [federation_object()]
        self.trouble: Callable[[web.BaseRequest], int] = lambda _: 0
        self.asked: list[str] = []
        self.users: set[tuple[str, str]] = set()
        self.watching = Counter[str]()
        self._watchers: set[asyncio.Queue[Json]] = set()
        super().__init__()

    def give(self, kind: str, value: Json) -> None:
        """Have all watches deliver an event: ADDED, MODIFIED, DELETED or ERROR. One must be open."""
        self._loop.run(self._give({"type": kind, "object": value}))

    async def _give(self, event: Json) -> None:
        assert self._watchers, "nobody would ever hear of this event"
        for watcher in self._watchers:
            watcher.put_nowait(event)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        self.users.add((request.headers["User-Agent"], request.headers["Authorization"]))
        if status := self.trouble(request):
            return web.json_response({"kind": "Status", "status": "Failure", "code": status}, status=status)
        if request.path == "/api":
            return web.json_response({"versions": ["v1"]})
        if request.path == "/apis":
            return web.json_response({"groups": _GROUPS})
        if request.path in _KINDS:
            return web.json_response({"resources": [_kind(*each) for each in _KINDS[request.path]]})
        if not request.path.endswith(f"/{PLURAL}"):
            return web.json_response({"kind": "Status", "code": 404}, status=404)
        if "watch" not in request.query:
            listed = {"kind": f"{KIND}List", "metadata": {"resourceVersion": "20"}, "items": self.there}
            return web.json_response(listed)
        return await self._watch(request)

    async def _watch(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        events: asyncio.Queue[Json] = asyncio.Queue()
        self._watchers.add(events)
        self.watching[request.path] += 1
        try:
            while True:
                await answer.write(json.dumps(await events.get()).encode() + b"\n")
        finally:
            self._watchers.discard(events)
            self.watching[request.path] -= 1


def _kind(plural: str, kind: str, namespaced: bool) -> Json:  # noqa: FBT001 - a row of the table above
    return {
        "name": plural,
        "kind": kind,
        "singularName": kind.lower(),
        "namespaced": namespaced,
        "verbs": ["get", "list", "watch", "create", "patch"],
    }
