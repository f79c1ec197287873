"""Writes what a command has found: as a table, JSON or YAML."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import click

Json = dict[str, Any]


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


class Screen:
    """A terminal that is drawn again and again, from its top left corner."""

    def __init__(self, height: int) -> None:
        self._height = height

    def draw(self, lines: Iterable[str]) -> None:
        """Show these lines. Those that do not fit are left out."""
        shown = list(lines)
        if len(shown) >= self._height:
            shown = [*shown[: self._height - 2], "... (make the window higher to see the rest)"]
        click.echo("\x1b[H\x1b[2J" + "\n".join(shown), color=True)
