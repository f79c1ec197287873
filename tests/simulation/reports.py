"""Which members' Leases report a healthy application, and until when they did."""

from __future__ import annotations

import math
from collections.abc import Iterable

from simulation.world import World
from tcf.core.model import Application, Federation, WorkerLease


class Reports:
    """Sees every write of a Lease on the hub."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._healthy: dict[str, str] = {}
        """The member of each Lease, by uid, that says so now."""
        self._until: dict[str, float] = {}

    def changed(self, value: Federation | WorkerLease, *, deleted: bool) -> None:
        """A Lease is written or deleted."""
        assert isinstance(value, WorkerLease)
        self._forget(value.uid)
        if not deleted and value.application is Application.HEALTHY:
            self._healthy[value.uid] = value.cluster

    def restored(self, leases: Iterable[WorkerLease]) -> None:
        """The hub has only these Leases now."""
        for uid in tuple(self._healthy):
            self._forget(uid)
        for lease in leases:
            self.changed(lease, deleted=False)

    def healthy_since(self, moment: float, member: str) -> bool:
        """Has a Lease of the member said that its application is healthy, at this moment or later?"""
        return member in self._healthy.values() or self._until.get(member, -math.inf) >= moment

    def _forget(self, uid: str) -> None:
        if uid in self._healthy:
            self._until[self._healthy.pop(uid)] = self._world.now
