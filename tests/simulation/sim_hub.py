"""The hub: objects with versions, rules and watches, as a kube-apiserver with the project's CRD keeps them.

What each write answers was tried on the real one; `tests/integration/test_lease_pins.py` and `test_crd.py`
hold it to that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Protocol

from simulation.world import World
from tcf.core.lease_content import Renewal
from tcf.core.model import (
    FailoverMode,
    Federation,
    Isolation,
    Role,
    Spec,
    Status,
    WorkerLease,
)
from tcf.hub import answers, errors

NAMESPACE, NAME = "ns", "shop"
_SNAPSHOTS = 400


class Watcher(Protocol):
    """Hears of each change of one kind."""

    def changed(self, value: Federation | WorkerLease, *, deleted: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything there is, as of one version."""

    version: int
    taken: float
    federation: Federation | None
    leases: Mapping[str, WorkerLease]


class SimHub:
    """Each method carries out one request. It may raise HubError."""

    def __init__(
        self, world: World, committed: Callable[[Federation | None, Federation | None], None]
    ) -> None:
        self.federation: Federation | None = None
        self.leases: dict[str, WorkerLease] = {}
        self.kind_is_gone = False
        """The CRD has been removed."""
        self.marks: dict[str, str] = {}
        """What operators have left on their heartbeat, by their names."""
        self.watchers: dict[type, list[Watcher]] = {Federation: [], WorkerLease: []}
        self.renewal_listeners: list[Callable[[WorkerLease, WorkerLease], None]] = []
        """Called with a Lease before and after its worker has renewed it."""
        self._world = world
        self._committed = committed
        self._version = 1000
        self._objects = 0
        self._snapshots: deque[Snapshot] = deque(maxlen=_SNAPSHOTS)

    # --- federations ------------------------------------------------------------------------------------

    def get(self) -> Federation:
        if self.kind_is_gone:
            raise answers.refusal(404, b"404 page not found", "GET", "", "the hub", "")
        if self.federation is None:
            raise errors.NotFoundError("no such federation")
        return self.federation

    def write_status(self, seen: Federation, status: Status) -> Federation:
        present = self._same(seen)
        if status == present.status:
            return present
        _check(present.spec, status, present.status)
        return self._put(replace(present, status=status))

    def annotate(self, seen: Federation, annotations: Mapping[str, str]) -> Federation:
        present = self._same(seen)
        return self._put(
            replace(present, annotations=MappingProxyType({**present.annotations, **annotations}))
        )

    def create(self, spec: Spec, annotations: Mapping[str, str]) -> None:
        self._objects += 1
        self._put(
            Federation(
                NAMESPACE,
                NAME,
                f"uid-{self._objects}",
                "",
                1,
                spec,
                None,
                MappingProxyType(dict(annotations)),
            )
        )

    def edit(self, change: Callable[[Spec], Spec]) -> bool:
        """What `kubectl edit` does; False if the CRD refuses it or there is nothing to edit."""
        present = self.federation
        if present is None:
            return False
        spec = change(present.spec)
        if spec == present.spec:
            return False
        if spec.isolation is Isolation.KEEP_ROLE and spec.failover.mode is FailoverMode.AUTOMATIC:
            return False
        try:
            if present.status:
                _check(spec, present.status, present.status)
        except errors.InvalidError:
            return False
        self._put(replace(present, spec=spec, generation=present.generation + 1))
        return True

    def lose_status(self) -> None:
        """Drop the status, as a restore from a backup without it does."""
        if self.federation:
            self._put(replace(self.federation, status=None))

    def delete(self) -> None:
        if self.federation:
            gone, self.federation = self.federation, None
            self._commit(gone, deleted=True)
            self._committed(gone, None)

    def _same(self, seen: Federation) -> Federation:
        present = self.get()
        if (seen.uid, seen.resource_version) != (present.uid, present.resource_version):
            raise errors.ConflictError("another version")
        return present

    def _put(self, federation: Federation) -> Federation:
        before = self.federation
        self._version += 1
        self.federation = replace(federation, resource_version=str(self._version))
        self._commit(self.federation, deleted=False)
        self._committed(before, self.federation)
        return self.federation

    # --- Leases -----------------------------------------------------------------------------------------

    def list_leases(self) -> tuple[WorkerLease, ...]:
        return tuple(lease for lease in self.leases.values() if lease.federation == NAME)

    def get_lease(self, name: str) -> WorkerLease:
        if name not in self.leases:
            raise errors.NotFoundError("no such Lease")
        return self.leases[name]

    def create_lease(self, name: str, cluster: str, holder: str, duration: int) -> WorkerLease:
        if name in self.leases:
            raise errors.ConflictError("exists already")
        self._objects += 1
        return self.put_lease(
            WorkerLease(
                name,
                f"uid-{self._objects}",
                "",
                NAME,
                cluster,
                holder,
                acknowledged=None,
                isolation=Isolation.FENCE,
                duration=duration,
            )
        )

    def renew_lease(self, seen: WorkerLease, renewal: Renewal) -> WorkerLease:
        present = self.get_lease(seen.name)
        if present.uid != seen.uid:
            raise errors.InvalidError("another object")
        if present.resource_version != seen.resource_version:
            raise errors.ConflictError("another version")
        after = self.put_lease(renewed(present, renewal))
        for listener in self.renewal_listeners:
            listener(present, after)
        return after

    def delete_lease(self, seen: WorkerLease, *, any_version: bool) -> None:
        present = self.get_lease(seen.name)
        if present.uid != seen.uid or (not any_version and present.resource_version != seen.resource_version):
            raise errors.ConflictError("another version")
        del self.leases[seen.name]
        self._commit(present, deleted=True)

    def put_lease(self, lease: WorkerLease) -> WorkerLease:
        self._version += 1
        lease = replace(lease, resource_version=str(self._version))
        self.leases[lease.name] = lease
        # Watches select by the label: a Lease that has lost it is gone for them.
        self._commit(lease, deleted=lease.federation != NAME)
        return lease

    # --- by hand ----------------------------------------------------------------------------------------

    def edit_lease(self, name: str, **changes: Any) -> None:
        """What `kubectl edit` does to a Lease."""
        if name in self.leases:
            self.put_lease(replace(self.leases[name], **changes))

    def drop_lease(self, name: str) -> None:
        """What `kubectl delete` does."""
        if name in self.leases:
            self._commit(self.leases.pop(name), deleted=True)

    def forge_lease(self, lease: WorkerLease) -> None:
        """What `kubectl create` does, with whatever content."""
        self._objects += 1
        self.put_lease(replace(lease, uid=f"uid-{self._objects}"))

    def edit_status(self, change: Callable[[Status], Status]) -> bool:
        """What `kubectl edit --subresource=status` does; False if the CRD refuses it."""
        present = self.federation
        if present is None or present.status is None:
            return False
        try:
            _check(present.spec, change(present.status), present.status)
        except errors.InvalidError:
            return False
        self._put(replace(present, status=change(present.status)))
        return True

    # --- both -------------------------------------------------------------------------------------------

    def backup(self, seconds: float) -> Snapshot:
        """The state of this many seconds ago, or the oldest that is known."""
        limit = max(self._world.now - seconds, self._snapshots[0].taken)
        return next(snapshot for snapshot in reversed(self._snapshots) if snapshot.taken <= limit)

    def restore(self, backup: Snapshot, *, bump: bool) -> None:
        """Lose all writes since that backup. With `bump`, versions go on above those that were lost."""
        kept = [snapshot for snapshot in self._snapshots if snapshot.version <= backup.version]
        self._snapshots = deque(kept, maxlen=_SNAPSHOTS)
        self.federation, self.leases = backup.federation, dict(backup.leases)
        if not bump:
            self._version = backup.version
        self._committed(None, self.federation)

    def _commit(self, value: Federation | WorkerLease, *, deleted: bool) -> None:
        self._snapshots.append(
            Snapshot(self._version, self._world.now, self.federation, MappingProxyType(dict(self.leases)))
        )
        for watcher in tuple(self.watchers[type(value)]):
            watcher.changed(value, deleted=deleted)


def renewed(lease: WorkerLease, renewal: Renewal) -> WorkerLease:
    """The Lease after this renewal."""
    return replace(
        lease,
        acknowledged=renewal.acknowledged,
        isolation=renewal.isolation,
        duration=renewal.duration,
        last_active=renewal.last_active,
        application=renewal.application,
        held_by=renewal.held_by,
    )


def _check(spec: Spec, status: Status, before: Status | None) -> None:
    """The rules of the CRD that a bug of ours could break."""
    members = {member.id for member in spec.clusters}
    engaged = [row.id for row in status.clusters if row.role is not Role.PASSIVE]
    named = {status.switchover.from_, status.switchover.to} - {""} if status.switchover else set()
    active = next((row.id for row in status.clusters if row.role is Role.ACTIVE), "")
    refused = (
        len(engaged) > 1
        or not members.issuperset(engaged)
        or not members.issuperset(named)
        or (before is not None and status.term < before.term)
        or status.active_cluster != active
    )
    if refused:
        raise errors.InvalidError(f"the CRD refuses {status} with {spec}")
