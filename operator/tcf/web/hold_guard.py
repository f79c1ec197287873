"""The guard in front of holds.

A holder asks every few seconds, and it has to be able to release its hold while the hub is down. So whoever
was let in once is not checked again for a while, nor as long as nobody can check it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from aiohttp import web

from tcf.auth.authority import DeniedError
from tcf.core.authorization import HOLD, User
from tcf.runtime.clock import Clock
from tcf.web.audit_trail import ASKED
from tcf.web.guard import Guard

_CHECKED_SECONDS = 60.0
"""How long a check counts. So long may a holder whose right was taken away still use it."""
_AGAIN_SECONDS = 10.0
"""If nobody can check a holder that was let in before, it is let in for so long until the next attempt."""
_KNOWN_SECONDS = 600.0
"""How long a check counts while nobody can repeat it, and for a release: twice as long as any hold."""
_MOST = 256
"""How many holders are remembered."""


@dataclass(slots=True)
class _Admitted:
    user: User | None
    checked_at: float
    next_check: float


class HoldGuard:
    """Lets holders in, by the rules of `guard`."""

    def __init__(self, guard: Guard, clock: Clock) -> None:
        self._guard = guard
        self._clock = clock
        self._admitted: OrderedDict[bytes, _Admitted] = OrderedDict()

    async def admit(self, request: web.BaseRequest, *, releasing: bool) -> None:
        """Raises DeniedError if the client may not have holds."""
        credential = self._guard.credential(request)
        if credential is None:
            return
        asked = request[ASKED]
        now = self._clock.boot()
        known = self._admitted.get(credential)
        if known and now > known.checked_at + _KNOWN_SECONDS:
            known = None
        if known and (releasing or now < known.next_check):
            asked.user = known.user
            return
        try:
            await self._guard.identify(request, asked)
            await self._guard.check(asked, HOLD)
        except DeniedError as denied:
            if known is None or denied.status < 500:  # noqa: PLR2004
                self._admitted.pop(credential, None)
                raise
            asked.user = known.user
            known.next_check = self._clock.boot() + _AGAIN_SECONDS
            return
        self._admitted[credential] = _Admitted(asked.user, now, now + _CHECKED_SECONDS)
        self._admitted.move_to_end(credential)
        if len(self._admitted) > _MOST:
            self._admitted.popitem(last=False)
