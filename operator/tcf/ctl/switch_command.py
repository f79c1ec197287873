"""`kubectl tcf promote`, `demote` and `toggle`: move the active role."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import click

from tcf.core.admission import Accepted, Kind, Unchanged
from tcf.core.model import Principal, Refusal
from tcf.core.plan import Plan, command_for, plan_of, told
from tcf.ctl.advice import after_refusal, command
from tcf.ctl.agreement import agree, agree_by_typing, check_can_ask
from tcf.ctl.completion import complete_any_member, complete_federation, complete_member
from tcf.ctl.evacuation_command import Evacuation, evacuate
from tcf.ctl.exits import Exit, StopError
from tcf.ctl.global_options import Globals, TcfCommand, all_namespaces
from tcf.ctl.hub_choice import open_hub
from tcf.ctl.hub_errors import run
from tcf.ctl.looking import read_federation, read_operator_sign, read_own_name
from tcf.ctl.output import show
from tcf.ctl.parameters_of_requests import DURATION, REASON, TERM
from tcf.ctl.switch_course import Ending, SwitchCourse
from tcf.ctl.switch_view import ending_json, plan_json, unchanged_json
from tcf.ctl.terminal import Cell, Colour, Terminal


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks for: the arguments and options of these commands. `timeout`: in seconds."""

    kind: Kind
    federation: str
    member: str | None
    reason: str
    dry_run: bool
    force: bool
    expected_term: int | None
    yes: bool
    timeout: int | None


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that the three commands share."""
    options = (
        click.option("--reason", type=REASON, default="", help="Recorded in the history and in Events."),
        click.option("--dry-run", is_flag=True, help="Only say what would happen: 0, or 1 if it is refused."),
        click.option(
            "--expected-term",
            type=TERM,
            metavar="N",
            help="Act only if the term is still N, so that a repeated command does not act twice.",
        ),
        click.option("-y", "--yes", is_flag=True, help="Do not ask. Needed where there is no terminal."),
        click.option(
            "--timeout",
            type=DURATION,
            metavar="TIME",
            help="Stop waiting after this time, such as 30s, with exit status 3. The request goes on.",
        ),
    )
    for each in reversed(options):
        function = each(function)
    return function


@click.command(cls=TcfCommand)
@click.argument("federation", required=False, metavar="FEDERATION", shell_complete=complete_federation)
@click.argument("member", required=False, metavar="MEMBER", shell_complete=complete_member)
@click.option(
    "--force",
    is_flag=True,
    help="Promote a member that cannot take over by the rules, or although workers may still answer active."
    " If one of these is alive, two members are active.",
)
@click.option("--all", "every", is_flag=True, help="Promote in all federations that have the member of --to.")
@click.option(
    "--to",
    metavar="MEMBER",
    shell_complete=complete_any_member,
    help="With --all: the member that becomes active everywhere.",
)
@click.option(
    "--from",
    "from_",
    metavar="MEMBER",
    shell_complete=complete_any_member,
    help="With --all: only the federations in which this member is active. Default: those of every site.",
)
@all_namespaces("With --all: the federations of all namespaces.")
@click.option(
    "-l",
    "--selector",
    metavar="SELECTOR",
    help="With --all: only the federations with these labels, such as team=shop.",
)
@_options
def promote(*, given: Globals, every: bool, **options: Any) -> int:
    """Make MEMBER the active one. The member that is active now becomes passive first.

    With --all --to MEMBER instead of FEDERATION and MEMBER, do so in every federation of the namespace that
    has this member. Those with a higher spec.failover.priority move first.
    """
    return evacuate(given, _evacuation(**options)) if every else _switch(given, _promotion(**options))


def _promotion(
    *,
    to: str | None,
    from_: str | None,
    everywhere: bool,
    selector: str | None,
    federation: str,
    member: str,
    **options: Any,
) -> Wanted:
    for name, value in {"--to": to, "--from": from_, "-A": everywhere, "-l": selector}.items():
        if value:
            raise _misused(f"{name} needs --all; without it, name a FEDERATION and a MEMBER")
    for name, value in {"FEDERATION": federation, "MEMBER": member}.items():
        if not value:
            raise _misused(f"Missing argument '{name}'; for all federations: --all --to MEMBER")
    return Wanted(Kind.PROMOTE, federation, member, **options)


def _evacuation(
    *,
    federation: str | None,
    to: str | None,
    from_: str | None,
    force: bool,
    expected_term: int | None,
    member: str | None,
    selector: str | None,
    **options: Any,
) -> Evacuation:
    if federation or member:
        raise _misused("--all takes no FEDERATION and no MEMBER: name the member with --to")
    if not to:
        raise _misused("--all needs --to MEMBER: the member that becomes active everywhere")
    if to == from_:
        raise _misused("--from and --to name the same member")
    if force:
        raise _misused(
            "--force does not go with --all: each federation needs its own decision to force;"
            " use promote FEDERATION MEMBER --force"
        )
    if expected_term is not None:
        raise _misused(
            "--expected-term does not go with --all: each federation has its own term. A repeated command"
            " acts only where the member is not active yet"
        )
    return Evacuation(from_=from_ or "", to=to, selector=selector or "", **options)


def _misused(why: str) -> click.UsageError:
    return click.UsageError(why, click.get_current_context())


@click.command(cls=TcfCommand)
@click.argument("federation", shell_complete=complete_federation)
@click.argument("member", shell_complete=complete_member, required=False)
@_options
def demote(*, given: Globals, federation: str, member: str | None, **options: Any) -> int:
    """Make the active member passive. After that, nobody is active.

    With MEMBER, this is done only if that one is the active member.
    """
    return _switch(given, Wanted(Kind.DEMOTE, federation, member, force=False, **options))


@click.command(cls=TcfCommand)
@click.argument("federation", shell_complete=complete_federation)
@_options
def toggle(*, given: Globals, federation: str, **options: Any) -> int:
    """Let the active and the passive member swap roles. The federation needs exactly two members."""
    return _switch(given, Wanted(Kind.TOGGLE, federation, None, force=False, **options))


def _switch(given: Globals, wanted: Wanted) -> int:
    if not wanted.dry_run and not wanted.yes:
        check_can_ask()
    terminal = Terminal.of(sys.stderr)
    plan = run(_planned(given, wanted, terminal))
    if isinstance(plan.verdict, Refusal):
        raise _refused(plan, plan.verdict)
    if wanted.dry_run:
        show({**plan_json(plan), "dryRun": True}, given.output, lambda: ["dry run: nothing was changed"])
        return Exit.REFUSED if plan.objection else Exit.DONE
    if isinstance(plan.verdict, Unchanged):
        show(unchanged_json(plan), given.output, list)
        return Exit.DONE
    if not wanted.yes and isinstance(plan.verdict, Accepted):
        _ask(plan)
        plan = plan.pinned()
    return _carried_out(given, wanted, plan, terminal)


async def _planned(given: Globals, wanted: Wanted, terminal: Terminal) -> Plan:
    """What would happen. It goes to stderr, because programs may read stdout."""
    async with open_hub(given.hub) as hub:
        federation = await read_federation(hub, wanted.federation)
        order = command_for(
            federation,
            wanted.kind,
            wanted.member,
            id_=uuid.uuid4().hex,
            principal=Principal("" if wanted.dry_run else await read_own_name(hub)),
            reason=wanted.reason,
            force=wanted.force,
            expected_term=wanted.expected_term,
        )
        operator, now = await read_operator_sign(hub, federation), hub.clock.now()
    plan = plan_of(federation, order, now)
    if not isinstance(plan.verdict, Refusal):
        for line in told(plan):
            click.echo(terminal.paint(line), err=True, color=True)
    if operator.alive(now.wall) is False and not isinstance(plan.verdict, Unchanged | Refusal):
        warning = f"nothing happens until an operator runs: {operator.told(now.wall)}"
        click.echo(terminal.paint(Cell(warning, Colour.WARNING)), err=True, color=True)
    return plan


def _ask(plan: Plan) -> None:
    """Raises StopError unless the person agrees."""
    if plan.command.force:
        agree_by_typing(plan.to, f"Type the name of the member ({plan.to}) to go on")
    else:
        agree(f"{plan.command.kind.capitalize()} {plan.federation.name}?")


def _carried_out(given: Globals, wanted: Wanted, plan: Plan, terminal: Terminal) -> int:
    course = SwitchCourse(plan, terminal)
    look = command(plan.federation, "history")
    try:
        ending = run(_course(given, course, wanted.timeout))
    except KeyboardInterrupt:
        if not course.sent:
            raise
        where = "is on the hub and goes on" if course.placed else "may be on the hub, and then goes on"
        goes_on = f"interrupted: request {plan.command.id} {where} without this command"
        raise StopError(goes_on, f"find out how it ends: {look}", status=Exit.UNKNOWN) from None
    if ending.unknown:
        raise StopError(
            f"nobody knows yet what has become of request {ending.request}: {ending.unknown}",
            f"find out: {look}",
            status=Exit.UNKNOWN,
        )
    show(ending_json(plan, ending), given.output, lambda: [_summary(ending)] if not ending.refusal else [])
    if ending.refusal:
        raise _refused(replace(plan, federation=ending.federation), ending.refusal)
    return Exit.DONE


async def _course(given: Globals, course: SwitchCourse, timeout: int | None) -> Ending:  # noqa: ASYNC109 - of the person
    async with open_hub(given.hub) as hub:
        return await course.run(hub, timeout)


def _refused(plan: Plan, refusal: Refusal) -> StopError:
    advice = after_refusal(plan.federation, refusal, plan.to)
    return StopError(f"{refusal.reason}: {refusal.message}", *advice)


def _summary(ending: Ending) -> str:
    active = f"{ending.active} is active" if ending.active else "nobody is active"
    gap = f"; nobody was active for {ending.gap:.1f} s" if ending.gap is not None and ending.active else ""
    return f"done in {ending.seconds:.1f} s: {active} (term {ending.term}){gap}"
