"""An HTTP proxy that opens tunnels (CONNECT), all of them to the hub, whatever name is asked for."""

from __future__ import annotations

import asyncio

from rig.hub_namespace import HubNamespace

from support.relay import Relay


class Tunnel(Relay):
    """Attribute `asked`: the targets that were asked for."""

    def __init__(self, hub: HubNamespace) -> None:
        self.asked: list[str] = []
        super().__init__(hub)

    async def greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head.split()[1])
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
