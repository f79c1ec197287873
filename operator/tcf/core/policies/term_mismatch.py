from tcf.core.model import Refusal
from tcf.core.policies import Proposal


def check(proposal: Proposal) -> Refusal | None:
    """A request that names a term is for that table only, so that a repeated one cannot run twice."""
    if proposal.expected_term in {None, proposal.status.term}:
        return None
    return Refusal(
        "TermMismatch",
        f"the roles have changed: expected_term is {proposal.expected_term}, the term is"
        f" {proposal.status.term}; look at /tcf/clusters and decide again",
    )
