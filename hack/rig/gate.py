"""A TCP proxy before the hub, which cuts, delays or silences the connections of a program."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self

import yaml

from rig.files import place
from rig.hub_namespace import HubNamespace
from rig.loop_thread import LoopThread
from tcf.runtime.listening import stop_listening


class Gate:
    """Open, slow, silent (it accepts connections and data, and passes nothing on) or closed.

    It begins closed. Each change has taken effect when its method returns. What was in flight when the gate
    became silent is passed on when it opens again, as by a network whose route was lost for a while.
    """

    def __init__(self, target: str) -> None:
        """`target`: the URL of the hub, or of a proxy before it: `https://HOST:PORT` or `http://HOST:PORT`."""
        scheme, _, address = target.partition("://")
        host, port = address.split(":")
        self._target = (host, int(port))
        # This socket is bound but does not listen. It keeps the port while the gate is closed.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self._address: tuple[str, int] = self._reserved.getsockname()
        self.server = f"{scheme}://127.0.0.1:{self._address[1]}"
        self._delay = 0.0
        self._flowing = asyncio.Event()
        self._listening: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}
        self._thread = LoopThread("gate")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._thread.end()
        self._reserved.close()

    def kubeconfig(self, hub: HubNamespace, path: Path) -> Path:
        """Write a kubeconfig that leads through this gate."""
        config = yaml.safe_load(hub.kubeconfig.read_text())
        config["clusters"][0]["cluster"]["server"] = self.server
        return place(path, yaml.safe_dump(config))

    def open(self, *, delay: float = 0.0) -> None:
        """Pass everything on, each answer of the hub `delay` seconds late."""
        self._run(self._open(delay))

    def silence(self) -> None:
        """Half-open: connections stay, new ones are accepted, and nothing comes through."""
        self._run(self._silence())

    def reset(self) -> None:
        """Break all connections; new ones are accepted as before."""
        self._run(self._break())

    def close(self) -> None:
        """Break all connections and refuse new ones."""
        self._run(self._shut())

    def _run(self, act: Coroutine[Any, Any, None]) -> None:
        self._thread.run(act)

    async def _open(self, delay: float) -> None:
        self._delay = delay
        self._flowing.set()
        await self._listen()

    async def _silence(self) -> None:
        self._flowing.clear()
        await self._listen()

    async def _listen(self) -> None:
        if self._listening:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(self._address)
        self._listening = await asyncio.start_server(self._serve, sock=listener, backlog=64)

    async def _shut(self) -> None:
        listening, self._listening = self._listening, None
        if listening:
            await stop_listening(listening)
        await self._break()

    async def _break(self) -> None:
        for writer in self._connections.values():
            # A reset, not an end: as from a machine or a middlebox that crashed and came back.
            plain = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):  # it has just been closed
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections[task] = writer
        with contextlib.ExitStack() as stack:
            stack.callback(self._connections.pop, task)
            stack.callback(writer.transport.abort)
            # asyncio's streams complain about a cancelled handler. This one ends here anyway.
            stack.enter_context(contextlib.suppress(OSError, asyncio.CancelledError))
            answers, hub = await asyncio.open_connection(*self._target)
            stack.callback(hub.transport.abort)
            ways = (
                asyncio.create_task(self._pass_on(reader, hub, lambda: 0.0)),
                asyncio.create_task(self._pass_on(answers, writer, lambda: self._delay)),
            )
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)

    async def _pass_on(
        self, source: asyncio.StreamReader, drain: asyncio.StreamWriter, delay: Callable[[], float]
    ) -> None:
        """Pass data on until the source ends. Data that is delayed does not delay what follows it."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        sender = asyncio.create_task(self._send(queue, drain))
        try:
            data = b"."
            while data:
                await self._flowing.wait()
                data = await source.read(65536)
                queue.put_nowait((self._thread.loop.time() + delay(), data))
            await sender
        finally:
            sender.cancel()

    async def _send(self, queue: asyncio.Queue[tuple[float, bytes]], drain: asyncio.StreamWriter) -> None:
        while True:
            due, data = await queue.get()
            await asyncio.sleep(due - self._thread.loop.time())
            await self._flowing.wait()
            if not data:
                return
            drain.write(data)
            await drain.drain()
