"""The course of a request that a person has placed: it is written, followed step by step, and waited for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Self

import click

from tcf.core.admission import Accepted, Joined
from tcf.core.claims import WAITING, hub_lost
from tcf.core.model import Federation, HistoryEntry, Refusal, Status
from tcf.core.plan import Plan
from tcf.core.role_changes import awaited, steps
from tcf.ctl.federation_sight import FederationSight, watching
from tcf.ctl.hub_choice import OpenHub
from tcf.ctl.idle_time import IdleTime
from tcf.ctl.looking import read_leases
from tcf.ctl.terminal import Cell, Colour, Terminal
from tcf.hub import errors
from tcf.runtime.waiting import within
from tcf.worker.placed_requests import OutcomeUnknownError, PlacedRequests

_LOOK_SECONDS = 1.0
"""How often the Leases are listed while a step waits for workers."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What has become of a request.

    `unknown`: why nobody knows it; "" if it is known. `refusal`: why the roles are not as asked. `gap`: for
    how many seconds nobody was active, as this command saw it; None if it did not see that.
    """

    request: str
    federation: Federation
    seconds: float
    unknown: str = ""
    refusal: Refusal | None = None
    term: int = 0
    active: str = ""
    gap: float | None = None

    @classmethod
    def of(
        cls,
        request: str,
        federation: Federation,
        seconds: float,
        *,
        past: HistoryEntry | None = None,
        refusal: Refusal | None = None,
        unknown: str = "",
        gap: float | None = None,
    ) -> Self:
        """`past`: how the request has ended, if there was one. If it has succeeded, the roles are as it left
        them, and otherwise as they are in the federation."""
        status = federation.status
        term, active = (status.term, status.active_cluster) if status else (0, "")
        if past and past.succeeded:
            term, active = past.term, past.to
        return cls(request, federation, seconds, unknown, refusal, term, active, gap)


class SwitchCourse:
    """`sent`: the request may be on the hub. `placed`: it is."""

    def __init__(self, plan: Plan, terminal: Terminal) -> None:
        self.sent = False
        self.placed = False
        self._plan = plan
        self._terminal = terminal
        self._request = plan.command.id
        self._began = 0.0
        self._before: Status | None = plan.federation.status
        self._idle = IdleTime(self._before)

    async def run(self, hub: OpenHub, patience: int | None) -> Ending:
        """Place the request and wait for its end, for at most `patience` seconds (None: no limit)."""
        self._began = hub.clock.boot()
        async with watching(hub.federations, self._plan.federation, hub.clock) as sight:
            follower = asyncio.create_task(self._follow(hub, sight), name="follow")
            try:
                async with asyncio.timeout(patience):
                    return await self._to_the_end(hub, sight)
            except TimeoutError:
                return self._unknown(hub, f"it has not ended within {patience} s, and goes on")
            except OutcomeUnknownError as error:
                return self._unknown(hub, str(error))
            except errors.HubError as error:
                if not self.sent:
                    raise
                return self._unknown(hub, hub_lost(WAITING, str(error)))
            finally:
                follower.cancel()
                (ended,) = await asyncio.gather(follower, return_exceptions=True)
                if isinstance(ended, Exception):  # it does not change what has become of the request
                    click.echo(f"the steps could not be shown: {ended!r}", err=True)

    async def _to_the_end(self, hub: OpenHub, sight: FederationSight) -> Ending:
        where = self._plan.federation
        requests = PlacedRequests(hub.federations, where.namespace, where.name, sight=sight, clock=hub.clock)
        self.sent = True
        try:
            federation, verdict = await requests.place(self._plan.command, dry_run=False)
        except errors.HubError:
            self.sent = False  # it raises these only if nothing was written
            raise
        if not isinstance(verdict, Accepted | Joined):
            self.sent = False
            refusal = verdict if isinstance(verdict, Refusal) else None
            return self._ending(hub, federation, refusal)
        self._request, self.placed = verdict.request, True
        entry = await requests.outcome(federation, verdict.request, own=isinstance(verdict, Accepted))
        self._tell(sight)
        latest = sight.latest or federation
        refusal = None if entry.succeeded else Refusal(entry.outcome, entry.message)
        return self._ending(hub, latest, refusal, entry)

    def _ending(
        self, hub: OpenHub, federation: Federation, refusal: Refusal | None, past: HistoryEntry | None = None
    ) -> Ending:
        """`past`: how the request has ended, if there was one."""
        seconds, gap = hub.clock.boot() - self._began, self._idle.seconds
        return Ending.of(self._request, federation, seconds, past=past, refusal=refusal, gap=gap)

    def _unknown(self, hub: OpenHub, why: str) -> Ending:
        return Ending(self._request, self._plan.federation, hub.clock.boot() - self._began, unknown=why)

    # --- what happens meanwhile ---------------------------------------------------------------------

    async def _follow(self, hub: OpenHub, sight: FederationSight) -> None:
        """Tell every step, and whom it waits for, until cancelled."""
        told = ""
        while True:
            self._tell(sight)
            now = hub.clock.boot()
            if now - self._began >= _LOOK_SECONDS:
                waits = sight.trouble or await self._waits(hub, sight)
                if waits and waits != told:
                    self._say(now, waits, Colour.WARNING)
                told = waits
            if not sight.versions:
                await within(_LOOK_SECONDS, sight.changed())

    async def _waits(self, hub: OpenHub, sight: FederationSight) -> str:
        try:
            leases = await read_leases(hub, self._plan.federation.name)
        except errors.HubError as error:
            return str(error)
        names = awaited(sight.latest, leases) if sight.latest and leases else ""
        return f"waiting for {names}" if names else ""

    def _tell(self, sight: FederationSight) -> None:
        for at, federation in sight.taken():
            for text in steps(self._before, federation.status):
                self._say(at, text)
            self._idle.see(at, federation.status)
            self._before = federation.status

    def _say(self, at: float, text: str, colour: Colour | None = None) -> None:
        line = f"{at - self._began:7.1f} s  {self._terminal.paint(Cell(text, colour))}"
        click.echo(line, err=True, color=True)
