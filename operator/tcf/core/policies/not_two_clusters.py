from tcf.core.model import Refusal
from tcf.core.policies import Proposal


def check(proposal: Proposal) -> Refusal | None:
    """A toggle swaps two members; with more it could not know which is meant."""
    count = len(proposal.status.clusters)
    if count == 2:  # noqa: PLR2004 - the two of NotTwoClusters
        return None
    return Refusal(
        "NotTwoClusters",
        f"toggle needs exactly two members, this federation has {count};"
        " use promote on a worker of the member that is to become active",
    )
