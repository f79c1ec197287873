"""`kubectl tcf status`: all about one federation."""

from __future__ import annotations

import asyncio
import sys

import click

from tcf.core.model import Federation
from tcf.core.role_changes import steps
from tcf.ctl.advice import next_steps
from tcf.ctl.completion import complete_federation
from tcf.ctl.federation_sight import FederationSight, watching
from tcf.ctl.federation_view import details
from tcf.ctl.global_options import Globals, TcfCommand
from tcf.ctl.hub_choice import OpenHub, open_hub
from tcf.ctl.hub_errors import run
from tcf.ctl.looking import read_federation, read_leases, read_nodes, read_operator_sign
from tcf.ctl.output import Screen, show, show_line
from tcf.ctl.status_text import status_lines
from tcf.ctl.terminal import Terminal
from tcf.hub import errors
from tcf.hub.answers import Json
from tcf.hub.federation_json import summary
from tcf.runtime.waiting import within


@click.command(cls=TcfCommand)
@click.argument("federation", shell_complete=complete_federation)
@click.option("-w", "--watch", is_flag=True, help="Go on, and show each change, until Ctrl-C.")
def status(*, given: Globals, federation: str, watch: bool) -> None:
    """Show members with their roles and workers, conditions, the last changes, and what to do next."""
    run(_status(given, federation, watch=watch))


async def _status(given: Globals, name: str, *, watch: bool) -> None:
    terminal = Terminal.of(sys.stdout)
    async with open_hub(given.hub) as hub:
        federation = await read_federation(hub, name)
        if not watch:
            view, lines = await _looked(hub, federation, terminal)
            show(view, given.output, lambda: lines)
            return
        async with watching(hub.federations, federation, hub.clock) as sight:
            if terminal.live and given.output == "table":
                await _draw(hub, sight, terminal)
            else:
                await _tell(hub, sight, federation, given.output)


async def _looked(hub: OpenHub, federation: Federation, terminal: Terminal) -> tuple[Json, list[str]]:
    """What there is to see of a federation, for programs and for people."""
    leases, operator = await asyncio.gather(
        read_leases(hub, federation.name), read_operator_sign(hub, federation)
    )
    now = hub.clock.now()
    view = details(federation, leases, await read_nodes(hub, leases or ()), operator, now)
    advice = next_steps(federation, operator, now.wall)
    view["nextSteps"] = advice
    return view, list(status_lines(view, advice, now.wall, terminal))


async def _draw(hub: OpenHub, sight: FederationSight, terminal: Terminal) -> None:
    """Draw it again and again: at once after a change, and every second for what the Leases say."""
    screen = Screen()
    while True:
        federation = sight.latest
        try:
            lines = ["The federation was deleted."]
            if federation:
                _, lines = await _looked(hub, federation, terminal)
        except errors.HubError as error:
            lines = [str(error)]
        if sight.trouble:
            lines = [f"What follows is out of date: {terminal.paint(sight.trouble)}", "", *lines]
        screen.draw(lines)
        if sight.latest is federation:
            await within(1, sight.changed())


async def _tell(hub: OpenHub, sight: FederationSight, before: Federation, output: str) -> None:
    """A line for each change."""
    terminal = Terminal.of(sys.stdout)

    def line(federation: Federation, text: str) -> None:
        moment = hub.clock.now().wall.strftime("%H:%M:%S")
        told = terminal.paint(text)
        show_line({"event": text, **summary(federation)}, output, lambda: f"{moment}  {told}")

    line(before, f"{before.status.active_cluster or 'nobody' if before.status else 'nobody'} is active")
    while True:
        for _, federation in sight.taken():
            for text in steps(before.status, federation.status):
                line(federation, text)
            before = federation
        if sight.latest is None:
            line(before, "the federation was deleted")
            return
        if not sight.versions:
            await sight.changed()
