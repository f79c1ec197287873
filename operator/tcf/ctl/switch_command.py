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
from tcf.ctl.completion import complete_federation, complete_member
from tcf.ctl.exits import Exit, StopError
from tcf.ctl.global_options import Globals, TcfCommand
from tcf.ctl.hub_choice import SECONDS, OpenHub, open_hub
from tcf.ctl.hub_errors import run
from tcf.ctl.looking import read_federation, read_operator_sign
from tcf.ctl.output import show
from tcf.ctl.parameters_of_requests import DURATION, REASON, TERM
from tcf.ctl.switch_course import Ending, SwitchCourse
from tcf.ctl.terminal import Cell, Colour, Terminal, can_ask, ctrl_c_ends_the_process
from tcf.hub import errors
from tcf.hub.answers import Json


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
@click.argument("federation", shell_complete=complete_federation)
@click.argument("member", shell_complete=complete_member)
@click.option(
    "--force",
    is_flag=True,
    help="Promote a member that cannot take over by the rules, or although workers may still answer active."
    " If one of these is alive, two members are active.",
)
@_options
def promote(*, given: Globals, federation: str, member: str, **options: Any) -> int:
    """Make MEMBER the active one. The member that is active now becomes passive first."""
    return _switch(given, Wanted(Kind.PROMOTE, federation, member, **options))


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
    if not wanted.dry_run and not wanted.yes and not can_ask():
        raise StopError(
            "there is no terminal to ask you on: add --yes to act without a question, or --dry-run to look",
            status=Exit.USAGE,
        )
    terminal = Terminal.of(sys.stderr)
    plan = run(_planned(given, wanted, terminal))
    if isinstance(plan.verdict, Refusal):
        raise _refused(plan, plan.verdict)
    if wanted.dry_run:
        show({**_plan_json(plan), "dryRun": True}, given.output, lambda: ["dry run: nothing was changed"])
        return Exit.REFUSED if plan.objection else Exit.DONE
    if isinstance(plan.verdict, Unchanged):
        show({**_plan_json(plan), "request": None, "withoutActiveSeconds": 0.0}, given.output, list)
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
            principal=Principal("" if wanted.dry_run else await _own_name(hub)),
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


async def _own_name(hub: OpenHub) -> str:
    """The user name on the hub: a request has to be in the name of whoever places it."""
    try:
        return await hub.access.user(deadline=SECONDS)
    except (errors.NotFoundError, errors.KindNotFoundError) as error:
        message = "the hub does not say who you are (SelfSubjectReview): it needs Kubernetes 1.28 or newer"
        raise StopError(message) from error


def _ask(plan: Plan) -> None:
    """Raises StopError unless the person agrees."""
    name = plan.federation.name
    with ctrl_c_ends_the_process():
        if plan.command.force:
            typed = click.prompt(f"Type the name of the member ({plan.to}) to go on", err=True, default="")
            agreed = typed == plan.to
        else:
            agreed = click.confirm(f"{plan.command.kind.capitalize()} {name}?", err=True)
    if not agreed:
        raise StopError("you did not agree, so nothing was changed")


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
    show(_ending_json(plan, ending), given.output, lambda: [_summary(ending)] if not ending.refusal else [])
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


def _plan_json(plan: Plan) -> Json:
    refusal = plan.refusal
    verdict = type(plan.verdict).__name__
    return {
        "namespace": plan.federation.namespace,
        "federation": plan.federation.name,
        "kind": plan.command.kind.value,
        "from": plan.from_ or None,
        "to": plan.to or None,
        "outcome": refusal.reason if refusal else verdict,
        "message": refusal.message if refusal else None,
    }


def _ending_json(plan: Plan, ending: Ending) -> Json:
    return {
        **_plan_json(plan),
        "request": ending.request,
        "outcome": ending.refusal.reason if ending.refusal else "Succeeded",
        "message": ending.refusal.message if ending.refusal else None,
        "term": ending.term,
        "active": ending.active or None,
        "seconds": round(ending.seconds, 3),
        "withoutActiveSeconds": None if ending.gap is None else round(ending.gap, 3),
    }
