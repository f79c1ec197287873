"""How far an evacuation is: a line on stderr that is written again and again."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass

import click

from tcf.ctl.terminal import Terminal

_DRAW_SECONDS = 0.1
_LINE_SECONDS = 5.0
_BAR = 30


@dataclass(frozen=True, slots=True)
class Stage:
    """How many federations are where after so many seconds. `trouble`: why nothing is heard of them."""

    moved: int
    failed: int
    waiting: int
    seconds: float
    trouble: str = ""

    def told(self) -> str:
        """In a line."""
        total = self.moved + self.failed + self.waiting
        done = _BAR * (total - self.waiting) // total if total else _BAR
        bar = "#" * done + "." * (_BAR - done)
        numbers = f"{self.moved} moved, {self.failed} failed, {self.waiting} waiting, {self.seconds:.0f} s"
        return f"[{bar}] {numbers}" + (f"; trying again: {self.trouble}" if self.trouble else "")


async def show_progress(terminal: Terminal, look: Callable[[], Stage]) -> None:
    """Show it until cancelled. `terminal`: behind stderr."""
    if not terminal.live:
        while True:
            await asyncio.sleep(_LINE_SECONDS)
            click.echo(terminal.paint(look().told()), err=True)
    before = ""
    try:
        while True:
            columns = shutil.get_terminal_size().columns
            line = terminal.paint(look().told())[: columns - 1]
            if line != before:
                _rewrite(line)
                before = line
            await asyncio.sleep(_DRAW_SECONDS)
    finally:
        _rewrite("")


def _rewrite(line: str) -> None:
    click.echo(f"\r\x1b[K{line}", nl=False, err=True, color=True)
