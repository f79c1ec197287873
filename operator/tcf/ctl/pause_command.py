"""`kubectl tcf pause` and `resume`: whether the operator may fail over by itself."""

from __future__ import annotations

import click

from tcf.core.model import FailoverMode
from tcf.ctl.completion import complete_federation
from tcf.ctl.global_options import Globals, TcfCommand
from tcf.ctl.hub_choice import SECONDS, open_hub
from tcf.ctl.hub_errors import run
from tcf.ctl.looking import read_federation
from tcf.ctl.output import show
from tcf.hub.federation_json import summary

_GITOPS = "If a GitOps tool keeps this object, change spec.paused there, too: it would set it back."


@click.command(cls=TcfCommand)
@click.argument("federation", shell_complete=complete_federation)
def pause(*, given: Globals, federation: str) -> None:
    """Keep the operator from failing over by itself (spec.paused). People may still move the role."""
    run(_set(given, federation, paused=True))


@click.command(cls=TcfCommand)
@click.argument("federation", shell_complete=complete_federation)
def resume(*, given: Globals, federation: str) -> None:
    """Let the operator fail over by itself again, if failover.mode is Automatic."""
    run(_set(given, federation, paused=False))


async def _set(given: Globals, name: str, *, paused: bool) -> None:
    async with open_hub(given.hub) as hub:
        federation = await read_federation(hub, name)
        changed = federation.spec.paused is not paused
        if changed:
            federation = await hub.federations.pause(hub.namespace, name, paused=paused, deadline=SECONDS)
    word = "paused" if paused else "no longer paused"
    lines = [f"failover of {name} is {word}" if changed else f"failover of {name} was {word} already"]
    if federation.spec.failover.mode is not FailoverMode.AUTOMATIC:
        lines.append("(failover.mode is Manual, so the operator does not fail over in any case)")
    if changed:
        lines.append(_GITOPS)
    show({**summary(federation), "changed": changed}, given.output, lambda: lines)
