from tcf.core.model import Refusal
from tcf.core.policies import Proposal


def check(proposal: Proposal) -> Refusal | None:
    """A request is about members that the spec names and the role table already has."""
    for cluster in (proposal.cluster, proposal.target):
        if not cluster or (proposal.spec.member(cluster) and proposal.status.member(cluster)):
            continue
        known = ", ".join(m.id for m in proposal.spec.clusters)
        return Refusal(
            "UnknownCluster",
            f"{cluster} is not a member of this federation; spec.clusters has {known}",
        )
    return None
