from tcf.core.model import Refusal
from tcf.core.policies import Proposal


def check(proposal: Proposal) -> Refusal | None:
    """A request is about members that the spec names and the role table already has."""
    for cluster in (proposal.cluster, proposal.target):
        if not cluster:
            continue
        if not proposal.spec.member(cluster):
            known = ", ".join(m.id for m in proposal.spec.clusters)
            return Refusal(
                "UnknownCluster", f"{cluster} is not a member of this federation; spec.clusters has {known}"
            )
        if not proposal.status.member(cluster):
            return Refusal(
                "NoRoleYet",
                f"{cluster} is new in spec.clusters and no operator has given it a role yet;"
                " try again in a moment, and if that does not help, see whether tcf-operator is running",
            )
    return None
