"""Completes names of federations, members and namespaces, for kubectl and for the shell itself."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem, ShellComplete, shell_complete

SECONDS = 2.0
"""How long a person who has pressed the tab key waits at most."""
VARIABLE = "_KUBECTL_TCF_COMPLETE"
"""By this, a shell asks for a completion (https://click.palletsprojects.com/en/stable/shell-completion)."""


def complete_namespace(ctx: click.Context, _param: click.Parameter, word: str) -> list[CompletionItem]:
    """The namespaces that have a federation."""
    return _items(word, {each.namespace: "" for each in _federations(ctx, everywhere=True)})


def complete_federation(ctx: click.Context, _param: click.Parameter, word: str) -> list[CompletionItem]:
    found = _federations(ctx)
    return _items(word, {each.name: each.status.active_cluster if each.status else "" for each in found})


def complete_member(ctx: click.Context, _param: click.Parameter, word: str) -> list[CompletionItem]:
    """The members of the federation that the line names already."""
    chosen = ctx.params.get("federation")
    members = [member for each in _federations(ctx) if each.name == chosen for member in each.spec.clusters]
    return _items(word, {member.id: member.name for member in members})


def complete_any_member(ctx: click.Context, _param: click.Parameter, word: str) -> list[CompletionItem]:
    """The members of all federations that the line is about."""
    found = _federations(ctx, everywhere=bool(ctx.params.get("everywhere")))
    return _items(word, {member.id: member.name for each in found for member in each.spec.clusters})


def _items(word: str, values: dict[str, str]) -> list[CompletionItem]:
    fitting = {value: text for value, text in values.items() if value.startswith(word)}
    return [CompletionItem(value, help=text or None) for value, text in fitting.items()]


def _federations(ctx: click.Context, *, everywhere: bool = False) -> Any:
    """The federations of the namespace that was chosen, or of all. None if the hub does not say in time."""
    # Options import this module.
    from tcf.ctl.exits import StopError  # noqa: PLC0415
    from tcf.ctl.global_options import chosen  # noqa: PLC0415
    from tcf.ctl.hub_choice import open_hub  # noqa: PLC0415
    from tcf.hub.errors import HubError  # noqa: PLC0415

    async def ask() -> Any:
        async with open_hub(chosen(ctx).hub) as hub:
            found, _ = await hub.federations.list(None if everywhere else hub.namespace, deadline=SECONDS)
            return found

    try:
        return asyncio.run(ask())
    except (StopError, HubError):
        return ()


def complete_in_shell(command: click.Command) -> int | None:
    """Answer the shell of somebody who types `kubectl-tcf` itself; None if it does not ask.

    Click would name the variable after "kubectl tcf", and no variable may have a blank in its name.
    """
    instruction = os.environ.get(VARIABLE)
    return shell_complete(command, {}, "kubectl-tcf", VARIABLE, instruction) if instruction else None


def kubectl_complete() -> None:
    """Entry point of `kubectl_complete-tcf`, which kubectl runs with the words after `kubectl tcf`.

    It prints a line for each word that fits, and then a line with cobra's directive 4: no names of files.
    (https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins)
    """
    from tcf.ctl.kubectl_tcf import tcf  # noqa: PLC0415 - it imports this module

    *before, word = sys.argv[1:] or [""]
    found = ShellComplete(tcf, {}, "kubectl tcf", "").get_completions(before, word)
    for each in found:
        click.echo(f"{each.value}\t{each.help}" if each.help else each.value)
    click.echo(":4")
