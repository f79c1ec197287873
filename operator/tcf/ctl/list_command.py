"""`kubectl tcf list`: all federations, a line each."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing

import click

from tcf.core.model import Federation
from tcf.ctl.global_options import Globals, TcfCommand, all_namespaces
from tcf.ctl.hub_choice import SECONDS, OpenHub, open_hub
from tcf.ctl.hub_errors import run
from tcf.ctl.output import Screen, show, show_line
from tcf.ctl.status_text import list_rows
from tcf.ctl.terminal import Terminal
from tcf.hub import errors
from tcf.hub.federation_json import summary
from tcf.runtime.backoff import Backoff


@click.command("list", cls=TcfCommand)
@all_namespaces("The federations of all namespaces.")
@click.option("-w", "--watch", is_flag=True, help="Go on, and show each change, until Ctrl-C.")
def list_(*, given: Globals, everywhere: bool, watch: bool) -> None:
    """List federations: who is active, at which term, and when that last changed."""
    run(_list(given, everywhere=everywhere, watch=watch))


async def _list(given: Globals, *, everywhere: bool, watch: bool) -> None:
    async with open_hub(given.hub) as hub:
        listing = _Listing(hub, given.output, None if everywhere else hub.namespace)
        await listing.read()
        if not watch:
            listing.show_all()
            return
        listing.begin()
        async with asyncio.TaskGroup() as group:
            group.create_task(_follow(listing))
            group.create_task(_draw_often(listing))


async def _follow(listing: _Listing) -> None:
    backoff = Backoff()
    while True:
        try:
            await listing.follow(backoff)
            await listing.read()
        except errors.HubError as error:
            click.echo(f"{error}; trying again", err=True)
            await asyncio.sleep(backoff.next())


async def _draw_often(listing: _Listing) -> None:
    """So that the ages on the screen are right."""
    while True:
        await asyncio.sleep(1)
        listing.draw()


class _Listing:
    """The federations of a namespace, or of all (None), and what is shown of them."""

    def __init__(self, hub: OpenHub, output: str, namespace: str | None) -> None:
        self._hub = hub
        self._output = output
        self._namespace = namespace
        self._terminal = Terminal.of(sys.stdout)
        self._known: dict[tuple[str, str], Federation] = {}
        self._screen = Screen() if self._terminal.live and output == "table" else None

    async def read(self) -> None:
        """List them, and show what has changed since."""
        found, troubles = await self._hub.federations.list(self._namespace, deadline=SECONDS)
        for trouble in troubles:
            click.echo(f"warning: {trouble}", err=True)
        now = {(each.namespace, each.name): each for each in found}
        gone = [each for key, each in self._known.items() if key not in now]
        before, self._known = self._known, now
        if before:
            for each in (*gone, *found):
                self._changed(each, before.get((each.namespace, each.name)), there=each not in gone)

    def show_all(self) -> None:
        if not self._known and self._output == "table":
            where = f"in namespace {self._namespace}" if self._namespace else "on this hub"
            also = "; those of all namespaces: kubectl tcf list -A" if self._namespace else ""
            click.echo(f"There are no federations {where}{also}", err=True)
            return
        items = [summary(each) for each in self._known.values()]
        show({"federations": items}, self._output, self._table)

    def begin(self) -> None:
        """Show what there is before the first change."""
        if self._screen:
            self.draw()
        elif self._output == "table":
            click.echo("\n".join(self._table()), color=True)
        else:
            for each in self._known.values():
                self._line(each)

    def draw(self) -> None:
        """Draw the screen again, if there is one."""
        if self._screen:
            self._screen.draw(self._table())

    async def follow(self, backoff: Backoff) -> None:
        """Show changes until the watch ends."""
        watch = self._hub.federations.watch_all(self._namespace, deadline=SECONDS)
        async with aclosing(watch) as events:
            async for federation, there in events:
                backoff.reset()
                key = (federation.namespace, federation.name)
                before = self._known.get(key)
                if there:
                    self._known[key] = federation
                else:
                    self._known.pop(key, None)
                self._changed(federation, before, there=there)

    def _changed(self, federation: Federation, before: Federation | None, *, there: bool) -> None:
        if there and before and summary(before) == summary(federation):
            return
        if self._screen:
            self.draw()
        elif there:
            self._line(federation)
        else:
            gone = {**summary(federation), "deleted": True}
            show_line(gone, self._output, lambda: f"{federation.namespace}/{federation.name} was deleted")

    def _line(self, federation: Federation) -> None:
        place = sorted(self._known).index((federation.namespace, federation.name))
        show_line(summary(federation), self._output, lambda: self._table()[place + 1])

    def _table(self) -> list[str]:
        wall = self._hub.clock.now().wall
        items = [summary(self._known[key]) for key in sorted(self._known)]
        return self._terminal.table(list_rows(items, wall, namespaces=self._namespace is None))
