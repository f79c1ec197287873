from tcf.core.model import Refusal
from tcf.core.policies import Proposal


def check(proposal: Proposal) -> Refusal | None:
    """A toggle swaps the active and the passive member; with nobody active there is nothing to swap."""
    if proposal.status.active_cluster:
        return None
    return Refusal(
        "NoActiveCluster",
        "no member is active, so there is nothing to swap;"
        " use promote on a worker of the member that is to become active",
    )
