"""The course of an evacuation: many requests are placed, a few at a time, and followed together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import click

from tcf.core.plan import Plan
from tcf.ctl.evacuation_move import Move
from tcf.ctl.evacuation_progress import Stage, show_progress
from tcf.ctl.hub_choice import OpenHub
from tcf.ctl.namespace_sight import NamespaceSight, seeing
from tcf.ctl.terminal import Terminal

_AT_A_TIME = 16
"""How many moves are under way at a time, unless they take long."""


class EvacuationCourse:
    """`moves`: what has become of each plan so far. `seconds`: how long it has taken in all."""

    def __init__(self, plans: Iterable[Plan]) -> None:
        """`plans`: in the order in which they begin."""
        self.moves = [Move(each) for each in plans]
        self.seconds = 0.0

    @property
    def sent(self) -> bool:
        """May a request be on the hub?"""
        return any(move.sent or move.ending for move in self.moves)

    async def run(
        self, hub: OpenHub, namespace: str | None, patience: int | None, terminal: Terminal
    ) -> None:
        """Carry all out, within `patience` seconds (None: no limit). `namespace`: None for all."""
        began = hub.clock.boot()
        federations = [move.plan.federation for move in self.moves]
        try:
            async with seeing(hub.federations, namespace, federations, hub.clock) as seen:
                progress = show_progress(terminal, lambda: self._stage(hub.clock.boot() - began, seen))
                shown = asyncio.create_task(progress, name="progress")
                try:
                    await self._carry_out(hub, seen, patience)
                finally:
                    shown.cancel()
                    (ended,) = await asyncio.gather(shown, return_exceptions=True)
                    if isinstance(ended, Exception):  # it changes nothing about the moves
                        click.echo(f"the progress could not be shown: {ended!r}", err=True)
        finally:
            self.seconds = hub.clock.boot() - began

    async def _carry_out(self, hub: OpenHub, seen: NamespaceSight, patience: int | None) -> None:
        turns = asyncio.Semaphore(_AT_A_TIME)  # it is fair, so those that come first begin first
        try:
            async with asyncio.timeout(patience), asyncio.TaskGroup() as group:
                for move in self.moves:
                    group.create_task(move.run(hub, seen, turns))
        except TimeoutError:
            return

    def _stage(self, seconds: float, seen: NamespaceSight) -> Stage:
        endings = [move.ending for move in self.moves if move.ending]
        moved = sum(not ending.unknown and not ending.refusal for ending in endings)
        failed = len(endings) - moved
        return Stage(moved, failed, len(self.moves) - len(endings), seconds, seen.trouble)
