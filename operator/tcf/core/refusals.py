"""The policies by which requests are refused, and the chains in which they are checked.

A policy knows only what is in the `Proposal`: nothing about HTTP, and not who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tcf.core.application_health import remedy, trouble
from tcf.core.model import Application, Refusal, Spec, Status, Unfenceable
from tcf.core.reasons import Reason


@dataclass(frozen=True, slots=True)
class Proposal:
    """The proposal to make `target` the active member, and everything by which it is judged.

    Attributes:
        spec, status: of the federation, from one read.
        cluster: the member whose worker was asked.
        target: the member that should become active, "" for nobody.
        live_workers: how many workers of the target are live, as far as is known here.
        application: what these report about their application; None if they report nothing.
        unfenceable: workers that are silent under KeepRole, which waiting never fences.
        expected_term: the term that the client believes to be the present one; None if it does not name any.
        force: a person overrides what may be overridden.
    """

    spec: Spec
    status: Status
    cluster: str
    target: str
    live_workers: int = 0
    application: Application | None = None
    unfenceable: tuple[Unfenceable, ...] = ()
    expected_term: int | None = None
    force: bool = False


Policy = Callable[[Proposal], Refusal | None]


def first_refusal(policies: Iterable[Policy], proposal: Proposal) -> Refusal | None:
    """The verdict of the first policy that objects."""
    return next((refusal for policy in policies if (refusal := policy(proposal))), None)


def unknown_cluster(proposal: Proposal) -> Refusal | None:
    """A request may only be about members that are in the spec and already in the role table."""
    for cluster in (proposal.cluster, proposal.target):
        if not cluster:
            continue
        if not proposal.spec.member(cluster):
            known = ", ".join(m.id for m in proposal.spec.clusters)
            return Refusal(
                Reason.UNKNOWN_CLUSTER,
                f"{cluster} is not a member of this federation: spec.clusters has {known}",
            )
        if not proposal.status.member(cluster):
            return Refusal(
                Reason.NO_ROLE_YET,
                f"{cluster} is new in spec.clusters and no operator has given it a role yet;"
                " try again in a moment. If that does not help, check that tcf-operator is running",
            )
    return None


def term_mismatch(proposal: Proposal) -> Refusal | None:
    """A request that names a term is for that table only. So if it is repeated, it cannot run twice."""
    if proposal.expected_term in {None, proposal.status.term}:
        return None
    return Refusal(
        Reason.TERM_MISMATCH,
        f"the roles have changed: expected_term is {proposal.expected_term}, but the present term is"
        f" {proposal.status.term}; look at /tcf/clusters and decide again",
    )


def not_two_clusters(proposal: Proposal) -> Refusal | None:
    """A toggle swaps two members. With more members, it would be unclear which two."""
    count = len(proposal.status.clusters)
    if count == 2:  # noqa: PLR2004 - the two of NotTwoClusters
        return None
    return Refusal(
        Reason.NOT_TWO_CLUSTERS,
        f"toggle needs exactly two members, and this federation has {count};"
        " send promote to a worker of the member that should become active",
    )


def no_active_cluster(proposal: Proposal) -> Refusal | None:
    """A toggle swaps the active and the passive member. While nobody is active, there is nothing to swap."""
    if proposal.status.active_cluster:
        return None
    return Refusal(
        Reason.NO_ACTIVE_CLUSTER,
        "no member is active, so there is nothing to swap;"
        " send promote to a worker of the member that should become active",
    )


def no_live_worker(proposal: Proposal) -> Refusal | None:
    """The active member does not give up its role for one that cannot take over."""
    if not proposal.target or proposal.live_workers or proposal.force:
        return None
    return Refusal(
        Reason.NO_LIVE_WORKER,
        f"no worker of {proposal.target} is alive, so nothing would answer for it: start or repair one"
        " (tcf-worker), or promote the member anyway by a POST with force=true",
    )


def application_unhealthy(proposal: Proposal) -> Refusal | None:
    """Where roles follow applications, the target needs one that is healthy, or nothing would do its work."""
    why = trouble(proposal.spec, proposal.target, proposal.application)
    if not proposal.target or not why or proposal.force:
        return None
    return Refusal(
        Reason.APPLICATION_UNHEALTHY,
        f"{why}: {remedy(proposal.application)}, or promote the member anyway by a POST with force=true",
    )


def cannot_fence(proposal: Proposal) -> Refusal | None:
    """A silent worker under KeepRole may go on answering "active", so waiting does not help."""
    if not proposal.unfenceable or proposal.force:
        return None
    return Refusal(
        Reason.CANNOT_FENCE,
        "these workers are silent under isolation KeepRole and may go on answering active:"
        f" {', '.join(map(str, proposal.unfenceable))}; reconnect or stop them,"
        " or make sure that they are dead and ask again by a POST with force=true",
    )


def paused(proposal: Proposal) -> Refusal | None:
    """While the federation is paused, roles move only when somebody asks for it."""
    if not proposal.spec.paused:
        return None
    return Refusal(
        Reason.PAUSED,
        f"failover is paused, so nobody replaces {proposal.cluster}: set spec.paused to false,"
        " or promote another member",
    )


# --- the chains, each in the order in which its policies are checked --------------------------------

TO_ADMIT: tuple[Policy, ...] = (unknown_cluster, term_mismatch)
"""Before a request is written into the status."""
TO_ADMIT_TOGGLE: tuple[Policy, ...] = (not_two_clusters, no_active_cluster)
"""The same for a toggle, if no other request is under way."""
TO_ACT: tuple[Policy, ...] = (no_live_worker, application_unhealthy)
"""Whether the target could act as the active member. As long as it could not, it is not promoted."""
TO_FORESEE: tuple[Policy, ...] = (*TO_ACT, cannot_fence)
"""In a dry run, to find out why a coordinator would most likely refuse the request."""
TO_BEGIN: tuple[Policy, ...] = (unknown_cluster, *TO_ACT, cannot_fence)
"""Before a coordinator moves the first role for a request."""
TO_REPLACE: tuple[Policy, ...] = (paused,)
"""Before an automatic failover replaces a member that can no longer act."""
TO_TAKE_OVER: tuple[Policy, ...] = (*TO_ACT, cannot_fence)
"""Before a member is chosen to take over in a failover."""
