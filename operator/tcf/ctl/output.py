"""Writes what a command has found: as a table, JSON or YAML."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable

import click

from tcf.hub.answers import Json


def show(value: Json, output: str, lines: Callable[[], Iterable[str]]) -> None:
    """Write `value` to stdout in the form that the person has chosen. `lines`: the same for a person."""
    match output:
        case "json":
            click.echo(json.dumps(value, indent=2))  # in ASCII, nothing can act on a terminal
        case "yaml":
            import yaml  # noqa: PLC0415 - a table needs none of it

            click.echo(yaml.safe_dump(value, sort_keys=False), nl=False)
        case _:
            click.echo("\n".join(lines()), color=True)  # it has colours only where the terminal shows them


def show_line(value: Json, output: str, line: Callable[[], str]) -> None:
    """Write one of many values that follow each other: JSON in one line, YAML as a document."""
    if output == "json":
        click.echo(json.dumps(value))
    elif output == "yaml":
        click.echo("---")
        show(value, output, list)
    else:
        click.echo(line(), color=True)


_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Screen:
    """A terminal that is drawn again and again, from its top left corner. The window may change its size."""

    def draw(self, lines: Iterable[str]) -> None:
        """Show these lines. Those that do not fit are left out."""
        click.echo("\x1b[H\x1b[2J" + "\n".join(fitting(lines, *shutil.get_terminal_size())), color=True)


def fitting(lines: Iterable[str], columns: int, rows: int) -> list[str]:
    """As many lines as a window of this size can show. A line that is too long for it takes several rows."""
    every = list(lines)
    heights = [max(1, -(-len(_COLOURS.sub("", line)) // columns)) for line in every]
    if sum(heights) < rows:
        return every
    shown, left = [], rows - 2
    for line, height in zip(every, heights, strict=True):
        left -= height
        if left < 0:
            break
        shown.append(line)
    return [*shown, "... (make the window larger to see the rest)"]
