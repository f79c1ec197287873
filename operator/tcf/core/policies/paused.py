from tcf.core.model import Refusal
from tcf.core.policies import Proposal


def check(proposal: Proposal) -> Refusal | None:
    """While paused, nothing happens that nobody has asked for."""
    if not proposal.spec.paused:
        return None
    return Refusal(
        "Paused",
        f"{proposal.cluster} is silent, but failover is paused: set spec.paused to false,"
        " or promote another member",
    )
