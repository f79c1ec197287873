"""What one worker knows. Its renewals and its watch write it; the code that answers clients only reads it."""

from __future__ import annotations

from tcf.core.model import Federation, MemberRef, Refusal
from tcf.core.reading import Reading, WorkerState
from tcf.hub.records import supersedes
from tcf.runtime.changes import Changes
from tcf.runtime.clock import Clock


class Knowledge:
    """The state of one worker, and the latest federation that it has seen.

    Attributes:
        latest: the newest version seen; None before the first, and while there is no such object.
        renewed_at: when the latest successful renewal began (boot seconds); None before the first.
        stopped: the worker has stopped renewing.
    """

    def __init__(self, member: MemberRef, *, clock: Clock) -> None:
        self.member = member
        self.clock = clock
        self.state = WorkerState(member)
        self.latest: Federation | None = None
        self.renewed_at: float | None = None
        self.stopped = False
        self._changes = Changes()

    def answer(self, now: float | None = None) -> Reading | Refusal:
        """What this worker may answer at boot time `now`. Without `now`, it reads the clock."""
        return self.state.answer(self.clock.boot() if now is None else now)

    def known_term(self, uid: str) -> int:
        """The highest term that this worker has seen of object `uid`; 0 if that is not the present one."""
        return self.state.known_term(uid)

    async def changed(self) -> None:
        """Wait until `latest` or `answer` may have changed. (It does not notice when an answer expires.)"""
        await self._changes.next()

    def announce(self) -> None:
        """Wake all tasks that wait for a change."""
        self._changes.announce()

    def read(self, federation: Federation, before: Federation | None) -> None:
        """Note the answer to a read. `before`: the latest version when the read was sent.

        The answer counts even if it is older than `before`, because then the hub has lost that version. But
        if the watch has delivered something meanwhile, the newer of the two counts.
        """
        if self.latest is before:
            self.latest = federation
        else:
            self.watched(federation)

    def watched(self, federation: Federation) -> None:
        """Note a version from the watch, unless a newer one is known."""
        if supersedes(federation, self.latest):
            self.latest = federation
