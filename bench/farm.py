"""Many workers in one process, for `bench.farms`: python farm.py KUBECONFIG NAMESPACE COUNT MEMBER...

Each is a whole worker with a Lease of its own, for one of these members of the federations `f0`, `f1`, ...
They share connections and one watch. The process prints `ready` when all of them answer. At a line
`promote N CLUSTER` on stdin, the worker of that member asks to be promoted; the answer is a line
`N SECONDS REASON` (`-` for none).
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

from tcf.core.admission import Kind
from tcf.core.model import Federation, MemberRef, Principal, Refusal
from tcf.core.reading import Reading
from tcf.hub import errors
from tcf.hub import federations as kind
from tcf.hub.client import HubClient, folder
from tcf.hub.credentials import Credentials, kubeconfig
from tcf.hub.federations import Federations
from tcf.hub.records import federation
from tcf.hub.worker_leases import Leases
from tcf.runtime import logs
from tcf.runtime.clock import Clock
from tcf.worker.renewal import Worker
from tcf.worker.switchovers import Course, Switchovers, Wish

MEMBERS = ("cluster_1", "cluster_2")
_DEADLINE = 30.0


class SharedWatch(Federations):
    """Federations whose watches all get their events from one watch of the namespace."""

    def __init__(self, client: HubClient, namespace: str) -> None:
        super().__init__(client)
        self._hub = client
        self._path = folder(kind.GROUP, kind.VERSION, kind.PLURAL, namespace)
        self._listening: dict[str, list[asyncio.Queue[Federation | None]]] = {}
        self._known: dict[str, Federation] = {}

    async def run(self) -> None:
        while True:
            try:
                async with aclosing(self._hub.watch(self._path, {}, deadline=_DEADLINE)) as events:
                    async for what, value in events:
                        found = None if what == "DELETED" else federation(value)
                        self._take(found, value["metadata"]["name"])
            except errors.HubError:
                await asyncio.sleep(0.1)

    def _take(self, found: Federation | None, name: str) -> None:
        if found:
            self._known[name] = found
        for queue in self._listening.get(name, ()):
            queue.put_nowait(found)

    async def watch(self, namespace: str, name: str, *, deadline: float) -> AsyncGenerator[Federation | None]:
        del namespace, deadline
        queue: asyncio.Queue[Federation | None] = asyncio.Queue()
        self._listening.setdefault(name, []).append(queue)
        try:
            if name in self._known:
                yield self._known[name]
            while True:
                yield await queue.get()
        finally:
            self._listening[name].remove(queue)


async def main(path: str, namespace: str, count: int, members: Sequence[str]) -> None:
    client = HubClient(Credentials(kubeconfig(Path(path))), user_agent="tcf-farm")
    shared, leases = SharedWatch(client, namespace), Leases(client)
    workers = {
        (f"f{n}", member): Worker(
            MemberRef(namespace, f"f{n}", member), shared, leases, holder="farm", clock=Clock()
        )
        for n in range(count)
        for member in members
    }
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(shared.run())
        for begun, worker in enumerate(workers.values()):
            tasks.create_task(worker.run())
            if begun % 20 == 0:
                await asyncio.sleep(0.05)  # not all at once
        for worker in workers.values():
            while not isinstance(worker.knowledge.answer(), Reading):
                await worker.knowledge.changed()
        print("ready", flush=True)
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
        )
        while line := (await lines.readline()).decode().split():
            _, number, member = line
            tasks.create_task(_promote(number, workers[f"f{number}", member], shared))
        raise SystemExit


async def _promote(number: str, worker: Worker, federations: Federations) -> None:
    began = time.monotonic()
    result = await Switchovers(worker.knowledge, federations).ask(
        Wish(Kind.PROMOTE, reason="bench"), Principal("bench"), Course(uuid.uuid4().hex)
    )
    reason = result.reason if isinstance(result, Refusal) else "-"
    print(number, time.monotonic() - began, reason, flush=True)


if __name__ == "__main__":
    logs.configure(json=False, level="error")
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]))
