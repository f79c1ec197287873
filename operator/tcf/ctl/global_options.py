"""The options that every command of `kubectl tcf` has, before and after its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from tcf.ctl.completion import complete_namespace
from tcf.ctl.hub_choice import HubChoice

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Globals:
    """What the person has chosen. `output`: table, json or yaml."""

    hub: HubChoice
    output: str


def global_options() -> list[click.Option]:
    """New options, each None if it is not given."""
    return [
        click.Option(
            ["--kubeconfig"],
            metavar="FILE",
            type=click.Path(),
            help="How to reach the hub. Default: the files of KUBECONFIG, or ~/.kube/config, or the"
            " ServiceAccount of a Pod.",
        ),
        click.Option(["--context"], metavar="NAME", help="Context of the kubeconfig."),
        click.Option(
            ["-n", "--namespace"],
            metavar="NAME",
            help="Namespace of the federation. Default: that of the context.",
            shell_complete=complete_namespace,
        ),
        click.Option(
            ["-o", "--output"],
            type=click.Choice(["table", "json", "yaml"]),
            help="For people (table) or for programs.  [default: table]",
        ),
    ]


def all_namespaces(text: str) -> Callable[[F], F]:
    """The option `-A` of commands that are about many federations; they get it as `everywhere`."""
    return click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help=text)


_NAMES = ("kubeconfig", "context", "namespace", "output")


def chosen(ctx: click.Context) -> Globals:
    """The options as given: after the command's name, or else before it."""
    found: dict[str, Any] = dict.fromkeys(_NAMES)
    level: click.Context | None = ctx
    while level is not None:
        for name in _NAMES:
            found[name] = found[name] if found[name] is not None else level.params.get(name)
        level = level.parent
    hub = HubChoice(found["kubeconfig"] or None, found["context"] or None, found["namespace"] or None)
    return Globals(hub, found["output"] or "table")


class TcfCommand(click.Command):
    """A command that has these options as well. Its function gets them as `given`."""

    def __init__(self, name: str | None, *, params: list[click.Parameter], **more: Any) -> None:
        super().__init__(name, params=[*params, *global_options()], **more)

    def invoke(self, ctx: click.Context) -> Any:
        ctx.params["given"] = chosen(ctx)
        for name in _NAMES:
            ctx.params.pop(name)
        return super().invoke(ctx)
