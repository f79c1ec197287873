from tcf.core.model import Refusal
from tcf.core.policies import Proposal


def check(proposal: Proposal) -> Refusal | None:
    """A silent worker under KeepRole may answer "active" for ever: waiting does not help."""
    if not proposal.unfenceable or proposal.force:
        return None
    return Refusal(
        "CannotFence",
        "silent workers under isolation KeepRole may answer active for ever and cannot be fenced:"
        f" {', '.join(map(str, proposal.unfenceable))}; reconnect or stop them,"
        " or make sure that they are dead and ask again by a POST with force=true",
    )
