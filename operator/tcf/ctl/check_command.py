"""`kubectl tcf check`: could each member take over now?"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import click

from tcf.core.model import Federation, Now, Refusal
from tcf.core.reasons import Outcome
from tcf.core.takeover import Verdict, failover_state, verdicts
from tcf.ctl.completion import complete_federation, complete_member
from tcf.ctl.exits import Exit, StopError
from tcf.ctl.global_options import Globals, TcfCommand
from tcf.ctl.hub_choice import open_hub
from tcf.ctl.hub_errors import run
from tcf.ctl.looking import read_federation, read_operator_sign
from tcf.ctl.operator_sign import OperatorSign
from tcf.ctl.output import show
from tcf.ctl.terminal import Cell, Sign, Terminal
from tcf.hub.answers import Json
from tcf.hub.federation_json import refusal_json


@click.command(cls=TcfCommand)
@click.argument("federation", shell_complete=complete_federation)
@click.argument("member", shell_complete=complete_member, required=False)
def check(*, given: Globals, federation: str, member: str | None) -> int:
    """Say for each member (or for MEMBER) whether it could be the active one now, and which rule says no.

    Exit status 0 if all of them could, 1 if one could not, 3 if the hub does not say.
    """
    return run(_check(given, federation, member), unreachable=Exit.UNKNOWN)


async def _check(given: Globals, name: str, member: str | None) -> int:
    async with open_hub(given.hub) as hub:
        federation = await read_federation(hub, name)
        operator, now = await read_operator_sign(hub, federation), hub.clock.now()
    found = [
        with_operator(each, operator, now)
        for each in verdicts(federation, now)
        if member in {None, each.member}
    ]
    if not found:
        known = ", ".join(each.id for each in federation.spec.clusters)
        raise StopError(f"{member} is not a member of {name} (its members: {known})")
    able = all(each.able for each in found)
    view = _json(federation, found, now, able=able)
    terminal = Terminal.of(sys.stdout)
    show(view, given.output, lambda: _lines(federation, found, now, terminal))
    return Exit.DONE if able else Exit.REFUSED


def with_operator(verdict: Verdict, operator: OperatorSign, now: Now) -> Verdict:
    """The same verdict, with one more obstacle if no operator would carry out a request."""
    if operator.alive(now.wall) is not False:
        return verdict
    missing = Refusal(Outcome.NO_COORDINATOR, operator.told(now.wall))
    return replace(verdict, obstacles=(*verdict.obstacles, missing))


def _lines(federation: Federation, found: Sequence[Verdict], now: Now, terminal: Terminal) -> Iterator[str]:
    yield from terminal.table(
        [
            terminal.sign(Sign.YES if each.able else Sign.NO),
            each.member,
            _told(each) if each.able else Cell(each.obstacles[0].reason),
            "; besides, ".join(obstacle.message for obstacle in each.obstacles),
        ]
        for each in found
    )
    yield f"Failover: {failover_state(federation, now)[1]}"


def _told(verdict: Verdict) -> str:
    return "is active" if verdict.active else "could take over"


def _json(federation: Federation, found: Sequence[Verdict], now: Now, *, able: bool) -> Json:
    state, message = failover_state(federation, now)
    return {
        "namespace": federation.namespace,
        "federation": federation.name,
        "able": able,
        "members": [
            {
                "id": each.member,
                "active": each.active,
                "able": each.able,
                "obstacles": [refusal_json(one) for one in each.obstacles],
            }
            for each in found
        ],
        "failover": {"state": state, "message": message},
    }
