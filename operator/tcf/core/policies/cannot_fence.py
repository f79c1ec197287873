from tcf.core.model import Refusal
from tcf.core.policies import Proposal


def check(proposal: Proposal) -> Refusal | None:
    """A silent worker under KeepRole may answer "active" for ever: waiting does not help."""
    if not proposal.unfenceable or proposal.force:
        return None
    return Refusal(
        "CannotFence",
        f"silent workers under isolation KeepRole cannot be fenced: {', '.join(proposal.unfenceable)};"
        " reconnect or stop them, or make sure that they are dead and repeat with force=true",
    )
