"""A coordinator that watches a federation, second by second, and what it decides."""

from __future__ import annotations

from typing import Any

from tcf.core.decide import Decision, Observation, decide
from tcf.core.liveness import Workers
from tcf.core.model import Failover, FailoverMode, Federation, Role, Status, Trigger, WorkerLease
from tcf.core.sightings import Sightings
from unit.build import BOOT, D, at, federation, later

STEP = D / 3


def automatic(**more: Any) -> Failover:
    return Failover(**{"mode": FailoverMode.AUTOMATIC, "timeout": 1, "cooldown": 300, **more})


def about(members: int = 2, **more: Any) -> Federation:
    roles = " ".join(["active"] + ["passive"] * (members - 1))
    return federation(roles, **{"failover": automatic(), **more})


class Watcher:
    """A coordinator's view, fed second by second."""

    def __init__(self, about: Federation, *leases: WorkerLease) -> None:
        self.about = about
        self.leases = {one.uid: one for one in leases}
        self.now = BOOT
        self.sightings = Sightings().see_federation(about, BOOT).see_leases(leases, BOOT)

    def join(self, one: WorkerLease) -> None:
        """See a Lease for the first time, or another version of it."""
        self.leases[one.uid] = one
        self.sightings = self.sightings.see_lease(one, self.now)

    def renew(self, *uids: str, every: float = STEP, during: float) -> None:
        """Let these Leases be renewed again and again for so many seconds, others not."""
        end = self.now + during
        while self.now + every <= end + 1e-6:
            self.now += every
            for uid in uids:
                self.leases[uid] = later(self.leases[uid])
                self.sightings = self.sightings.see_lease(self.leases[uid], self.now)
        self.now = end

    @property
    def status(self) -> Status:
        assert self.about.status
        return self.about.status

    @property
    def workers(self) -> Workers:
        return Workers(tuple(self.leases.values()), self.sightings, self.now)

    def change(self, uid: str, **edit: Any) -> None:
        """See another version of a Lease, with this content."""
        self.join(later(self.leases[uid], **edit))

    def gone(self, uid: str) -> None:
        del self.leases[uid]
        self.sightings = self.sightings.see_gone(uid, self.now)

    def decide(self) -> Decision:
        leases = tuple(self.leases.values())
        return decide(
            Observation(self.about, leases, self.sightings, listed=self.now, reread=False), at(self.now)
        )

    @property
    def replaced_by(self) -> str | None:
        """To whom a failover begins now."""
        status = self.decide().status
        if status is None or status.switchover is None:
            return None
        assert status.switchover.trigger is Trigger.FAILOVER
        engaged = status.engaged
        assert engaged
        assert (engaged.id, engaged.role) == ("c1", Role.DEMOTING)
        return status.switchover.to
