"""`kubectl tcf promote --all`: make one member active in every federation that has it."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import click

from tcf.core.admission import Command, Kind
from tcf.core.model import Federation, Principal
from tcf.core.plan import command_for
from tcf.ctl.agreement import agree, check_can_ask
from tcf.ctl.evacuation_course import EvacuationCourse
from tcf.ctl.evacuation_plan import EvacuationPlan, Names, counted, dry_run_json, evacuation_of, told
from tcf.ctl.evacuation_report import report_json, report_lines, report_of, stop_of
from tcf.ctl.exits import Exit, StopError
from tcf.ctl.global_options import Globals
from tcf.ctl.hub_choice import SECONDS, OpenHub, open_hub
from tcf.ctl.hub_errors import run
from tcf.ctl.looking import read_operator_sign, read_own_name
from tcf.ctl.output import show
from tcf.ctl.terminal import Cell, Colour, Terminal

_MOST_NAMES = 10
"""So many names a terminal shows of a group."""


@dataclass(frozen=True, slots=True)
class Evacuation:
    """What a person asks for: the options of these names. `from_`: "" for any. `timeout`: in seconds."""

    from_: str
    to: str
    everywhere: bool
    selector: str
    reason: str
    dry_run: bool
    yes: bool
    timeout: int | None


def evacuate(given: Globals, wanted: Evacuation) -> int:
    if not wanted.dry_run and not wanted.yes:
        check_can_ask()
    terminal = Terminal.of(sys.stderr)
    plan = run(_planned(given, wanted, terminal))
    if wanted.dry_run:
        show(dry_run_json(plan), given.output, lambda: ["dry run: nothing was changed"])
        return Exit.DONE if plan.complete else Exit.REFUSED
    if plan.moves and not wanted.yes:
        agree(f"Promote {wanted.to} in {counted(len(plan.moves))}?")
    return _carried_out(given, wanted, plan, terminal)


async def _planned(given: Globals, wanted: Evacuation, terminal: Terminal) -> EvacuationPlan:
    """What would happen. It goes to stderr, because programs may read stdout."""
    async with open_hub(given.hub) as hub:
        namespace = None if wanted.everywhere else hub.namespace
        found, troubles = await hub.federations.list(namespace, labels=wanted.selector, deadline=SECONDS)
        for member in filter(None, (wanted.to, wanted.from_)):
            if not any(each.spec.member(member) for each in found):
                raise _nowhere(member, wanted, namespace, found)
        principal = Principal("" if wanted.dry_run else await read_own_name(hub))

        def command_of(federation: Federation) -> Command:
            return command_for(
                federation,
                Kind.PROMOTE,
                wanted.to,
                id_=uuid.uuid4().hex,
                principal=principal,
                reason=wanted.reason,
            )

        plan = evacuation_of(found, wanted.from_, wanted.to, command_of, hub.clock.now(), troubles)
        idle = await _without_operator(hub, plan)
    for line in told(plan, _names(wanted, terminal)):
        click.echo(terminal.indented(line), err=True)
    for warning in idle:
        click.echo(terminal.paint(Cell(warning, Colour.WARNING)), err=True, color=True)
    return plan


def _nowhere(
    member: str, wanted: Evacuation, namespace: str | None, found: Sequence[Federation]
) -> StopError:
    where = f"in namespace {namespace}" if namespace else "on this hub"
    which = f" with the labels {wanted.selector}" if wanted.selector else ""
    members = ", ".join(sorted({row.id for each in found for row in each.spec.clusters}))
    return StopError(
        f"no federation {where}{which} has the member {member}",
        f"the members there: {members}" if members else "there are no such federations at all",
        "see which federations there are: kubectl tcf list -A",
    )


async def _without_operator(hub: OpenHub, plan: EvacuationPlan) -> list[str]:
    """A warning for each namespace in which no operator would carry a request out."""
    there: dict[str, list[Federation]] = {}
    for each in plan.moves:
        there.setdefault(each.federation.namespace, []).append(each.federation)
    signs = await asyncio.gather(*(read_operator_sign(hub, *each) for each in there.values()))
    wall = hub.clock.now().wall
    return [
        f"nothing happens until an operator runs: {sign.told(wall)}"
        for sign in signs
        if sign.alive(wall) is False
    ]


def _names(wanted: Evacuation, terminal: Terminal) -> Names:
    return Names(namespaces=wanted.everywhere, most=_MOST_NAMES if terminal.live else None)


def _carried_out(given: Globals, wanted: Evacuation, plan: EvacuationPlan, terminal: Terminal) -> int:
    course, interrupted = EvacuationCourse(plan.moves), False
    try:
        if plan.moves:
            run(_course(given, wanted, course, terminal))
    except KeyboardInterrupt:
        if not course.sent:
            raise
        interrupted = True
    report = report_of(plan, course.moves, course.seconds)
    shown = Terminal.of(sys.stdout)
    show(report_json(report), given.output, lambda: report_lines(report, _names(wanted, shown), shown))
    look = "kubectl tcf list -A" if wanted.everywhere else f"kubectl tcf -n {given.hub.own_namespace()} list"
    if stop := stop_of(report, look, interrupted=interrupted):
        raise stop
    return Exit.DONE


async def _course(given: Globals, wanted: Evacuation, course: EvacuationCourse, terminal: Terminal) -> None:
    async with open_hub(given.hub) as hub:
        await course.run(hub, None if wanted.everywhere else hub.namespace, wanted.timeout, terminal)
