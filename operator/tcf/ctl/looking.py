"""Reads from the hub what is shown of a federation, as far as the person may read it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping

from tcf.core.heartbeat import HEARTBEAT
from tcf.core.model import Federation, WorkerLease
from tcf.ctl.exits import StopError
from tcf.ctl.hub_choice import SECONDS, OpenHub
from tcf.ctl.hub_errors import no_federation
from tcf.ctl.operator_sign import OperatorSign, last_act
from tcf.hub import errors

_POD = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_MOST_PODS = 32


async def read_federation(hub: OpenHub, name: str) -> Federation:
    """Raises StopError if there is none of that name."""
    try:
        return await hub.federations.get(hub.namespace, name, deadline=SECONDS)
    except errors.NotFoundError as error:
        raise no_federation(name, hub.namespace) from error


async def read_own_name(hub: OpenHub) -> str:
    """The user name on the hub: a request has to be in the name of whoever places it."""
    try:
        return await hub.access.user(deadline=SECONDS)
    except (errors.NotFoundError, errors.KindNotFoundError) as error:
        message = "the hub does not say who you are (SelfSubjectReview): it needs Kubernetes 1.28 or newer"
        raise StopError(message) from error


async def read_leases(hub: OpenHub, name: str, namespace: str = "") -> tuple[WorkerLease, ...] | None:
    """The Leases of the workers of a federation, in a fixed order; None if the person may not list them."""
    try:
        found = await hub.leases.list(namespace or hub.namespace, name, deadline=SECONDS)
    except errors.ForbiddenError:
        return None
    return tuple(sorted(found, key=lambda lease: (lease.cluster, lease.holder, lease.name)))


async def read_operator_sign(hub: OpenHub, *federations: Federation) -> OperatorSign:
    """What is known of the operators that look after these federations, which are in one namespace."""
    where, acted_at = federations[0].namespace, last_act(federations)
    try:
        lease = await hub.leases.get(where, HEARTBEAT, deadline=SECONDS)
    except errors.NotFoundError:
        return OperatorSign(where, acted_at=acted_at)
    except errors.HubError as error:
        return OperatorSign(where, unknown=str(error), acted_at=acted_at)
    return OperatorSign(where, lease, acted_at=acted_at)


async def read_nodes(hub: OpenHub, leases: Iterable[WorkerLease]) -> Mapping[str, str]:
    """The nodes of workers whose Pods are in the namespace of the federation, by holder.

    A Lease does not say where its worker runs. But in a Pod, its holder has the name of the Pod.
    """
    holders = sorted({lease.holder for lease in leases if _POD.fullmatch(lease.holder)})[:_MOST_PODS]
    nodes = await asyncio.gather(*(_node(hub, holder) for holder in holders))
    return {holder: node for holder, node in zip(holders, nodes, strict=True) if node}


async def _node(hub: OpenHub, holder: str) -> str:
    """The node of a Pod; "" if there is no such Pod here, or the person may not read it."""
    path = f"/api/v1/namespaces/{hub.namespace}/pods/{holder}"
    try:
        found = await hub.client.request("GET", path, deadline=SECONDS)
    except errors.HubError:
        return ""
    spec = found.get("spec")
    return str(spec.get("nodeName") or "") if isinstance(spec, dict) else ""
