"""`kubectl tcf doctor`: is everything as it should be?"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict

import click

from tcf.ctl import findings
from tcf.ctl.completion import complete_federation
from tcf.ctl.exits import Exit
from tcf.ctl.findings import Finding, Level, Need
from tcf.ctl.global_options import Globals, TcfCommand
from tcf.ctl.hub_choice import SECONDS, OpenHub, open_hub
from tcf.ctl.hub_errors import no_federation, told
from tcf.ctl.looking import read_leases, read_operator_sign
from tcf.ctl.output import show
from tcf.ctl.terminal import Sign, Terminal
from tcf.hub import errors
from tcf.hub.answers import Json
from tcf.hub.federations import GROUP, PLURAL
from tcf.hub.records import items, reading
from tcf.hub.server_facts import known_fields, server_time, server_version

_SIGNS = {Level.GOOD: Sign.YES, Level.BAD: Sign.NO, Level.NOTE: Sign.NOTE}
_LEASES = "leases.coordination.k8s.io"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_POLICIES = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")

NEEDS = (
    Need("get", PLURAL, "look at federations", everybody=True),
    Need("list", PLURAL, "look at federations", everybody=True),
    Need("watch", PLURAL, "follow federations", everybody=True),
    Need("list", _LEASES, "see workers", everybody=True),
    Need("get", _LEASES, "see operators", everybody=True),
    Need("update", f"{PLURAL}/status", "place requests about the role"),
    Need("create", f"{PLURAL}/switchover", "move the role"),
    Need("create", f"{PLURAL}/force", "use --force"),
    Need("patch", PLURAL, "pause failover"),
)


@click.command(cls=TcfCommand)
@click.argument("federation", shell_complete=complete_federation, required=False)
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="The federations of all namespaces.")
def doctor(*, given: Globals, federation: str | None, everywhere: bool) -> int:
    """Check the hub, the CRD, the admission policies, your rights, operators, workers and clocks.

    Each line says what is wrong, and what mends it. Exit status 1 if anything is.
    """
    found = asyncio.run(_examined(given, federation, everywhere=everywhere))
    fine = all(each.level is not Level.BAD for each in found)
    view = {"ok": fine, "findings": [asdict(each) for each in found]}
    show(view, given.output, lambda: _lines(found, Terminal.of(sys.stdout)))
    return Exit.DONE if fine else Exit.REFUSED


def _lines(found: Sequence[Finding], terminal: Terminal) -> Iterator[str]:
    for each in found:
        sign, about = terminal.paint(terminal.sign(_SIGNS[each.level])), terminal.paint(each.about)
        yield f"{sign} {about}: {terminal.paint(each.message)}"
        if each.mend and each.level is not Level.GOOD:
            yield f"    {terminal.paint(terminal.sign(Sign.TO))} {terminal.paint(each.mend)}"


async def _examined(given: Globals, name: str | None, *, everywhere: bool) -> list[Finding]:
    async with open_hub(given.hub) as hub:
        try:
            version = await server_version(hub.client, deadline=SECONDS)
        except errors.HubError as error:
            stop = told(error)
            return [Finding("hub", Level.BAD, str(stop), "; ".join(stop.hint) or "is it the right server?")]
        found = [findings.of_version(version)]
        for part in (_clocks, _crd, _policies):
            found += [each async for each in part(hub)]
        found += [each async for each in _rights(hub, name or "")]
        where = None if everywhere else hub.namespace
        return [*found, *[each async for each in _federations(hub, where, name)]]


async def _clocks(hub: OpenHub) -> AsyncIterator[Finding]:
    try:
        yield findings.of_clocks(await server_time(hub.credentials, deadline=SECONDS), hub.clock.now())
    except errors.HubError as error:
        yield findings.unreadable("clocks", str(error))


async def _crd(hub: OpenHub) -> AsyncIterator[Finding]:
    try:
        yield findings.of_fields(await known_fields(hub.client, deadline=SECONDS))
    except errors.KindNotFoundError:
        mend = "kubectl apply --server-side -f crds/, or the chart (docs/install.md); or this is not the hub"
        yield Finding("CRD", Level.BAD, "it is not installed on this server", mend)
    except errors.HubError as error:
        yield findings.unreadable("CRD", str(error))


async def _policies(hub: OpenHub) -> AsyncIterator[Finding]:
    try:
        names = [await _names(hub, f"{_ADMISSION}/{plural}") for plural in _POLICIES]
    except errors.ForbiddenError:
        yield findings.unreadable("admission policies", "you may not list ValidatingAdmissionPolicies")
    except errors.HubError as error:
        yield findings.unreadable("admission policies", str(error))
    else:
        yield findings.of_policies(*names)


async def _names(hub: OpenHub, path: str) -> set[str]:
    answer: Json = await hub.client.request("GET", path, deadline=SECONDS)
    with reading("the list of admission policies"):
        return {str(item["metadata"]["name"]) for item in items(answer, str(answer["kind"]))}


async def _rights(hub: OpenHub, name: str) -> AsyncIterator[Finding]:
    """The rights on one federation, or on all. A Role may name the federations for which it is."""
    try:
        user = await hub.access.user(deadline=SECONDS)
        allowed = await asyncio.gather(*(_may(hub, need, name) for need in NEEDS))
    except errors.HubError as error:
        yield findings.unreadable("rights", str(error))
        return
    for each in findings.of_rights(dict(zip(NEEDS, allowed, strict=True)), user, name):
        yield each


async def _may(hub: OpenHub, need: Need, name: str) -> bool:
    resource, _, subresource = need.resource.partition("/")
    plural, _, group = resource.partition(".")
    return await hub.access.may(
        need.verb,
        group or GROUP,
        plural,
        hub.namespace,
        subresource=subresource,
        name="" if need.everybody else name,
        deadline=SECONDS,
    )


async def _federations(hub: OpenHub, namespace: str | None, name: str | None) -> AsyncIterator[Finding]:
    try:
        listed, troubles = await hub.federations.list(namespace, deadline=SECONDS)
    except errors.HubError as error:
        yield Finding("federations", Level.BAD, str(told(error)), "see the lines above")
        return
    for trouble in troubles:
        yield Finding("federations", Level.BAD, trouble, "correct the object: another CRD allowed it")
    chosen = [each for each in listed if name in {None, each.name}]
    if name and not chosen:
        raise no_federation(name, hub.namespace)
    if not chosen:
        where = f"in namespace {namespace}" if namespace else "on this hub"
        yield Finding(
            "federations", Level.NOTE, f"there are none {where}", "choose another with -n, or use -A"
        )
    for each in dict.fromkeys(federation.namespace for federation in chosen):
        there = [federation for federation in chosen if federation.namespace == each]
        sign = await read_operator_sign(hub, *there)
        yield findings.of_operator(sign, hub.clock.now())
        for federation in there:
            leases = await read_leases(hub, federation.name, each)
            for finding in findings.of_federation(federation, leases, sign, hub.clock.now()):
                yield finding
