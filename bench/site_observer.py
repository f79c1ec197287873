"""Watches federations until all of them have moved from one site to the other."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Self

from rig.hub_namespace import HubNamespace
from rig.loop_thread import LoopThread

from bench.farm import MEMBERS
from bench.hub_tools import PATIENCE, Json, bench_client, federations_in
from tcf.hub import errors
from tcf.runtime.clock import CLOCK

LONGEST = 900.0
"""Seconds that a move may take."""
_AGAIN_SECONDS = 0.1


class Observer:
    """Watches until all federations are active in the second site. `moved`: when each was (boot seconds)."""

    def __init__(self, hub: HubNamespace, count: int) -> None:
        self.moved: dict[str, float] = {}
        self._hub = hub
        self._count = count
        self._all = threading.Event()

    def __enter__(self) -> Self:
        self._loop = LoopThread("observer")
        self._watching = self._loop.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._stop())
        self._loop.end()

    def await_all(self) -> None:
        if not self._all.wait(LONGEST):
            raise RuntimeError(f"only {len(self.moved)} of {self._count} have moved")

    async def _start(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._watch())

    async def _stop(self) -> None:
        self._watching.cancel()
        await asyncio.wait([self._watching])

    async def _watch(self) -> None:
        path = federations_in(self._hub.namespace)
        async with bench_client(self._hub.kubeconfig) as client:
            while True:
                try:
                    async with contextlib.aclosing(client.watch(path, {}, deadline=PATIENCE)) as events:
                        async for _, value in events:
                            self._take(value)
                except errors.HubError:  # a busy hub may not answer in time
                    await asyncio.sleep(_AGAIN_SECONDS)

    def _take(self, value: Json) -> None:
        name = value["metadata"]["name"]
        if (value.get("status") or {}).get("activeCluster") == MEMBERS[1] and name not in self.moved:
            self.moved[name] = CLOCK.boot()
            if len(self.moved) == self._count:
                self._all.set()
