"""`kubectl tcf history`: how requests have ended."""

from __future__ import annotations

import sys

import click

from tcf.ctl.completion import complete_federation
from tcf.ctl.global_options import Globals, TcfCommand
from tcf.ctl.hub_choice import open_hub
from tcf.ctl.hub_errors import run
from tcf.ctl.looking import read_federation
from tcf.ctl.output import show
from tcf.ctl.status_text import history_rows
from tcf.ctl.terminal import Terminal
from tcf.hub.federation_json import history as history_view


@click.command(cls=TcfCommand)
@click.argument("federation", shell_complete=complete_federation)
def history(*, given: Globals, federation: str) -> None:
    """Show how the last 20 requests have ended, the latest first: who asked, why, and how long it took."""
    run(_history(given, federation))


async def _history(given: Globals, name: str) -> None:
    async with open_hub(given.hub) as hub:
        federation = await read_federation(hub, name)
        wall = hub.clock.now().wall
    status, terminal = federation.status, Terminal.of(sys.stdout)
    entries = history_view(status.history if status else ())
    view = {"namespace": federation.namespace, "federation": federation.name, "history": entries}
    show(view, given.output, lambda: terminal.table(history_rows(entries, wall, terminal)))
