"""How a worker's Lease covers its holds: what it must say, and how long a hold may last because of it.

Three rules make a hold safe:

* A hold is granted only while the worker may answer "active", and ends no later than its reading.
* As long as a hold is outstanding, the Lease acknowledges no table in which the member has lost its role.
* The Lease lasts at least until the last hold has ended, whatever shortens it otherwise.

A holder that drains may get more time after the loss of the role: as long as the latest write of the Lease
promises it, and for half of the switchover's time at most. Without that limit, a holder that always drains
would let every switchover time out.

All times are boot seconds.
"""

from __future__ import annotations

import math
from dataclasses import replace

from tcf.core.holds import Hold, HoldRequest, Holds
from tcf.core.lease_content import REGISTRATION_DURATION, Renewal
from tcf.core.model import Role, WorkerLease

_MAY_ACT = frozenset({Role.ACTIVE, Role.PROMOTING})
"""The roles whose tables are acknowledged at once. (Without an acknowledgement, a member that is being
promoted would never become active.)"""
_DRAINING_PART = 1 / 2
"""The part of `switchoverTimeout` for which draining may hold up a switchover."""


class Cover:
    """The holds of one worker, and what its Lease says for their sake."""

    def __init__(self) -> None:
        self.holds = Holds()
        self._role: Role | None = None  # in the newest table seen; None if this member is not in it
        self._lost_at = math.inf
        self._switchover_timeout = 0
        self._promised = -math.inf  # the Lease lasts until then, whichever of the latest writes has succeeded
        self._sent = -math.inf

    # --- what the worker notes ------------------------------------------------------------------------

    def saw(self, role: Role | None, switchover_timeout: int, now: float) -> None:
        """The newest table gives this member this role (None: it is not in the table)."""
        if role in _MAY_ACT:
            self._lost_at = math.inf
        elif self._lost_at == math.inf:
            self._lost_at = now
        self._role = role
        self._switchover_timeout = switchover_timeout

    def sending(self, renewal: Renewal, now: float) -> None:
        """A write of the Lease is about to be sent. Until it has succeeded, nobody knows whether it will."""
        self._sent = now + renewal.duration
        self._promised = min(self._promised, self._sent)

    def written(self) -> None:
        """That write has succeeded, so all earlier ones have been decided, too."""
        self._promised = self._sent

    def lost(self) -> None:
        """There is no Lease any more, so nothing is promised before the next write has succeeded."""
        self._promised = -math.inf

    # --- holds ----------------------------------------------------------------------------------------

    def hold(self, request: HoldRequest, now: float, *, active_until: float, keep: bool) -> Hold | None:
        """Judge and record a request.

        Args:
            active_until: when the reading expires by which the worker answers "active" now; minus infinity
                if it does not.
            keep: that reading is good for longer, under KeepRole. (Then the Lease says KeepRole, too.)

        Returns:
            the hold as it is now; None if there are too many holders.
        """
        # Under KeepRole nobody is promoted while this worker is silent, so the hold need not end either. But
        # it is still finite. Otherwise nobody could ever wait for it.
        limit = math.inf if keep else active_until
        if limit == -math.inf and request.draining and self.holds.outstanding(*request.key, now):
            limit = min(self._promised, self._lost_at + self._switchover_timeout * _DRAINING_PART)
        return self.holds.note(request, now, limit)

    # --- what to write --------------------------------------------------------------------------------

    def withholds(self, now: float) -> bool:
        """Must the loss of the role not be acknowledged yet, because somebody may still act?"""
        return self._role not in _MAY_ACT and self.holds.end(now) > now

    def composed(self, renewal: Renewal, lease: WorkerLease, now: float) -> Renewal:
        """What to write instead of `renewal`. `lease`: as it was last written or read."""
        held = self.withholds(now)
        acknowledged = renewal.acknowledged
        if held:
            # After a restore, the old acknowledgement may happen to name the table that is withheld.
            acknowledged = None if lease.acknowledged == acknowledged else lease.acknowledged
        return replace(
            renewal,
            acknowledged=acknowledged,
            duration=self._duration(renewal.duration, lease.duration, now),
            application=self.holds.application(now),
            held_by=self.holds.named(now) if held else "",
        )

    def registration_duration(self, now: float) -> int:
        """The duration of a Lease that is created now."""
        return self._duration(REGISTRATION_DURATION, 0, now)

    def _duration(self, wanted: int, present: int, now: float) -> int:
        """A longer duration stays until no hold needs it. Each change would look like a break in the row of
        renewals to a coordinator."""
        needed = math.ceil(self.holds.end(now) - now)
        return max(needed, present) if needed > wanted else wanted
