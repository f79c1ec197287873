"""What one worker knows. Its renewal and its watch write it; whoever answers clients only reads it."""

from __future__ import annotations

import asyncio

from tcf.core.model import Federation, MemberRef, Refusal
from tcf.core.reading import Reading, WorkerState
from tcf.hub.records import newer
from tcf.runtime.clock import Clock


class Knowledge:
    """The state of one worker, and the latest federation that it has seen.

    Attributes:
        latest: the newest version seen; None before the first, and while there is no such object.
        stopped: the worker renews no longer.
    """

    def __init__(self, member: MemberRef, *, clock: Clock) -> None:
        self.member = member
        self.clock = clock
        self.state = WorkerState(member)
        self.latest: Federation | None = None
        self.stopped = False
        self._changed = asyncio.Event()

    def answer(self, now: float | None = None) -> Reading | Refusal:
        """What this worker may say at boot time `now`. It reads the clock unless `now` is given."""
        return self.state.answer(self.clock.boot() if now is None else now)

    def known_term(self, uid: str) -> int:
        """The highest term this worker has seen of the object `uid`; 0 if that is not the present one."""
        return self.state.known_term(uid)

    async def changed(self) -> None:
        """Wait until `latest` or `answer` may have changed (not by the mere passing of time)."""
        await self._changed.wait()

    def announce(self) -> None:
        """Wake those who wait for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    def read(self, federation: Federation, before: Federation | None) -> None:
        """Note the answer to a read. `before`: what was the latest when the read was sent.

        It counts even if it is older: then the hub has lost what was known. But what was watched meanwhile
        may be newer.
        """
        if self.latest is before:
            self.latest = federation
        else:
            self.watched(federation)

    def watched(self, federation: Federation) -> None:
        """Note a watched version, unless a newer one is known."""
        known = self.latest
        if (
            known is None
            or known.uid != federation.uid
            or newer(federation.resource_version, known.resource_version)
        ):
            self.latest = federation
