from tcf.core.model import Refusal
from tcf.core.policies import Proposal


def check(proposal: Proposal) -> Refusal | None:
    """Nobody gives up the active role for a member that cannot take it over."""
    if not proposal.target or proposal.live_workers or proposal.force:
        return None
    return Refusal(
        "NoLiveWorker",
        f"no worker of {proposal.target} is alive, so nothing would answer for it: start or repair one"
        " (tcf-worker), or promote it all the same by a POST with force=true",
    )
